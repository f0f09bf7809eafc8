import type { Lsn } from './lsn.ts';
import { FRAME, POSTGRES_EPOCH_MICROS, TAG, TUPLE, type Relation } from './pgoutput.ts';

const ZERO = Buffer.alloc(1);
const FIRST_BYTES = 64 * 1024;
/** A call costs more than copying so few bytes one by one. */
const SHORT_BYTES = 48;
/** What a DataRow's length takes, before its column count. */
const DATA_ROW_LENGTH_BYTES = 4;
const COLUMN_COUNT_BYTES = 2;

/** A column's text; null: NULL. */
export type ColumnText = string | null;

/**
 * Writes what a walsender would have written, for what the log is to have that comes by no walsender: a gap, rows read by a
 * backfill. See postgres/pgoutput.ts for the layouts.
 */
export class SyntheticFrames {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Forgets what was written; what `finish` gave is overwritten by what comes next. */
  clear(): void {
    this.#bytes = 0;
  }

  begin(commitLsn: Lsn, commitTimeMicros: bigint, xid: number): void {
    const start = this.#frame(commitLsn);
    this.#byte(TAG.begin);
    this.#int64(commitLsn);
    this.#int64(commitTimeMicros - POSTGRES_EPOCH_MICROS);
    this.#int32(xid);
    this.#end(start);
  }

  commit(commitLsn: Lsn, endLsn: Lsn, commitTimeMicros: bigint): void {
    const start = this.#frame(endLsn);
    this.#byte(TAG.commit);
    this.#byte(0);
    this.#int64(commitLsn);
    this.#int64(endLsn);
    this.#int64(commitTimeMicros - POSTGRES_EPOCH_MICROS);
    this.#end(start);
  }

  relation(message: Buffer): void {
    const start = this.#frame(0n);
    this.#reserve(message.length);
    this.#bytes += message.copy(this.#buffer, this.#bytes);
    this.#end(start);
  }

  insert(lsn: Lsn, oid: number, values: readonly ColumnText[]): void {
    const start = this.#frame(lsn);
    this.#byte(TAG.insert);
    this.#int32(oid);
    this.#byte(TUPLE.newRow);
    this.#int16(values.length);
    for (const value of values) {
      if (value === null) this.#byte(TUPLE.null);
      else this.#text(value);
    }
    this.#end(start);
  }

  /**
   * An insert of each DataRow in `data` whose column count is at one of `rows`: the columns are laid out alike but for NULL.
   * A backfill's millions of rows come through here, hence one pass over a row's bytes, and no number made of an LSN twice.
   */
  insertRows(lsn: Lsn, oid: number, data: Buffer, rows: Iterable<number>): void {
    const head = this.#insertHead(lsn, oid);
    for (const row of rows) {
      const columns = data.readUInt16BE(row);
      const bytes = data.readUInt32BE(row - DATA_ROW_LENGTH_BYTES) - DATA_ROW_LENGTH_BYTES;
      this.#reserve(head.length + bytes + columns);
      const start = this.#bytes;
      this.#bytes = copyRow(this.#buffer, start, head, data, row, columns);
      this.#end(start);
    }
  }

  /** An insert's frame up to its columns, without its length. */
  #insertHead(lsn: Lsn, oid: number): Buffer {
    const start = this.#bytes;
    this.insert(lsn, oid, []);
    const head = Buffer.from(this.#buffer.subarray(start, this.#bytes - COLUMN_COUNT_BYTES));
    this.#bytes = start;
    return head;
  }

  /** Everything that was written; nothing is to be written after it but behind a `clear`. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#bytes);
  }

  #text(value: string): void {
    // Three bytes for each UTF-16 unit are enough; those of a long text are counted.
    this.#reserve(5 + (value.length < 1024 ? value.length * 3 : Buffer.byteLength(value)));
    this.#buffer[this.#bytes] = TUPLE.text;
    const length = this.#buffer.write(value, this.#bytes + 5, 'utf8');
    this.#buffer.writeUInt32BE(length, this.#bytes + 1);
    this.#bytes += 5 + length;
  }

  /** Begins a frame of XLogData; `#end` says how long it became. */
  #frame(lsn: Lsn): number {
    const start = this.#bytes;
    this.#byte(0x64);
    this.#int32(0);
    this.#byte(0x77);
    this.#int64(lsn);
    this.#int64(lsn);
    this.#int64(0n);
    return start;
  }

  #end(start: number): void {
    this.#buffer.writeUInt32BE(this.#bytes - start - 1, start + FRAME.length);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes = this.#buffer.writeUInt8(value, this.#bytes);
  }

  #int16(value: number): void {
    this.#reserve(2);
    this.#bytes = this.#buffer.writeUInt16BE(value, this.#bytes);
  }

  #int32(value: number): void {
    this.#reserve(4);
    this.#bytes = this.#buffer.writeUInt32BE(value, this.#bytes);
  }

  #int64(value: bigint): void {
    this.#reserve(8);
    this.#bytes = this.#buffer.writeBigInt64BE(value, this.#bytes);
  }

  #reserve(more: number): void {
    const wanted = this.#bytes + more;
    if (wanted <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#bytes);
    this.#buffer = larger;
  }
}

/** Writes the head and the row's columns at `start`; gives where they end. */
function copyRow(into: Buffer, start: number, head: Buffer, data: Buffer, row: number, columns: number): number {
  into.set(head, start);
  let end = start + head.length;
  into[end++] = data[row]!;
  into[end++] = data[row + 1]!;
  let at = row + 2;
  for (let i = 0; i < columns; i++) {
    const length = (data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!;
    into[end++] = length < 0 ? TUPLE.null : TUPLE.text;
    const next = at + 4 + Math.max(0, length);
    if (length >= SHORT_BYTES) end += data.copy(into, end, at, next);
    else if (length >= 0) for (let from = at; from < next; from++) into[end++] = data[from]!;
    at = next;
  }
  return end;
}

/** A Relation message, tag included. */
export function relationMessage({ oid, schema, name, replicaIdentity, columns }: Relation): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(TAG.relation, 0);
  head.writeUInt32BE(oid, 1);
  const identity = Buffer.alloc(3);
  identity.write(replicaIdentity, 0, 'latin1');
  identity.writeUInt16BE(columns.length, 1);
  const parts: Buffer[] = [head, Buffer.from(schema), ZERO, Buffer.from(name), ZERO, identity];
  for (const column of columns) {
    const type = Buffer.alloc(8);
    type.writeUInt32BE(column.typeOid, 0);
    type.writeInt32BE(column.typeModifier, 4);
    parts.push(Buffer.from([column.isKey ? 1 : 0]), Buffer.from(column.name), ZERO, type);
  }
  return Buffer.concat(parts);
}
