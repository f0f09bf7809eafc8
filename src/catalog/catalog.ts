import { randomUUID } from 'node:crypto';
import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { NOTHING_STAGED, type ListedEndpoint } from '../model/catalog-control.ts';
import type { EndpointDefinition } from '../model/endpoint.ts';
import { describeGap } from '../model/gap.ts';
import { SecretValue, type SecretInfo } from '../model/secret.ts';
import type { HistoryEntry, ObjectKind, StagedChange } from '../model/staged-change.ts';
import { type StreamDefinition, takesInsertsOnly } from '../model/stream.ts';
import { PgError, type PgNotice } from '../postgres/sqlstate.ts';
import { decodeDefinition } from './definition-json.ts';
import { CatalogStore, type StagedRow } from './catalog-store.ts';
import { DatabaseCatalog, GAPS } from './database-catalog.ts';
import { type Lock, Locks } from './locks.ts';
import { type ArmedAt, type Effect, needsMore, Objects, type StreamRecord } from './objects.ts';
import { UNNAMED_DATABASE } from './migrations.ts';
import { planChange } from './plan-change.ts';
import { missingObject, type Plan } from './plan.ts';
import { onlySlotNameOf, slotNameOf } from './slot-name.ts';
import { placeOf, SecretCipher, SecretUnreadableError } from './secret-cipher.ts';
import { SecretKeyError } from './secret-key.ts';
import { touchedDatabases } from './touched-databases.ts';
import { currentSecret, describeSecret, makeVersion, type CurrentSecret, type SecretSources } from './secrets.ts';

export interface CatalogParts {
  readonly clock: Clock;
  readonly random: Random;
  /** What stored secrets are encrypted with: 32 bytes. `isFirst`: nothing has been encrypted yet. */
  readonly secretKey: (isFirst: boolean) => Buffer;
  readonly secretSources: SecretSources;
}

/** The stream that a plan comes to, or null. */
export function streamOf({ effects }: Plan): StreamDefinition | null {
  const last = effects.findLast((effect) => effect.kind === 'put-stream');
  return last === undefined ? null : decodeDefinition(last.definition);
}

/** Tables of a stream, as OIDs. */
export interface TablesOf {
  readonly streamId: string;
  readonly oids: readonly number[];
  /** Their stream takes inserts only. */
  readonly insertsOnly?: boolean;
}

/** Where capture was armed for them. */
export interface ArmedTables extends TablesOf {
  readonly at: ArmedAt;
}

/** What a transaction came to. */
export interface Applied {
  /** Those whose streams it touched. */
  readonly databases: ReadonlySet<string>;
  /** The ids of its streams that have tables to be armed. */
  readonly unarmed: readonly string[];
}

/** Changes that one transaction may stage. */
export const MAX_STAGED_CHANGES = 1_000;

/** What tells whether a key is the one that the secrets were encrypted with. */
const KEY_CHECK = 'secret_key_check';
const KEY_CHECK_PLACE = 'walhook secret key';

/**
 * The definitions, in SQLite, with a copy in memory. One transaction per change, durable when the method returns.
 *
 * Whoever changes something has a name: the upstream's transaction, or one that `begin` gives. What it plans is checked
 * against the catalog and its own earlier changes, and names stay locked until `end`, `applyStaged` or `forgetStaged`.
 * Staged changes survive the process; their locks with them.
 */
export class Catalog {
  readonly #store: CatalogStore;
  readonly #parts: CatalogParts;
  readonly #cipher: SecretCipher;
  /** What the file has. Replaced as a whole, once the file has it. */
  #objects: Objects;
  readonly #locks = new Locks();
  readonly #staged = new Map<string, StagedRow[]>();
  #nextHolder = 1;

