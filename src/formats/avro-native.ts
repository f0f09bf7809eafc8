import { FRAME, PgoutputError, type Relation, TAG } from '../postgres/pgoutput.ts';
import { encodedTexts, NULL_BRANCH, VALUE_BRANCH, writeLong, writeText } from './avro-binary.ts';
import { writeNames } from './avro-names.ts';
import { AvroRow } from './avro-row.ts';
import { type AvroField, type AvroSchema, nullable, recordSchema, tableNamespace } from './avro-schema.ts';
import { ByteWriter } from './byte-writer.ts';
import { ChangeIds, writeLastId } from './change-ids.ts';
import type { EncodableChange } from './change.ts';
import { ChangeRows, newRow, oldRow } from './change-rows.ts';
import { type EventIds, UUID_TEXT_BYTES } from './event-id.ts';
import { type MessageEncoder, type MessageSchemas, writeFramed } from './message-encoder.ts';
import { writeLsn } from './native.ts';
import { operationOf } from './operation.ts';
import { NULL, type TupleView, UNCHANGED } from './tuple.ts';

/*
  The NATIVE envelope (native.ts) as an Avro record `<stream>.<schema>.<table>.Event`, with the members of the JSON in their order:

    id               string, uuid
    stream, op, schema, table     string
    key, old_key     ["null", Key]
    before, after    ["null", Row]; a column that is not known, which in JSON is absent, is null: of `before` it is every column but
                     the key's where `before_complete` is false, of `after` what `unchanged_toast` lists
    changed          ["null", array of string]
    unchanged_toast  array of string
    before_complete  ["null", boolean]
    thin             boolean
    full_bytes       ["null", long]
    commit_ts        long, timestamp-micros
    lsn              string
    xid, seq         long

  With `include_transaction = false` the last four are not there. Names of columns are those of the record's fields.
*/

const NAMES: AvroSchema = { type: 'array', items: 'string' };

const TRANSACTION: readonly AvroField[] = [
  { name: 'commit_ts', type: { type: 'long', logicalType: 'timestamp-micros' } },
  { name: 'lsn', type: 'string' },
  { name: 'xid', type: 'long' },
  { name: 'seq', type: 'long' },
];

const NONE: readonly number[] = [];

/** What an event says of a change besides its rows. */
interface Facts {
  readonly changed: readonly number[] | null;
  readonly unchanged: readonly number[];
  readonly isBeforeComplete: boolean | null;
}

const NO_FACTS: Facts = { changed: null, unchanged: NONE, isBeforeComplete: null };
const lsn = new ByteWriter(32);

/** Writes the changes of one relation definition as events of one stream, in Avro. */
export class AvroNativeEncoder implements MessageEncoder {
  readonly schemas: MessageSchemas;
  readonly #ids: ChangeIds;
  readonly #row: AvroRow;
  readonly #rows: ChangeRows;
  readonly #hasKey: boolean;
  readonly #includeTransaction: boolean;
  readonly #stream: Buffer;
  readonly #table: Buffer;

