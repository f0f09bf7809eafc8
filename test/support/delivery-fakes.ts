import type { ChunkSource } from '../../src/delivery/chunk-source.ts';
import type { Chunk, ChunkHeader } from '../../src/log/chunk.ts';
import { comparePositions, type Position } from '../../src/model/change.ts';
import type { StreamDefinition } from '../../src/model/stream.ts';
import { DEFAULT_STREAM_OPTIONS, type StreamOptions } from '../../src/model/stream-options.ts';
import { exampleStream } from './example-stream.ts';

/** A log in memory. */
export class MemoryChunkSource implements ChunkSource {
  readonly #chunks: Chunk[];
  /** Only so many chunks are visible: the others are not durable yet. */
  visible: number;

  constructor(chunks: Chunk[], visible = chunks.length) {
    this.#chunks = chunks;
    this.visible = visible;
  }

  headersFrom(chunkId: number, limit: number): readonly ChunkHeader[] {
    return this.#chunks
      .slice(Math.max(0, chunkId - 1), Math.min(this.visible, chunkId - 1 + limit))
      .map(({ header }) => header);
  }

  firstChunkEndingAfter(position: Position | null, startLsn: bigint): number | null {
    const found = this.#chunks.slice(0, this.visible).find(({ header: { last } }) => {
      if (last === null) return false;
      return position === null ? last.commitLsn >= startLsn : comparePositions(last, position) > 0;
    });
    return found?.header.id ?? null;
  }

  firstChunkAt(micros: bigint): number | null {
    const found = this.#chunks
      .slice(0, this.visible)
      .find(({ header }) => header.firstCommitMicros !== null && header.firstCommitMicros >= micros);
    return found?.header.id ?? null;
  }

  read(id: number): Chunk | null {
    return id <= this.visible ? (this.#chunks[id - 1] ?? null) : null;
  }

  lastId(): number {
    return this.visible;
  }
}

export function streamDefinition(
  changes: Partial<Omit<StreamDefinition, 'options'>> & { readonly options?: Partial<StreamOptions> } = {},
): StreamDefinition {
  return exampleStream({
    id: '5d0a6c1e-8f0b-4a43-9d1c-3a52a5f0a001',
    database: 'shop',
    source: { systemId: '7312345678901234567', databaseOid: 16_384 },
    tables: [{ oid: 16_400, schema: 'public', name: 'orders', keyColumns: ['id'], columns: null, where: null }],
    owner: 'alice',
    createdAtMs: 0,
    ...changes,
    options: { ...DEFAULT_STREAM_OPTIONS, ...changes.options },
  });
}
