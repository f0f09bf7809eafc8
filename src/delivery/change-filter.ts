import { absentRow, compilePredicate, MISSING, type Predicate, type Verdict } from '../filters/compile.ts';
import { type Doubt, type FilteredChange, filterRow, filterWhen, type RowOperation } from '../filters/row-filter.ts';
import { NULL, TupleView, UNCHANGED } from '../formats/tuple.ts';
import type { TypedPredicate } from '../model/predicate.ts';
import type { OperationName, StreamDefinition, StreamTable } from '../model/stream.ts';
import { FRAME, PgoutputError, type Relation, TAG, TUPLE } from '../postgres/pgoutput.ts';

/** The filters of a stream: its OPERATIONS, and each table's WHERE and WHEN. */
export type StreamFilters = Pick<StreamDefinition, 'operations'>;

// One change is judged at a time.
const newRow = new TupleView();
const oldRow = new TupleView();

const OPERATION: ReadonlyMap<number, RowOperation> = new Map([
  [TAG.insert, 'insert'],
  [TAG.update, 'update'],
  [TAG.delete, 'delete'],
]);

const DROPPED: FilteredChange = { operation: 'dropped', doubt: null };
const NO_COLUMN = -1;
/** The table has not the columns that a predicate was typed for: it is told nothing. */
const undecided: Predicate = () => MISSING;

/**
 * What a stream's filters make of the changes of one relation definition: OPERATIONS first, on what the client did, as a
 * publication's `publish`; then WHERE; then WHEN on the rows as they are, as a trigger's. Nothing is decoded but the
 * columns that predicates read. A change that no filter can be sure of is kept.
 */
export class ChangeFilter {
  readonly #isFull: boolean;
  readonly #keyColumns: readonly number[];
  readonly #operations: ReadonlySet<OperationName> | null;
  /** Of `UPDATE OF`: indexes, or `NO_COLUMN` for one that the relation does not have. */
  readonly #updateOf: readonly number[] | null;
  readonly #where: Predicate | null;
  readonly #when: Predicate | null;
  readonly #absent: ReturnType<typeof absentRow>;

  private constructor(table: StreamTable, { operations }: StreamFilters, relation: Relation) {
    const { columns } = relation;
    this.#isFull = relation.replicaIdentity === 'f';
    this.#keyColumns = columns.flatMap(({ isKey }, i) => (isKey ? [i] : []));
    this.#operations = operations === null ? null : new Set(operations.map(({ name }) => name));
    const updated = operations?.find(({ name }) => name === 'update')?.columns ?? null;
    this.#updateOf = updated?.map((name) => columns.findIndex((column) => column.name === name)) ?? null;
    this.#where = compiled(table.filter?.where, relation);
    this.#when = compiled(table.filter?.when, relation);
    this.#absent = absentRow(columns.length);
  }

  /** Null where every change passes. */
  static of(table: StreamTable, filters: StreamFilters, relation: Relation): ChangeFilter | null {
    const hasPredicate = table.filter !== undefined && (table.filter.where !== null || table.filter.when !== null);
    return hasPredicate || filters.operations !== null ? new ChangeFilter(table, filters, relation) : null;
  }

