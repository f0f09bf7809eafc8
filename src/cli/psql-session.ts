import type { EventEmitter } from 'node:events';
import pg from 'pg';
import { psqlExpanded, psqlTable } from './psql-table.ts';

/** What one statement did. */
export interface PsqlAnswer {
  /** As psql prints it: notices, then a table, a command tag or an error with its caret. */
  readonly text: string;
  /** The SQLSTATE it failed with, or null. */
  readonly failed: string | null;
}

const NUMERIC_OIDS: ReadonlySet<number> = new Set([20, 21, 23, 700, 701, 1700]);
const asText = (value: string): string => value;

/** A connection that shows statements and their answers as psql does. */
export class PsqlSession {
  readonly #client: pg.Client;
  readonly #shown: (cell: string) => string;
  readonly #printed: string[] = [];
  #commandTag = '';

  /** `shown`: what is printed for a value, for prints that are to be compared with those of another run. */
  constructor(connectionUrl: string, shown: (cell: string) => string = asText) {
    this.#shown = shown;
    this.#client = new pg.Client({ connectionString: connectionUrl, types: { getTypeParser: () => asText } });
    this.#client.on('notice', (notice) => this.#printed.push(`${notice.severity}:  ${notice.message}`));
    this.#client.on('error', () => undefined);
  }

  async connect(): Promise<void> {
    await this.#client.connect();
    // pg keeps only the first word of the tag.
    const { connection } = this.#client as unknown as { connection: EventEmitter };
    connection.on('commandComplete', ({ text }: { text: string }) => (this.#commandTag = text));
  }

  async run(sql: string, expanded = false): Promise<PsqlAnswer> {
    this.#printed.length = 0;
    try {
      const result = await this.#client.query<(string | null)[]>({ text: sql, rowMode: 'array' });
      this.#printed.push(this.#format(result, expanded));
      return { text: this.#printed.join('\n'), failed: null };
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      this.#printed.push(formatError(error, sql));
      return { text: this.#printed.join('\n'), failed: error.code ?? 'XX000' };
    }
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  #format(result: pg.QueryArrayResult<(string | null)[]>, expanded: boolean): string {
    if (result.fields.length === 0) return this.#commandTag;
    const columns = result.fields.map((field) => field.name);
    const rows = result.rows.map((row) => row.map((cell) => (cell === null ? null : this.#shown(cell))));
    if (expanded) return psqlExpanded(columns, rows);
    const numeric = result.fields.map((field) => NUMERIC_OIDS.has(field.dataTypeID));
    return `${psqlTable(columns, rows, numeric)}\n`;
  }
}

function formatError(error: pg.DatabaseError, sql: string): string {
  const lines = [`${error.severity}:  ${error.message}`];
  if (error.position !== undefined) {
    // A position counts characters, and so does Array.from.
    const before = Array.from(sql)
      .slice(0, Number(error.position) - 1)
      .join('');
    const number = before.split('\n').length;
    const prefix = `LINE ${number}: `;
    const column = before.length - (before.lastIndexOf('\n') + 1);
    lines.push(`${prefix}${sql.split('\n')[number - 1]}`, `${' '.repeat(prefix.length + column)}^`);
  }
  if (error.detail) lines.push(`DETAIL:  ${error.detail}`);
  if (error.hint) lines.push(`HINT:  ${error.hint}`);
  return lines.join('\n');
}
