import type { SourceIdentity } from './change.ts';
import type { EndpointReference } from './endpoint.ts';
import type { Gap } from './gap.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { TypedPredicate } from './predicate.ts';
import type { OptionKey, StreamOptions } from './stream-options.ts';

/** A stream's predicates as they were typed against one table; null: there is none. */
export interface TableFilter {
  readonly where: TypedPredicate | null;
  readonly when: TypedPredicate | null;
}

/** One table of a stream, as the client's session resolved it. */
export interface StreamTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** The primary key's columns in index order; empty where there is none. The replica identity may be another. */
  readonly keyColumns: readonly string[];
  /** The columns that are sent; null: all. */
  readonly columns: readonly string[] | null;
  /** The row filter's text, without its parentheses; null: every row. */
  readonly where: string | null;
  /** What the row filter and the stream's WHEN mean for this table; absent where it has neither. */
  readonly filter?: TableFilter;
}

/** Where a stream's events go. */
export interface WebhookDestination {
  readonly kind: 'webhook';
  /** Absolute http or https URL, without user info. Shown only through `redactUrl`. */
  readonly url: string;
}

export interface KafkaDestination {
  readonly kind: 'kafka';
  readonly brokers: string;
  readonly topic: string | null;
}

export type Destination = WebhookDestination | EndpointReference | KafkaDestination;

/** What makes a table the stream's: its being listed, its schema, or nothing but its existence. */
export type StreamScope =
  | { readonly kind: 'tables' }
  | { readonly kind: 'schemas'; readonly schemas: readonly string[] }
  | { readonly kind: 'all-tables' };

/** Whether no UPDATE and no DELETE is an event of the stream, so that its tables need no replica identity. */
export function takesInsertsOnly({
  operations,
}: {
  readonly operations: readonly Pick<StreamOperation, 'name'>[] | null;
}): boolean {
  return operations !== null && operations.every(({ name }) => name === 'insert' || name === 'truncate');
}

/** Whether a scope has the tables of a schema, whatever is made in it; a list has none but its own. */
export function isInScope(scope: StreamScope, schema: string): boolean {
  return scope.kind === 'all-tables' || (scope.kind === 'schemas' && scope.schemas.includes(schema));
}

export type FormatName = 'json' | 'avro';
export type EnvelopeName = 'native' | 'debezium' | 'flat' | 'cloudevents';
export type OperationName = 'insert' | 'update' | 'delete' | 'truncate';
/** What an event is: a change, or a row that was there already. */
export type EventOperation = OperationName | 'read';

/** One of `OPERATIONS (…)`. */
export interface StreamOperation {
  readonly name: OperationName;
  /** `UPDATE OF`: only updates that change one of them. Null: any. */
  readonly columns: readonly string[] | null;
}

export interface StreamTransform {
  readonly language: 'jsonpath' | 'template';
  readonly text: string;
}

/** What a CREATE says of a stream, its name apart, once its tables are known. */
export interface StreamDeclaration {
  readonly scope: StreamScope;
  /** Those there are; those of a schema or of everything grow with it. */
  readonly tables: readonly StreamTable[];
  readonly destination: Destination;
  readonly format: FormatName;
  readonly envelope: EnvelopeName;
  /** Null: all. Each at most once. */
  readonly operations: readonly StreamOperation[] | null;
  /** A condition over OLD and NEW, without its parentheses; null: none. */
  readonly when: string | null;
  readonly transform: StreamTransform | null;
  /** The columns that order events; null: the primary key's. */
  readonly orderingKey: readonly string[] | null;
  readonly comment: string | null;
  readonly options: StreamOptions;
  /** The options that somebody has written, defaults or not, in the order of `StreamOptions`. */
  readonly givenOptions: readonly OptionKey[];
}

/** What `CREATE CDC STREAM` defines. */
export interface StreamDefinition extends StreamDeclaration {
  /** A UUID of this incarnation: DROP and CREATE of the same name make another. */
  readonly id: string;
  readonly name: string;
  readonly database: string;
  /** The server and database whose LSNs the stream's positions are. */
  readonly source: SourceIdentity;
  /** What the user wants; `status.ts` has what is. */
  readonly desiredState: 'running' | 'paused';
  /** Changes of transactions whose commit LSN is at or above this belong to the stream. */
  readonly startLsn: Lsn;
  readonly owner: string;
  /** Milliseconds since 1970. */
  readonly createdAtMs: number;
  readonly pausedAtMs: number | null;
  /** Behind this nothing is sent until RESUME; null: nothing is held. */
  readonly heldGap: Gap | null;
  /** Tables that came in by themselves and whose rows are still to be read, as OIDs. */
  readonly unreadTables?: readonly number[];
}
