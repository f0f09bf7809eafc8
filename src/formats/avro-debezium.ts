import { FRAME, type Relation } from '../postgres/pgoutput.ts';
import {
  encoded,
  encodedTexts,
  NULL_BRANCH,
  VALUE_BRANCH,
  writeBigLong,
  writeLong,
  writeLongText,
} from './avro-binary.ts';
import { AvroRow } from './avro-row.ts';
import { type AvroField, type AvroSchema, nullable, recordSchema, tableNamespace } from './avro-schema.ts';
import { ByteWriter } from './byte-writer.ts';
import { ChangeIds } from './change-ids.ts';
import type { EncodableChange, Transaction } from './change.ts';
import { ChangeRows, newRow, oldRow } from './change-rows.ts';
import { DEBEZIUM_VERSION } from './debezium.ts';
import type { EventIds } from './event-id.ts';
import { writeLsnNumber } from './lsn-number.ts';
import { type MessageEncoder, type MessageSchemas, writeFramed } from './message-encoder.ts';
import type { TupleView } from './tuple.ts';

/*
  The DEBEZIUM envelope (debezium.ts) as Kafka Connect's Avro converter writes it: records `<stream>.<schema>.<table>.Envelope`,
  `.Value` and `.Key`, Connect's types in `connect.name`.
  https://debezium.io/documentation/reference/3.0/configuration/avro.html
*/

const NUMBER_FIELDS = ['ts_us', 'ts_ns'] as const;
const longField = (name: string): AvroField => nullable(name, 'long');

const SOURCE: readonly AvroField[] = [
  { name: 'version', type: 'string' },
  { name: 'connector', type: 'string' },
  { name: 'name', type: 'string' },
  { name: 'ts_ms', type: 'long' },
  {
    name: 'snapshot',
    type: [
      {
        type: 'string',
        'connect.version': 1,
        'connect.parameters': { allowed: 'true,last,false,incremental' },
        'connect.default': 'false',
        'connect.name': 'io.debezium.data.Enum',
      },
      'null',
    ],
    default: 'false',
  },
  { name: 'db', type: 'string' },
  nullable('sequence', 'string'),
  ...NUMBER_FIELDS.map(longField),
  { name: 'schema', type: 'string' },
  { name: 'table', type: 'string' },
  longField('txId'),
  longField('lsn'),
  longField('xmin'),
];

const BLOCK: readonly AvroField[] = [
  { name: 'id', type: 'string' },
  { name: 'total_order', type: 'long' },
  { name: 'data_collection_order', type: 'long' },
];

type Rows = 'full' | 'thin';
type Op = 'c' | 'u' | 'd' | 'r' | 't';

/** Writes the changes of one relation definition as Debezium's records of one stream, in Avro. */
export class AvroDebeziumEncoder implements MessageEncoder {
  readonly schemas: MessageSchemas;
  readonly #ids: ChangeIds;
  readonly #row: AvroRow;
  readonly #rows: ChangeRows;
  readonly #isKey: readonly boolean[];
  /** `version`, `connector`, `name` */
  readonly #toMillis: Buffer;
  /** `snapshot`, `db` */
  readonly #toSequence: Buffer;
  readonly #readToSequence: Buffer;
  /** `schema`, `table` */
  readonly #toTransaction: Buffer;

