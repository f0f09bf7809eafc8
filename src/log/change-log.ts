import Database from 'better-sqlite3';
import type { BackfillOf } from '../model/backfill.ts';
import type { Position, SourceIdentity } from '../model/change.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { HEADER_COLUMNS, headerToRow, rowToHeader, type HeaderRow } from './chunk-rows.ts';
import { openAtEnd } from './chunk-end.ts';
import type { ChunkHeader, ChunkRelation, CommitMark, OpenTransaction } from './chunk.ts';
import { prepareForWriting } from './schema.ts';

/** A relation that a chunk to be appended names. */
export interface DraftRelation {
  readonly oid: number;
  /** The Relation message that holds where the chunk begins; null where the chunk brings its own before the first use. */
  readonly definition: Buffer | null;
  readonly changes: number;
}

/** A chunk to be appended: the fields of `ChunkHeader` that its maker knows. */
export interface ChunkDraft {
  readonly open: OpenTransaction | null;
  readonly last: Position | null;
  readonly confirmLsn: Lsn;
  readonly firstCommitMicros: bigint | null;
  /** The last transaction that ends in the chunk; null where none does. */
  readonly lastCommit: CommitMark | null;
  readonly relations: readonly DraftRelation[];
  readonly backfill?: BackfillOf | null;
  readonly changes: number;
  readonly data: Buffer;
}

export interface AppendedChunk {
  readonly header: ChunkHeader;
  readonly relationMessages: ReadonlyMap<number, Buffer>;
}

/** Where the log ends: what comes next continues exactly there. */
export interface LogEnd {
  /** 0 where there is no chunk. */
  readonly lastId: number;
  readonly last: Position | null;
  /** The transaction that is logged in part, or null. */
  readonly open: OpenTransaction | null;
  /** Everything before it is dealt with, durably; 0 where nothing was ever captured. */
  readonly confirmLsn: Lsn;
}

export interface LogSize {
  readonly bytes: number;
  readonly chunks: number;
}

/** Chunks that one `trimBefore` removes at most: some 16 MiB, a few milliseconds. */
const TRIM_CHUNKS = 64;
/** Free pages kept in the file for what comes next (64 MiB); those beyond go back to the file system. */
const FREE_PAGES_KEPT = 2_048;
/** Pages that one `trimBefore` gives back at most. */
const VACUUM_PAGES = 64;
/** Of the newest chunks, whether they are there still or not: a server sends again what came after its last checkpoint. */
const COMMIT_MARKS_KEPT = 20_000;

interface NewestRelation {
  readonly version: number;
  readonly message: Buffer;
}

/**
 * The change log's writing end; there is one, on the capture thread. Every call is synchronous and blocks its thread for
 * as long as the disk takes. The newest chunk is never removed: it says where the log ends.
 */
export class ChangeLog {
  readonly #db: Database.Database;
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #insertChunk: Database.Statement;
  readonly #insertRelation: Database.Statement;
  readonly #insertMark: Database.Statement;
  readonly #size: Database.Statement;
  #newestRelations: Map<number, NewestRelation>;
  #firstId: number;
  #lastId: number;
  /** Chunks wait for `commit`. */
  #hasAppended = false;

