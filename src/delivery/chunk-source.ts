import type { Position } from '../model/change.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { Chunk, ChunkHeader } from '../log/chunk.ts';

/** What delivery needs of the log's reader. Only durable chunks are seen through it. All calls are synchronous and short. */
export interface ChunkSource {
  /** Headers of up to `limit` chunks from `chunkId` on, ascending; fewer only at the end of the log. */
  headersFrom(chunkId: number, limit: number): readonly ChunkHeader[];
  /**
   * The first chunk that may hold a change after `position` (null: of any position) whose transaction committed at or
   * after `startLsn`; null where no chunk does yet.
   */
  firstChunkEndingAfter(position: Position | null, startLsn: Lsn): number | null;
  /** The first chunk whose first change committed at or after `micros` (since 1970); null where there is none. */
  firstChunkAt(micros: bigint): number | null;
  /** Null where the chunk was trimmed or is not there yet. */
  read(id: number): Chunk | null;
  /** The last chunk's id; 0 before the first. */
  lastId(): number;
}
