import type { JsonValue } from './endpoint.ts';
import type { TypedPredicate } from './predicate.ts';
import type { SecretSource } from './secret.ts';
import type { OptionChanges } from './option-changes.ts';
import type { EndpointOptions } from './stream-options.ts';
import type { CreateStreamRequest } from './stream-control.ts';
import type { StreamDeclaration, StreamTable } from './stream.ts';

/** What of a stream can be said anew, its options apart. */
export type ChangedSettings = Partial<Omit<StreamDeclaration, 'tables' | 'options' | 'givenOptions'>>;

/** What one `ALTER CDC STREAM` does. */
export type StreamAlteration =
  /** Settings that are given replace the old ones; options one by one. 22023 where they cannot stand together. */
  | {
      readonly kind: 'set';
      readonly settings: ChangedSettings;
      readonly changes: OptionChanges;
    }
  | { readonly kind: 'rename'; readonly newName: string }
  | { readonly kind: 'owner'; readonly owner: string }
  /** A condition, and what it means for each table. 55006 where the stream has other tables by now. */
  | { readonly kind: 'when'; readonly when: string; readonly filters: readonly TableCondition[] }
  /**
   * `database` is the session's, where the OIDs mean something; `when` the stream's condition that the tables' filters were
   * made of: 55006 where it is another by now.
   */
  | {
      readonly kind: 'add-tables';
      readonly database: string;
      readonly tables: readonly StreamTable[];
      readonly when: string | null;
    }
  /** What a scope has come to: those that are new to it come in, those that are gone leave. 55006 where it is none by now. */
  | { readonly kind: 'scope-tables'; readonly tables: readonly StreamTable[] }
  /** Tables that came in by themselves are being read. */
  | { readonly kind: 'tables-read'; readonly oids: readonly number[] }
  /** By OID. The last table cannot go: 55000. */
  | { readonly kind: 'drop-tables'; readonly tables: readonly Pick<StreamTable, 'oid' | 'schema' | 'name'>[] }
  | { readonly kind: 'state'; readonly state: 'running' | 'paused' };

/** What a stream's WHEN means for one of its tables. */
export interface TableCondition {
  readonly oid: number;
  readonly when: TypedPredicate;
}

/** What one `ALTER CDC ENDPOINT` does. */
export type EndpointAlteration =
  /** A null URL stays. 22023 where the options cannot stand together. */
  | { readonly kind: 'set'; readonly url: string | null; readonly changes: OptionChanges }
  /** The streams that use it follow. */
  | Extract<StreamAlteration, { kind: 'rename' | 'owner' }>;

/**
 * One change of the catalog, as data: what a statement asks for once the client's session has answered what had to be
 * asked. A literal secret inside settings or options is a `SecretValue`; the catalog encrypts it before it is written.
 */
export type StagedChange =
  | { readonly kind: 'create-stream'; readonly request: CreateStreamRequest; readonly orReplace: boolean }
  | { readonly kind: 'alter-stream'; readonly name: string; readonly alteration: StreamAlteration }
  | { readonly kind: 'drop-streams'; readonly names: readonly string[]; readonly ifExists: boolean }
  | { readonly kind: 'comment-stream'; readonly name: string; readonly comment: string | null }
  | {
      readonly kind: 'create-endpoint';
      readonly name: string;
      readonly url: string;
      readonly options: EndpointOptions;
      readonly owner: string;
      readonly ifNotExists: boolean;
      readonly orReplace: boolean;
    }
  | { readonly kind: 'alter-endpoint'; readonly name: string; readonly alteration: EndpointAlteration }
  | { readonly kind: 'drop-endpoints'; readonly names: readonly string[]; readonly ifExists: boolean }
  | {
      readonly kind: 'create-secret';
      readonly name: string;
      readonly source: SecretSource;
      readonly owner: string;
      readonly ifNotExists: boolean;
    }
  | {
      readonly kind: 'alter-secret';
      readonly name: string;
      readonly source: SecretSource;
      /** How long the values so far stay valid beside the new one; 0: not at all. */
      readonly keepOldForMs: number;
    }
  | { readonly kind: 'drop-secrets'; readonly names: readonly string[]; readonly ifExists: boolean };

/** One that makes or alters a stream. */
export type StreamChange = Extract<StagedChange, { kind: 'create-stream' | 'alter-stream' }>;

/** The kinds of objects that the catalog has. */
export type ObjectKind = 'stream' | 'endpoint' | 'secret';

/** One line of `SHOW CDC STREAM HISTORY`. Never a secret, nor a URL with its query. */
export interface HistoryEntry {
  readonly atMs: number;
  readonly actor: string;
  /** `create`, `replace`, `alter`, `rename`, `pause`, `resume`, `drop`, `comment`. */
  readonly action: string;
  readonly detail: string | null;
}

/** Plain data as it is stored. */
export type StoredOptions = Readonly<Record<string, JsonValue>>;
