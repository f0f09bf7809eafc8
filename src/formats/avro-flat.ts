import { FRAME, type Relation } from '../postgres/pgoutput.ts';
import { NULL_BRANCH, VALUE_BRANCH, writeLong, writeLongText } from './avro-binary.ts';
import { writeNames } from './avro-names.ts';
import { AvroRow } from './avro-row.ts';
import { type AvroField, nullable, tableNamespace } from './avro-schema.ts';
import { ByteWriter } from './byte-writer.ts';
import { ChangeIds } from './change-ids.ts';
import type { EncodableChange } from './change.ts';
import { ChangeRows, newRow, oldRow } from './change-rows.ts';
import type { EventIds } from './event-id.ts';
import { writeLsnNumber } from './lsn-number.ts';
import { type MessageEncoder, type MessageSchemas, writeFramed } from './message-encoder.ts';
import { NULL, type TupleView } from './tuple.ts';

/*
  The FLAT envelope (flat.ts) as an Avro record `<stream>.<schema>.<table>.Value`:

    <column>…        as in flat.ts
    _sm_version      long
    _sm_deleted      boolean
    _sm_unknown      the columns of a row that is there whose values are not known: in JSON they are absent, here they have to be
                     null. Large values that an UPDATE did not touch
    _sm_full_bytes   of an event that was too large for its stream, and of which the key alone is sent: its size; otherwise null
*/

const META: readonly AvroField[] = [
  { name: '_sm_version', type: 'long' },
  { name: '_sm_deleted', type: 'boolean' },
  { name: '_sm_unknown', type: { type: 'array', items: 'string' }, default: [] },
  nullable('_sm_full_bytes', 'long'),
];

const version = new ByteWriter(32);

/** Writes the changes of one relation definition as rows of one stream, in Avro. */
export class AvroFlatEncoder implements MessageEncoder {
  readonly schemas: MessageSchemas;
  readonly #ids: ChangeIds;
  readonly #row: AvroRow;
  readonly #rows: ChangeRows;
  readonly #isKey: readonly boolean[];
  /** Of a deleted row. */
  readonly #deleted: readonly boolean[];
  readonly #none: readonly boolean[];

  constructor(
    ids: EventIds,
    relation: Relation,
    stream: string,
    primaryKey: readonly string[],
    sent: readonly string[] | null,
  ) {
    this.#rows = new ChangeRows(relation, primaryKey, sent);
    this.#ids = new ChangeIds(ids, relation, this.#rows);
    const namespace = tableNamespace(stream, relation.schema, relation.name);
    const taken = META.map(({ name }) => name);
    this.#row = new AvroRow(relation, this.#rows, namespace, 'logical', taken);
    const key = this.#row.keySchema(new Set());
    this.schemas = {
      key: key === null ? null : JSON.stringify(key),
      value: JSON.stringify(this.#row.rowSchema(new Set(), 'Value', META)),
    };
    const keys = new Set(this.#rows.keyColumns);
    this.#isKey = relation.columns.map((_, i) => keys.has(i));
    this.#deleted = keys.size > 0 ? this.#isKey : this.#rows.isSent;
    this.#none = relation.columns.map(() => false);
  }

  encode(out: ByteWriter, change: EncodableChange, ids: ByteWriter): number {
    this.#ids.append(ids, change);
    return this.#write(out, change, null);
  }

  encodeThin(out: ByteWriter, change: EncodableChange, ids: ByteWriter, fullBytes: number): number {
    this.#ids.append(ids, change);
    return this.#write(out, change, fullBytes);
  }

  encodeKey(out: ByteWriter, change: EncodableChange): void {
    const row = this.#rows.readKeyRow(change);
    if (row !== null && this.schemas.key !== null) this.#row.writeKey(out, change.data, row);
  }

  encodeOldKey(out: ByteWriter, change: EncodableChange): void {
    this.#row.writeKey(out, change.data, this.#rows.readOldKeyRow(change));
  }

  #write(out: ByteWriter, change: EncodableChange, fullBytes: number | null): number {
    const live = fullBytes === null ? this.#rows.isSent : this.#isKey;
    switch (this.#rows.readChange(change)) {
      case 'created':
      case 'updated':
      case 'updated-unseen':
        this.#writeRecord(out, change, newRow, live, false, fullBytes);
        return 1;
      case 'moved':
        this.#writeRecord(out, change, oldRow, this.#isKey, true, fullBytes);
        this.#writeRecord(out, change, newRow, live, false, fullBytes);
        return 2;
      case 'deleted':
        this.#writeRecord(out, change, oldRow, fullBytes === null ? this.#deleted : this.#isKey, true, fullBytes);
        return 1;
      case 'truncated':
        this.#writeRecord(out, change, oldRow, this.#none, true, fullBytes);
        return 1;
    }
  }

  #writeRecord(
    out: ByteWriter,
    { data, offset }: EncodableChange,
    row: TupleView,
    told: readonly boolean[],
    isDeleted: boolean,
    fullBytes: number | null,
  ): void {
    writeFramed(out, () => {
      this.#row.writeSome(out, data, row, told);
      version.clear();
      writeLsnNumber(version, data, offset + FRAME.startLsn);
      writeLongText(out, version.bytes, 0, version.length);
      out.byte(isDeleted ? 1 : 0);
      const isUnknown = (i: number): boolean => told[i] !== true || row.starts[i]! < NULL;
      writeNames(out, this.#row, isDeleted ? NOBODY : this.#rows.sent.filter(isUnknown));
      if (fullBytes === null) out.byte(NULL_BRANCH);
      else {
        out.byte(VALUE_BRANCH);
        writeLong(out, fullBytes);
      }
    });
  }
}

const NOBODY: readonly number[] = [];
