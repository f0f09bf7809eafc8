import type Database from 'better-sqlite3';

/*
  delivery.db: how far each stream has come. A file of its own, so that delivery's commits do not wait for capture's.

  A position is 20 bytes: Int64(commit LSN) Int64(LSN) Int32(ordinal), big-endian, so that bytes compare as positions do.
  `cursor` is one; `acknowledged` is first and last of each range beyond it; `members` of a retry are its events' in order.
  Times are milliseconds since 1970.
*/

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE streams (
     stream_id TEXT PRIMARY KEY,
     cursor BLOB,
     acknowledged BLOB NOT NULL,
     last_batch_id INTEGER NOT NULL,
     events_delivered INTEGER NOT NULL,
     events_failed INTEGER NOT NULL,
     events_retried INTEGER NOT NULL,
     dead_letters INTEGER NOT NULL,
     last_event_at INTEGER,
     last_delivery_at INTEGER,
     last_http_status INTEGER,
     last_error TEXT,
     last_error_at INTEGER,
     halted_reason TEXT
   ) STRICT;
   CREATE TABLE retries (
     stream_id TEXT NOT NULL,
     batch_id INTEGER NOT NULL,
     attempts INTEGER NOT NULL,
     transient_failures INTEGER NOT NULL,
     rejections INTEGER NOT NULL,
     first_attempt_at INTEGER NOT NULL,
     due_at INTEGER NOT NULL,
     members BLOB NOT NULL,
     PRIMARY KEY (stream_id, batch_id)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE dead_letters (
     stream_id TEXT NOT NULL,
     event_id TEXT NOT NULL,
     position BLOB NOT NULL,
     schema_name TEXT NOT NULL,
     table_name TEXT NOT NULL,
     key TEXT NOT NULL,
     payload BLOB NOT NULL,
     reason TEXT NOT NULL,
     attempts INTEGER NOT NULL,
     last_status INTEGER,
     first_attempt_at INTEGER,
     died_at INTEGER NOT NULL,
     PRIMARY KEY (stream_id, event_id)
   ) STRICT;`,
  `ALTER TABLE streams ADD COLUMN events_filtered INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE streams ADD COLUMN filter_doubts INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE streams ADD COLUMN last_filter_doubt TEXT;`,
  `ALTER TABLE streams ADD COLUMN circuit_origin TEXT;
   ALTER TABLE streams ADD COLUMN circuit_state TEXT NOT NULL DEFAULT 'closed';
   ALTER TABLE streams ADD COLUMN circuit_opened_at INTEGER;
   ALTER TABLE streams ADD COLUMN circuit_next_probe_at INTEGER;
   ALTER TABLE streams ADD COLUMN circuit_failed_probes INTEGER NOT NULL DEFAULT 0;
   -- Keys that had a dead letter and go on: the next event of each says so.
   CREATE TABLE key_marks (
     stream_id TEXT NOT NULL,
     table_oid INTEGER NOT NULL,
     lane TEXT NOT NULL,
     event_id TEXT NOT NULL,
     PRIMARY KEY (stream_id, table_oid, lane)
   ) STRICT, WITHOUT ROWID;
   ALTER TABLE dead_letters ADD COLUMN op TEXT NOT NULL DEFAULT '';
   ALTER TABLE dead_letters ADD COLUMN table_oid INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE dead_letters ADD COLUMN key_shape TEXT NOT NULL DEFAULT '';
   ALTER TABLE dead_letters ADD COLUMN lane TEXT;
   ALTER TABLE dead_letters ADD COLUMN second_lane TEXT;
   ALTER TABLE dead_letters ADD COLUMN barrier INTEGER NOT NULL DEFAULT 0;
   -- Its key waits for what becomes of it.
   ALTER TABLE dead_letters ADD COLUMN blocks_key INTEGER NOT NULL DEFAULT 0;`,
  `ALTER TABLE dead_letters ADD COLUMN relation_oid INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE dead_letters ADD COLUMN commit_ms INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE dead_letters ADD COLUMN thin BLOB;
   -- All of its members are acknowledged or dead; the cursor does not say so yet.
   ALTER TABLE retries ADD COLUMN finished INTEGER NOT NULL DEFAULT 0;
   -- It is being sent again.
   ALTER TABLE dead_letters ADD COLUMN retrying INTEGER NOT NULL DEFAULT 0;
   -- Events that wait behind a key that fails, and the ones that fail: the cursor has passed them.
   CREATE TABLE parked (
     stream_id TEXT NOT NULL,
     seq INTEGER NOT NULL,
     event_id TEXT NOT NULL,
     position BLOB NOT NULL,
     commit_ms INTEGER NOT NULL,
     relation_oid INTEGER NOT NULL,
     schema_name TEXT NOT NULL,
     table_name TEXT NOT NULL,
     op TEXT NOT NULL,
     key TEXT NOT NULL,
     payload BLOB NOT NULL,
     thin BLOB,
     table_oid INTEGER NOT NULL,
     key_shape TEXT NOT NULL,
     lane TEXT,
     second_lane TEXT,
     barrier INTEGER NOT NULL,
     PRIMARY KEY (stream_id, seq)
   ) STRICT;
   CREATE INDEX parked_by_lane ON parked (stream_id, table_oid, lane, seq);
   CREATE INDEX parked_by_position ON parked (stream_id, position);`,
  `-- The last attempts that failed.
   CREATE TABLE attempts (
     stream_id TEXT NOT NULL,
     attempt_id INTEGER NOT NULL,
     event_ids TEXT NOT NULL,
     events INTEGER NOT NULL,
     attempt INTEGER NOT NULL,
     started_at INTEGER NOT NULL,
     duration_ms REAL NOT NULL,
     http_status INTEGER,
     outcome TEXT NOT NULL,
     error TEXT,
     excerpt TEXT,
     next_retry_at INTEGER,
     PRIMARY KEY (stream_id, attempt_id)
   ) STRICT;
   ALTER TABLE streams ADD COLUMN events_discarded INTEGER NOT NULL DEFAULT 0;`,
  `-- Events up to this position are sent again because somebody has asked for it, and say so.
   CREATE TABLE replays (stream_id TEXT PRIMARY KEY, until BLOB NOT NULL) STRICT;`,
  `-- The columns that a table had where the stream has read it: JSON, for streams that are to be told when they change.
   CREATE TABLE shapes (
     stream_id TEXT NOT NULL,
     relation_oid INTEGER NOT NULL,
     state TEXT NOT NULL,
     PRIMARY KEY (stream_id, relation_oid)
   ) STRICT, WITHOUT ROWID;`,
  `-- Of an event that is two values, which have a key each.
   ALTER TABLE dead_letters ADD COLUMN old_key TEXT;
   ALTER TABLE parked ADD COLUMN old_key TEXT;`,
  `ALTER TABLE attempts ADD COLUMN error_code TEXT;
   ALTER TABLE attempts ADD COLUMN dns_ms REAL;
   ALTER TABLE attempts ADD COLUMN connect_ms REAL;
   ALTER TABLE attempts ADD COLUMN tls_ms REAL;
   ALTER TABLE attempts ADD COLUMN first_byte_ms REAL;
   ALTER TABLE dead_letters ADD COLUMN last_excerpt TEXT;
   ALTER TABLE streams ADD COLUMN throttled_until INTEGER NOT NULL DEFAULT 0;`,
  `-- What is sent of an event in another format than JSON, with its schemas.
   ALTER TABLE dead_letters ADD COLUMN messages BLOB;
   ALTER TABLE parked ADD COLUMN messages BLOB;`,
];

/** Brings the file to the newest version. Throws where it is of a later one. */
export function migrate(db: Database.Database): void {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > MIGRATIONS.length) {
    throw new Error(`delivery.db is of version ${version}; this walhook knows ${MIGRATIONS.length} at most`);
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    db.transaction(() => {
      db.exec(MIGRATIONS[next]!);
      db.pragma(`user_version = ${next + 1}`);
    })();
  }
}