  /**
   * What the change whose frame begins at `offset` is to the stream; null for a TRUNCATE, which passes. Throws
   * `PgoutputError` on bytes that are no change.
   */
  judge(data: Buffer, offset: number): FilteredChange | null {
    const at = offset + FRAME.message;
    const tag = data[at]!;
    const operation = OPERATION.get(tag);
    if (operation === undefined) return this.#takes('truncate') ? null : DROPPED;
    if (!this.#takes(operation)) return DROPPED;
    if (this.#where === null && this.#when === null && (this.#updateOf === null || operation !== 'update')) {
      return PASSED[operation];
    }
    this.#read(data, at + 5, operation);
    return this.#judgeRows(data, operation);
  }

  /** The same of a row that a backfill has read: WHERE alone, as it is no change. */
  judgeRead(data: Buffer, offset: number): FilteredChange {
    if (this.#where === null) return PASSED.insert;
    this.#read(data, offset + FRAME.message + 5, 'insert');
    return filterRow('insert', null, this.#where(data, newRow));
  }

  #judgeRows(data: Buffer, operation: RowOperation): FilteredChange {
    const changes = operation === 'update' && this.#updateOf !== null ? this.#changesAny(data, this.#updateOf) : true;
    const first = filterWhen(operation, changes);
    if (first.operation === 'dropped') return DROPPED;
    const where = this.#where;
    const kept =
      where === null
        ? PASSED[operation]
        : filterRow(
            operation,
            operation === 'insert' ? null : where(data, oldRow),
            operation === 'delete' ? null : where(data, newRow),
          );
    if (kept.operation === 'dropped') return DROPPED;
    const last = this.#when === null ? PASSED[operation] : filterWhen(operation, this.#verdictOfWhen(data, operation));
    if (last.operation === 'dropped') return DROPPED;
    const doubt = first.doubt ?? kept.doubt ?? last.doubt;
    return doubt === kept.doubt ? kept : { operation: kept.operation, doubt };
  }

  #verdictOfWhen(data: Buffer, operation: RowOperation): Verdict {
    const when = this.#when!;
    if (operation === 'insert') return when(data, newRow, this.#absent);
    return when(data, operation === 'delete' ? this.#absent : newRow, oldRow);
  }

  #takes(operation: OperationName): boolean {
    return this.#operations === null || this.#operations.has(operation);
  }

  /** True where one of the columns is certainly another value, false where all of them are certainly the same. */
  #changesAny(data: Buffer, columns: readonly number[]): Verdict {
    let verdict: Verdict = false;
    for (const i of columns) {
      // A large value that was not touched has been taken from the old row, if that has it.
      if (i !== NO_COLUMN && newRow.starts[i] === UNCHANGED) continue;
      if (i === NO_COLUMN || oldRow.starts[i]! < NULL) verdict = MISSING;
      else if (!newRow.sameColumn(data, oldRow, i)) return true;
    }
    return verdict;
  }

  #read(data: Buffer, start: number, operation: RowOperation): void {
    if (operation === 'insert') {
      this.#tuple(newRow, data, start, TUPLE.newRow);
      return;
    }
    const hasOld = data[start] !== TUPLE.newRow;
    const at = hasOld ? this.#readOld(data, start) : start;
    if (operation === 'delete') return;
    this.#tuple(newRow, data, at, TUPLE.newRow);
    if (!hasOld) this.#oldFromNew();
    for (let i = 0; i < newRow.count; i++) {
      if (newRow.starts[i] === UNCHANGED && oldRow.starts[i]! >= NULL) newRow.take(oldRow, i);
    }
  }

  /** Of a key alone every other column comes as a null that means nothing. */
  #readOld(data: Buffer, at: number): number {
    if (data[at] === TUPLE.oldRow) return this.#tuple(oldRow, data, at, TUPLE.oldRow);
    const end = this.#tuple(newRow, data, at, TUPLE.key);
    oldRow.clear(newRow.count);
    for (const i of this.#keyColumns) oldRow.take(newRow, i);
    return end;
  }

  /** No old row was sent: the replica identity has not changed, unless it is the whole row, which always is. */
  #oldFromNew(): void {
    oldRow.clear(newRow.count);
    if (this.#isFull) return;
    for (const i of this.#keyColumns) if (newRow.starts[i]! >= NULL) oldRow.take(newRow, i);
  }

  #tuple(view: TupleView, data: Buffer, at: number, kind: number): number {
    if (data[at] !== kind) throw new PgoutputError(`a tuple of kind ${kind} expected, not ${data[at]}`);
    const end = view.read(data, at + 1);
    if (view.count !== this.#absent.starts.length) {
      throw new PgoutputError(`${view.count} columns where the relation has ${this.#absent.starts.length}`);
    }
    return end;
  }
}

const PASSED: Readonly<Record<RowOperation, FilteredChange>> = {
  insert: { operation: 'insert', doubt: null },
  update: { operation: 'update', doubt: null },
  delete: { operation: 'delete', doubt: null },
};

function compiled(predicate: TypedPredicate | null | undefined, relation: Relation): Predicate | null {
  if (predicate === null || predicate === undefined) return null;
  return compilePredicate(predicate, relation.columns) ?? undecided;
}

/** For people; without any of the row's values. */
export function doubtText(doubt: Doubt, relation: { readonly schema: string; readonly name: string }): string {
  const table = `${relation.schema}.${relation.name}`;
  if (doubt !== MISSING) return `${table}: ${doubt.message}`;
  return `${table}: a column that a filter reads was not sent, or is not as it was when the stream was created`;
}
