import type { Lsn } from '../../src/postgres/lsn.ts';

// Replication stream messages as a walsender writes them; the layouts are in src/postgres/pgoutput.ts.

const text = (value: string): Buffer => Buffer.from(`${value}\0`);

function bytes(...parts: readonly (number | Buffer)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.from([part]) : part)));
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16BE(value);
  return buffer;
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

function int64(value: bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(value);
  return buffer;
}

export function message(tag: string, body: Buffer): Buffer {
  return bytes(Buffer.from(tag), int32(body.length + 4), body);
}

function xlogData(lsn: Lsn, payload: Buffer): Buffer {
  return message('d', bytes(Buffer.from('w'), int64(lsn), int64(lsn), int64(0n), payload));
}

export function keepalive(walEnd: Lsn, wantsAnswer = false): Buffer {
  return message('d', bytes(Buffer.from('k'), int64(walEnd), int64(0n), wantsAnswer ? 1 : 0));
}

/** `commitMicros` counts from 2000-01-01. */
export function begin(commitLsn: Lsn, xid: number, commitMicros = 1_000_000n): Buffer {
  return xlogData(commitLsn, bytes(Buffer.from('B'), int64(commitLsn), int64(commitMicros), int32(xid)));
}

export function commit(commitLsn: Lsn, endLsn: Lsn): Buffer {
  return xlogData(endLsn, bytes(Buffer.from('C'), 0, int64(commitLsn), int64(endLsn), int64(1_000_000n)));
}

/** A relation of one text column that is its key. */
export function relation(oid: number, name: string): Buffer {
  const column = bytes(1, text('id'), int32(25), int32(0xffff_ffff));
  return xlogData(
    0n,
    bytes(Buffer.from('R'), int32(oid), text('public'), text(name), Buffer.from('d'), int16(1), column),
  );
}

function tuple(value: string): Buffer {
  return bytes(int16(1), Buffer.from('t'), int32(Buffer.byteLength(value)), Buffer.from(value));
}

export function insert(lsn: Lsn, oid: number, value: string): Buffer {
  return xlogData(lsn, bytes(Buffer.from('I'), int32(oid), Buffer.from('N'), tuple(value)));
}

export function update(lsn: Lsn, oid: number, value: string): Buffer {
  return xlogData(lsn, bytes(Buffer.from('U'), int32(oid), Buffer.from('N'), tuple(value)));
}

export function deletion(lsn: Lsn, oid: number, key: string): Buffer {
  return xlogData(lsn, bytes(Buffer.from('D'), int32(oid), Buffer.from('K'), tuple(key)));
}

export function truncate(lsn: Lsn, oids: readonly number[]): Buffer {
  return xlogData(lsn, bytes(Buffer.from('T'), int32(oids.length), 0, ...oids.map(int32)));
}

export function rawMessage(lsn: Lsn, payload: Buffer): Buffer {
  return xlogData(lsn, payload);
}

export function errorResponse(code: string, text_: string): Buffer {
  return report('E', 'ERROR', code, text_);
}

export function warning(code: string, text_: string): Buffer {
  return report('N', 'WARNING', code, text_);
}

function report(tag: string, severity: string, code: string, text_: string): Buffer {
  const field = (name: string, value: string): Buffer => Buffer.concat([Buffer.from(name), text(value)]);
  return message(tag, bytes(field('S', severity), field('C', code), field('M', text_), 0));
}
