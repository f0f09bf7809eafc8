import { FRAME, type Relation } from '../postgres/pgoutput.ts';
import type { ByteWriter } from './byte-writer.ts';
import { ChangeIds } from './change-ids.ts';
import type { EncodableChange, Transaction } from './change.ts';
import { ChangeRows, newRow, oldRow } from './change-rows.ts';
import { debeziumType, type DebeziumType } from './debezium-value.ts';
import type { EventEncoder } from './encoder.ts';
import type { EventIds } from './event-id.ts';
import { JSON_NULL, jsonStringBytes } from './json-text.ts';
import { writeLsnNumber } from './lsn-number.ts';
import { NULL, type TupleView, UNCHANGED } from './tuple.ts';

/*
  The DEBEZIUM envelope: what Debezium's connector for PostgreSQL, version 3.0, emits with the JSON converter, schemas off,
  and the default modes.
  https://debezium.io/documentation/reference/3.0/connectors/postgresql.html#postgresql-change-events-value

    before        the old row where the replica identity sends it; columns that it does not send are null. Null for c, t and
                  r, and for u where no old row is sent
    after         the new row; null for d and t
    source
      version     "3.0.8.Final": the version whose shape this is
      connector   "postgresql"
      name        the stream
      ts_ms       commit time
      snapshot    "false"; "incremental" for r, a row that a backfill has read
      db          the database
      sequence    a string, "[\"<LSN of the commit>\",\"<LSN of the change>\"]": larger for what comes later
      ts_us ts_ns commit time
      schema table
      txId        the transaction
      lsn         of the change
      xmin        null
    transaction   null
    op            c, u, d, t, r
    ts_ms ts_us ts_ns

  An UPDATE that changes the key is two records, a d of the old key and a c of the new. What differs from Debezium, as it cannot
  be known here, or would change from one attempt to the next:

    - the first part of `sequence` is the commit of the change's own transaction, not of the one before it
    - the last three, when the connector has processed the change, are the commit time again
    - a column that is not sent in the old row is null, also where it is NOT NULL (Debezium: 0, "" or false)
    - a column that is null stays null, also where it has a default
    - records of TRUNCATE are sent; OPERATIONS leaves them out (Debezium: `skipped.operations`)

  An event that is too large for its stream is sent with the placeholder of an unavailable value for every column that can be
  long, the key's excepted.
*/

/** Of `source.version`. */
export const DEBEZIUM_VERSION = '3.0.8.Final';

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

const BEFORE = ascii('{"before":');
const AFTER = ascii(',"after":');
const SEQUENCE_MIDDLE = ascii('\\",\\"');
const SEQUENCE_TO_MICROS = ascii('\\"]","ts_us":');
const TS_NS = ascii(',"ts_ns":');
const TS_US = ascii(',"ts_us":');
const ZEROS = ascii('000');
const LSN = ascii(',"lsn":');
const OP = {
  c: ascii(',"xmin":null},"transaction":null,"op":"c","ts_ms":'),
  u: ascii(',"xmin":null},"transaction":null,"op":"u","ts_ms":'),
  d: ascii(',"xmin":null},"transaction":null,"op":"d","ts_ms":'),
  r: ascii(',"xmin":null},"transaction":null,"op":"r","ts_ms":'),
  t: ascii(',"xmin":null},"transaction":null,"op":"t","ts_ms":'),
} as const;

interface Column extends DebeziumType {
  /** `"name":` */
  readonly member: Buffer;
}

type Rows = 'full' | 'thin';

/** Writes the changes of one relation definition as Debezium's records of one stream. */
export class DebeziumEncoder implements EventEncoder {
  readonly #ids: ChangeIds;
  readonly #columns: readonly Column[];
  readonly #isKey: readonly boolean[];
  readonly #rows: ChangeRows;
  /** `,"source":{…,"ts_ms":` */
  readonly #toMillis: Buffer;
  /** `,"snapshot":…,"sequence":"["` */
  readonly #toSequence: Buffer;
  readonly #readToSequence: Buffer;
  /** `,"schema":…,"txId":` */
  readonly #toTransaction: Buffer;

