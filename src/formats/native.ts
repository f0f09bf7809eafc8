import type { Relation } from '../postgres/pgoutput.ts';
import { FRAME, PgoutputError, TAG, TUPLE } from '../postgres/pgoutput.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { EncodableChange } from './change.ts';
import { type EventIds, UUID_TEXT_BYTES, writeUuidText } from './event-id.ts';
import { jsonStringBytes } from './json-text.ts';
import { JSON_NULL, type ValueKind, valueKind, writeValue } from './json-value.ts';
import { keyColumnIndexes } from './key-columns.ts';
import { NULL, TupleView, UNCHANGED } from './tuple.ts';

/*
  The NATIVE envelope, fields in this order:

    id               the event id (event-id.ts)
    stream, op, schema, table
    key              the key columns' values; null for TRUNCATE and for a table without a key
    old_key          the key before; only where an UPDATE changes it
    before           what is known of the row before: every column with REPLICA IDENTITY FULL, otherwise the key; null for
                     INSERT and TRUNCATE
    after            the row after, but for what `unchanged_toast` lists; null for DELETE and TRUNCATE
    changed          names of the columns that differ; only for an UPDATE with both images whole
    unchanged_toast  names of the columns missing from `after`: large values that the UPDATE did not touch and that Postgres
                     does not send. Only where there are any; with REPLICA IDENTITY FULL the old row supplies them
    before_complete  whether `before` has every column; only for UPDATE and DELETE
    commit_ts        commit time, RFC 3339, UTC, microseconds
    lsn              of the change itself (its transaction's commit has another, larger one)
    xid, seq         the transaction, and the change's place among all changes captured of it, from 0

  A column whose value is not known is absent, never null.
*/

interface Column {
  /** `"name":` */
  readonly member: Buffer;
  /** `"name"` */
  readonly name: Buffer;
  readonly type: ValueKind;
}

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

const EVENT = ascii('{"id":"');
const OLD_KEY = ascii(',"old_key":');
const BEFORE = ascii(',"before":');
const AFTER = ascii(',"after":');
const CHANGED = ascii(',"changed":');
const UNCHANGED_TOAST = ascii(',"unchanged_toast":');
const BEFORE_COMPLETE = ascii(',"before_complete":true');
const BEFORE_INCOMPLETE = ascii(',"before_complete":false');
const COMMIT_TS = ascii(',"commit_ts":"');
const LSN = ascii('","lsn":"');
const XID = ascii('","xid":"');
const SEQ = ascii('","seq":');
const NO_ROWS = ascii('null,"before":null,"after":null');

// One encoding runs at a time, and a thousand streams need no thousand of these.
const newRow = new TupleView();
const oldRow = new TupleView();

/** Writes the changes of one relation definition as events of one stream. Everything but the values is made beforehand. */
export class NativeEncoder {
  readonly #ids: EventIds;
  readonly #relationOid: number;
  readonly #columns: readonly Column[];
  readonly #keyColumns: readonly number[];
  readonly #full: boolean;
  readonly #insert: Buffer;
  readonly #update: Buffer;
  readonly #delete: Buffer;
  readonly #truncate: Buffer;

