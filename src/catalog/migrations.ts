import type Database from 'better-sqlite3';

/** Forward only; the index of each is the version it leads to, less one. Never edit one that has been released. */
const MIGRATIONS: readonly string[] = [
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
];

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
      db.exec(MIGRATIONS[next]!);
      db.pragma(`user_version = ${next + 1}`);
    })();
  }
}