  constructor(
    ids: EventIds,
    relation: Relation,
    stream: string,
    database: string,
    primaryKey: readonly string[],
    sent: readonly string[] | null,
  ) {
    this.#columns = relation.columns.map((column) => ({
      ...debeziumType(column),
      member: Buffer.concat([jsonStringBytes(column.name), ascii(':')]),
    }));
    this.#rows = new ChangeRows(relation, primaryKey, sent);
    this.#ids = new ChangeIds(ids, relation, this.#rows);
    const keys = new Set(this.#rows.keyColumns);
    this.#isKey = relation.columns.map((_, i) => keys.has(i));
    this.#toMillis = Buffer.concat([
      ascii(`,"source":{"version":"${DEBEZIUM_VERSION}","connector":"postgresql","name":`),
      jsonStringBytes(stream),
      ascii(',"ts_ms":'),
    ]);
    const toSequence = (snapshot: string): Buffer =>
      Buffer.concat([ascii(`,"snapshot":"${snapshot}","db":`), jsonStringBytes(database), ascii(',"sequence":"[\\"')]);
    this.#toSequence = toSequence('false');
    this.#readToSequence = toSequence('incremental');
    this.#toTransaction = Buffer.concat([
      ascii(',"schema":'),
      jsonStringBytes(relation.schema),
      ascii(',"table":'),
      jsonStringBytes(relation.name),
      ascii(',"txId":'),
    ]);
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
    if (row === null || this.#rows.keyColumns.length === 0) out.raw(JSON_NULL);
    else this.#writeRow(out, change.data, row, this.#rows.keyColumns, 'full');
  }

  encodeOldKey(out: ByteWriter, change: EncodableChange): void {
    this.#writeRow(out, change.data, this.#rows.readOldKeyRow(change), this.#rows.keyColumns, 'full');
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
        out.byte(0x2c);
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
    op: keyof typeof OP,
    rows: Rows,
  ): void {
    out.raw(BEFORE);
    if (before === null) out.raw(JSON_NULL);
    else this.#writeRow(out, change.data, before, this.#rows.sent, rows);
    out.raw(AFTER);
    if (after === null) out.raw(JSON_NULL);
    else this.#writeRow(out, change.data, after, this.#rows.sent, rows);
    this.#writeSource(out, change, op);
  }

  #writeRow(out: ByteWriter, data: Buffer, row: TupleView, columns: readonly number[], rows: Rows): void {
    let separator = 0x7b;
    for (let n = 0; n < columns.length; n++) {
      const i = columns[n]!;
      const column = this.#columns[i]!;
      out.byte(separator);
      separator = 0x2c;
      out.raw(column.member);
      const start = row.starts[i]!;
      if (start === UNCHANGED || (rows === 'thin' && start > NULL && !column.isShort && !this.#isKey[i]!)) {
        out.raw(column.unavailable);
      } else if (start <= NULL) out.raw(JSON_NULL);
      else column.write(out, data, start, row.ends[i]!);
    }
    if (separator === 0x7b) out.byte(0x7b);
    out.byte(0x7d);
  }

  /** Everything behind the rows. */
  #writeSource(out: ByteWriter, change: EncodableChange, op: keyof typeof OP): void {
    const { data, offset, transaction } = change;
    const digits = digitsOf(transaction);
    out.raw(this.#toMillis);
    out.raw(digits.millis);
    out.raw(op === 'r' ? this.#readToSequence : this.#toSequence);
    out.raw(digits.commitLsn);
    out.raw(SEQUENCE_MIDDLE);
    const lsnStart = out.length;
    writeLsnNumber(out, data, offset + FRAME.startLsn);
    const lsnEnd = out.length;
    out.raw(SEQUENCE_TO_MICROS);
    out.raw(digits.micros);
    out.raw(TS_NS);
    out.raw(digits.micros);
    out.raw(ZEROS);
    out.raw(this.#toTransaction);
    out.unsigned(transaction.xid);
    out.raw(LSN);
    out.reserve(lsnEnd - lsnStart);
    out.slice(out.bytes, lsnStart, lsnEnd);
    out.raw(OP[op]);
    out.raw(digits.millis);
    out.raw(TS_US);
    out.raw(digits.micros);
    out.raw(TS_NS);
    out.raw(digits.micros);
    out.raw(ZEROS);
    out.byte(0x7d);
  }
}

/** What of a transaction all of its records have, in digits. */
interface TransactionDigits {
  readonly transaction: Transaction | null;
  readonly millis: Buffer;
  readonly micros: Buffer;
  readonly commitLsn: Buffer;
}

let lastDigits: TransactionDigits = { transaction: null, millis: ZEROS, micros: ZEROS, commitLsn: ZEROS };

/** Of many changes of a transaction in a row they are made once. */
function digitsOf(transaction: Transaction): TransactionDigits {
  if (lastDigits.transaction !== transaction) {
    lastDigits = {
      transaction,
      millis: ascii(String(transaction.commitMs)),
      micros: ascii(String(transaction.commitTimeMicros)),
      commitLsn: ascii(String(transaction.commitLsn)),
    };
  }
  return lastDigits;
}
