import type { Transaction } from '../formats/change.ts';
import type { EnvelopeOptions } from '../formats/envelope.ts';
import type { EventIds } from '../formats/event-id.ts';
import type { StreamTable } from '../model/stream.ts';
import { OID } from '../postgres/oid.ts';
import { frameBytes, type Relation } from '../postgres/pgoutput.ts';
import { SyntheticFrames } from '../postgres/synthetic-frames.ts';
import { ChangeEvent, EventSource } from './change-event.ts';
import type { Ordering } from './lane-key.ts';
import { RelationChanges } from './relation-changes.ts';
import { differences, type ShapeChange, type ShapeColumn } from './table-shapes.ts';

/*
  A change of a table's columns is sent as an insert into `cdc.schema_change`, in whatever envelope the stream has:

    table_schema, table_name    whose columns have changed; the key
    added, dropped, retyped     JSON arrays of columns; a column with another name is one dropped and one added
    columns_before, columns     all of them, before and from here on

  A column is {"name":"…","type_oid":23,"type_modifier":-1}, as PostgreSQL has it in pg_attribute.
*/

const NAME = { schema: 'cdc', name: 'schema_change' } as const;
const KEY = ['table_schema', 'table_name'] as const;
const COLUMNS = ['added', 'dropped', 'retyped', 'columns_before', 'columns'] as const;
const NO_FILTERS = { operations: null };

/** What a schema event takes from the change that has the new columns. */
export interface SchemaChangePlace {
  readonly chunkId: number;
  readonly transaction: Transaction;
  readonly seq: number;
}

/** Makes the schema events of one table for one stream. Each waits for what came before it in its table, and is waited for. */
export class SchemaEvents {
  readonly #source: EventSource;
  readonly #relation: Relation;
  readonly #table: StreamTable;

  constructor(ids: EventIds, table: StreamTable, envelope: EnvelopeOptions, ordering: Ordering) {
    this.#table = table;
    // By the table's own OID it is in the table's order.
    this.#relation = {
      oid: table.oid,
      ...NAME,
      replicaIdentity: 'd',
      columns: [
        ...KEY.map((name) => ({ name, typeOid: OID.text, typeModifier: -1, isKey: true })),
        ...COLUMNS.map((name) => ({ name, typeOid: OID.jsonb, typeModifier: -1, isKey: false })),
      ],
    };
    const own: StreamTable = { oid: table.oid, ...NAME, keyColumns: KEY, columns: null, where: null };
    this.#source = new EventSource(ids, own, this.#relation, NO_FILTERS, envelope, { ...ordering, isBarrier: true });
  }

  /** `name`: the table as it is called where its columns change. */
  make(
    change: ShapeChange,
    name: { readonly schema: string; readonly name: string },
    place: SchemaChangePlace,
  ): ChangeEvent {
    const { added, dropped, retyped } = differences(change);
    const values = [
      name.schema,
      name.name,
      ...[added, dropped, retyped, change.before, change.after].map((columns) => JSON.stringify(columns.map(jsonOf))),
    ];
    const frames = new SyntheticFrames();
    frames.insert(change.at.lsn, this.#table.oid, values);
    const data = frames.finish();
    const changes = new RelationChanges(1);
    changes.define(this.#relation);
    changes.add(0, place.seq, change.at.ordinal, 0);
    const chunk = {
      id: place.chunkId,
      data,
      backfill: null,
      transactions: [place.transaction],
      relations: new Map([[this.#table.oid, changes]]),
      bytes: frameBytes(data, 0),
    };
    return new ChangeEvent(this.#source, chunk, changes, 0, false);
  }
}

function jsonOf({ name, typeOid, typeModifier }: ShapeColumn): object {
  return { name, type_oid: typeOid, type_modifier: typeModifier };
}
