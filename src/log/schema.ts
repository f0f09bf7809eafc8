import { existsSync } from 'node:fs';
import SqliteDatabase, { type Database } from 'better-sqlite3';

/** The file that holds the log, inside the data directory. */
export const LOG_FILE = 'log.db';

/** `PRAGMA application_id`: says "a walhook log" to whoever finds the file ("WHKL"). */
const APPLICATION_ID = 0x57484b4c;

/*
  256 KiB commits cost 0.5 ms with pages of 32 KiB and 0.8 ms with pages of 4 KiB: fewer pages to checksum and to chain.
  auto_vacuum = INCREMENTAL is what lets the file shrink a little at a time, and it makes deletes of long blobs cheap.
*/
const PAGE_BYTES = 32_768;

/** The write-ahead log goes into the file every 8 MiB: a pause of some 6 ms instead of 20 every 32 MiB. */
const CHECKPOINT_PAGES = (8 * 1024 * 1024) / PAGE_BYTES;

/*
  SQLite turns the cache's limit into a number of pages while it still takes pages for 4 KiB, so that with ours the
  default of 16 MB becomes 128 MB; said again once the file is open, it is what it says. Chunks are written once and read
  once or twice: a cache of 4 MiB serves both.
*/
const CACHE_KIB = 4_096;

/** Settings of any connection, once the file is open. */
export function limitCache(db: Database): void {
  db.pragma(`cache_size = -${CACHE_KIB}`);
}

/** Migration n takes the file from format n to n + 1. Never edit one that was released; add the next. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE source (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    system_id TEXT,
    database_oid INTEGER,
    -- Everything before this LSN is either in the log or of no interest: what may have been confirmed to Postgres.
    confirm_lsn INTEGER NOT NULL
  ) STRICT;
  INSERT INTO source (id, confirm_lsn) VALUES (1, 0);

  CREATE TABLE relation (
    version INTEGER PRIMARY KEY,
    oid INTEGER NOT NULL,
    -- A Relation message of pgoutput, tag included.
    message BLOB NOT NULL
  ) STRICT;

  -- The header's columns stand before the blob, so that reading them touches no overflow page.
  CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    open_commit_lsn INTEGER,
    open_commit_micros INTEGER,
    open_xid INTEGER,
    open_seq INTEGER,
    open_last_lsn INTEGER,
    open_last_ordinal INTEGER,
    last_commit_lsn INTEGER,
    last_lsn INTEGER,
    last_ordinal INTEGER,
    confirm_lsn INTEGER NOT NULL,
    first_commit_micros INTEGER,
    -- JSON: [[oid, version or null, changes], ...]
    relations TEXT NOT NULL,
    changes INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  `,
  `
  ALTER TABLE source ADD COLUMN timeline INTEGER;

  -- The last transaction that each chunk ends, longer than the chunk itself: what a server sends again is compared with it.
  CREATE TABLE commit_mark (
    commit_lsn INTEGER PRIMARY KEY,
    commit_micros INTEGER NOT NULL,
    xid INTEGER NOT NULL
  ) STRICT;
  `,
  `
  -- JSON: what the backfill is, and how far; saved with the chunk that has the rows.
  CREATE TABLE backfill (id TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
  `,
  `
  -- JSON: how the publication had each table when it was last found whole, and up to which LSN that is known.
  ALTER TABLE source ADD COLUMN published TEXT;

  -- JSON: a gap of some tables that has no place in the log yet, or of whose place nobody else has been told.
  CREATE TABLE gap (id TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
  `,
];

/** The log's file was written by a newer walhook, or by something else. */
export class LogFormatError extends Error {
  override readonly name = 'LogFormatError';
}

/** Settings of the writing connection, and the newest format. Throws `LogFormatError` for a file that is not ours. */
export function prepareForWriting(db: Database): void {
  const isNew = db.pragma('page_count', { simple: true }) === 0;
  if (isNew) {
    db.pragma(`page_size = ${PAGE_BYTES}`);
    db.pragma('auto_vacuum = INCREMENTAL');
  } else if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new LogFormatError(`${db.name} is not a log of walhook`);
  }
  db.pragma('journal_mode = WAL');
  // FULL: a commit is on disk when COMMIT returns, and only then is it confirmed to Postgres.
  db.pragma('synchronous = FULL');
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  limitCache(db);
  migrate(db);
}

/** What is wrong with a SQLite file; null: nothing. Undefined where there is no such file. */
export function checkFile(path: string): string | null | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const db = new SqliteDatabase(path, { readonly: true });
    try {
      const found = db.pragma('quick_check(1)', { simple: true }) as string;
      return found === 'ok' ? null : found;
    } finally {
      db.close();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function migrate(db: Database): void {
  const format = db.pragma('user_version', { simple: true }) as number;
  if (format > MIGRATIONS.length) {
    throw new LogFormatError(`${db.name} has format ${format}, this walhook knows up to ${MIGRATIONS.length}`);
  }
  db.transaction(() => {
    for (const sql of MIGRATIONS.slice(format)) db.exec(sql);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${MIGRATIONS.length}`);
  }).immediate();
}
