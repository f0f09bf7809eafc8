import type { Chunk, ChunkHeader, ChunkRelation, OpenTransaction } from '../../src/log/chunk.ts';
import type { Position } from '../../src/model/change.ts';
import type { Lsn } from '../../src/postgres/lsn.ts';
import { POSTGRES_EPOCH_MICROS } from '../../src/postgres/pgoutput.ts';

// A small encoder of what a walsender sends, for tests: the layout is in src/postgres/pgoutput.ts.

export type Identity = 'd' | 'n' | 'f' | 'i';

export interface TestColumn {
  readonly name: string;
  readonly type: number;
  readonly key?: boolean;
  /** -1 where it is not given. */
  readonly modifier?: number;
}

export interface TestRelation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly identity: Identity;
  readonly columns: readonly TestColumn[];
}

/** A column's text, null, or `UNCHANGED` for a large value that was not sent. */
export type TestValue = string | Buffer | null | typeof UNCHANGED;
export const UNCHANGED = Symbol('unchanged');

export function relationMessage(relation: TestRelation): Buffer {
  return Buffer.concat([
    Buffer.from('R'),
    uint32(relation.oid),
    zeroEnded(relation.schema),
    zeroEnded(relation.name),
    Buffer.from(relation.identity),
    uint16(relation.columns.length),
    ...relation.columns.map(({ name, type, key, modifier = -1 }) =>
      Buffer.concat([
        Buffer.from([key || relation.identity === 'f' ? 1 : 0]),
        zeroEnded(name),
        uint32(type),
        int32(modifier),
      ]),
    ),
  ]);
}

export function beginMessage(commitLsn: Lsn, commitMicros: bigint, xid: number): Buffer {
  return Buffer.concat([Buffer.from('B'), uint64(commitLsn), int64(commitMicros - POSTGRES_EPOCH_MICROS), uint32(xid)]);
}

export function commitMessage(commitLsn: Lsn, commitMicros: bigint): Buffer {
  const time = int64(commitMicros - POSTGRES_EPOCH_MICROS);
  return Buffer.concat([Buffer.from('C'), Buffer.from([0]), uint64(commitLsn), uint64(commitLsn + 8n), time]);
}

export function insertMessage(oid: number, row: readonly TestValue[]): Buffer {
  return Buffer.concat([Buffer.from('I'), uint32(oid), Buffer.from('N'), tuple(row)]);
}

export function updateMessage(
  oid: number,
  row: readonly TestValue[],
  old: { readonly kind: 'K' | 'O'; readonly row: readonly TestValue[] } | null = null,
): Buffer {
  const before = old === null ? [] : [Buffer.from(old.kind), tuple(old.row)];
  return Buffer.concat([Buffer.from('U'), uint32(oid), ...before, Buffer.from('N'), tuple(row)]);
}

export function deleteMessage(oid: number, kind: 'K' | 'O', row: readonly TestValue[]): Buffer {
  return Buffer.concat([Buffer.from('D'), uint32(oid), Buffer.from(kind), tuple(row)]);
}

export function truncateMessage(...oids: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from('T'), uint32(oids.length), Buffer.from([0]), ...oids.map(uint32)]);
}

/** A CopyData frame of XLogData. */
export function frame(startLsn: Lsn, message: Buffer): Buffer {
  const payload = Buffer.concat([Buffer.from('w'), uint64(startLsn), uint64(startLsn), int64(0n), message]);
  return Buffer.concat([Buffer.from('d'), uint32(payload.length + 4), payload]);
}

/**
 * Writes transactions and cuts them into chunks as capture does: anywhere between two frames, with the state there in the
 * header. `Relation` messages are written before a relation's first use and whenever it was redefined.
 */
export class ChunkWriter {
  readonly chunks: Chunk[] = [];
  readonly #versions = new Map<number, { readonly version: number; readonly message: Buffer }>();
  readonly #current = new Map<number, TestRelation>();
  #nextVersion = 1;
  #frames: Buffer[] = [];
  #relations = new Map<number, { version: number | null; changes: number }>();
  #changes = 0;
  #firstMicros: bigint | null = null;
  #openAtStart: OpenTransaction | null = null;
  #open: OpenTransaction | null = null;
  #last: Position | null = null;
  #confirm: Lsn = 0n;
  #lsn: Lsn;

