import { Transaction } from '../formats/change.ts';
import { uuidBytes } from '../formats/event-id.ts';
import type { Chunk, ChunkHeader } from '../log/chunk.ts';
import type { Position } from '../model/change.ts';
import { FRAME, frameBytes, PgoutputError, readBegin, readRelation, type Relation, TAG } from '../postgres/pgoutput.ts';
import { RelationChanges } from './relation-changes.ts';

/** A chunk with its changes found: what all streams share, so that each chunk is walked once. */
export interface IndexedChunk {
  readonly id: number;
  readonly data: Buffer;
  /** The 16 bytes of the backfill that has read the rows; null: these are changes. */
  readonly backfill: Buffer | null;
  readonly transactions: readonly Transaction[];
  readonly relations: ReadonlyMap<number, RelationChanges>;
  /** Held in memory by this index: the data and the arrays beside it. */
  readonly bytes: number;
}

/** Finds the changes of a chunk. Throws `PgoutputError` where the data is not what capture appends. */
export function indexChunk(chunk: Chunk, relations: RelationCache): IndexedChunk {
  return new Walk(chunk, relations).run();
}

const MAX_CACHED_RELATIONS = 10_000;

/** Relation messages read once: equal bytes give the same object, so that encoders can be kept from chunk to chunk. */
export class RelationCache {
  readonly #relations = new Map<string, Relation>();

  read(data: Buffer, start: number, end: number): Relation {
    const key = data.toString('latin1', start, end);
    let relation = this.#relations.get(key);
    if (relation === undefined) {
      relation = readRelation(data, start, end);
      if (this.#relations.size >= MAX_CACHED_RELATIONS) this.#relations.clear();
      this.#relations.set(key, relation);
    }
    return relation;
  }
}

export function positionOf(chunk: IndexedChunk, changes: RelationChanges, i: number): Position {
  return {
    commitLsn: chunk.transactions[changes.transactions[i]!]!.commitLsn,
    lsn: chunk.data.readBigUInt64BE(changes.offsets[i]! + FRAME.startLsn),
    ordinal: changes.ordinals[i]!,
  };
}

class Walk {
  readonly #header: ChunkHeader;
  readonly #data: Buffer;
  readonly #definitions: RelationCache;
  readonly #relations = new Map<number, RelationChanges>();
  readonly #transactions: Transaction[] = [];
  #seq = 0;
  #lsnHigh = 0;
  #lsnLow = 0;
  #ordinal = -1;
  // The relation of the change before: runs of one table are the rule.
  #lastOid = 0;
  #lastChanges: RelationChanges | null = null;

  constructor(chunk: Chunk, definitions: RelationCache) {
    this.#definitions = definitions;
    this.#header = chunk.header;
    this.#data = chunk.data;
    for (const { oid, changes } of chunk.header.relations) this.#relations.set(oid, new RelationChanges(changes));
    for (const message of chunk.relationMessages.values()) {
      this.#define(definitions.read(message, 0, message.length));
    }
    const { open } = chunk.header;
    if (open === null) return;
    this.#transactions.push(new Transaction(open.commitLsn, open.commitTimeMicros, open.xid));
    this.#seq = open.seq;
    this.#lsnHigh = Number(open.lastLsn >> 32n);
    this.#lsnLow = Number(open.lastLsn & 0xffff_ffffn);
    this.#ordinal = open.lastOrdinal;
  }

  run(): IndexedChunk {
    const data = this.#data;
    let offset = 0;
    while (offset < data.length) {
      const end = offset + (offset + FRAME.message < data.length ? frameBytes(data, offset) : Infinity);
      if (end > data.length) throw new PgoutputError(`chunk ${this.#header.id} ends inside a frame`);
      this.#frame(offset, end);
      offset = end;
    }
    let arrays = 0;
    for (const changes of this.#relations.values()) arrays += changes.finish();
    return {
      id: this.#header.id,
      data,
      backfill: this.#header.backfill === null ? null : uuidBytes(this.#header.backfill.id),
      transactions: this.#transactions,
      relations: this.#relations,
      bytes: data.length + arrays,
    };
  }

  #frame(offset: number, end: number): void {
    const data = this.#data;
    const at = offset + FRAME.message;
    switch (data.readUInt8(at)) {
      case TAG.insert:
      case TAG.update:
      case TAG.delete:
        this.#count(offset);
        this.#add(data.readUInt32BE(at + 1), offset);
        this.#seq++;
        break;
      case TAG.begin:
        this.#begin(at);
        break;
      case TAG.relation:
        this.#define(this.#definitions.read(data, at, end));
        break;
      case TAG.truncate:
        this.#count(offset);
        for (let i = 0; i < data.readUInt32BE(at + 1); i++) this.#add(data.readUInt32BE(at + 6 + 4 * i), offset);
        this.#seq++;
        break;
      case TAG.commit:
      case TAG.type:
      case TAG.origin:
      case TAG.message:
        break;
      default:
        throw new PgoutputError(`chunk ${this.#header.id}: unknown message ${data[at]}`);
    }
  }

  #begin(at: number): void {
    const { commitLsn, commitTimeMicros, xid } = readBegin(this.#data, at);
    this.#transactions.push(new Transaction(commitLsn, commitTimeMicros, xid));
    this.#seq = 0;
    this.#lsnHigh = 0;
    this.#lsnLow = 0;
    this.#ordinal = -1;
  }

  #define(relation: Relation): void {
    let changes = this.#relations.get(relation.oid);
    if (!changes) {
      changes = new RelationChanges(0);
      this.#relations.set(relation.oid, changes);
    }
    changes.define(relation);
  }

  /** Moves the ordinal on: the change's place among those of the same LSN. */
  #count(offset: number): void {
    const high = this.#data.readUInt32BE(offset + FRAME.startLsn);
    const low = this.#data.readUInt32BE(offset + FRAME.startLsn + 4);
    this.#ordinal = high === this.#lsnHigh && low === this.#lsnLow ? this.#ordinal + 1 : 0;
    this.#lsnHigh = high;
    this.#lsnLow = low;
  }

  #add(oid: number, offset: number): void {
    if (oid !== this.#lastOid || this.#lastChanges === null) {
      this.#lastOid = oid;
      this.#lastChanges = this.#relations.get(oid) ?? null;
      if (this.#lastChanges === null || !this.#lastChanges.defined) {
        throw new PgoutputError(`chunk ${this.#header.id} has a change of relation ${oid} and no definition of it`);
      }
    }
    if (this.#transactions.length === 0) {
      throw new PgoutputError(`chunk ${this.#header.id} has a change outside of a transaction`);
    }
    this.#lastChanges.add(offset, this.#seq, this.#ordinal, this.#transactions.length - 1);
  }
}
