import Database from 'better-sqlite3';
import { must } from '../base/assert.ts';
import type { SourceIdentity } from '../model/change.ts';
import type { EndpointDefinition } from '../model/endpoint.ts';
import type { Gap } from '../model/gap.ts';
import type { HistoryEntry, ObjectKind } from '../model/staged-change.ts';
import { formatLsn, parseLsn } from '../postgres/lsn.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { decodeDefinition, encodeDefinition } from './definition-json.ts';
import type { Lock } from './locks.ts';
import { migrateCatalog } from './migrations.ts';
import { type ArmedAt, type Effect, Objects, type SecretRecord, type StreamRecord } from './objects.ts';

/** History of one object that is kept; older entries go with the next one. */
export const MAX_HISTORY_ENTRIES = 1_000;

/** One staged change: what it does, and which names it keeps to itself until then. */
export interface StagedRow {
  readonly xid: string;
  readonly ordinal: number;
  readonly effects: readonly Effect[];
  readonly locks: readonly Lock[];
}

/** An upstream database for which a slot and a publication of ours may exist. */
export interface CapturedDatabaseRow {
  readonly name: string;
  readonly slotName: string;
  readonly openGap: Gap | null;
}

/** What the disk, the file or its lock does to a write: https://www.sqlite.org/rescode.html. Anything else is a bug of ours. */
const IO_CODES = /^SQLITE_(FULL|IOERR|READONLY|BUSY|LOCKED|CANTOPEN|CORRUPT|NOTADB|NOMEM)/;

function written<T>(write: () => T): T {
  try {
    return write();
  } catch (error) {
    if (!(error instanceof Database.SqliteError) || !IO_CODES.test(error.code)) throw error;
    throw new PgError('io_error', `the catalog cannot be written: ${error.message}`, {
      hint: 'Look after the disk of walhook’s data directory, and try again: nothing was changed.',
      cause: error,
    });
  }
}

/** The catalog's file: rows, and nothing of what they mean. */
export class CatalogStore {
  readonly #db: Database.Database;

  private constructor(db: Database.Database) {
    this.#db = db;
  }

  static open(path: string): CatalogStore {
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    // A value that was replaced or dropped is overwritten, encrypted as it was.
    db.pragma('secure_delete = ON');
    migrateCatalog(db);
    return new CatalogStore(db);
  }

  close(): void {
    this.#db.close();
  }

