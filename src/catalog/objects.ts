import type { SourceIdentity } from '../model/change.ts';
import type { EndpointDefinition } from '../model/endpoint.ts';
import { referencesIn } from '../model/references.ts';
import type { ObjectKind } from '../model/staged-change.ts';
import { type StreamDefinition, takesInsertsOnly } from '../model/stream.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { decodeDefinition } from './definition-json.ts';

/** What arming capture gave a stream: from where on changes are its own, and of which server. */
export interface ArmedAt {
  readonly source: SourceIdentity;
  readonly startLsn: Lsn;
}

/** A stream as the catalog has it. */
export interface StreamRecord {
  readonly id: string;
  readonly name: string;
  /** `source` and `startLsn` mean nothing before it is armed. */
  readonly definition: StreamDefinition;
  /** Capture was armed once: it has a position. */
  readonly isArmed: boolean;
  /** Tables that are still to be published, as OIDs: all of them before the stream is armed, later those that were added. */
  readonly unarmedTables: readonly number[];
}

interface VersionTimes {
  readonly version: number;
  readonly createdAtMs: number;
  /** Null: stays valid. */
  readonly expiresAtMs: number | null;
}

/** One value of a secret, or where it is to be found. `data` is `SecretCipher`'s. */
export type SecretVersion = VersionTimes &
  (
    | { readonly kind: 'sealed'; readonly data: string }
    | { readonly kind: 'env'; readonly variable: string }
    | { readonly kind: 'file'; readonly path: string }
  );

/** A secret as the catalog has it. */
export interface SecretRecord {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly createdAtMs: number;
  /** Of a literal in a stream's or an endpoint's options: what it belongs to and goes with. */
  readonly ownedBy: string | null;
  /** Newest first. */
  readonly versions: readonly SecretVersion[];
}

/** A change of the catalog down to its rows, as staged changes are stored. JSON. */
export type Effect =
  | { readonly kind: 'put-stream'; readonly definition: string }
  | { readonly kind: 'delete-stream'; readonly id: string }
  | { readonly kind: 'put-endpoint'; readonly endpoint: EndpointDefinition }
  | { readonly kind: 'delete-endpoint'; readonly id: string }
  | { readonly kind: 'put-secret'; readonly secret: SecretRecord }
  | { readonly kind: 'delete-secret'; readonly id: string }
  | {
      readonly kind: 'record';
      readonly object: ObjectKind;
      /** Of this incarnation; absent where an earlier version has staged it. */
      readonly id?: string;
      readonly name: string;
      readonly actor: string;
      readonly action: string;
      readonly detail: string | null;
    };

/** Records by id and by name. */
class Named<T extends { readonly id: string; readonly name: string }> {
  readonly #byId: Map<string, T>;
  readonly #byName: Map<string, T>;

  constructor(other: Named<T> | null = null) {
    this.#byId = new Map(other === null ? [] : other.#byId);
    this.#byName = new Map(other === null ? [] : other.#byName);
  }

  get(name: string): T | null {
    return this.#byName.get(name) ?? null;
  }

  byId(id: string): T | null {
    return this.#byId.get(id) ?? null;
  }

  put(record: T): void {
    this.delete(record.id);
    this.#byId.set(record.id, record);
    this.#byName.set(record.name, record);
  }

  delete(id: string): void {
    const old = this.#byId.get(id);
    if (old === undefined) return;
    this.#byId.delete(id);
    if (this.#byName.get(old.name) === old) this.#byName.delete(old.name);
  }

  /** By name, in the order of code units. */
  all(): T[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/** All objects of the catalog, as somebody sees them: the catalog itself, or a transaction with what it has staged. */
export class Objects {
  readonly streams: Named<StreamRecord>;
  readonly endpoints: Named<EndpointDefinition>;
  readonly secrets: Named<SecretRecord>;

  constructor(other: Objects | null = null) {
    this.streams = new Named(other?.streams);
    this.endpoints = new Named(other?.endpoints);
    this.secrets = new Named(other?.secrets);
  }

  apply(effect: Effect): void {
    switch (effect.kind) {
      case 'put-stream':
        this.streams.put(this.streamAfter(effect));
        break;
      case 'delete-stream':
        this.streams.delete(effect.id);
        break;
      case 'put-endpoint':
        this.endpoints.put(effect.endpoint);
        break;
      case 'delete-endpoint':
        this.endpoints.delete(effect.id);
        break;
      case 'put-secret':
        this.secrets.put(effect.secret);
        break;
      case 'delete-secret':
        this.secrets.delete(effect.id);
        break;
      case 'record':
        break;
    }
  }

  /**
   * The record that a `put-stream` leads to. Where the stream is armed now it stays armed where it is, whatever was known
   * when the change was staged; tables that come in are still to be armed.
   */
  streamAfter({ definition: json }: Extract<Effect, { kind: 'put-stream' }>): StreamRecord {
    const definition = decodeDefinition(json);
    const old = this.streams.byId(definition.id);
    const { id, name, tables } = definition;
    const known = old === null || needsMore(old.definition, definition) ? [] : old.definition.tables;
    const published = new Set(known.map(({ oid }) => oid).filter((oid) => old !== null && !isUnarmed(old, oid)));
    const unarmedTables = tables.map(({ oid }) => oid).filter((oid) => !published.has(oid));
    if (old === null || !old.isArmed) return { id, name, definition, isArmed: false, unarmedTables };
    const { source, startLsn, heldGap } = old.definition;
    return { id, name, definition: { ...definition, source, startLsn, heldGap }, isArmed: true, unarmedTables };
  }

  /** What uses a secret or an endpoint: `stream orders`, `endpoint billing`, by kind and name. */
  usersOf(kind: 'endpoint' | 'secret', name: string): readonly string[] {
    const uses = (value: unknown): boolean => {
      const found = referencesIn(value);
      return (kind === 'endpoint' ? found.endpoints : found.secrets).has(name);
    };
    return [
      ...this.endpoints.all().flatMap((one) => (uses(one.options) ? [`endpoint ${one.name}`] : [])),
      ...this.streams.all().flatMap((one) => (uses(settingsOf(one.definition)) ? [`stream ${one.name}`] : [])),
    ];
  }
}

/** The parts of a definition that may refer to something: tables and columns are no references, however they are named. */
export function settingsOf(definition: StreamDefinition): unknown[] {
  const { name: _name, tables: _tables, source: _source, ...settings } = definition;
  return Object.values(settings);
}

/** Whether tables may be published for less than the stream takes now. */
export function needsMore(before: StreamDefinition, now: StreamDefinition): boolean {
  return takesInsertsOnly(before) && !takesInsertsOnly(now);
}

function isUnarmed(record: StreamRecord, oid: number): boolean {
  return record.unarmedTables.includes(oid);
}