  constructor(
    ids: EventIds,
    relation: Relation,
    stream: string,
    primaryKey: readonly string[],
    sent: readonly string[] | null,
    includeTransaction: boolean,
  ) {
    this.#rows = new ChangeRows(relation, primaryKey, sent);
    this.#ids = new ChangeIds(ids, relation, this.#rows);
    const namespace = tableNamespace(stream, relation.schema, relation.name);
    this.#row = new AvroRow(relation, this.#rows, namespace, 'logical');
    this.#hasKey = this.#rows.keyColumns.length > 0;
    this.#includeTransaction = includeTransaction;
    const key = this.#row.keySchema(new Set());
    this.schemas = { key: key === null ? null : JSON.stringify(key), value: JSON.stringify(this.#event(namespace)) };
    this.#stream = encodedTexts(stream);
    this.#table = encodedTexts(relation.schema, relation.name);
  }

  #event(namespace: string): AvroSchema {
    return recordSchema(new Set(), namespace, 'Event', (defined) => {
      const key = (name: string): AvroField => {
        const schema = this.#row.keySchema(defined);
        return schema === null ? { name, type: 'null', default: null } : nullable(name, schema);
      };
      return [
        { name: 'id', type: { type: 'string', logicalType: 'uuid' } },
        ...['stream', 'op', 'schema', 'table'].map((name) => ({ name, type: 'string' })),
        key('key'),
        key('old_key'),
        nullable('before', this.#row.rowSchema(defined, 'Row')),
        nullable('after', this.#row.rowSchema(defined, 'Row')),
        nullable('changed', NAMES),
        { name: 'unchanged_toast', type: NAMES, default: [] },
        nullable('before_complete', 'boolean'),
        { name: 'thin', type: 'boolean', default: false },
        nullable('full_bytes', 'long'),
        ...(this.#includeTransaction ? TRANSACTION : []),
      ];
    });
  }

  encode(out: ByteWriter, change: EncodableChange, ids: ByteWriter): number {
    this.#ids.append(ids, change);
    writeFramed(out, () => this.#write(out, change, ids, null));
    return 1;
  }

  encodeThin(out: ByteWriter, change: EncodableChange, ids: ByteWriter, fullBytes: number): number {
    this.#ids.append(ids, change);
    writeFramed(out, () => this.#write(out, change, ids, fullBytes));
    return 1;
  }

  encodeKey(out: ByteWriter, change: EncodableChange): void {
    const row = this.#rows.readKeyRow(change);
    if (row !== null && this.#hasKey) this.#row.writeKey(out, change.data, row);
  }

  #write(out: ByteWriter, change: EncodableChange, ids: ByteWriter, fullBytes: number | null): void {
    const { data, offset, as = null } = change;
    const at = offset + FRAME.message;
    const thin = fullBytes !== null;
    writeLong(out, UUID_TEXT_BYTES);
    writeLastId(out, ids);
    out.raw(this.#stream);
    out.raw(OPERATIONS[operationOf(change)]);
    out.raw(this.#table);
    switch (data[at]!) {
      case TAG.insert:
        this.#rows.readInsert(data, at + 5);
        this.#writeRows(out, data, newRow, null, thin ? null : newRow, false, NO_FACTS);
        break;
      case TAG.update:
        this.#writeUpdate(out, change, at + 5, as, thin);
        break;
      case TAG.delete:
        this.#rows.readOld(data, at + 5);
        this.#writeDeleted(out, data, thin);
        break;
      case TAG.truncate:
        this.#writeRows(out, data, null, null, null, false, NO_FACTS);
        break;
      default:
        throw new PgoutputError(`no change: tag ${data[at]}`);
    }
    this.#writeEnd(out, change, fullBytes);
  }

  #writeUpdate(
    out: ByteWriter,
    { data, fetched }: EncodableChange,
    start: number,
    as: 'insert' | 'delete' | null,
    thin: boolean,
  ): void {
    const hasOld = this.#rows.readUpdate(data, start);
    if (as === 'delete') {
      this.#writeDeleted(out, data, thin);
      return;
    }
    const missing = this.#rows.fillUnchanged();
    const isListed = (i: number): boolean => newRow.starts[i] === UNCHANGED || (fetched ?? NONE).includes(i);
    const unchanged = missing > 0 || (fetched ?? NONE).length > 0 ? this.#rows.sent.filter(isListed) : NONE;
    if (as === 'insert') {
      this.#writeRows(
        out,
        data,
        newRow,
        null,
        thin ? null : newRow,
        false,
        thin ? NO_FACTS : { ...NO_FACTS, unchanged },
      );
      return;
    }
    const moves = hasOld && this.#rows.hasChangedKey(data);
    if (thin) {
      this.#writeRows(out, data, newRow, null, null, moves, NO_FACTS);
      return;
    }
    const isBeforeComplete = this.#isKnown(oldRow);
    const isChanged = (i: number): boolean => !newRow.sameColumn(data, oldRow, i);
    const changed = isBeforeComplete && missing === 0 ? this.#rows.sent.filter(isChanged) : null;
    this.#writeRows(out, data, newRow, oldRow, newRow, moves, { changed, unchanged, isBeforeComplete });
  }

  #writeDeleted(out: ByteWriter, data: Buffer, thin: boolean): void {
    const facts = thin ? NO_FACTS : { ...NO_FACTS, isBeforeComplete: this.#isKnown(oldRow) };
    this.#writeRows(out, data, oldRow, thin ? null : oldRow, null, false, facts);
  }

  #isKnown(row: TupleView): boolean {
    return this.#rows.sent.every((i) => row.starts[i]! >= NULL);
  }

  /** From `key` to `before_complete`. `moves`: the key before is that of the old row, and another. */
  #writeRows(
    out: ByteWriter,
    data: Buffer,
    key: TupleView | null,
    before: TupleView | null,
    after: TupleView | null,
    moves: boolean,
    { changed, unchanged, isBeforeComplete }: Facts,
  ): void {
    if (this.#hasKey) {
      this.#writeKey(out, data, key);
      this.#writeKey(out, data, moves ? oldRow : null);
    }
    this.#writeRow(out, data, before);
    this.#writeRow(out, data, after);
    if (changed === null) out.byte(NULL_BRANCH);
    else {
      out.byte(VALUE_BRANCH);
      writeNames(out, this.#row, changed);
    }
    writeNames(out, this.#row, unchanged);
    if (isBeforeComplete === null) out.byte(NULL_BRANCH);
    else {
      out.byte(VALUE_BRANCH);
      out.byte(isBeforeComplete ? 1 : 0);
    }
  }

  #writeKey(out: ByteWriter, data: Buffer, row: TupleView | null): void {
    if (row === null) {
      out.byte(NULL_BRANCH);
      return;
    }
    out.byte(VALUE_BRANCH);
    this.#row.writeKey(out, data, row);
  }

  #writeRow(out: ByteWriter, data: Buffer, row: TupleView | null): void {
    if (row === null) {
      out.byte(NULL_BRANCH);
      return;
    }
    out.byte(VALUE_BRANCH);
    this.#row.writeRow(out, data, row);
  }

  #writeEnd(out: ByteWriter, { data, offset, transaction, seq }: EncodableChange, fullBytes: number | null): void {
    if (fullBytes === null) {
      out.byte(0);
      out.byte(NULL_BRANCH);
    } else {
      out.byte(1);
      out.byte(VALUE_BRANCH);
      writeLong(out, fullBytes);
    }
    if (!this.#includeTransaction) return;
    // Of the years to 2112 it is an exact double.
    writeLong(out, Number(transaction.commitTimeMicros));
    lsn.clear();
    writeLsn(lsn, data, offset + FRAME.startLsn);
    writeText(out, lsn.bytes, 0, lsn.length);
    writeLong(out, transaction.xid);
    writeLong(out, seq);
  }
}

const OPERATIONS = {
  insert: encodedTexts('insert'),
  update: encodedTexts('update'),
  delete: encodedTexts('delete'),
  truncate: encodedTexts('truncate'),
  read: encodedTexts('read'),
} as const;