  constructor(ids: EventIds, relation: Relation, stream: string, primaryKey: readonly string[]) {
    this.#ids = ids;
    this.#relationOid = relation.oid;
    this.#columns = relation.columns.map(({ name, typeOid }) => {
      const bytes = jsonStringBytes(name);
      return { member: Buffer.concat([bytes, ascii(':')]), name: bytes, type: valueKind(typeOid) };
    });
    this.#keyColumns = keyColumnIndexes(relation, primaryKey);
    this.#full = relation.replicaIdentity === 'f';
    const head = (op: string): Buffer =>
      Buffer.concat([
        ascii('","stream":'),
        jsonStringBytes(stream),
        ascii(`,"op":"${op}","schema":`),
        jsonStringBytes(relation.schema),
        ascii(',"table":'),
        jsonStringBytes(relation.name),
        ascii(',"key":'),
      ]);
    this.#insert = head('insert');
    this.#update = head('update');
    this.#delete = head('delete');
    this.#truncate = head('truncate');
  }

  /** Appends the event of `change` to `out`, and its 16-byte id to `ids`. Throws `PgoutputError` on bytes that are no change. */
  encode(out: ByteWriter, change: EncodableChange, ids: ByteWriter): void {
    const { data, offset } = change;
    const at = offset + FRAME.message;
    const tag = data.readUInt8(at);
    this.#writeId(out, change, tag === TAG.truncate ? this.#relationOid : 0, ids);
    switch (tag) {
      case TAG.insert:
        this.#writeInsert(out, data, at + 5);
        break;
      case TAG.update:
        this.#writeUpdate(out, data, at + 5);
        break;
      case TAG.delete:
        this.#writeDelete(out, data, at + 5);
        break;
      case TAG.truncate:
        out.raw(this.#truncate);
        out.raw(NO_ROWS);
        break;
      default:
        throw new PgoutputError(`no change: tag ${tag}`);
    }
    writeTrailer(out, change);
  }

  /** Appends the key alone, as the event has it. */
  encodeKey(out: ByteWriter, change: EncodableChange): void {
    const { data, offset } = change;
    const at = offset + FRAME.message;
    if (data[at] === TAG.truncate) {
      out.raw(JSON_NULL);
      return;
    }
    const start = at + 5;
    const hasOld = data[start] !== TUPLE.newRow;
    const end = hasOld ? this.#readOld(data, start) : start;
    if (data[at] === TAG.delete) {
      this.#writeKey(out, data, oldRow);
      return;
    }
    this.#readTuple(newRow, data, end, TUPLE.newRow);
    if (hasOld) this.#fillUnchanged();
    this.#writeKey(out, data, newRow);
  }

  #writeId(out: ByteWriter, change: EncodableChange, truncatedOid: number, ids: ByteWriter): void {
    ids.reserve(16);
    this.#ids.write(
      ids.bytes,
      ids.length,
      change.transaction,
      change.data,
      change.offset,
      change.ordinal,
      truncatedOid,
    );
    out.raw(EVENT);
    out.reserve(UUID_TEXT_BYTES);
    writeUuidText(out.bytes, out.length, ids.bytes, ids.length);
    out.length += UUID_TEXT_BYTES;
    ids.length += 16;
  }

  #writeInsert(out: ByteWriter, data: Buffer, at: number): void {
    this.#readTuple(newRow, data, at, TUPLE.newRow);
    out.raw(this.#insert);
    this.#writeKey(out, data, newRow);
    out.raw(BEFORE);
    out.raw(JSON_NULL);
    out.raw(AFTER);
    this.#writeRow(out, data, newRow);
  }

  #writeUpdate(out: ByteWriter, data: Buffer, start: number): void {
    const hasOld = data[start] !== TUPLE.newRow;
    const at = hasOld ? this.#readOld(data, start) : start;
    this.#readTuple(newRow, data, at, TUPLE.newRow);
    if (!hasOld) this.#oldKeyFromNew();
    const missing = this.#fillUnchanged();
    out.raw(this.#update);
    this.#writeKey(out, data, newRow);
    if (hasOld && this.#keyColumns.some((i) => !newRow.sameColumn(data, oldRow, i))) {
      out.raw(OLD_KEY);
      this.#writeKey(out, data, oldRow);
    }
    out.raw(BEFORE);
    const complete = this.#writeRow(out, data, oldRow);
    out.raw(AFTER);
    this.#writeRow(out, data, newRow);
    if (complete && missing === 0) this.#writeChanged(out, data);
    if (missing > 0) this.#writeUnchanged(out);
    out.raw(complete ? BEFORE_COMPLETE : BEFORE_INCOMPLETE);
  }

  #writeDelete(out: ByteWriter, data: Buffer, at: number): void {
    this.#readOld(data, at);
    out.raw(this.#delete);
    this.#writeKey(out, data, oldRow);
    out.raw(BEFORE);
    const complete = this.#writeRow(out, data, oldRow);
    out.raw(AFTER);
    out.raw(JSON_NULL);
    out.raw(complete ? BEFORE_COMPLETE : BEFORE_INCOMPLETE);
  }

  #readTuple(view: TupleView, data: Buffer, at: number, kind: number): number {
    if (data[at] !== kind) throw new PgoutputError(`a tuple of kind ${kind} expected, not ${data[at]}`);
    const end = view.read(data, at + 1);
    if (view.count !== this.#columns.length) {
      throw new PgoutputError(`${view.count} columns where the relation has ${this.#columns.length}`);
    }
    return end;
  }

  /** Reads the old row: whole, or its key alone, where every other column comes as a null that means nothing. */
  #readOld(data: Buffer, at: number): number {
    if (data[at] === TUPLE.oldRow) return this.#readTuple(oldRow, data, at, TUPLE.oldRow);
    const end = this.#readTuple(newRow, data, at, TUPLE.key);
    oldRow.clear(newRow.count);
    for (const i of this.#keyColumns) oldRow.take(newRow, i);
    return end;
  }

  /** Postgres sends no old row where the key has not changed: then the new row's key is the old one's. */
  #oldKeyFromNew(): void {
    oldRow.clear(newRow.count);
    // With FULL the old row always comes; the primary key proves nothing about an identity that was switched.
    if (this.#full) return;
    for (const i of this.#keyColumns) if (newRow.starts[i]! >= NULL) oldRow.take(newRow, i);
  }

  /** Takes from the old row what the new one leaves out as unchanged, and returns how many columns stay missing. */
  #fillUnchanged(): number {
    let missing = 0;
    for (let i = 0; i < newRow.count; i++) {
      if (newRow.starts[i] !== UNCHANGED) continue;
      if (oldRow.starts[i]! >= NULL) newRow.take(oldRow, i);
      else missing++;
    }
    return missing;
  }

  #writeKey(out: ByteWriter, data: Buffer, row: TupleView): void {
    if (this.#keyColumns.length === 0) {
      out.raw(JSON_NULL);
      return;
    }
    let separator = 0x7b;
    for (const i of this.#keyColumns) {
      if (row.starts[i]! < NULL) continue;
      out.byte(separator);
      separator = 0x2c;
      this.#writeMember(out, data, row, i);
    }
    if (separator === 0x7b) out.byte(0x7b);
    out.byte(0x7d);
  }

  /** Writes the columns that are known, and tells whether all are. */
  #writeRow(out: ByteWriter, data: Buffer, row: TupleView): boolean {
    let complete = true;
    let separator = 0x7b;
    for (let i = 0; i < row.count; i++) {
      if (row.starts[i]! < NULL) {
        complete = false;
        continue;
      }
      out.byte(separator);
      separator = 0x2c;
      this.#writeMember(out, data, row, i);
    }
    if (separator === 0x7b) out.byte(0x7b);
    out.byte(0x7d);
    return complete;
  }

  #writeMember(out: ByteWriter, data: Buffer, row: TupleView, i: number): void {
    const column = this.#columns[i]!;
    out.raw(column.member);
    const start = row.starts[i]!;
    if (start === NULL) out.raw(JSON_NULL);
    else writeValue(out, column.type, data, start, row.ends[i]!);
  }

  #writeChanged(out: ByteWriter, data: Buffer): void {
    out.raw(CHANGED);
    this.#writeNames(out, (i) => !newRow.sameColumn(data, oldRow, i));
  }

  #writeUnchanged(out: ByteWriter): void {
    out.raw(UNCHANGED_TOAST);
    this.#writeNames(out, (i) => newRow.starts[i] === UNCHANGED);
  }

  #writeNames(out: ByteWriter, listed: (column: number) => boolean): void {
    let separator = 0x5b;
    for (const [i, column] of this.#columns.entries()) {
      if (!listed(i)) continue;
      out.byte(separator);
      separator = 0x2c;
      out.raw(column.name);
    }
    if (separator === 0x5b) out.byte(0x5b);
    out.byte(0x5d);
  }
}

function writeTrailer(out: ByteWriter, change: EncodableChange): void {
  const { data, offset, transaction } = change;
  out.raw(COMMIT_TS);
  out.raw(transaction.commitText);
  out.raw(LSN);
  writeHex(out, data.readUInt32BE(offset + FRAME.startLsn));
  out.byte(0x2f);
  writeHex(out, data.readUInt32BE(offset + FRAME.startLsn + 4));
  out.raw(XID);
  out.unsigned(transaction.xid);
  out.raw(SEQ);
  out.unsigned(change.seq);
  out.byte(0x7d);
}

const HEX = ascii('0123456789ABCDEF');

/** Without leading zeros, as half of an LSN is written. */
function writeHex(out: ByteWriter, value: number): void {
  out.reserve(8);
  let shift = 28;
  while (shift > 0 && value >>> shift === 0) shift -= 4;
  for (; shift >= 0; shift -= 4) out.bytes[out.length++] = HEX[(value >>> shift) & 15]!;
}