  private constructor(store: CatalogStore, parts: CatalogParts) {
    this.#store = store;
    this.#parts = parts;
    this.#cipher = new SecretCipher(parts.secretKey(store.fact(KEY_CHECK) === null), parts.random);
    this.#checkKey();
    this.#objects = store.load();
    for (const row of store.staged()) {
      this.#staged.set(row.xid, [...(this.#staged.get(row.xid) ?? []), row]);
      for (const lock of row.locks) this.#locks.acquire(row.xid, lock);
    }
  }

  /** Throws `SecretKeyError` for a key that the file's secrets were not encrypted with. */
  static open(path: string, parts: CatalogParts): Catalog {
    const store = CatalogStore.open(path);
    try {
      return new Catalog(store, parts);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  close(): void {
    this.#store.close();
  }

  /** A UUID that this data directory keeps for ever: the slots' names come from it. */
  instanceId(): string {
    const stored = this.#store.fact('instance_id');
    if (stored) return stored;
    const id = randomUUID();
    this.#store.setFact('instance_id', id);
    return id;
  }

  /** The databases that have streams, or for which something of ours may stand upstream. */
  databases(): readonly string[] {
    const captured = this.#store.databases().map(({ name }) => name);
    return [...new Set([...captured, ...this.streams().map(({ definition }) => definition.database)])].toSorted();
  }

  /** The part of one database, which may have none yet. */
  inDatabase(name: string): DatabaseCatalog {
    const captured = this.#store.databases().find((one) => one.name === name);
    const slotName = captured?.slotName ?? slotNameOf(this.instanceId(), name);
    return new DatabaseCatalog(name, slotName, {
      store: this.#store,
      objects: () => this.#objects,
      clock: this.#parts.clock,
    });
  }

  /** The slot that a version with one database has left; null: none. */
  onlySlotName(): string | null {
    const only = onlySlotNameOf(this.instanceId());
    return this.#store.databases().some(({ slotName }) => slotName === only) ? only : null;
  }

  /** A version that knew one database only has left slot and publication without a stream: they are in `database`. */
  claimUnnamed(database: string): void {
    this.#store.renameDatabase(UNNAMED_DATABASE, database);
  }

  /** By name; also those that are not armed yet. */
  streams(transaction: string | null = null): readonly StreamRecord[] {
    return this.#seenBy(transaction).streams.all();
  }

  stream(name: string, transaction: string | null = null): StreamRecord | null {
    return this.#seenBy(transaction).streams.get(name);
  }

  /** What can be captured and delivered: the streams that have a position, by name. */
  armedStreams(): readonly StreamDefinition[] {
    return this.streams().flatMap(({ definition, isArmed }) => (isArmed ? [definition] : []));
  }

  /** By name. */
  endpoints(transaction: string | null = null): readonly ListedEndpoint[] {
    const seen = this.#seenBy(transaction);
    return seen.endpoints
      .all()
      .map((definition) => ({ definition, usedBy: seen.usersOf('endpoint', definition.name) }));
  }

  endpoint(name: string, transaction: string | null = null): EndpointDefinition | null {
    return this.#seenBy(transaction).endpoints.get(name);
  }

  ownerOf(kind: ObjectKind, name: string, transaction: string | null = null): string | null {
    const seen = this.#seenBy(transaction);
    if (kind === 'stream') return seen.streams.get(name)?.definition.owner ?? null;
    return (kind === 'endpoint' ? seen.endpoints : seen.secrets).get(name)?.owner ?? null;
  }

  /** By name, without the literals of streams and endpoints. */
  secrets(transaction: string | null = null): readonly SecretInfo[] {
    const nowMs = this.#parts.clock.now();
    const seen = this.#seenBy(transaction);
    return seen.secrets.all().flatMap((record) => {
      if (record.ownedBy !== null) return [];
      const current = currentSecret(record, nowMs, this.#cipher, this.#parts.secretSources);
      return [describeSecret(record, nowMs, seen.usersOf('secret', record.name), current)];
    });
  }

  /** The values that are valid at `nowMs`, newest first; looked up now where they are not stored. */
  currentSecret(name: string, nowMs: number, transaction: string | null = null): CurrentSecret {
    const record = this.#seenBy(transaction).secrets.get(name);
    if (record === null) return { values: [], problem: 'it does not exist', hasNewest: false };
    return currentSecret(record, nowMs, this.#cipher, this.#parts.secretSources);
  }

  /** Newest first. */
  history(kind: ObjectKind, name: string, limit: number): readonly HistoryEntry[] {
    return this.#store.history(kind, name, limit);
  }

  /** 42704 for a name that nothing has, with the nearest that something has. */
  missing(kind: ObjectKind, name: string, transaction: string | null): PgError {
    return missingObject(kind, name, this.#seenBy(transaction));
  }

  /** A name for changes outside of the client's transactions. Call `end` with it, whatever happens. */
  begin(): string {
    return `statement ${this.#nextHolder++}`;
  }

  end(holder: string): void {
    this.#locks.release(holder);
  }

  /** Checks and locks; writes nothing. Raises what `CatalogControl` says. */
  plan(holder: string, change: StagedChange, actor: string): Plan {
    return this.#plan(holder, change, actor, []);
  }

  /** Plans and applies a change that brings no tables. `databases`: those it touches; null: it came to nothing. */
  change(change: StagedChange, actor: string): { notices: readonly PgNotice[]; databases: ReadonlySet<string> | null } {
    const holder = this.begin();
    try {
      const plan = this.plan(holder, change, actor);
      if (plan.effects.length === 0) return { notices: plan.notices, databases: null };
      const databases = touchedDatabases(plan.effects, this.#objects, this.databases());
      this.apply(plan);
      return { notices: plan.notices, databases };
    } finally {
      this.end(holder);
    }
  }

  /** What staging the change would come to. Leaves nothing behind. Raises what `CatalogControl` says. */
  preview(xid: string | null, change: StagedChange, actor: string): Plan {
    const holder = xid ?? this.begin();
    try {
      return this.#plan(holder, change, actor, []);
    } finally {
      if (xid === null) this.end(holder);
      else this.#relock(xid);
    }
  }

  /** The tables that a plan brings into streams. */
  tablesBroughtBy(plan: Plan): readonly TablesOf[] {
    return plan.effects.flatMap((effect) => {
      if (effect.kind !== 'put-stream') return [];
      const definition = decodeDefinition(effect.definition);
      const { id, tables } = definition;
      const old = this.#objects.streams.byId(id)?.definition ?? null;
      const present = new Set(old === null || needsMore(old, definition) ? [] : old.tables.map(({ oid }) => oid));
      const oids = tables.map(({ oid }) => oid).filter((oid) => !present.has(oid));
      const isNew = this.#objects.streams.byId(id)?.isArmed !== true;
      return oids.length === 0 && !isNew ? [] : [{ streamId: id, oids, insertsOnly: takesInsertsOnly(definition) }];
    });
  }

  /** Applies a plan, and with it, where capture was armed for what it brings. */
  apply(plan: Plan, armed: readonly ArmedTables[] = []): void {
    this.#applyEffects(plan.effects, () => undefined, armed);
  }

  /** Capture is armed for these tables of a stream, which may be gone; the first time gives it its position. */
  markArmed({ streamId, oids, at }: ArmedTables): void {
    const record = this.#objects.streams.byId(streamId);
    if (record === null) return;
    const changed = withArmed(record, oids, at);
    this.#store.putStream(changed);
    this.#objects.streams.put(changed);
  }

  /** The stream goes on behind its gap. */
  resumePast(name: string, actor: string): void {
    const record = this.#objects.streams.get(name);
    const heldGap = record?.definition.heldGap ?? null;
    if (record === null || heldGap === null) return;
    const changed = { ...record, definition: { ...record.definition, heldGap: null } };
    this.#store.transaction(() => {
      this.#store.putStream(changed);
      this.note(name, 'resume', `past the gap: ${describeGap(heldGap)}`, actor);
    });
    this.#objects.streams.put(changed);
  }

  /** Gaps that were ever announced. */
  gapCount(): number {
    return Number(this.#store.fact(GAPS) ?? 0);
  }

  /** Writes a change down for when `xid` commits. Raises what `CatalogControl` says. */
  stage(xid: string, change: StagedChange, actor: string): { notices: readonly PgNotice[]; mark: number } {
    const before = this.#staged.get(xid) ?? [];
    if (before.length >= MAX_STAGED_CHANGES) {
      throw new PgError('program_limit_exceeded', `more than ${MAX_STAGED_CHANGES} CDC statements in one transaction`);
    }
    const locks: Lock[] = [];
    try {
      const { effects, notices } = this.#plan(xid, change, actor, locks);
      const mark = before.at(-1)?.ordinal ?? NOTHING_STAGED;
      if (effects.length === 0) return { notices, mark };
      const row = { xid, ordinal: mark + 1, effects, locks };
      this.#store.stage(row);
      this.#staged.set(xid, [...before, row]);
      return { notices, mark: row.ordinal };
    } catch (error) {
      this.#relock(xid);
      throw error;
    }
  }

  /** Forgets what `xid` staged after `mark`. */
  unstage(xid: string, mark: number): void {
    const rows = this.#staged.get(xid) ?? [];
    if (rows.some(({ ordinal }) => ordinal > mark)) {
      this.#store.unstage(xid, mark);
      const left = rows.filter(({ ordinal }) => ordinal <= mark);
      if (left.length === 0) this.#staged.delete(xid);
      else this.#staged.set(xid, left);
    }
    this.#relock(xid);
  }

  hasStaged(xid: string): boolean {
    return this.#staged.has(xid);
  }

  /** The transactions that have staged something and not ended. */
  stagedTransactions(): readonly string[] {
    return [...this.#staged.keys()];
  }

  /** All that `xid` staged, at once. */
  applyStaged(xid: string): Applied {
    const effects = (this.#staged.get(xid) ?? []).flatMap((row) => row.effects);
    const databases = touchedDatabases(effects, this.#objects, this.databases());
    this.#applyEffects(effects, () => this.#store.unstage(xid, NOTHING_STAGED));
    this.#staged.delete(xid);
    this.#locks.release(xid);
    const touched = effects.flatMap((one) => (one.kind === 'put-stream' ? [decodeDefinition(one.definition).id] : []));
    const unarmed = [...new Set(touched)].filter((id) => {
      const record = this.#objects.streams.byId(id);
      return record !== null && isToBeArmed(record);
    });
    return { databases, unarmed };
  }

  forgetStaged(xid: string): void {
    this.unstage(xid, NOTHING_STAGED);
  }

  /**
   * Encrypts everything stored anew. The file is compacted, so that nothing encrypted under the old key stays in it.
   * Throws `SecretKeyError` while transactions are staged, whose end must be known first.
   */
  rotateKey(newKey: Buffer): void {
    if (this.#staged.size > 0) {
      throw new SecretKeyError(
        `${this.#staged.size} transactions are not settled yet: start walhook once, and stop it again, before the key is changed`,
      );
    }
    const cipher = new SecretCipher(newKey, this.#parts.random);
    this.#store.transaction(() => {
      for (const secret of this.#objects.secrets.all()) {
        const versions = secret.versions.map((version) => {
          if (version.kind !== 'sealed') return version;
          const place = placeOf(secret.id, version.version);
          return { ...version, data: cipher.seal(this.#cipher.open(version.data, place), place) };
        });
        this.#store.putSecret({ ...secret, versions });
      }
      this.#store.setFact(KEY_CHECK, cipher.seal(new SecretValue(KEY_CHECK), KEY_CHECK_PLACE));
    });
    this.#store.compact();
  }

  /** A line of the stream's history about what is no change of its definition. */
  note(name: string, action: string, detail: string | null, actor: string): void {
    this.#store.record(this.#parts.clock.now(), { kind: 'record', object: 'stream', name, actor, action, detail });
  }

  #checkKey(): void {
    const stored = this.#store.fact(KEY_CHECK);
    if (stored === null) {
      this.#store.setFact(KEY_CHECK, this.#cipher.seal(new SecretValue(KEY_CHECK), KEY_CHECK_PLACE));
      return;
    }
    try {
      this.#cipher.open(stored, KEY_CHECK_PLACE);
    } catch (error) {
      if (!(error instanceof SecretUnreadableError)) throw error;
      throw new SecretKeyError(
        'the secrets in the data directory were encrypted with another key. Give that key (WALHOOK_SECRET_KEY, --secret-key-file, or secret.key in the data directory); to change the key, run: walhook rotate-secret-key',
      );
    }
  }

  #plan(holder: string, change: StagedChange, actor: string, locks: Lock[]): Plan {
    const nowMs = this.#parts.clock.now();
    return planChange(change, {
      objects: new Objects(this.#seenBy(holder)),
      lock: (lock) => {
        this.#locks.acquire(holder, lock);
        locks.push(lock);
      },
      isChangedByOthers: (kind, name) => this.#locks.isChangedByOthers(holder, kind, name),
      makeVersion: (source, id, version) => makeVersion(source, id, version, nowMs, this.#cipher),
      nowMs,
      actor,
    });
  }

  /** The catalog with what the transaction has staged. */
  #seenBy(transaction: string | null): Objects {
    const rows = transaction === null ? undefined : this.#staged.get(transaction);
    if (rows === undefined) return this.#objects;
    const seen = new Objects(this.#objects);
    for (const { effects } of rows) for (const effect of effects) seen.apply(effect);
    return seen;
  }

  /** Exactly the locks of what is staged: those of a statement that failed or was undone go. */
  #relock(xid: string): void {
    this.#locks.release(xid);
    for (const { locks } of this.#staged.get(xid) ?? []) for (const lock of locks) this.#locks.acquire(xid, lock);
  }

  /** In the file, then in memory. */
  #applyEffects(effects: readonly Effect[], besides: () => void, armed: readonly ArmedTables[] = []): void {
    const atMs = this.#parts.clock.now();
    const after = new Objects(this.#objects);
    this.#store.transaction(() => {
      for (const effect of effects) {
        after.apply(effect);
        this.#write(effect, after, atMs);
      }
      for (const { streamId, oids, at } of armed) {
        after.streams.put(withArmed(must(after.streams.byId(streamId), 'the plan put it'), oids, at));
        this.#store.putStream(must(after.streams.byId(streamId), 'it was put'));
      }
      besides();
    });
    this.#objects = after;
  }

  #write(effect: Effect, after: Objects, atMs: number): void {
    switch (effect.kind) {
      case 'put-stream':
        this.#store.putStream(must(after.streams.byId(decodeDefinition(effect.definition).id), 'it was put'));
        break;
      case 'put-endpoint':
        this.#store.putEndpoint(effect.endpoint);
        break;
      case 'put-secret':
        this.#store.putSecret(effect.secret);
        break;
      case 'delete-stream':
        this.#store.delete('stream', effect.id);
        break;
      case 'delete-endpoint':
        this.#store.delete('endpoint', effect.id);
        break;
      case 'delete-secret':
        this.#store.delete('secret', effect.id);
        break;
      case 'record':
        this.#store.record(atMs, effect);
        break;
    }
  }
}

/** Whether something of the stream is not captured yet; one without tables is to have a position, too. */
export function isToBeArmed({ isArmed, unarmedTables }: StreamRecord): boolean {
  return !isArmed || unarmedTables.length > 0;
}

function withArmed(record: StreamRecord, oids: readonly number[], at: ArmedAt): StreamRecord {
  const unarmedTables = record.unarmedTables.filter((oid) => !oids.includes(oid));
  if (record.isArmed) return { ...record, unarmedTables };
  return { ...record, isArmed: true, unarmedTables, definition: { ...record.definition, ...at } };
}
