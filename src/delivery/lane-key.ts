import { keyColumnIndexes } from '../formats/key-columns.ts';
import { NULL, TupleView, UNCHANGED } from '../formats/tuple.ts';
import type { StreamDefinition } from '../model/stream.ts';
import type { Place } from './batch.ts';
import { FRAME, type Relation, TAG, TUPLE } from '../postgres/pgoutput.ts';

/** What orders a stream's events. */
export type Ordering = Pick<StreamDefinition, 'orderingKey'> &
  Pick<StreamDefinition['options'], 'ordering'> & {
    /** Each change waits for all before it in its table, and is waited for. */
    readonly isBarrier?: boolean;
  };

type ChangePlace = Pick<Place, 'lane' | 'secondLane' | 'barrier'>;

/** Where everything of a table, or of the stream, is one lane. */
const ONE_LANE: ChangePlace = Object.freeze({ lane: '', secondLane: null, barrier: false });
const NO_LANE: ChangePlace = Object.freeze({ lane: null, secondLane: null, barrier: false });
const BARRIER: ChangePlace = Object.freeze({ lane: null, secondLane: null, barrier: true });

/** No table has this OID: all of a stream's events are as those of one table. */
const WHOLE_STREAM = 0;

const oldRow = new TupleView();
const newRow = new TupleView();

/**
 * Which lanes a relation's changes belong to. Keys are told apart by their bytes. A change whose key is not known (a DELETE
 * under a replica identity that does not have the columns of `KEY (…)`) is a barrier; an UPDATE whose old key is not known
 * is taken not to have changed it.
 */
export class LaneKeys {
  /** What the lanes are counted under: the relation's OID, or what stands for the whole stream. */
  readonly table: number;
  /** Equal for two definitions of a table whose lanes can be compared. */
  readonly shape: string;
  readonly #columns: readonly number[];
  /** Whether a row that has the replica identity's columns alone has the key. */
  readonly #inIdentity: boolean;
  readonly #place: ChangePlace | null;

  constructor(
    relation: Relation,
    primaryKey: readonly string[],
    { ordering, orderingKey, isBarrier = false }: Ordering,
  ) {
    this.table = ordering === 'stream' ? WHOLE_STREAM : relation.oid;
    this.#columns =
      ordering !== 'key'
        ? []
        : orderingKey === null
          ? keyColumnIndexes(relation, primaryKey)
          : orderingKey.flatMap((name) => indexOf(relation, name));
    this.#inIdentity = relation.replicaIdentity === 'f' || this.#columns.every((i) => relation.columns[i]!.isKey);
    if (ordering === 'none') this.#place = NO_LANE;
    else if (isBarrier) this.#place = BARRIER;
    else this.#place = this.#columns.length === 0 && ordering !== 'key' ? ONE_LANE : null;
    this.shape = this.#columns.map((i) => `${relation.columns[i]!.name}:${relation.columns[i]!.typeOid}`).join(',');
  }

  /** Of the change whose frame begins at `offset`. */
  place(data: Buffer, offset: number): ChangePlace {
    if (this.#place !== null) return this.#place;
    const tag = data[offset + FRAME.message];
    if (tag === TAG.truncate) return BARRIER;
    if (this.#columns.length === 0) return ONE_LANE;
    const lane = this.#lane(data, offset);
    return lane === null ? BARRIER : { lane, secondLane: this.#secondLane(data, offset, lane), barrier: false };
  }

  /** The lane of the row after the change, or of the deleted row; null where the change does not tell. */
  #lane(data: Buffer, offset: number): string | null {
    const at = offset + FRAME.message + 5;
    if (data[at] === TUPLE.newRow) {
      newRow.read(data, at + 1);
      return this.#isKnown(newRow) ? this.#key(data, newRow) : null;
    }
    const next = oldRow.read(data, at + 1);
    const hasOld = this.#inIdentity || data[at] === TUPLE.oldRow;
    if (data[offset + FRAME.message] === TAG.delete) return hasOld ? this.#key(data, oldRow) : null;
    newRow.read(data, next + 1);
    // A large key value that stays is left out of the new row.
    if (hasOld) for (const i of this.#columns) if (newRow.starts[i] === UNCHANGED) newRow.take(oldRow, i);
    return this.#isKnown(newRow) ? this.#key(data, newRow) : null;
  }

  /** The lane of the row before an UPDATE, where that is another; null otherwise, and where it is not known. */
  #secondLane(data: Buffer, offset: number, lane: string): string | null {
    const at = offset + FRAME.message;
    if (data[at] !== TAG.update || data[at + 5] === TUPLE.newRow) return null;
    if (!this.#inIdentity && data[at + 5] !== TUPLE.oldRow) return null;
    oldRow.read(data, at + 6);
    const key = this.#key(data, oldRow);
    return key === lane ? null : key;
  }

  #isKnown(row: TupleView): boolean {
    for (const i of this.#columns) if (row.starts[i] === UNCHANGED) return false;
    return true;
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

function indexOf(relation: Relation, name: string): number[] {
  const index = relation.columns.findIndex((column) => column.name === name);
  return index === -1 ? [] : [index];
}

function text(data: Buffer, row: TupleView, i: number): string {
  const start = row.starts[i]!;
  return start <= NULL ? '' : data.toString('latin1', start, row.ends[i]);
}