  private constructor(db: Database.Database) {
    this.#db = db;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    const columns = [...HEADER_COLUMNS, 'data'];
    this.#insertChunk = db.prepare(
      `INSERT INTO chunk (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
    );
    this.#insertRelation = db.prepare('INSERT INTO relation (oid, message) VALUES (?, ?)');
    this.#insertMark = db.prepare(
      'INSERT OR IGNORE INTO commit_mark (commit_lsn, commit_micros, xid) VALUES (?, ?, ?)',
    );
    this.#size = db.prepare(
      `SELECT (page_count - freelist_count) * page_size AS bytes
         FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()`,
    );
    this.#newestRelations = new Map();
    this.#firstId = 0;
    this.#lastId = 0;
    this.#load();
  }

  /** Opens the log at `path`, made where there is none. Throws `LogFormatError`, and what SQLite throws. */
  static open(path: string): ChangeLog {
    const db = new Database(path);
    try {
      prepareForWriting(db);
      return new ChangeLog(db);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#db.open;
  }

  close(): void {
    this.#db.close();
  }

  /** Where the log ends, read from the file: for when a connection begins, not for every row. */
  end(): LogEnd {
    const source = this.#db.prepare('SELECT confirm_lsn FROM source').safeIntegers().get() as { confirm_lsn: bigint };
    const row = this.#db.prepare('SELECT * FROM chunk ORDER BY id DESC LIMIT 1').safeIntegers().get();
    if (row === undefined) return { lastId: 0, last: null, open: null, confirmLsn: source.confirm_lsn };
    const header = rowToHeader(row as HeaderRow);
    return {
      lastId: header.id,
      last: header.last,
      open: openAtEnd(header.open, (row as { data: Buffer }).data),
      confirmLsn: header.confirmLsn > source.confirm_lsn ? header.confirmLsn : source.confirm_lsn,
    };
  }

  /** Adds a chunk, which `commit` then makes durable with the others since the last one. The data is copied. */
  append(draft: ChunkDraft): AppendedChunk {
    try {
      return this.#append(draft);
    } catch (error) {
      // A failed statement may have taken the transaction with it: what is remembered must be what the file has.
      this.rollback();
      throw error;
    }
  }

  #append(draft: ChunkDraft): AppendedChunk {
    if (!this.#db.inTransaction) this.#begin.run();
    this.#hasAppended = true;
    const relationMessages = new Map<number, Buffer>();
    const relations = draft.relations.map(({ oid, definition, changes }): ChunkRelation => {
      if (definition === null) return { oid, version: null, changes };
      const version = this.#versionOf(oid, definition);
      relationMessages.set(version, definition);
      return { oid, version, changes };
    });
    const header: ChunkHeader = {
      id: this.#lastId + 1,
      open: draft.open,
      last: draft.last,
      confirmLsn: draft.confirmLsn,
      firstCommitMicros: draft.firstCommitMicros,
      relations,
      backfill: draft.backfill ?? null,
      changes: draft.changes,
      bytes: draft.data.length,
    };
    this.#insertChunk.run(...headerToRow(header), draft.data);
    const { lastCommit } = draft;
    if (lastCommit !== null) {
      this.#insertMark.run(lastCommit.commitLsn, lastCommit.commitTimeMicros, lastCommit.xid);
    }
    this.#lastId = header.id;
    if (this.#firstId === 0) this.#firstId = header.id;
    return { header, relationMessages };
  }

  /** How far each backfill is, by its id; as whoever saved it wrote it. */
  backfills(): ReadonlyMap<string, string> {
    const rows = this.#db.prepare('SELECT id, state FROM backfill ORDER BY id').all() as {
      id: string;
      state: string;
    }[];
    return new Map(rows.map(({ id, state }) => [id, state]));
  }

  /** Becomes durable with the chunks that were appended before, or at once where there are none. */
  saveBackfill(id: string, state: string): void {
    this.#db
      .prepare('INSERT INTO backfill VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state')
      .run(id, state);
  }

  removeBackfill(id: string): void {
    this.#db.prepare('DELETE FROM backfill WHERE id = ?').run(id);
  }

  /** How the publication had its tables when that was last looked at, as whoever saved it wrote it; null: never. */
  published(): string | null {
    return (this.#db.prepare('SELECT published FROM source').get() as { published: string | null }).published;
  }

  /** Becomes durable with the chunks that were appended before, or at once where there are none. */
  savePublished(state: string): void {
    this.#db.prepare('UPDATE source SET published = ?').run(state);
  }

  /** Gaps that are still to be dealt with, by their ids; as whoever saved them wrote them. */
  gaps(): ReadonlyMap<string, string> {
    const rows = this.#db.prepare('SELECT id, state FROM gap ORDER BY rowid').all() as { id: string; state: string }[];
    return new Map(rows.map(({ id, state }) => [id, state]));
  }

  /** Becomes durable with the chunks that were appended before, or at once where there are none. */
  saveGap(id: string, state: string): void {
    this.#db
      .prepare('INSERT INTO gap VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state')
      .run(id, state);
  }

  removeGap(id: string): void {
    this.#db.prepare('DELETE FROM gap WHERE id = ?').run(id);
  }

  /** Makes everything appended durable; nothing of it is there if this throws. */
  commit(): void {
    if (!this.#hasAppended) return;
    try {
      // SQLite rolls back by itself when the disk is full; COMMIT then fails, as it must.
      this.#commit.run();
      this.#hasAppended = false;
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  /** Takes back what was appended since the last commit. */
  rollback(): void {
    this.#hasAppended = false;
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
    this.#load();
  }

  /** Records, durably, that everything before `lsn` is dealt with though no chunk says so. Never goes back. */
  confirm(lsn: Lsn): void {
    this.#db.prepare('UPDATE source SET confirm_lsn = ? WHERE confirm_lsn < ?').run(lsn, lsn);
  }

  /** The server and database whose changes these are; null before `bindSource`. */
  source(): SourceIdentity | null {
    const row = this.#db.prepare('SELECT system_id, database_oid FROM source').get() as {
      system_id: string | null;
      database_oid: number | null;
    };
    if (row.system_id === null || row.database_oid === null) return null;
    return { systemId: row.system_id, databaseOid: row.database_oid };
  }

  bindSource({ systemId, databaseOid }: SourceIdentity): void {
    this.#db.prepare('UPDATE source SET system_id = ?, database_oid = ?').run(systemId, databaseOid);
  }

  /** The server's timeline when it was last streamed from; null before. */
  timeline(): number | null {
    return (this.#db.prepare('SELECT timeline FROM source').get() as { timeline: number | null }).timeline;
  }

  /** Null: whatever the server is on when it is streamed from next. */
  setTimeline(timeline: number | null): void {
    if (timeline !== this.timeline()) this.#db.prepare('UPDATE source SET timeline = ?').run(timeline);
  }

  /**
   * Transactions that the log has, or had, with a commit from `from` on and before `to`, ascending: not all of them, but
   * the last. Null where there is no knowledge of any.
   */
  commitMarks(from: Lsn, to: Lsn): CommitMark[] | null {
    if (this.#db.prepare('SELECT 1 FROM commit_mark LIMIT 1').get() === undefined) return null;
    const rows = this.#db
      .prepare('SELECT * FROM commit_mark WHERE commit_lsn >= ? AND commit_lsn < ? ORDER BY commit_lsn')
      .safeIntegers()
      .all(from, to) as { commit_lsn: bigint; commit_micros: bigint; xid: bigint }[];
    return rows.map((row) => ({
      commitLsn: row.commit_lsn,
      commitTimeMicros: row.commit_micros,
      xid: Number(row.xid),
    }));
  }

  /**
   * Removes chunks before `chunkId`, a bounded number of them, and gives some free space back to the file system.
   * Returns how many it removed: fewer than were asked for means that there is more to do.
   */
  trimBefore(chunkId: number): number {
    // Not within a transaction of chunks: a failure here must not take them with it.
    if (this.#db.inTransaction) return 0;
    const until = Math.min(chunkId, this.#lastId, this.#firstId + TRIM_CHUNKS);
    let removed = 0;
    if (this.#firstId > 0 && until > this.#firstId) {
      removed = this.#db.prepare('DELETE FROM chunk WHERE id < ?').run(until).changes;
      this.#firstId = until;
      this.#db
        .prepare(
          `DELETE FROM commit_mark WHERE commit_lsn <
             (SELECT commit_lsn FROM commit_mark ORDER BY commit_lsn DESC LIMIT 1 OFFSET ${COMMIT_MARKS_KEPT})`,
        )
        .run();
    }
    const free = this.#db.pragma('freelist_count', { simple: true }) as number;
    const excess = Math.min(free - FREE_PAGES_KEPT, VACUUM_PAGES);
    if (excess > 0) this.#db.pragma(`incremental_vacuum(${excess})`);
    return removed;
  }

  /** Forgets everything, the position and the source included: for a slot that begins anew. */
  reset(): void {
    this.rollback();
    this.#db
      .transaction(() => {
        this.#db.exec(`
          DELETE FROM chunk;
          DELETE FROM relation;
          DELETE FROM commit_mark;
          DELETE FROM backfill;
          DELETE FROM gap;
          UPDATE source SET system_id = NULL, database_oid = NULL, timeline = NULL, confirm_lsn = 0,
            published = NULL;
        `);
      })
      .immediate();
    this.#load();
  }

  /** Bytes of the file in use, and the number of chunks. */
  size(): LogSize {
    const { bytes } = this.#size.get() as { bytes: number };
    return {
      bytes,
      chunks: this.#firstId === 0 ? 0 : this.#lastId - this.#firstId + 1,
    };
  }

  /** The row that defines `oid` by `message`: the newest one of that oid if it says the same, otherwise a new one. */
  #versionOf(oid: number, message: Buffer): number {
    const newest = this.#newestRelations.get(oid);
    if (newest?.message.equals(message)) return newest.version;
    const version = Number(this.#insertRelation.run(oid, message).lastInsertRowid);
    this.#newestRelations.set(oid, { version, message });
    return version;
  }

  #load(): void {
    const ids = this.#db.prepare('SELECT min(id) AS first, max(id) AS last FROM chunk').get() as {
      first: number | null;
      last: number | null;
    };
    this.#firstId = ids.first ?? 0;
    this.#lastId = ids.last ?? 0;
    const newest = this.#db
      .prepare(
        'SELECT oid, version, message FROM relation WHERE version IN (SELECT max(version) FROM relation GROUP BY oid)',
      )
      .all() as (NewestRelation & { oid: number })[];
    this.#newestRelations = new Map(newest.map(({ oid, version, message }) => [oid, { version, message }]));
  }
}
