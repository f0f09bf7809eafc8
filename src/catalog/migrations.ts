import { randomUUID } from 'node:crypto';
import type Database from 'better-sqlite3';
import { onlySlotNameOf } from './slot-name.ts';

/** The name of a captured database that no stream tells: see `Catalog.claimUnnamed`. */
export const UNNAMED_DATABASE = '';

type Migration = string | ((db: Database.Database) => void);

/** Forward only; the index of each is the version it leads to, less one. Never edit one that has been released. */
const MIGRATIONS: readonly Migration[] = [
  `CREATE TABLE instance (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE stream (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     definition TEXT NOT NULL
   ) STRICT;
   CREATE TABLE history (
     id INTEGER PRIMARY KEY,
     at_ms INTEGER NOT NULL,
     stream_name TEXT NOT NULL,
     actor TEXT NOT NULL,
     action TEXT NOT NULL
   ) STRICT;
   CREATE INDEX history_by_stream ON history (stream_name, id);`,
  `-- What is desired is the definition; what capture has made of it so far is in armed and unarmed_tables.
   -- JSON: {source, startLsn}. Null until capture is armed.
   ALTER TABLE stream ADD COLUMN armed TEXT;
   -- JSON: OIDs.
   ALTER TABLE stream ADD COLUMN unarmed_tables TEXT NOT NULL DEFAULT '[]';
   UPDATE stream SET armed = json_object(
     'source', json_extract(definition, '$.source'), 'startLsn', json_extract(definition, '$.startLsn'));
   CREATE TABLE endpoint (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, definition TEXT NOT NULL) STRICT;
   -- Values are encrypted inside the record; see SecretCipher.
   CREATE TABLE secret (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT;
   -- Changes of upstream transactions that have not ended yet. JSON: {effects, locks}.
   CREATE TABLE staged (
     xid TEXT NOT NULL,
     ordinal INTEGER NOT NULL,
     change TEXT NOT NULL,
     PRIMARY KEY (xid, ordinal)
   ) STRICT, WITHOUT ROWID;
   ALTER TABLE history RENAME COLUMN stream_name TO name;
   ALTER TABLE history ADD COLUMN object TEXT NOT NULL DEFAULT 'stream';
   ALTER TABLE history ADD COLUMN detail TEXT;
   DROP INDEX history_by_stream;
   CREATE INDEX history_by_object ON history (object, name, id);`,
  `-- What was called so then; a name that is changed does not part it from its history.
   ALTER TABLE history ADD COLUMN object_id TEXT;
   CREATE INDEX history_by_id ON history (object, object_id, id);`,
  captureSeveralDatabases,
];

/** There was one database, and whether it is captured was a fact; its slot keeps its name. */
function captureSeveralDatabases(db: Database.Database): void {
  db.exec(`
    -- A row while a slot and a publication of ours may exist in it. open_gap: JSON, or NULL.
    CREATE TABLE captured_database (
      name TEXT PRIMARY KEY,
      slot_name TEXT NOT NULL UNIQUE,
      open_gap TEXT
    ) STRICT, WITHOUT ROWID`);
  const fact = db.prepare<[string], string>('SELECT value FROM instance WHERE key = ?').pluck();
  if (fact.get('armed') === 'yes') {
    const stored = fact.get('instance_id');
    const instanceId = stored ?? randomUUID();
    if (stored === undefined) db.prepare("INSERT INTO instance VALUES ('instance_id', ?)").run(instanceId);
    const database = db
      .prepare<[], string>(`SELECT json_extract(definition, '$.database') FROM stream LIMIT 1`)
      .pluck();
    db.prepare(`INSERT INTO captured_database VALUES (?, ?, nullif(?, ''))`).run(
      database.get() ?? UNNAMED_DATABASE,
      onlySlotNameOf(instanceId),
      fact.get('open_gap') ?? '',
    );
  }
  db.exec(`DELETE FROM instance WHERE key IN ('armed', 'open_gap')`);
}

/** Brings the file to this version; refuses one that a newer walhook has written. */
export function migrateCatalog(db: Database.Database): void {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > MIGRATIONS.length) {
    throw new Error(
      `the catalog is of version ${version}, and this walhook knows versions up to ${MIGRATIONS.length}: use a newer walhook`,
    );
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    db.transaction(() => {
      const migration = MIGRATIONS[next]!;
      if (typeof migration === 'string') db.exec(migration);
      else migration(db);
      db.pragma(`user_version = ${next + 1}`);
    })();
  }
}