  constructor(
    ids: EventIds,
    relation: Relation,
    stream: string,
    database: string,
    primaryKey: readonly string[],
    sent: readonly string[] | null,
  ) {
    this.#rows = new ChangeRows(relation, primaryKey, sent);
    this.#ids = new ChangeIds(ids, relation, this.#rows);
    const keys = new Set(this.#rows.keyColumns);
    this.#isKey = relation.columns.map((_, i) => keys.has(i));
    const namespace = tableNamespace(stream, relation.schema, relation.name);
    this.#row = new AvroRow(relation, this.#rows, namespace, 'debezium');
    const key = this.#row.keySchema(new Set());
    this.schemas = { key: key === null ? null : JSON.stringify(key), value: JSON.stringify(this.#envelope(namespace)) };
    this.#toMillis = encodedTexts(DEBEZIUM_VERSION, 'postgresql', stream);
    // The first branch of the union is the string.
    const snapshot = (value: string): Buffer => Buffer.concat([Buffer.from([0]), encodedTexts(value, database)]);
    this.#toSequence = snapshot('false');
    this.#readToSequence = snapshot('incremental');
    this.#toTransaction = encodedTexts(relation.schema, relation.name);
  }

  #envelope(namespace: string): AvroSchema {
    return recordSchema(
      new Set(),
      namespace,
      'Envelope',
      (defined) => [
        nullable('before', this.#row.rowSchema(defined, 'Value')),
        nullable('after', this.#row.rowSchema(defined, 'Value')),
        {
          name: 'source',
          type: recordSchema(defined, 'io.debezium.connector.postgresql', 'Source', () => SOURCE, {
            'connect.name': 'io.debezium.connector.postgresql.Source',
          }),
        },
        nullable(
          'transaction',
          recordSchema(defined, 'event', 'block', () => BLOCK, { 'connect.version': 1, 'connect.name': 'event.block' }),
        ),
        { name: 'op', type: 'string' },
        longField('ts_ms'),
        ...NUMBER_FIELDS.map(longField),
      ],
      { 'connect.version': 2, 'connect.name': `${namespace}.Envelope` },
    );
  }

  encode(out: ByteWriter, change: EncodableChange, ids: ByteWriter): number {
    this.#ids.append(ids, change);
    return this.#write(out, change, 'full');
  }

  encodeThin(out: ByteWriter, change: EncodableChange, ids: ByteWriter): number {
    this.#ids.append(ids, change);
    return this.#write(out, change, 'thin');
  }

  encodeKey(out: ByteWriter, change: EncodableChange): void {
    const row = this.#rows.readKeyRow(change);
    if (row !== null && this.schemas.key !== null) this.#row.writeKey(out, change.data, row);
  }

  encodeOldKey(out: ByteWriter, change: EncodableChange): void {
    this.#row.writeKey(out, change.data, this.#rows.readOldKeyRow(change));
  }

  #write(out: ByteWriter, change: EncodableChange, rows: Rows): number {
    switch (this.#rows.readChange(change)) {
      case 'created':
        this.#writeRecord(out, change, null, newRow, (change.backfill ?? null) === null ? 'c' : 'r', rows);
        return 1;
      case 'updated':
        this.#writeRecord(out, change, oldRow, newRow, 'u', rows);
        return 1;
      case 'updated-unseen':
        this.#writeRecord(out, change, null, newRow, 'u', rows);
        return 1;
      case 'moved':
        this.#writeRecord(out, change, oldRow, null, 'd', rows);
        this.#writeRecord(out, change, null, newRow, 'c', rows);
        return 2;
      case 'deleted':
        this.#writeRecord(out, change, oldRow, null, 'd', rows);
        return 1;
      case 'truncated':
        this.#writeRecord(out, change, null, null, 't', rows);
        return 1;
    }
  }

  #writeRecord(
    out: ByteWriter,
    change: EncodableChange,
    before: TupleView | null,
    after: TupleView | null,
    op: Op,
    rows: Rows,
  ): void {
    writeFramed(out, () => {
      this.#writeRow(out, change.data, before, rows);
      this.#writeRow(out, change.data, after, rows);
      this.#writeSource(out, change, op);
    });
  }

  #writeRow(out: ByteWriter, data: Buffer, row: TupleView | null, rows: Rows): void {
    if (row === null) {
      out.byte(NULL_BRANCH);
      return;
    }
    out.byte(VALUE_BRANCH);
    this.#row.writePlaceheld(out, data, row, rows === 'thin', this.#isKey);
  }

  /** Everything behind the rows. */
  #writeSource(out: ByteWriter, change: EncodableChange, op: Op): void {
    const { data, offset, transaction } = change;
    const times = timesOf(transaction);
    out.raw(this.#toMillis);
    out.raw(times.millis);
    out.raw(op === 'r' ? this.#readToSequence : this.#toSequence);
    lsn.clear();
    writeLsnNumber(lsn, data, offset + FRAME.startLsn);
    out.byte(VALUE_BRANCH);
    writeLong(out, times.sequence.length + lsn.length + 2);
    out.raw(times.sequence);
    out.slice(lsn.bytes, 0, lsn.length);
    out.raw(SEQUENCE_END);
    out.raw(times.microsAndNanos);
    out.raw(this.#toTransaction);
    out.byte(VALUE_BRANCH);
    writeLong(out, transaction.xid);
    out.byte(VALUE_BRANCH);
    writeLongText(out, lsn.bytes, 0, lsn.length);
    out.raw(OP[op]);
    out.raw(times.millis);
    out.raw(times.microsAndNanos);
  }
}

const lsn = new ByteWriter(32);
const SEQUENCE_END = Buffer.from('"]', 'latin1');

/** `xmin` and `transaction`, which are null, `op`, and that `ts_ms` is not null. */
function opBytes(op: Op): Buffer {
  return Buffer.concat([Buffer.from([NULL_BRANCH, NULL_BRANCH]), encodedTexts(op), Buffer.from([VALUE_BRANCH])]);
}

const OP: Readonly<Record<Op, Buffer>> = {
  c: opBytes('c'),
  u: opBytes('u'),
  d: opBytes('d'),
  r: opBytes('r'),
  t: opBytes('t'),
};

/** What of a transaction all of its records have. */
interface TransactionTimes {
  readonly transaction: Transaction | null;
  readonly millis: Buffer;
  /** Two nullable longs. */
  readonly microsAndNanos: Buffer;
  /** The beginning of `sequence`. */
  readonly sequence: Buffer;
}

const NOTHING = Buffer.alloc(0);
let lastTimes: TransactionTimes = { transaction: null, millis: NOTHING, microsAndNanos: NOTHING, sequence: NOTHING };

/** Of many changes of a transaction in a row they are made once. */
function timesOf(transaction: Transaction): TransactionTimes {
  if (lastTimes.transaction !== transaction) {
    const { commitMs, commitTimeMicros, commitLsn } = transaction;
    lastTimes = {
      transaction,
      millis: encoded((out) => writeLong(out, commitMs)),
      microsAndNanos: encoded((out) => {
        out.byte(VALUE_BRANCH);
        writeBigLong(out, commitTimeMicros);
        out.byte(VALUE_BRANCH);
        writeBigLong(out, commitTimeMicros * 1000n);
      }),
      sequence: Buffer.from(`["${commitLsn}","`, 'latin1'),
    };
  }
  return lastTimes;
}
