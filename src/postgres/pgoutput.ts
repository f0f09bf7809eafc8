import type { Lsn } from './lsn.ts';

/*
  Logical replication messages, protocol version 1, in text format, as they come from a walsender:
  https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
  https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-XLOGDATA

  CopyData  => 'd' Int32(length, itself included) payload
  XLogData  => 'w' Int64(start of this message's WAL) Int64(server's end of WAL) Int64(server clock) message
  Keepalive => 'k' Int64(server's end of WAL) Int64(server clock) Byte(1: answer at once)

  Begin     => 'B' Int64(commit LSN) Int64(commit time) Int32(xid)
  Commit    => 'C' Int8(flags) Int64(commit LSN) Int64(end LSN) Int64(commit time)
  Relation  => 'R' Int32(oid) String(schema) String(name) Int8(replica identity) Int16(n) column*
    column  => Int8(1: part of the key) String(name) Int32(type oid) Int32(typmod)
  Insert    => 'I' Int32(oid) 'N' tuple
  Update    => 'U' Int32(oid) [('K' | 'O') tuple] 'N' tuple
  Delete    => 'D' Int32(oid) ('K' | 'O') tuple
  Truncate  => 'T' Int32(n) Int8(1: CASCADE, 2: RESTART IDENTITY) Int32(oid)*
  Message   => 'M' Int8(1: transactional) Int64(LSN) String(prefix) Int32(n) Byten(content)
  tuple     => Int16(n) ('n' | 'u' | 't' Int32(length) bytes)*     n: null, u: unchanged TOAST, t: text

  Times are microseconds since 2000-01-01 UTC. A message that is not the last of its callback (Relation, Type) carries
  start LSN 0; a change carries its own WAL record's.
*/

/** Message tags, as byte values. */
export const TAG = {
  begin: 0x42,
  commit: 0x43,
  relation: 0x52,
  insert: 0x49,
  update: 0x55,
  delete: 0x44,
  truncate: 0x54,
  type: 0x59,
  origin: 0x4f,
  message: 0x4d,
} as const;

/** Tags and kinds inside a change. */
export const TUPLE = { newRow: 0x4e, key: 0x4b, oldRow: 0x4f, null: 0x6e, unchanged: 0x75, text: 0x74 } as const;

/** Offsets inside one CopyData frame that holds XLogData, counted from its 'd'. */
export const FRAME = { length: 1, kind: 5, startLsn: 6, walEnd: 14, message: 30 } as const;

/** Bytes of the whole frame that begins at `offset`. */
export function frameBytes(data: Buffer, offset: number): number {
  return 1 + data.readUInt32BE(offset + FRAME.length);
}

/** The commit time's zero, 2000-01-01, in microseconds since 1970. */
export const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n;

export interface BeginMessage {
  readonly commitLsn: Lsn;
  /** Microseconds since 1970-01-01 UTC. */
  readonly commitTimeMicros: bigint;
  readonly xid: number;
}

/** `offset` is that of the message's tag, here and below. */
export function readBegin(data: Buffer, offset: number): BeginMessage {
  return {
    commitLsn: data.readBigUInt64BE(offset + 1),
    commitTimeMicros: data.readBigInt64BE(offset + 9) + POSTGRES_EPOCH_MICROS,
    xid: data.readUInt32BE(offset + 17),
  };
}

/** The LSN just past the transaction: what may be confirmed once the transaction is durable. */
export function readCommitEndLsn(data: Buffer, offset: number): Lsn {
  return data.readBigUInt64BE(offset + 10);
}

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeModifier: number;
  /** Part of the replica identity's key. With REPLICA IDENTITY FULL every column is. */
  readonly isKey: boolean;
}

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relreplident`: d(efault), n(othing), f(ull), i(ndex). */
  readonly replicaIdentity: 'd' | 'n' | 'f' | 'i';
  readonly columns: readonly RelationColumn[];
}

/** Throws `PgoutputError` where the bytes are no Relation message that ends at `end`. */
export function readRelation(data: Buffer, offset: number, end: number): Relation {
  let at = offset + 1;
  const text = (): string => {
    const zero = data.indexOf(0, at);
    if (zero === -1 || zero >= end) throw new PgoutputError('unterminated string in a Relation message');
    const value = data.toString('utf8', at, zero);
    at = zero + 1;
    return value;
  };
  const need = (bytes: number): void => {
    if (at + bytes > end) throw new PgoutputError('a Relation message ends early');
  };
  need(4);
  const oid = data.readUInt32BE(at);
  at += 4;
  const schema = text();
  const name = text();
  need(3);
  const replicaIdentity = String.fromCharCode(data.readUInt8(at)) as Relation['replicaIdentity'];
  const count = data.readUInt16BE(at + 1);
  at += 3;
  const columns: RelationColumn[] = [];
  for (let i = 0; i < count; i++) {
    need(1);
    const isKey = (data.readUInt8(at) & 1) === 1;
    at += 1;
    const columnName = text();
    need(8);
    columns.push({ name: columnName, typeOid: data.readUInt32BE(at), typeModifier: data.readInt32BE(at + 4), isKey });
    at += 8;
  }
  // pg_catalog is sent as the empty string.
  return { oid, schema: schema === '' ? 'pg_catalog' : schema, name, replicaIdentity, columns };
}

export interface EmittedMessage {
  readonly isTransactional: boolean;
  readonly prefix: string;
  /** A view. */
  readonly content: Buffer;
}

/** What `pg_logical_emit_message` wrote. Throws `PgoutputError` where the bytes are no Message that ends at `end`. */
export function readMessage(data: Buffer, offset: number, end: number): EmittedMessage {
  const start = offset + 10;
  const zero = data.indexOf(0, start);
  if (zero === -1 || zero + 5 > end) throw new PgoutputError('a Message message ends early');
  const length = data.readUInt32BE(zero + 1);
  if (zero + 5 + length !== end) throw new PgoutputError('a Message message with an impossible length');
  return {
    isTransactional: (data.readUInt8(offset + 1) & 1) === 1,
    prefix: data.toString('utf8', start, zero),
    content: data.subarray(zero + 5, end),
  };
}

/** Bytes that are no pgoutput. */
export class PgoutputError extends Error {
  override readonly name = 'PgoutputError';
}
