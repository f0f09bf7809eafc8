/** A result set as psql prints it, aligned. Numbers to the right where `numeric` says so. */
export function psqlTable(
  columns: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  numeric: readonly boolean[],
): string {
  const widths = columns.map((name, i) => Math.max(name.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly (string | null)[]): string =>
    cells
      .map((cell, i) => ` ${numeric[i] ? (cell ?? '').padStart(widths[i]!) : (cell ?? '').padEnd(widths[i]!)} `)
      .join('|')
      .trimEnd();
  const header = columns
    .map((name, i) => ` ${centre(name, widths[i]!)} `)
    .join('|')
    .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width + 2)).join('+');
  const count = `(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})`;
  return [header, rule, ...rows.map(line), count].join('\n');
}

/** The same as psql's `\x`: one line a column. */
export function psqlExpanded(columns: readonly string[], rows: readonly (readonly (string | null)[])[]): string {
  const nameWidth = Math.max(...columns.map((name) => name.length));
  const valueWidth = Math.max(...rows.flatMap((row) => row.map((cell) => (cell ?? '').length)), 0);
  return rows
    .flatMap((row, i) => {
      const title = `-[ RECORD ${i + 1} ]`;
      const rule = title.padEnd(nameWidth + 1, '-').slice(0, Math.max(title.length, nameWidth + 1));
      return [
        `${rule}+${'-'.repeat(valueWidth + 1)}`,
        ...columns.map((name, c) => `${name.padEnd(nameWidth)} | ${row[c] ?? ''}`.trimEnd()),
      ];
    })
    .join('\n');
}

function centre(text: string, width: number): string {
  const left = Math.floor((width - text.length) / 2);
  return text.padStart(text.length + left).padEnd(width);
}