  /** All or nothing, and durable when it returns. 58030 where the file cannot be written. */
  transaction<T>(work: () => T): T {
    return written(() => this.#db.transaction(work).immediate());
  }

  /** Leaves no page of an earlier state in the files. */
  compact(): void {
    this.#db.exec('VACUUM');
    this.#db.pragma('wal_checkpoint(TRUNCATE)');
  }

  fact(key: string): string | null {
    return this.#db.prepare<[string], string>('SELECT value FROM instance WHERE key = ?').pluck().get(key) ?? null;
  }

  setFact(key: string, value: string): void {
    this.#db
      .prepare('INSERT INTO instance (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
      .run(key, value);
  }

  /** By name. */
  databases(): readonly CapturedDatabaseRow[] {
    return this.#db
      .prepare<[], { name: string; slot_name: string; open_gap: string | null }>(
        'SELECT name, slot_name, open_gap FROM captured_database ORDER BY name',
      )
      .all()
      .map(({ name, slot_name: slotName, open_gap: gap }) => ({
        name,
        slotName,
        openGap: gap === null ? null : (JSON.parse(gap) as Gap),
      }));
  }

  putDatabase(name: string, slotName: string): void {
    this.#db
      .prepare('INSERT INTO captured_database (name, slot_name) VALUES (?, ?) ON CONFLICT DO NOTHING')
      .run(name, slotName);
  }

  renameDatabase(from: string, to: string): void {
    this.#db.prepare('UPDATE captured_database SET name = ? WHERE name = ?').run(to, from);
  }

  deleteDatabase(name: string): void {
    this.#db.prepare('DELETE FROM captured_database WHERE name = ?').run(name);
  }

  setOpenGap(name: string, gap: Gap | null): void {
    const json = gap === null ? null : JSON.stringify(gap);
    this.#db.prepare('UPDATE captured_database SET open_gap = ? WHERE name = ?').run(json, name);
  }

  load(): Objects {
    const objects = new Objects();
    for (const row of this.#db.prepare<[], StreamRow>('SELECT * FROM stream').all()) objects.streams.put(streamOf(row));
    const endpoints = this.#db.prepare<[], string>('SELECT definition FROM endpoint').pluck().all();
    for (const json of endpoints) objects.endpoints.put(JSON.parse(json) as EndpointDefinition);
    const secrets = this.#db.prepare<[], string>('SELECT record FROM secret').pluck().all();
    for (const json of secrets) objects.secrets.put(JSON.parse(json) as SecretRecord);
    return objects;
  }

  putStream({ id, name, definition, isArmed, unarmedTables }: StreamRecord): void {
    const { source, startLsn } = definition;
    const armed = isArmed ? JSON.stringify({ source, startLsn: formatLsn(startLsn) }) : null;
    this.#db
      .prepare(
        `INSERT INTO stream (id, name, definition, armed, unarmed_tables) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, definition = excluded.definition,
           armed = excluded.armed, unarmed_tables = excluded.unarmed_tables`,
      )
      .run(id, name, encodeDefinition(definition), armed, JSON.stringify(unarmedTables));
  }

  putEndpoint(endpoint: EndpointDefinition): void {
    this.#put('endpoint (id, name, definition)', 'definition', endpoint);
  }

  putSecret(secret: SecretRecord): void {
    this.#put('secret (id, name, record)', 'record', secret);
  }

  delete(kind: ObjectKind, id: string): void {
    this.#db.prepare(`DELETE FROM ${kind} WHERE id = ?`).run(id);
  }

  record(atMs: number, { object, id, name, actor, action, detail }: Extract<Effect, { kind: 'record' }>): void {
    this.#db
      .prepare(
        'INSERT INTO history (at_ms, object, object_id, name, actor, action, detail) VALUES (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(atMs, object, id ?? null, name, actor, action, detail);
    this.#db
      .prepare(
        `DELETE FROM history WHERE object = ? AND name = ? AND id <=
           (SELECT id FROM history WHERE object = ? AND name = ? ORDER BY id DESC LIMIT 1 OFFSET ${MAX_HISTORY_ENTRIES})`,
      )
      .run(object, name, object, name);
  }

  /** Of all that has or had the name, under whatever name; newest first. */
  history(kind: ObjectKind, name: string, limit: number): readonly HistoryEntry[] {
    return this.#db
      .prepare<[string, string, string, string, number], HistoryEntry>(
        `SELECT at_ms AS atMs, actor, action, detail FROM history
          WHERE object = ? AND (name = ? OR object_id IN
            (SELECT object_id FROM history WHERE object = ? AND name = ? AND object_id IS NOT NULL))
          ORDER BY id DESC LIMIT ?`,
      )
      .all(kind, name, kind, name, limit);
  }

  stage({ xid, ordinal, effects, locks }: StagedRow): void {
    const sql = 'INSERT INTO staged (xid, ordinal, change) VALUES (?, ?, ?)';
    written(() => this.#db.prepare(sql).run(xid, ordinal, JSON.stringify({ effects, locks })));
  }

  /** Those of `xid` after `ordinal`. */
  unstage(xid: string, ordinal: number): void {
    this.#db.prepare('DELETE FROM staged WHERE xid = ? AND ordinal > ?').run(xid, ordinal);
  }

  /** In the order of staging, transaction by transaction. */
  staged(): StagedRow[] {
    return this.#db
      .prepare<[], { xid: string; ordinal: number; change: string }>('SELECT * FROM staged ORDER BY xid, ordinal')
      .all()
      .map(({ xid, ordinal, change }) => ({
        xid,
        ordinal,
        ...(JSON.parse(change) as Pick<StagedRow, 'effects' | 'locks'>),
      }));
  }

  #put(target: string, column: string, record: EndpointDefinition | SecretRecord): void {
    this.#db
      .prepare(
        `INSERT INTO ${target} VALUES (?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, ${column} = excluded.${column}`,
      )
      .run(record.id, record.name, JSON.stringify(record));
  }
}

interface StreamRow {
  readonly id: string;
  readonly name: string;
  readonly definition: string;
  readonly armed: string | null;
  readonly unarmed_tables: string;
}

function streamOf(row: StreamRow): StreamRecord {
  const { id, name } = row;
  const stored = decodeDefinition(row.definition);
  const unarmedTables = JSON.parse(row.unarmed_tables) as number[];
  if (row.armed === null) return { id, name, definition: stored, isArmed: false, unarmedTables };
  return { id, name, definition: { ...stored, ...armedOf(row.armed) }, isArmed: true, unarmedTables };
}

function armedOf(json: string): ArmedAt {
  const { source, startLsn } = JSON.parse(json) as { source: SourceIdentity; startLsn: string };
  return { source, startLsn: must(parseLsn(startLsn), 'a stored LSN parses') };
}
