import type { ChunkHeader } from '../log/chunk.ts';
import type { Position } from '../model/change.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { type IndexedChunk, indexChunk, RelationCache } from './chunk-index.ts';
import type { ChunkSource } from './chunk-source.ts';
import { Deque } from './deque.ts';

/** Indexed chunks, and tail chunks not indexed yet, kept for the next stream that asks. */
export const CHUNK_CACHE_BYTES = 2 * 1024 * 1024;

interface TailChunk {
  readonly header: ChunkHeader;
  readonly data: Buffer;
  readonly relationMessages: ReadonlyMap<number, Buffer>;
}

/**
 * The log as all streams see it: durable chunks from the source, later ones as capture hands them over, each indexed once
 * however many streams read it.
 */
export class ChunkFeed {
  readonly #source: ChunkSource;
  readonly #relations = new RelationCache();
  readonly #indexed = new Map<number, IndexedChunk>();
  readonly #tail = new Map<number, TailChunk>();
  /** Headers of chunks that are appended and not durable yet: bounded by what capture leaves unsynced. */
  readonly #recent = new Deque<ChunkHeader>();
  #bytes = 0;
  #durableId: number;
  #lastId: number;
  #durableEnd: Position | null = null;

  constructor(source: ChunkSource) {
    this.#source = source;
    this.#durableId = source.lastId();
    this.#lastId = this.#durableId;
  }

  /** Of the last chunk appended, durable or not. */
  get lastId(): number {
    return this.#lastId;
  }

  get durableId(): number {
    return this.#durableId;
  }

  /** Position of the last change in a durable chunk, as far as was heard. */
  get durableEnd(): Position | null {
    return this.#durableEnd;
  }

  /** `keep`: some stream will ask for the data. */
  append(
    header: ChunkHeader,
    data: Buffer | null,
    relationMessages: ReadonlyMap<number, Buffer> | null,
    keep: boolean,
  ): void {
    this.#lastId = header.id;
    this.#recent.push(header);
    if (!keep || data === null || relationMessages === null) return;
    this.#tail.set(header.id, { header, data, relationMessages });
    this.#bytes += data.length;
    this.#evict();
  }

  durable(lastChunkId: number): void {
    this.#durableId = Math.max(this.#durableId, lastChunkId);
    this.#lastId = Math.max(this.#lastId, lastChunkId);
    for (let next = this.#recent.peek(); next !== undefined && next.id <= lastChunkId; next = this.#recent.peek()) {
      this.#recent.shift();
      if (next.last !== null) this.#durableEnd = next.last;
    }
  }

  headersFrom(chunkId: number, limit: number): readonly ChunkHeader[] {
    if (chunkId <= this.#durableId)
      return this.#source.headersFrom(chunkId, limit).filter(({ id }) => id <= this.#durableId);
    const headers: ChunkHeader[] = [];
    for (let i = 0; i < this.#recent.length && headers.length < limit; i++) {
      const header = this.#recent.at(i)!;
      if (header.id >= chunkId) headers.push(header);
    }
    return headers;
  }

  /** Where a stream starts to read; null: nothing there is for it, it waits for what comes. */
  firstChunkEndingAfter(position: Position | null, startLsn: Lsn): number | null {
    return this.#source.firstChunkEndingAfter(position, startLsn) ?? this.#recent.peek()?.id ?? null;
  }

  /** `later`: not readable until it is durable. `gone`: trimmed. */
  read(id: number): IndexedChunk | 'later' | 'gone' {
    const indexed = this.#indexed.get(id);
    if (indexed !== undefined) {
      this.#indexed.delete(id);
      this.#indexed.set(id, indexed);
      return indexed;
    }
    const tail = this.#tail.get(id);
    if (tail !== undefined) {
      // What a backfill has read comes again as something else where the log loses it; a change comes again as it is.
      if (tail.header.backfill !== null && id > this.#durableId) return 'later';
      this.#tail.delete(id);
      this.#bytes -= tail.data.length;
      return this.#keep(indexChunk(tail, this.#relations));
    }
    if (id > this.#durableId) return 'later';
    const chunk = this.#source.read(id);
    return chunk === null ? 'gone' : this.#keep(indexChunk(chunk, this.#relations));
  }

  #keep(chunk: IndexedChunk): IndexedChunk {
    this.#indexed.set(chunk.id, chunk);
    this.#bytes += chunk.bytes;
    this.#evict();
    return chunk;
  }

  /** The longest unused go first; indexed ones before those of the tail, which may not be readable yet. */
  #evict(): void {
    for (const [id, chunk] of this.#indexed) {
      if (this.#bytes <= CHUNK_CACHE_BYTES || this.#indexed.size === 1) break;
      this.#indexed.delete(id);
      this.#bytes -= chunk.bytes;
    }
    for (const [id, chunk] of this.#tail) {
      if (this.#bytes <= CHUNK_CACHE_BYTES) break;
      this.#tail.delete(id);
      this.#bytes -= chunk.data.length;
    }
  }
}
