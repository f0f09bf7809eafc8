import { must } from '../base/assert.ts';
import type { StoredShape } from '../log/delivery-store.ts';
import { comparePositions, type Position } from '../model/change.ts';
import type { StreamOptions } from '../model/stream-options.ts';
import { formatLsn, parseLsn } from '../postgres/lsn.ts';
import type { Relation } from '../postgres/pgoutput.ts';

/** A column as far as receivers depend on it. */
export interface ShapeColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeModifier: number;
}

/** A table has other columns from here on. */
export interface ShapeChange {
  /** Right before the first change with the new columns. No change has this position. */
  readonly at: Position;
  readonly before: readonly ShapeColumn[];
  readonly after: readonly ShapeColumn[];
}

/** The columns that a table has from `at` on. */
interface Shape {
  readonly at: Position;
  readonly columns: readonly ShapeColumn[];
  /** Nothing behind it is read until somebody has said so. */
  waits: boolean;
}

interface Known {
  /** Ascending; the first is what was there when it began to be looked at. */
  readonly shapes: Shape[];
  /** The one that holds where the stream reads. */
  index: number;
  /** What the last change had, once that is known to be the newest shape. */
  relation: Relation | null;
}

/**
 * The columns of a stream's tables as the stream has met them, for streams that are to be told when they change. The log tells
 * a table's columns with the first change that has them, so that is where a change of them is noticed; one that is taken back
 * before any row is written is none.
 *
 * It outlives a restart, together with the cursor: what is read again meets the same changes of columns in the same places.
 */
export class TableShapes {
  readonly #policy: StreamOptions['schemaChangePolicy'];
  readonly #known = new Map<number, Known>();
  readonly #dirty = new Set<number>();

  constructor(policy: StreamOptions['schemaChangePolicy'], stored: readonly StoredShape[]) {
    this.#policy = policy;
    if (policy === 'continue') return;
    for (const { oid, state } of stored) this.#known.set(oid, { shapes: decode(state), index: 0, relation: null });
  }

  /** Whether anybody wants to know. */
  get isWatched(): boolean {
    return this.#policy !== 'continue';
  }

  /**
   * The change of columns that lies between the last change of the table and the one at `position`, which has `relation`;
   * asked again, the next one, until there is none. `sent`: the columns that count; null: all. The stream goes past it, unless
   * it is one to wait at.
   */
  next(
    relation: Relation,
    sent: readonly string[] | null,
    position: Position,
  ): (ShapeChange & { readonly waits: boolean }) | null {
    const known = this.#known.get(relation.oid);
    if (known === undefined) {
      const first = { at: before(position), columns: columnsOf(relation, sent), waits: false };
      this.#known.set(relation.oid, { shapes: [first], index: 0, relation });
      this.#dirty.add(relation.oid);
      return null;
    }
    if (known.relation === relation) return null;
    const { shapes } = known;
    let ahead = shapes[known.index + 1];
    if (ahead === undefined) {
      const columns = columnsOf(relation, sent);
      const newest = must(shapes.at(-1), 'there is a first');
      // What is older than all that is known is sent again: it had its time.
      if (comparePositions(position, newest.at) < 0) return null;
      if (isSame(columns, newest.columns)) {
        known.relation = relation;
        return null;
      }
      ahead = { at: before(position), columns, waits: this.#policy === 'pause' };
      shapes.push(ahead);
      this.#dirty.add(relation.oid);
    } else if (comparePositions(position, ahead.at) < 0) return null;
    const change = { at: ahead.at, before: shapes[known.index]!.columns, after: ahead.columns };
    const waits = this.#policy === 'pause' && ahead.waits;
    if (!waits) {
      known.index++;
      known.relation = null;
    }
    return { ...change, waits };
  }

  /** Nobody waits any more at those that were met. */
  goOn(): void {
    for (const [oid, { shapes }] of this.#known) {
      for (const shape of shapes) {
        if (shape.waits) this.#dirty.add(oid);
        shape.waits = false;
      }
    }
  }

  /** What is to be stored with `cursor`; what it does not need any more is forgotten. */
  unsaved(cursor: Position | null): readonly StoredShape[] {
    return [...this.#dirty].map((oid) => {
      const known = must(this.#known.get(oid), 'it was met');
      // The one that holds at the cursor is the first.
      while (cursor !== null && known.index > 0 && comparePositions(known.shapes[1]!.at, cursor) <= 0) {
        known.shapes.shift();
        known.index--;
      }
      return { oid, state: encode(known.shapes) };
    });
  }

  saved(): void {
    this.#dirty.clear();
  }
}

/** WAL records begin at multiples of 8, so that no change has the LSN; of one record all rows have the same columns. */
function before({ commitLsn, lsn }: Position): Position {
  return { commitLsn, lsn: lsn - 1n, ordinal: 0 };
}

function columnsOf({ columns }: Relation, sent: readonly string[] | null): readonly ShapeColumn[] {
  const counting = sent === null ? columns : columns.filter(({ name }) => sent.includes(name));
  return counting.map(({ name, typeOid, typeModifier }) => ({ name, typeOid, typeModifier }));
}

function isSame(some: readonly ShapeColumn[], others: readonly ShapeColumn[]): boolean {
  return JSON.stringify(some) === JSON.stringify(others);
}

function encode(shapes: readonly Shape[]): string {
  return JSON.stringify(
    shapes.map(({ at, columns, waits }) => ({
      at: [formatLsn(at.commitLsn), formatLsn(at.lsn), at.ordinal],
      columns: columns.map(({ name, typeOid, typeModifier }) => [name, typeOid, typeModifier]),
      waits,
    })),
  );
}

function decode(state: string): Shape[] {
  const stored = JSON.parse(state) as readonly {
    readonly at: readonly [commitLsn: string, lsn: string, ordinal: number];
    readonly columns: ReadonlyArray<readonly [name: string, typeOid: number, typeModifier: number]>;
    readonly waits: boolean;
  }[];
  const lsn = (text: string): bigint => must(parseLsn(text), 'a stored LSN parses');
  return stored.map(({ at: [commitLsn, own, ordinal], columns, waits }) => ({
    at: { commitLsn: lsn(commitLsn), lsn: lsn(own), ordinal },
    columns: columns.map(([name, typeOid, typeModifier]) => ({ name, typeOid, typeModifier })),
    waits,
  }));
}

/** For people: `column a added, column b dropped, column c of another type`. */
export function describeShapeChange({ before: old, after }: ShapeChange): string {
  const { added, dropped, retyped } = differences({ before: old, after });
  const said = [
    ...added.map(({ name }) => `column ${name} added`),
    ...dropped.map(({ name }) => `column ${name} dropped`),
    ...retyped.map(({ name }) => `column ${name} of another type`),
  ];
  return said.length === 0 ? 'its columns in another order' : said.join(', ');
}

/** By name: one that was given another name is one dropped and one added. */
export function differences({ before: old, after }: Pick<ShapeChange, 'before' | 'after'>): {
  readonly added: readonly ShapeColumn[];
  readonly dropped: readonly ShapeColumn[];
  readonly retyped: readonly ShapeColumn[];
} {
  const had = new Map(old.map((column) => [column.name, column]));
  const has = new Set(after.map(({ name }) => name));
  return {
    added: after.filter(({ name }) => !had.has(name)),
    dropped: old.filter(({ name }) => !has.has(name)),
    retyped: after.filter((column) => {
      const was = had.get(column.name);
      return was !== undefined && (was.typeOid !== column.typeOid || was.typeModifier !== column.typeModifier);
    }),
  };
}
