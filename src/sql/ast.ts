import type { EnvelopeName, FormatName, OperationName, StreamTransform } from '../model/stream.ts';
import type { QualifiedName } from './command.ts';

/*
  A statement as it was written: plain frozen nodes, nothing looked up, nothing typed, no default filled in. A `position`
  counts characters of the statement, from 1.
*/

export interface Name {
  /** Folded, or as it stood between quotes. */
  readonly text: string;
  readonly position: number;
}

export interface StringConstant {
  readonly kind: 'string';
  readonly value: string;
  readonly position: number;
}

export interface Parameter {
  readonly kind: 'parameter';
  /** From 1, as in `$1`. */
  readonly index: number;
  readonly position: number;
}

export type Literal = StringConstant | Parameter;

export interface NumberConstant {
  readonly kind: 'number';
  /** As written, a plus sign left out. */
  readonly text: string;
  readonly position: number;
}

export interface Word {
  readonly kind: 'word';
  /** Folded. */
  readonly text: string;
  readonly position: number;
}

/** `SECRET name` */
export interface SecretReference {
  readonly kind: 'secret';
  readonly name: Name;
  readonly position: number;
}

export type OptionValue = Literal | NumberConstant | Word | SecretReference;

export interface Option {
  readonly name: Name;
  /** Null where the option has a name only. */
  readonly value: OptionValue | null;
}

/** One of a fixed set of words. */
export interface Choice<T extends string> {
  readonly value: T;
  readonly position: number;
}

/**
 * A condition in SQL, without the parentheses around it. Comments and line ends inside are kept; a plain string constant
 * with a backslash is written as an escape string, so that the text means the same in every session.
 */
export interface Predicate {
  readonly kind: 'predicate';
  readonly text: string;
  /** The `$n` in it, by index. */
  readonly parameters: readonly number[];
  /** Where its first token stands. */
  readonly position: number;
}

/** A table of a stream. */
export interface TableItem {
  readonly table: QualifiedName;
  readonly columns: readonly Name[] | null;
  readonly where: Predicate | null;
}

export type SourceNode =
  | { readonly kind: 'tables'; readonly items: readonly TableItem[]; readonly position: number }
  | { readonly kind: 'schemas'; readonly schemas: readonly Name[]; readonly position: number }
  | { readonly kind: 'all-tables'; readonly position: number };

export type DestinationNode =
  | { readonly kind: 'webhook'; readonly url: Literal; readonly position: number }
  | { readonly kind: 'endpoint'; readonly name: Name; readonly position: number }
  | { readonly kind: 'kafka'; readonly brokers: Literal; readonly topic: Literal | null; readonly position: number }
  | { readonly kind: 'kinesis'; readonly stream: Literal; readonly region: Literal | null; readonly position: number };

export interface Operation {
  readonly name: OperationName;
  /** `UPDATE OF` */
  readonly columns: readonly Name[] | null;
  readonly position: number;
}

export interface Transform {
  readonly language: StreamTransform['language'];
  readonly text: Literal;
  readonly position: number;
}

export interface CreateStream {
  readonly kind: 'create-stream';
  readonly orReplace: boolean;
  readonly ifNotExists: boolean;
  readonly name: Name | Parameter | null;
  readonly source: SourceNode;
  readonly destination: DestinationNode;
  readonly format: Choice<FormatName> | null;
  readonly envelope: Choice<EnvelopeName> | null;
  readonly operations: readonly Operation[] | null;
  readonly when: Predicate | null;
  readonly transform: Transform | null;
  readonly key: readonly Name[] | null;
  readonly options: readonly Option[];
  readonly comment: Literal | null;
}

export interface ExplainCreateStream {
  readonly kind: 'explain-create-stream';
  readonly create: CreateStream;
}

/** A role by name, or one of CURRENT_ROLE, CURRENT_USER and SESSION_USER in lower case. */
export type Role = Name | Word;

export type StreamAction =
  | { readonly kind: 'pause' }
  | { readonly kind: 'resume' }
  | { readonly kind: 'set-options'; readonly options: readonly Option[] }
  | { readonly kind: 'reset-options'; readonly names: readonly Name[] }
  | { readonly kind: 'rename'; readonly to: Name }
  | { readonly kind: 'owner'; readonly role: Role }
  | { readonly kind: 'add-tables'; readonly items: readonly TableItem[] }
  | { readonly kind: 'drop-tables'; readonly tables: readonly QualifiedName[] }
  | { readonly kind: 'set-destination'; readonly destination: DestinationNode }
  | { readonly kind: 'set-format'; readonly format: Choice<FormatName> }
  | { readonly kind: 'set-envelope'; readonly envelope: Choice<EnvelopeName> }
  | { readonly kind: 'set-when'; readonly when: Predicate }
  | { readonly kind: 'set-transform'; readonly transform: Transform }
  | { readonly kind: 'restart' }
  | { readonly kind: 'reset-circuit' }
  | { readonly kind: 'skip-event'; readonly id: Literal };

