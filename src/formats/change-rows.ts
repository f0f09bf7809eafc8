import { FRAME, PgoutputError, type Relation, TAG, TUPLE } from '../postgres/pgoutput.ts';
import type { EncodableChange } from './change.ts';
import { keyColumnIndexes } from './key-columns.ts';
import { NULL, TupleView, UNCHANGED } from './tuple.ts';

/**
 * The rows that were read last, whoever's they are: one encoding runs at a time, and a thousand streams need no thousand of
 * these.
 */
export const newRow = new TupleView();
export const oldRow = new TupleView();

/**
 * What a change comes to for its stream, and which rows are there then: `created` new; `updated` old and new;
 * `updated-unseen` new, as the old one was not sent; `moved` old and new, of different keys; `deleted` old; `truncated` none.
 */
export type RowEvent = 'created' | 'updated' | 'updated-unseen' | 'moved' | 'deleted' | 'truncated';

/**
 * Reads the changes of one relation definition into `newRow` and `oldRow`: where their columns lie, which of them one stream
 * is sent, and what is known of the old row.
 */
export class ChangeRows {
  /** Indexes of the key's columns. */
  readonly keyColumns: readonly number[];
  /** Indexes of the columns that are sent. */
  readonly sent: readonly number[];
  readonly isSent: readonly boolean[];
  readonly #count: number;
  readonly #full: boolean;

  /** `sent`: the names of the columns that are sent; null: all. */
  constructor(relation: Relation, primaryKey: readonly string[], sent: readonly string[] | null) {
    const names = sent === null ? null : new Set(sent);
    this.isSent = relation.columns.map(({ name }) => names === null || names.has(name));
    this.sent = relation.columns.flatMap((_, i) => (this.isSent[i] === true ? [i] : []));
    this.keyColumns = keyColumnIndexes(relation, primaryKey);
    this.#count = relation.columns.length;
    this.#full = relation.replicaIdentity === 'f';
  }

  /**
   * Reads the rows of a change, the new one with what an UPDATE leaves out as unchanged as far as the old one has it. Throws
   * `PgoutputError` on bytes that are no change.
   */
  readChange({ data, offset, as = null }: EncodableChange): RowEvent {
    const at = offset + FRAME.message;
    switch (data[at]!) {
      case TAG.insert:
        this.readInsert(data, at + 5);
        return 'created';
      case TAG.update: {
        const hasOld = this.readUpdate(data, at + 5);
        if (as === 'delete') return 'deleted';
        this.fillUnchanged();
        if (as === 'insert') return 'created';
        if (!hasOld) return 'updated-unseen';
        return this.hasChangedKey(data) ? 'moved' : 'updated';
      }
      case TAG.delete:
        this.readOld(data, at + 5);
        return 'deleted';
      case TAG.truncate:
        return 'truncated';
      default:
        throw new PgoutputError(`no change: tag ${data[at]}`);
    }
  }

  /** Reads the row of an INSERT. */
  readInsert(data: Buffer, at: number): void {
    this.#readTuple(newRow, data, at, TUPLE.newRow);
  }

  /** Reads both rows of an UPDATE, and tells whether the old one, or its key, was sent. */
  readUpdate(data: Buffer, start: number): boolean {
    const hasOld = data[start] !== TUPLE.newRow;
    const at = hasOld ? this.readOld(data, start) : start;
    this.#readTuple(newRow, data, at, TUPLE.newRow);
    if (!hasOld) this.#oldKeyFromNew();
    return hasOld;
  }

  /** Reads the old row: whole, or its key alone, where every other column comes as a null that means nothing. */
  readOld(data: Buffer, at: number): number {
    if (data[at] === TUPLE.oldRow) return this.#readTuple(oldRow, data, at, TUPLE.oldRow);
    const end = this.#readTuple(newRow, data, at, TUPLE.key);
    oldRow.clear(newRow.count);
    for (const i of this.keyColumns) oldRow.take(newRow, i);
    return end;
  }

  /** Takes from the old row what the new one leaves out as unchanged, and returns how many columns stay missing. */
  fillUnchanged(): number {
    let missing = 0;
    for (let i = 0; i < newRow.count; i++) {
      if (newRow.starts[i] !== UNCHANGED) continue;
      if (oldRow.starts[i]! >= NULL) newRow.take(oldRow, i);
      else if (this.isSent[i] === true) missing++;
    }
    return missing;
  }

  /** Whether the rows that were read have different keys, as far as the old one's is known. */
  hasChangedKey(data: Buffer): boolean {
    return this.keyColumns.some((i) => oldRow.starts[i]! >= NULL && !newRow.sameColumn(data, oldRow, i));
  }

  /** The row whose key is the event's; null for a TRUNCATE. */
  readKeyRow(change: EncodableChange): TupleView | null {
    const { data, offset } = change;
    const at = offset + FRAME.message;
    if (data[at] === TAG.truncate) return null;
    const start = at + 5;
    const hasOld = data[start] !== TUPLE.newRow;
    const end = hasOld ? this.readOld(data, start) : start;
    if (data[at] === TAG.delete || (change.as === 'delete' && hasOld)) return oldRow;
    this.readInsert(data, end);
    if (hasOld) this.fillUnchanged();
    return newRow;
  }

  /** The row whose key an UPDATE has changed. */
  readOldKeyRow({ data, offset }: EncodableChange): TupleView {
    this.readOld(data, offset + FRAME.message + 5);
    return oldRow;
  }

  #readTuple(view: TupleView, data: Buffer, at: number, kind: number): number {
    if (data[at] !== kind) throw new PgoutputError(`a tuple of kind ${kind} expected, not ${data[at]}`);
    const end = view.read(data, at + 1);
    if (view.count !== this.#count) {
      throw new PgoutputError(`${view.count} columns where the relation has ${this.#count}`);
    }
    return end;
  }

  /** Postgres sends no old row where the key has not changed: then the new row's key is the old one's. */
  #oldKeyFromNew(): void {
    oldRow.clear(newRow.count);
    // With FULL the old row always comes; the primary key proves nothing about an identity that was switched.
    if (this.#full) return;
    for (const i of this.keyColumns) if (newRow.starts[i]! >= NULL) oldRow.take(newRow, i);
  }
}
