import type { Relation } from '../postgres/pgoutput.ts';
import { FRAME, PgoutputError, TAG } from '../postgres/pgoutput.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { EncodableChange } from './change.ts';
import { ChangeIds, writeLastId } from './change-ids.ts';
import { ChangeRows, newRow, oldRow } from './change-rows.ts';
import type { EventEncoder } from './encoder.ts';
import type { EventIds } from './event-id.ts';
import { JSON_NULL, jsonStringBytes } from './json-text.ts';
import { type ValueKind, valueKind, writeValue } from './json-value.ts';
import { NULL, type TupleView, UNCHANGED } from './tuple.ts';

/*
  The NATIVE envelope, fields in this order:

    id               the event id (event-id.ts)
    stream, op, schema, table     `op` is `read` for a row that a backfill has read: a row as it was at `lsn`, and no change
    key              the key columns' values; null for TRUNCATE and for a table without a key
    old_key          the key before; only where an UPDATE changes it
    before           what is known of the row before: every column with REPLICA IDENTITY FULL, otherwise the key; null for
                     INSERT and TRUNCATE
    after            the row after, but for what `unchanged_toast` lists; null for DELETE and TRUNCATE
    changed          names of the columns that differ; only for an UPDATE with both images whole
    unchanged_toast  names of the columns missing from `after`: large values that the UPDATE did not touch and that Postgres
                     does not send. Only where there are any; with REPLICA IDENTITY FULL the old row supplies them. One that is
                     listed and in `after` too was fetched (unchanged_toast = fetch): it is what the row had when it was sent
    before_complete  whether `before` has every column; only for UPDATE and DELETE
    commit_ts        commit time, RFC 3339, UTC, microseconds
    lsn              of the change itself (its transaction's commit has another, larger one)
    xid, seq         the transaction, and the change's place among all changes captured of it, from 0

  With `include_transaction = false` the last four are left out. An event that is too large for its stream is sent thin:

    before, after    null
    thin             true
    full_bytes       how long the event is in full; `changed`, `unchanged_toast` and `before_complete` are left out

  A column whose value is not known is absent, never null; so is one that the stream's column list does not have, and
  nothing of the above speaks of it. An UPDATE by which a row enters or leaves the stream's row filter is an insert or a
  delete.
*/

interface Column {
  /** `,"name":` */
  readonly member: Buffer;
  /** `"name"` */
  readonly name: Buffer;
  readonly type: ValueKind;
}

/** What of an envelope a stream may choose. */
export interface NativeOptions {
  /** How int8 and numeric are written: as strings, which keep their digits everywhere, or as JSON numbers. */
  readonly numbers: 'string' | 'number';
  /** Whether commit_ts, lsn, xid and seq are written. */
  readonly includeTransaction: boolean;
}

const NONE: readonly number[] = [];
const ALL: NativeOptions = { numbers: 'string', includeTransaction: true };

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
const THIN = ascii(',"before":null,"after":null,"thin":true,"full_bytes":');

/** Writes the changes of one relation definition as events of one stream. Everything but the values is made beforehand. */
export class NativeEncoder implements EventEncoder {
  readonly #ids: ChangeIds;
  readonly #body: NativeBody;
  readonly #stream: Buffer;
  readonly #includeTransaction: boolean;

  /** `sent`: the names of the columns that are sent; null: all. */
  constructor(
    ids: EventIds,
    relation: Relation,
    stream: string,
    primaryKey: readonly string[],
    sent: readonly string[] | null = null,
    options: NativeOptions = ALL,
  ) {
    const rows = new ChangeRows(relation, primaryKey, sent);
    this.#ids = new ChangeIds(ids, relation, rows);
    this.#body = new NativeBody(relation, rows, options.numbers);
    this.#stream = Buffer.concat([ascii('","stream":'), jsonStringBytes(stream), ascii(',')]);
    this.#includeTransaction = options.includeTransaction;
  }

  encode(out: ByteWriter, change: EncodableChange, ids: ByteWriter): number {
    this.#writeHead(out, change, ids);
    this.#body.write(out, change);
    this.#writeTrailer(out, change);
    return 1;
  }

  encodeThin(out: ByteWriter, change: EncodableChange, ids: ByteWriter, fullBytes: number): number {
    this.#writeHead(out, change, ids);
    this.#body.writeThin(out, change, fullBytes);
    this.#writeTrailer(out, change);
    return 1;
  }

  encodeKey(out: ByteWriter, change: EncodableChange): void {
    this.#body.writeKey(out, change);
  }

  #writeHead(out: ByteWriter, change: EncodableChange, ids: ByteWriter): void {
    this.#ids.append(ids, change);
    out.raw(EVENT);
    writeLastId(out, ids);
    out.raw(this.#stream);
  }

  #writeTrailer(out: ByteWriter, change: EncodableChange): void {
    if (this.#includeTransaction) writeTransaction(out, change);
    out.byte(0x7d);
  }
}