export interface AlterStream {
  readonly kind: 'alter-stream';
  /** Null: ALL of them. */
  readonly name: Name | null;
  readonly action: StreamAction;
}

export interface DropObjects {
  readonly kind: 'drop-streams' | 'drop-endpoints' | 'drop-secrets';
  readonly ifExists: boolean;
  readonly names: readonly Name[];
}

export interface CreateEndpoint {
  readonly kind: 'create-endpoint';
  readonly orReplace: boolean;
  readonly ifNotExists: boolean;
  readonly name: Name;
  readonly url: Literal;
  readonly options: readonly Option[];
}

export type EndpointAction =
  | { readonly kind: 'set-url'; readonly url: Literal; readonly options: readonly Option[] }
  | Extract<StreamAction, { kind: 'set-options' | 'reset-options' | 'rename' | 'owner' }>;

export interface AlterEndpoint {
  readonly kind: 'alter-endpoint';
  readonly name: Name;
  readonly action: EndpointAction;
}

/** `value` is never printed. */
export type SecretOrigin =
  | { readonly kind: 'value'; readonly value: Literal }
  | { readonly kind: 'env'; readonly variable: Literal }
  | { readonly kind: 'file'; readonly path: Literal };

export interface CreateSecret {
  readonly kind: 'create-secret';
  readonly ifNotExists: boolean;
  readonly name: Name;
  readonly origin: SecretOrigin;
}

export interface AlterSecret {
  readonly kind: 'alter-secret';
  readonly name: Name;
  /** Never printed. */
  readonly value: Literal;
  readonly keepOldFor: Literal | null;
}

export interface CommentOnStream {
  readonly kind: 'comment-on-stream';
  readonly name: Name;
  /** Null: it is taken away. */
  readonly comment: Literal | null;
}

export interface ShowStreams {
  readonly kind: 'show-streams';
  readonly like: Literal | null;
}

/** The statements that show one thing by its name. */
export interface ShowNamed {
  readonly kind:
    | 'show-stream-status'
    | 'show-create-stream'
    | 'show-create-endpoint'
    | 'show-stream-tables'
    | 'show-stream-options'
    | 'show-stream-history';
  readonly name: Name;
}

export type Count = Literal | NumberConstant;

export interface ShowEvents {
  readonly kind: 'show-deliveries' | 'show-dead-letters';
  /** Null: of every stream. */
  readonly stream: Name | null;
  readonly limit: Count | null;
}

/** What needs nothing more to be said. */
export interface Plain {
  readonly kind: 'show-endpoints' | 'show-secrets' | 'show-slots' | 'show-settings' | 'show-version' | 'check';
}

export type TestTarget =
  | { readonly kind: 'stream'; readonly name: Name }
  | { readonly kind: 'endpoint'; readonly name: Name }
  | { readonly kind: 'webhook'; readonly url: Literal };

export interface Test {
  readonly kind: 'test';
  readonly target: TestTarget;
}

export interface PeekStream {
  readonly kind: 'peek-stream';
  readonly name: Name;
  readonly limit: Count | null;
}

export interface BackfillStream {
  readonly kind: 'backfill-stream';
  readonly name: Name;
  readonly table: QualifiedName | null;
  readonly where: Predicate | null;
}

export interface CancelBackfill {
  readonly kind: 'cancel-backfill';
  readonly name: Name;
}

export interface ReplayStream {
  readonly kind: 'replay-stream';
  readonly name: Name;
  readonly from:
    | { readonly kind: 'since'; readonly time: Literal }
    | { readonly kind: 'lsn'; readonly from: Literal; readonly to: Literal | null };
}

export interface SettleDeadLetters {
  readonly kind: 'retry-dead-letters' | 'discard-dead-letters';
  readonly stream: Name;
  /** Null: ALL. */
  readonly id: Literal | null;
}

/** The statements that change definitions. */
export type DefiningStatement =
  | CreateStream
  | AlterStream
  | DropObjects
  | CreateEndpoint
  | AlterEndpoint
  | CreateSecret
  | AlterSecret
  | CommentOnStream;

/** Those that show something, or make something happen. */
export type AskingStatement =
  | ExplainCreateStream
  | ShowStreams
  | ShowNamed
  | ShowEvents
  | Plain
  | Test
  | PeekStream
  | BackfillStream
  | CancelBackfill
  | ReplayStream
  | SettleDeadLetters;

export type Statement = DefiningStatement | AskingStatement;
