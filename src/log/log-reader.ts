import Database from 'better-sqlite3';
import { comparePositions, type Position } from '../model/change.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { HEADER_COLUMNS, lastOf, rowToHeader, type HeaderRow } from './chunk-rows.ts';
import type { Chunk, ChunkHeader } from './chunk.ts';
import { limitCache } from './schema.ts';

/** Relation messages kept in memory; the oldest goes first. */
const CACHED_RELATIONS = 1_000;
const BUSY_TIMEOUT_MS = 5_000;

/**
 * The change log's reading end, with a connection of its own: for another thread than the writer's, which it neither
 * blocks nor waits for. Sees durable chunks only. Every call is synchronous, and sees what was committed when it began.
 */
export class LogReader {
  readonly #db: Database.Database;
  readonly #headers: Database.Statement;
  readonly #chunk: Database.Statement;
  readonly #bounds: Database.Statement;
  readonly #position: Database.Statement;
  readonly #relation: Database.Statement;
  readonly #firstCommit: Database.Statement;
  readonly #relations = new Map<number, Buffer>();

  private constructor(db: Database.Database) {
    const columns = HEADER_COLUMNS.join(', ');
    this.#db = db;
    this.#headers = db.prepare(`SELECT ${columns} FROM chunk WHERE id >= ? ORDER BY id LIMIT ?`).safeIntegers();
    this.#chunk = db.prepare(`SELECT ${columns}, data FROM chunk WHERE id = ?`).safeIntegers();
    this.#bounds = db.prepare('SELECT min(id) AS first, max(id) AS last FROM chunk');
    this.#position = db
      .prepare('SELECT last_commit_lsn, last_lsn, last_ordinal FROM chunk WHERE id = ?')
      .safeIntegers();
    this.#firstCommit = db
      .prepare(
        `SELECT id, first_commit_micros AS micros FROM chunk
          WHERE id >= ? AND first_commit_micros IS NOT NULL ORDER BY id LIMIT 1`,
      )
      .safeIntegers();
    this.#relation = db.prepare('SELECT message FROM relation WHERE version = ?');
  }

  /** Opens the log that a `ChangeLog` has made at `path`. */
  static open(path: string): LogReader {
    const db = new Database(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    limitCache(db);
    return new LogReader(db);
  }

  close(): void {
    this.#db.close();
  }

  /** The newest durable chunk's id; 0 where there is none. */
  lastId(): number {
    return this.#ends().last;
  }

  /** At most `limit` headers in order, from `chunkId` or the first chunk after it. */
  headersFrom(chunkId: number, limit: number): ChunkHeader[] {
    return (this.#headers.all(chunkId, limit) as HeaderRow[]).map(rowToHeader);
  }

  /** The chunk, or null where it was trimmed or is not there yet. */
  read(id: number): Chunk | null {
    const row = this.#chunk.get(id) as (HeaderRow & { readonly data: Buffer }) | undefined;
    if (row === undefined) return null;
    const header = rowToHeader(row);
    const relationMessages = new Map<number, Buffer>();
    for (const { version } of header.relations) {
      if (version !== null) relationMessages.set(version, this.#relationMessage(version));
    }
    return { header, data: row.data, relationMessages };
  }

  /**
   * The first chunk with a change behind `position` (or any change, where that is null) of a transaction that commits
   * at or after `startLsn`; null where there is none yet. Chunks' last positions ascend, so this looks at a few rows
   * however long the log is.
   */
  firstChunkEndingAfter(position: Position | null, startLsn: Lsn): number | null {
    // One snapshot, so that no trimming moves the ground in between.
    return this.#db.transaction(() => {
      const ends = this.#ends();
      if (ends.last === 0) return null;
      let low = ends.first;
      let high = ends.last + 1;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        if (this.#endsAfter(middle, position, startLsn)) high = middle;
        else low = middle + 1;
      }
      return low > ends.last ? null : low;
    })();
  }

  /** The first chunk whose first change committed at or after `micros` (since 1970); null where there is none. */
  firstChunkAt(micros: bigint): number | null {
    return this.#db.transaction(() => {
      const ends = this.#ends();
      let low = ends.first;
      let high = ends.last + 1;
      if (ends.last === 0) return null;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        // Some chunks have no change: the next that has one speaks for them.
        const next = this.#firstCommit.get(middle) as { id: bigint; micros: bigint } | undefined;
        if (next === undefined || next.micros >= micros) high = middle;
        else low = Number(next.id) + 1;
      }
      return low > ends.last ? null : low;
    })();
  }

  #endsAfter(chunkId: number, position: Position | null, startLsn: Lsn): boolean {
    const last = lastOf(this.#position.get(chunkId) as HeaderRow);
    if (last === null || last.commitLsn < startLsn) return false;
    return position === null || comparePositions(last, position) > 0;
  }

  #ends(): { first: number; last: number } {
    const { first, last } = this.#bounds.get() as { first: number | null; last: number | null };
    return { first: first ?? 0, last: last ?? 0 };
  }

  #relationMessage(version: number): Buffer {
    const cached = this.#relations.get(version);
    if (cached) return cached;
    const { message } = this.#relation.get(version) as { message: Buffer };
    for (const oldest of this.#relations.keys()) {
      if (this.#relations.size < CACHED_RELATIONS) break;
      this.#relations.delete(oldest);
    }
    this.#relations.set(version, message);
    return message;
  }
}