  constructor(startLsn: Lsn = 0x100_0000n) {
    this.#lsn = startLsn;
  }

  define(relation: TestRelation): void {
    this.#current.set(relation.oid, relation);
    const message = relationMessage(relation);
    this.#versions.delete(relation.oid);
    this.#frames.push(frame(0n, message));
    const known = this.#relations.get(relation.oid);
    if (known === undefined) this.#relations.set(relation.oid, { version: null, changes: 0 });
    this.#versions.set(relation.oid, { version: this.#nextVersion++, message });
  }

  begin(commitMicros: bigint, xid = 700): void {
    const commitLsn = this.#lsn + 0x10_0000n;
    this.#open = { commitLsn, commitTimeMicros: commitMicros, xid, seq: 0, lastLsn: 0n, lastOrdinal: -1 };
    this.#frames.push(frame(this.#lsn, beginMessage(commitLsn, commitMicros, xid)));
  }

  /** Adds a change; `sameRecord`: of the same WAL record as the one before. */
  change(oids: number | readonly number[], message: Buffer, sameRecord = false): Position {
    const open = this.#open!;
    const lsn = sameRecord && open.seq > 0 ? open.lastLsn : (this.#lsn += 0x40n);
    const ordinal = lsn === open.lastLsn ? open.lastOrdinal + 1 : 0;
    this.#open = { ...open, seq: open.seq + 1, lastLsn: lsn, lastOrdinal: ordinal };
    for (const oid of typeof oids === 'number' ? [oids] : oids) {
      let entry = this.#relations.get(oid);
      if (!entry) this.#relations.set(oid, (entry = { version: this.#versions.get(oid)!.version, changes: 0 }));
      entry.changes++;
    }
    this.#changes++;
    this.#firstMicros ??= open.commitTimeMicros;
    this.#last = { commitLsn: open.commitLsn, lsn, ordinal };
    this.#frames.push(frame(lsn, message));
    return this.#last;
  }

  commit(): void {
    const { commitLsn, commitTimeMicros } = this.#open!;
    this.#frames.push(frame(commitLsn, commitMessage(commitLsn, commitTimeMicros)));
    this.#open = null;
    this.#confirm = commitLsn + 8n;
    this.#lsn = commitLsn + 0x10n;
  }

  /** Ends the chunk here and returns it. */
  cut(): Chunk {
    const data = Buffer.concat(this.#frames);
    const relations: ChunkRelation[] = [...this.#relations].map(([oid, entry]) => ({ oid, ...entry }));
    const header: ChunkHeader = {
      id: this.chunks.length + 1,
      open: this.#openAtStart,
      last: this.#last,
      confirmLsn: this.#confirm,
      firstCommitMicros: this.#firstMicros,
      relations,
      backfill: null,
      changes: this.#changes,
      bytes: data.length,
    };
    const named = relations.flatMap(({ oid, version }) =>
      version === null ? [] : [[version, this.#versions.get(oid)!.message] as const],
    );
    const chunk = { header, data, relationMessages: new Map(named) };
    this.chunks.push(chunk);
    this.#frames = [];
    this.#relations = new Map();
    this.#changes = 0;
    this.#firstMicros = null;
    this.#openAtStart = this.#open;
    return chunk;
  }
}

function tuple(row: readonly TestValue[]): Buffer {
  return Buffer.concat([uint16(row.length), ...row.map(column)]);
}

function column(value: TestValue): Buffer {
  if (value === null) return Buffer.from('n');
  if (value === UNCHANGED) return Buffer.from('u');
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : (value as Buffer);
  return Buffer.concat([Buffer.from('t'), uint32(bytes.length), bytes]);
}

function zeroEnded(text: string): Buffer {
  return Buffer.concat([Buffer.from(text, 'utf8'), Buffer.from([0])]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}
