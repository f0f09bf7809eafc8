import type { OptionChanges, OptionSet } from '../model/option-changes.ts';
import type { SecretSource, SecretValue } from '../model/secret.ts';
import type { Destination, EnvelopeName, FormatName, OperationName, StreamTransform } from '../model/stream.ts';
import type { EndpointOptions } from '../model/stream-options.ts';
import type { Lsn } from '../postgres/lsn.ts';

/** A name as the statement has it, not yet looked up. */
export interface QualifiedName {
  /** Null: the search path decides. */
  readonly schema: string | null;
  readonly name: string;
  /** Where it stands in the statement: characters, from 1. */
  readonly position: number;
}

/** A column, schema or other name that is looked up later; errors about it have its position. */
export interface PlacedName {
  readonly name: string;
  readonly position: number;
}

/** A condition in SQL, parameters put in as literals. Read it with `standard_conforming_strings` on. */
export interface PlacedPredicate {
  readonly text: string;
  /** Of its first token. Offsets inside are the statement's as long as there were no parameters. */
  readonly position: number;
}

export interface TableRequest {
  readonly table: QualifiedName;
  readonly columns: readonly PlacedName[] | null;
  readonly where: PlacedPredicate | null;
}

export type SourceRequest =
  | { readonly kind: 'tables'; readonly items: readonly TableRequest[] }
  | { readonly kind: 'schemas'; readonly schemas: readonly PlacedName[] }
  | { readonly kind: 'all-tables' };

/** A transform that nobody has tried yet. */
export interface PlacedTransform extends StreamTransform {
  /** Of its text. */
  readonly position: number;
}

export interface OperationRequest {
  readonly name: OperationName;
  readonly columns: readonly PlacedName[] | null;
}

export interface CreateStreamCommand extends OptionSet {
  readonly kind: 'create-stream';
  readonly orReplace: boolean;
  readonly ifNotExists: boolean;
  /** Null: `<table>_cdc_stream`. Never null where there is more than one table. */
  readonly name: string | null;
  readonly source: SourceRequest;
  readonly destination: Destination;
  readonly format: FormatName;
  readonly envelope: EnvelopeName;
  /** Null: all. */
  readonly operations: readonly OperationRequest[] | null;
  readonly when: PlacedPredicate | null;
  readonly transform: PlacedTransform | null;
  readonly key: readonly PlacedName[] | null;
  readonly comment: string | null;
}

/** A role by name, or what the session says. */
export type RoleRequest =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'current_user' | 'session_user' };

export type StreamActionCommand =
  | { readonly kind: 'pause' | 'resume' | 'restart' | 'reset-circuit' }
  | { readonly kind: 'change-options'; readonly changes: OptionChanges }
  | { readonly kind: 'rename'; readonly to: string }
  | { readonly kind: 'owner'; readonly role: RoleRequest }
  | { readonly kind: 'add-tables'; readonly items: readonly TableRequest[] }
  | { readonly kind: 'drop-tables'; readonly tables: readonly QualifiedName[] }
  | { readonly kind: 'set-destination'; readonly destination: Destination }
  | { readonly kind: 'set-format'; readonly format: FormatName }
  | { readonly kind: 'set-envelope'; readonly envelope: EnvelopeName }
  | { readonly kind: 'set-when'; readonly when: PlacedPredicate }
  | { readonly kind: 'set-transform'; readonly transform: PlacedTransform }
  | { readonly kind: 'skip-event'; readonly id: string };

export type EndpointActionCommand =
  | { readonly kind: 'set-url'; readonly url: string; readonly changes: OptionChanges }
  | Extract<StreamActionCommand, { kind: 'change-options' | 'rename' | 'owner' }>;

/** One member for each of the kinds, so that a kind picks out its own. */
type Each<Kind extends string, Fields> = Kind extends Kind ? { readonly kind: Kind } & Fields : never;

type Named = { readonly name: string };

/** What a statement of ours asks for, with every option typed and every default filled in. */
export type Command =
  | CreateStreamCommand
  | { readonly kind: 'explain-create-stream'; readonly create: CreateStreamCommand }
  /** A null name is ALL; then the action is `pause` or `resume`. */
  | { readonly kind: 'alter-stream'; readonly name: string | null; readonly action: StreamActionCommand }
  | Each<
      'drop-streams' | 'drop-endpoints' | 'drop-secrets',
      { readonly names: readonly string[]; readonly ifExists: boolean }
    >
  | {
      readonly kind: 'create-endpoint';
      readonly orReplace: boolean;
      readonly ifNotExists: boolean;
      readonly name: string;
      readonly url: string;
      readonly options: EndpointOptions;
    }
  | { readonly kind: 'alter-endpoint'; readonly name: string; readonly action: EndpointActionCommand }
  | {
      readonly kind: 'create-secret';
      readonly ifNotExists: boolean;
      readonly name: string;
      readonly source: SecretSource;
    }
  | {
      readonly kind: 'alter-secret';
      readonly name: string;
      readonly value: SecretValue;
      /** Null: the old value is gone at once. */
      readonly keepOldForMs: number | null;
    }
  | { readonly kind: 'comment-on-stream'; readonly name: string; readonly comment: string | null }
  | { readonly kind: 'show-streams'; readonly like: string | null }
  | Each<
      | 'show-stream-status'
      | 'show-create-stream'
      | 'show-create-endpoint'
      | 'show-stream-tables'
      | 'show-stream-options'
      | 'show-stream-history'
      | 'cancel-backfill',
      Named
    >
  /** A null stream is every stream. */
  | Each<'show-deliveries' | 'show-dead-letters', { readonly stream: string | null; readonly limit: number | null }>
  | Each<'show-endpoints' | 'show-secrets' | 'show-slots' | 'show-settings' | 'show-version' | 'check', unknown>
  | { readonly kind: 'test'; readonly target: TestTargetCommand }
  | { readonly kind: 'peek-stream'; readonly name: string; readonly limit: number | null }
  | {
      readonly kind: 'backfill-stream';
      readonly name: string;
      /** Null: each table of the stream. */
      readonly table: QualifiedName | null;
      readonly where: PlacedPredicate | null;
    }
  | { readonly kind: 'replay-stream'; readonly name: string; readonly from: ReplayRange }
  /** A null id is ALL. */
  | Each<'retry-dead-letters' | 'discard-dead-letters', { readonly stream: string; readonly id: string | null }>;

export type TestTargetCommand = Each<'stream' | 'endpoint', Named> | { readonly kind: 'webhook'; readonly url: string };

export type ReplayRange =
  /** For the client's session to read: its TimeZone and DateStyle say what it means. */
  | { readonly kind: 'since'; readonly time: string; readonly position: number }
  | { readonly kind: 'lsn'; readonly from: Lsn; readonly to: Lsn | null };
