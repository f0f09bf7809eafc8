import { hash } from 'node:crypto';
import type { SourceIdentity } from '../model/change.ts';
import { FRAME } from '../postgres/pgoutput.ts';
import type { Transaction } from './change.ts';

/*
  Event ids are UUIDs of version 7's shape, computed from what identifies the change, so that the same change has the same
  id in every stream, on every attempt and after every restart. Ids sort by commit time.
  https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7

    event id   => Int48(commit time, ms since 1970) digest[0..10) with 4 bits of version (7) and 2 of variant (binary 10)
                  laid over bytes 6 and 8
    digest     => SHA-256 of
                    Int64(system identifier) Int32(database oid) Int64(commit LSN) Int64(the change's LSN) Int32(ordinal)
                    [Int32(relation oid)]                        the last only for TRUNCATE, one event per table
                  where the server was restored to an earlier point n times, positions come again: then the system
                  identifier is the first 8 bytes of SHA-256 of Int64(system identifier) Int32(n)
    read id    => Int48(the backfill's time) digest[0..10) as above, of a row that a backfill has read
    digest     => SHA-256 of
                    Byte16(backfill id) Int32(relation oid) (Int32(length) bytes)*     the key's columns as text, or
                    Byte16(backfill id) Int32(relation oid) Int64(LSN) Int32(ordinal)  for a table without key
    request id => the event id, for one event; otherwise
                  Int48(of the first event id) and SHA-256 of the 16-byte event ids in order, laid out as above

  All integers are big-endian and unsigned.
*/

export const ID_BYTES = 16;

const AT = { system: 0, database: 8, commitLsn: 12, lsn: 20, ordinal: 28, relation: 32 } as const;
const ROW_INPUT_BYTES = 32;
const TRUNCATE_INPUT_BYTES = 36;

/** Computes event ids of one source. */
export class EventIds {
  readonly #row: Buffer;
  readonly #truncate: Buffer;
  #transaction: Transaction | null = null;

  constructor(source: SourceIdentity) {
    this.#truncate = Buffer.alloc(TRUNCATE_INPUT_BYTES);
    systemOf(source).copy(this.#truncate, AT.system);
    this.#truncate.writeUInt32BE(source.databaseOid, AT.database);
    this.#row = this.#truncate.subarray(0, ROW_INPUT_BYTES);
  }

  /**
   * Writes the id of the change whose frame is at `offset` of `data` into `into` at `at`. `truncatedOid` is the table's for a
   * TRUNCATE, otherwise 0.
   */
  write(
    into: Buffer,
    at: number,
    transaction: Transaction,
    data: Buffer,
    offset: number,
    ordinal: number,
    truncatedOid: number,
  ): void {
    const input = this.#row;
    if (this.#transaction !== transaction) {
      this.#transaction = transaction;
      input.writeBigUInt64BE(transaction.commitLsn, AT.commitLsn);
    }
    for (let i = 0; i < 8; i++) input[AT.lsn + i] = data[offset + FRAME.startLsn + i]!;
    writeInt32(input, AT.ordinal, ordinal);
    if (truncatedOid !== 0) writeInt32(this.#truncate, AT.relation, truncatedOid);
    // A string comes back three times as fast as a Buffer.
    const digest = hash('sha256', truncatedOid === 0 ? input : this.#truncate, 'binary');
    writeTime(into, at, transaction.commitMs);
    layDigest(into, at, digest);
  }
}

function systemOf({ systemId, epoch = 0 }: SourceIdentity): Buffer {
  const system = Buffer.alloc(12);
  system.writeBigUInt64BE(BigInt(systemId));
  system.writeUInt32BE(epoch, 8);
  return (epoch === 0 ? system : hash('sha256', system, 'buffer')).subarray(0, 8);
}

/** Writes the id of a row of `oid` that the backfill of the 16-byte id `backfill` has read; `key` is laid out as above. */
export function writeReadId(into: Buffer, at: number, backfill: Buffer, oid: number, key: Buffer): void {
  const head = Buffer.alloc(20);
  backfill.copy(head);
  head.writeUInt32BE(oid, 16);
  backfill.copy(into, at, 0, 6);
  layDigest(into, at, hash('sha256', Buffer.concat([head, key]), 'binary'));
}

/** The id of a request of the events whose 16-byte ids `ids` has one after the other. */
export function requestId(ids: Buffer): string {
  if (ids.length === ID_BYTES) return formatUuid(ids, 0);
  const id = Buffer.alloc(ID_BYTES);
  ids.copy(id, 0, 0, 6);
  layDigest(id, 0, hash('sha256', ids, 'binary'));
  return formatUuid(id, 0);
}

function layDigest(into: Buffer, at: number, digest: string): void {
  for (let i = 0; i < 10; i++) into[at + 6 + i] = digest.charCodeAt(i);
  into[at + 6] = (into[at + 6]! & 0x0f) | 0x70;
  into[at + 8] = (into[at + 8]! & 0x3f) | 0x80;
}

function writeTime(into: Buffer, at: number, ms: number): void {
  const high = Math.floor(ms / 0x1_0000_0000);
  into[at] = high >>> 8;
  into[at + 1] = high;
  writeInt32(into, at + 2, ms % 0x1_0000_0000);
}

function writeInt32(into: Buffer, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

const HEX = Buffer.from('0123456789abcdef', 'latin1');
export const UUID_TEXT_BYTES = 36;

/** Writes the 36 characters of the UUID at `from` of `id` into `into` at `at`, which must have room for them. */
export function writeUuidText(into: Buffer, at: number, id: Buffer, from: number): void {
  let out = at;
  for (let i = 0; i < ID_BYTES; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) into[out++] = 0x2d;
    const byte = id[from + i]!;
    into[out++] = HEX[byte >> 4]!;
    into[out++] = HEX[byte & 15]!;
  }
}

/** The 16 bytes of a UUID in text. */
export function uuidBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

export function formatUuid(id: Buffer, from: number): string {
  const text = Buffer.allocUnsafe(UUID_TEXT_BYTES);
  writeUuidText(text, 0, id, from);
  return text.toString('latin1');
}
