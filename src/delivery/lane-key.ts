import { keyColumnIndexes } from '../formats/key-columns.ts';
import { NULL, TupleView, UNCHANGED } from '../formats/tuple.ts';
import { FRAME, type Relation, TAG, TUPLE } from '../postgres/pgoutput.ts';

const oldRow = new TupleView();
const newRow = new TupleView();

/** Which lanes a relation's changes belong to. Keys are told apart by their bytes. */
export class LaneKeys {
  /** Equal for two definitions of a table whose lanes can be compared. */
  readonly shape: string;
  readonly #columns: readonly number[];

  constructor(relation: Relation, primaryKey: readonly string[]) {
    this.#columns = keyColumnIndexes(relation, primaryKey);
    this.shape = this.#columns.map((i) => `${relation.columns[i]!.name}:${relation.columns[i]!.typeOid}`).join(',');
  }

  /** The lane of the row after the change, or of the deleted row. A table without a key is one lane. */
  lane(data: Buffer, offset: number): string {
    if (this.#columns.length === 0) return '';
    const at = offset + FRAME.message + 5;
    if (data[at] === TUPLE.newRow) {
      newRow.read(data, at + 1);
      return this.#key(data, newRow);
    }
    const next = oldRow.read(data, at + 1);
    if (data[offset + FRAME.message] === TAG.delete) return this.#key(data, oldRow);
    newRow.read(data, next + 1);
    // A large key value that stays is left out of the new row.
    for (const i of this.#columns) if (newRow.starts[i] === UNCHANGED) newRow.take(oldRow, i);
    return this.#key(data, newRow);
  }

  /** The lane of the row before an UPDATE, where that may be another; null otherwise. */
  secondLane(data: Buffer, offset: number, lane: string): string | null {
    const at = offset + FRAME.message;
    if (this.#columns.length === 0 || data[at] !== TAG.update || data[at + 5] === TUPLE.newRow) return null;
    oldRow.read(data, at + 6);
    const key = this.#key(data, oldRow);
    return key === lane ? null : key;
  }

  #key(data: Buffer, row: TupleView): string {
    if (this.#columns.length === 1) return text(data, row, this.#columns[0]!);
    let key = '';
    for (const i of this.#columns) {
      const value = text(data, row, i);
      key += `${value.length}:${value}`;
    }
    return key;
  }
}

function text(data: Buffer, row: TupleView, i: number): string {
  const start = row.starts[i]!;
  return start <= NULL ? '' : data.toString('latin1', start, row.ends[i]);
}
