import { randomUUID } from 'node:crypto';
import Database from 'better-sqlite3';
import type { Clock } from '../base/clock.ts';
import type { StreamDefinition } from '../model/stream.ts';
import { decodeDefinition, encodeDefinition } from './definition-json.ts';
import { migrateCatalog } from './migrations.ts';

/**
 * The definitions, in SQLite. One transaction per change, durable when the method returns. Names are unique; whether a
 * name may be used is asked before.
 */
export class Catalog {
  readonly #db: Database.Database;
  readonly #clock: Clock;

  private constructor(db: Database.Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  static open(path: string, clock: Clock): Catalog {
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    migrateCatalog(db);
    return new Catalog(db, clock);
  }

  close(): void {
    this.#db.close();
  }

  /** A UUID that this data directory keeps for ever: the slot's name comes from it. */
  instanceId(): string {
    const stored = this.#fact('instance_id');
    if (stored) return stored;
    const id = randomUUID();
    this.#setFact('instance_id', id);
    return id;
  }

  /**
   * Whether a slot and a publication of ours may exist upstream. Set before they are made and cleared after they are
   * dropped, so that a crash between leaves nothing behind for good.
   */
  get isArmed(): boolean {
    return this.#fact('armed') === 'yes';
  }

  set isArmed(armed: boolean) {
    this.#setFact('armed', armed ? 'yes' : 'no');
  }

  /** By name. */
  streams(): readonly StreamDefinition[] {
    const rows = this.#db.prepare<[], { definition: string }>('SELECT definition FROM stream ORDER BY name').all();
    return rows.map((row) => decodeDefinition(row.definition));
  }

  stream(name: string): StreamDefinition | null {
    const row = this.#db
      .prepare<[string], { definition: string }>('SELECT definition FROM stream WHERE name = ?')
      .get(name);
    return row ? decodeDefinition(row.definition) : null;
  }

  insert(definition: StreamDefinition, actor: string): void {
    this.#db.transaction(() => {
      this.#db
        .prepare('INSERT INTO stream (id, name, definition) VALUES (?, ?, ?)')
        .run(definition.id, definition.name, encodeDefinition(definition));
      this.#record(definition.name, actor, 'create');
    })();
  }

  /** Replaces the definition of the same id. `action` is what the history shows: `pause`, `resume`, … */
  update(definition: StreamDefinition, actor: string, action: string): void {
    this.#db.transaction(() => {
      this.#db
        .prepare('UPDATE stream SET name = ?, definition = ? WHERE id = ?')
        .run(definition.name, encodeDefinition(definition), definition.id);
      this.#record(definition.name, actor, action);
    })();
  }

  /** All of them or none. */
  remove(definitions: readonly StreamDefinition[], actor: string): void {
    const statement = this.#db.prepare('DELETE FROM stream WHERE id = ?');
    this.#db.transaction(() => {
      for (const definition of definitions) {
        statement.run(definition.id);
        this.#record(definition.name, actor, 'drop');
      }
    })();
  }

  #record(streamName: string, actor: string, action: string): void {
    this.#db
      .prepare('INSERT INTO history (at_ms, stream_name, actor, action) VALUES (?, ?, ?, ?)')
      .run(this.#clock.now(), streamName, actor, action);
  }

  #fact(key: string): string | null {
    return this.#db.prepare<[string], string>('SELECT value FROM instance WHERE key = ?').pluck().get(key) ?? null;
  }

  #setFact(key: string, value: string): void {
    this.#db
      .prepare('INSERT INTO instance (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
      .run(key, value);
  }
}
