import type { ComponentChildren, JSX } from 'preact';
import type { Row } from '../api.ts';

export interface Column {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** Numbers and times line up at the right. */
  readonly isNumber?: boolean;
  /** What the row is about: its header. */
  readonly isHead?: boolean;
  /** Takes what room is left, and breaks. */
  readonly isWide?: boolean;
}

interface TableProps {
  readonly caption: string;
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row, at: number) => string;
}

/**
 * A table; on a phone each row is a card with the columns' titles before the values. The roles are said, since a table
 * that is laid out otherwise is none to some browsers.
 */
export function Table({ caption, columns, rows, keyOf }: TableProps): JSX.Element {
  return (
    <table role="table">
      <caption class="visually-hidden">{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map(({ title, isNumber }) => (
            <th key={title} role="columnheader" scope="col" class={isNumber === true ? 'number' : ''}>
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row, at) => (
          <tr role="row" key={keyOf(row, at)}>
            {columns.map((column) => (
              <Cell key={column.title} column={column} row={row} />
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Cell({ column, row }: { readonly column: Column; readonly row: Row }): JSX.Element {
  const { title, isNumber = false, isHead = false, isWide = false, cell } = column;
  const classes = [isNumber ? 'number' : '', isWide ? 'wide' : ''].join(' ').trim();
  if (isHead) {
    return (
      <th role="rowheader" scope="row" class={classes} data-title={title}>
        {cell(row)}
      </th>
    );
  }
  return (
    <td role="cell" class={classes} data-title={title}>
      {cell(row)}
    </td>
  );
}
