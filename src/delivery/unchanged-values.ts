import type { EncodableChange } from '../formats/change.ts';
import { ChangeRows, newRow } from '../formats/change-rows.ts';
import { NULL, UNCHANGED } from '../formats/tuple.ts';
import { FRAME, type Relation, TAG, TUPLE } from '../postgres/pgoutput.ts';
import type { StreamTable } from '../model/stream.ts';

/** A row of which columns are asked for, by its key; values as text. */
export interface ValueQuestion {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  readonly key: ReadonlyArray<{ readonly column: string; readonly value: string }>;
  readonly columns: readonly string[];
}

/** In the order of the question's columns; undefined: it is too large. */
export type ValueAnswer = ReadonlyArray<string | null | undefined>;

/**
 * Asks the upstream for what rows have now. Never rejects: null where there is no such row any more, or where it cannot be
 * asked in time. `maxBytes`: of all answers together.
 */
export interface ValueFetcher {
  fetch(
    questions: readonly ValueQuestion[],
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<ReadonlyArray<ValueAnswer | null>>;
}

/** A change with values put in that Postgres had left out as unchanged. */
export interface FilledChange {
  /** The frame, by itself. */
  readonly data: Buffer;
  /** Indexes of the columns that were put in. */
  readonly fetched: readonly number[];
}

/** What of one relation definition's changes Postgres leaves out, and what they are with it. */
export class UnchangedValues {
  readonly #relation: Relation;
  readonly #rows: ChangeRows;

  constructor(relation: Relation, { keyColumns, columns }: Pick<StreamTable, 'keyColumns' | 'columns'>) {
    this.#relation = relation;
    this.#rows = new ChangeRows(relation, keyColumns, columns);
  }

  /** Null where nothing is left out, or the row has no key to ask by. Throws `PgoutputError` on bytes that are no change. */
  question(change: EncodableChange): ValueQuestion | null {
    const missing = this.#missing(change);
    const { keyColumns } = this.#rows;
    if (missing.length === 0 || keyColumns.length === 0) return null;
    if (keyColumns.some((i) => newRow.starts[i]! <= NULL)) return null;
    const { oid, schema, name: table, columns } = this.#relation;
    return {
      oid,
      schema,
      table,
      key: keyColumns.map((i) => ({
        column: columns[i]!.name,
        value: change.data.toString('utf8', newRow.starts[i], newRow.ends[i]),
      })),
      columns: missing.map((i) => columns[i]!.name),
    };
  }

  /** The same change with the answer to its question. Null where that has nothing. */
  fill(change: EncodableChange, answer: ValueAnswer): FilledChange | null {
    const values = new Map<number, string | null>();
    for (const [n, i] of this.#missing(change).entries()) {
      const value = answer[n];
      if (value !== undefined) values.set(i, value);
    }
    if (values.size === 0) return null;
    return { data: withValues(change, values), fetched: [...values.keys()] };
  }

  /** Indexes of the columns that are sent and not known; `newRow` is the change's. */
  #missing(change: EncodableChange): readonly number[] {
    const { data, offset } = change;
    const at = offset + FRAME.message;
    if (data[at] !== TAG.update || change.as === 'delete') return [];
    this.#rows.readUpdate(data, at + 5);
    if (this.#rows.fillUnchanged() === 0) return [];
    return this.#rows.sent.filter((i) => newRow.starts[i] === UNCHANGED);
  }
}

/** The frame with `values` in the new row in the place of what says that they are unchanged. */
function withValues({ data, offset }: EncodableChange, values: ReadonlyMap<number, string | null>): Buffer {
  let at = offset + FRAME.message + 5;
  if (data[at] !== TUPLE.newRow) at = endOfTuple(data, at + 1);
  const end = offset + 1 + data.readUInt32BE(offset + FRAME.length);
  const count = data.readUInt16BE(at + 1);
  const pieces: Buffer[] = [];
  let from = offset;
  let column = at + 3;
  for (let i = 0; i < count; i++) {
    const next = endOfColumn(data, column);
    const value = values.get(i);
    if (value !== undefined) {
      pieces.push(data.subarray(from, column), columnOf(value));
      from = next;
    }
    column = next;
  }
  const filled = Buffer.concat([...pieces, data.subarray(from, end)]);
  filled.writeUInt32BE(filled.length - 1, FRAME.length);
  return filled;
}

function columnOf(value: string | null): Buffer {
  if (value === null) return Buffer.from([TUPLE.null]);
  const bytes = Buffer.from(value, 'utf8');
  const head = Buffer.alloc(5);
  head[0] = TUPLE.text;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function endOfTuple(data: Buffer, start: number): number {
  let at = start + 2;
  for (let left = data.readUInt16BE(start); left > 0; left--) at = endOfColumn(data, at);
  return at;
}

function endOfColumn(data: Buffer, at: number): number {
  return data[at] === TUPLE.text ? at + 5 + data.readUInt32BE(at + 1) : at + 1;
}