/**
 * The part of the envelope that says what changed, from `op` to `before_complete`: members of an object, without its
 * braces.
 */
export class NativeBody {
  readonly #columns: readonly Column[];
  readonly #rows: ChangeRows;
  readonly #read: Buffer;
  readonly #insert: Buffer;
  readonly #update: Buffer;
  readonly #delete: Buffer;
  readonly #truncate: Buffer;

  constructor(relation: Relation, rows: ChangeRows, numbers: NativeOptions['numbers']) {
    this.#columns = relation.columns.map(({ name, typeOid }) => {
      const bytes = jsonStringBytes(name);
      return { member: Buffer.concat([ascii(','), bytes, ascii(':')]), name: bytes, type: valueKind(typeOid, numbers) };
    });
    this.#rows = rows;
    const head = (op: string): Buffer =>
      Buffer.concat([
        ascii(`"op":"${op}","schema":`),
        jsonStringBytes(relation.schema),
        ascii(',"table":'),
        jsonStringBytes(relation.name),
        ascii(',"key":'),
      ]);
    this.#read = head('read');
    this.#insert = head('insert');
    this.#update = head('update');
    this.#delete = head('delete');
    this.#truncate = head('truncate');
  }

  /** Throws `PgoutputError` on bytes that are no change. */
  write(out: ByteWriter, change: EncodableChange): void {
    const { data, offset } = change;
    const at = offset + FRAME.message;
    switch (data[at]!) {
      case TAG.insert:
        this.#writeInsert(out, data, at + 5, (change.backfill ?? null) === null ? this.#insert : this.#read);
        break;
      case TAG.update:
        if (change.as === 'insert') this.#writeEntering(out, data, at + 5, change.fetched ?? NONE);
        else if (change.as === 'delete') this.#writeLeaving(out, data, at + 5);
        else this.#writeUpdate(out, data, at + 5, change.fetched ?? NONE);
        break;
      case TAG.delete:
        this.#writeDelete(out, data, at + 5);
        break;
      case TAG.truncate:
        out.raw(this.#truncate);
        out.raw(NO_ROWS);
        break;
      default:
        throw new PgoutputError(`no change: tag ${data[at]}`);
    }
  }

  /**
   * The same without its rows, as it is sent where `write` makes the event too large: what changed, of which key, and that
   * the rest is missing. `fullBytes`: what the event has in full.
   */
  writeThin(out: ByteWriter, change: EncodableChange, fullBytes: number): void {
    const { data, offset } = change;
    const at = offset + FRAME.message;
    const tag = data.readUInt8(at);
    out.raw((change.backfill ?? null) === null ? this.#headOf(tag, change.as ?? null) : this.#read);
    this.writeKey(out, change);
    if (tag === TAG.update && (change.as ?? null) === null) this.#writeOldKey(out, data, at + 5);
    out.raw(THIN);
    out.unsigned(fullBytes);
  }

  #headOf(tag: number, as: 'insert' | 'delete' | null): Buffer {
    if (as === 'insert' || tag === TAG.insert) return this.#insert;
    if (as === 'delete' || tag === TAG.delete) return this.#delete;
    return tag === TAG.update ? this.#update : this.#truncate;
  }

  #writeOldKey(out: ByteWriter, data: Buffer, start: number): void {
    if (!this.#rows.readUpdate(data, start)) return;
    this.#rows.fillUnchanged();
    this.#writeChangedKey(out, data);
  }

  /** The key before, where the rows that were read have another. */
  #writeChangedKey(out: ByteWriter, data: Buffer): void {
    if (!this.#rows.hasChangedKey(data)) return;
    out.raw(OLD_KEY);
    this.#writeKey(out, data, oldRow);
  }

  /** The key alone, as the event has it. */
  writeKey(out: ByteWriter, change: EncodableChange): void {
    const row = this.#rows.readKeyRow(change);
    if (row === null) out.raw(JSON_NULL);
    else this.#writeKey(out, change.data, row);
  }

  #writeInsert(out: ByteWriter, data: Buffer, at: number, head: Buffer): void {
    this.#rows.readInsert(data, at);
    out.raw(head);
    this.#writeKey(out, data, newRow);
    out.raw(BEFORE);
    out.raw(JSON_NULL);
    out.raw(AFTER);
    this.#writeMembers(out, data, newRow, this.#rows.sent);
  }

  #writeEntering(out: ByteWriter, data: Buffer, start: number, fetched: readonly number[]): void {
    this.#rows.readUpdate(data, start);
    const missing = this.#rows.fillUnchanged();
    out.raw(this.#insert);
    this.#writeKey(out, data, newRow);
    out.raw(BEFORE);
    out.raw(JSON_NULL);
    out.raw(AFTER);
    this.#writeMembers(out, data, newRow, this.#rows.sent);
    if (missing > 0 || fetched.length > 0) this.#writeUnchanged(out, fetched);
  }

  #writeLeaving(out: ByteWriter, data: Buffer, start: number): void {
    this.#rows.readUpdate(data, start);
    this.#writeDeleted(out, data);
  }

  #writeUpdate(out: ByteWriter, data: Buffer, start: number, fetched: readonly number[]): void {
    const hasOld = this.#rows.readUpdate(data, start);
    const missing = this.#rows.fillUnchanged();
    out.raw(this.#update);
    this.#writeKey(out, data, newRow);
    if (hasOld) this.#writeChangedKey(out, data);
    out.raw(BEFORE);
    const complete = this.#writeMembers(out, data, oldRow, this.#rows.sent);
    out.raw(AFTER);
    this.#writeMembers(out, data, newRow, this.#rows.sent);
    if (complete && missing === 0) this.#writeChanged(out, data);
    if (missing > 0 || fetched.length > 0) this.#writeUnchanged(out, fetched);
    out.raw(complete ? BEFORE_COMPLETE : BEFORE_INCOMPLETE);
  }

  #writeDelete(out: ByteWriter, data: Buffer, at: number): void {
    this.#rows.readOld(data, at);
    this.#writeDeleted(out, data);
  }

  #writeDeleted(out: ByteWriter, data: Buffer): void {
    out.raw(this.#delete);
    this.#writeKey(out, data, oldRow);
    out.raw(BEFORE);
    const complete = this.#writeMembers(out, data, oldRow, this.#rows.sent);
    out.raw(AFTER);
    out.raw(JSON_NULL);
    out.raw(complete ? BEFORE_COMPLETE : BEFORE_INCOMPLETE);
  }

  #writeKey(out: ByteWriter, data: Buffer, row: TupleView): void {
    if (this.#rows.keyColumns.length === 0) {
      out.raw(JSON_NULL);
      return;
    }
    this.#writeMembers(out, data, row, this.#rows.keyColumns);
  }

  /** Writes those of the columns that are known, and tells whether all are. */
  #writeMembers(out: ByteWriter, data: Buffer, row: TupleView, columns: readonly number[]): boolean {
    let complete = true;
    const begin = out.length;
    for (let n = 0; n < columns.length; n++) {
      const i = columns[n]!;
      const start = row.starts[i]!;
      if (start < NULL) {
        complete = false;
        continue;
      }
      const column = this.#columns[i]!;
      out.raw(column.member);
      if (start === NULL) out.raw(JSON_NULL);
      else writeValue(out, column.type, data, start, row.ends[i]!);
    }
    // In the place of the first comma.
    if (out.length === begin) out.byte(0x7b);
    else out.bytes[begin] = 0x7b;
    out.byte(0x7d);
    return complete;
  }

  #writeChanged(out: ByteWriter, data: Buffer): void {
    out.raw(CHANGED);
    this.#writeNames(out, (i) => !newRow.sameColumn(data, oldRow, i));
  }

  #writeUnchanged(out: ByteWriter, fetched: readonly number[]): void {
    out.raw(UNCHANGED_TOAST);
    this.#writeNames(out, (i) => newRow.starts[i] === UNCHANGED || fetched.includes(i));
  }

  #writeNames(out: ByteWriter, listed: (column: number) => boolean): void {
    let separator = 0x5b;
    for (const i of this.#rows.sent) {
      if (!listed(i)) continue;
      out.byte(separator);
      separator = 0x2c;
      out.raw(this.#columns[i]!.name);
    }
    if (separator === 0x5b) out.byte(0x5b);
    out.byte(0x5d);
  }
}

/** `commit_ts`, `lsn`, `xid` and `seq`, each with its comma before it. */
function writeTransaction(out: ByteWriter, change: EncodableChange): void {
  const { data, offset, transaction } = change;
  out.raw(COMMIT_TS);
  out.raw(transaction.commitText);
  out.raw(LSN);
  writeLsn(out, data, offset + FRAME.startLsn);
  out.raw(XID);
  out.unsigned(transaction.xid);
  out.raw(SEQ);
  out.unsigned(change.seq);
}

const HEX = ascii('0123456789ABCDEF');

/** The 8 bytes at `at` as Postgres prints an LSN. */
export function writeLsn(out: ByteWriter, data: Buffer, at: number): void {
  writeHex(out, data.readUInt32BE(at));
  out.byte(0x2f);
  writeHex(out, data.readUInt32BE(at + 4));
}

/** Without leading zeros, as half of an LSN is written. */
function writeHex(out: ByteWriter, value: number): void {
  out.reserve(8);
  let shift = 28;
  while (shift > 0 && value >>> shift === 0) shift -= 4;
  for (; shift >= 0; shift -= 4) out.bytes[out.length++] = HEX[(value >>> shift) & 15]!;
}
