import type { SourceIdentity } from './change.ts';
import type { Lsn } from '../postgres/lsn.ts';

/** One table of a stream, as the client's session resolved it. */
export interface StreamTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** The primary key's columns in index order; empty where there is none. The replica identity may be another. */
  readonly keyColumns: readonly string[];
}

/** Where a stream's events go. */
export interface WebhookDestination {
  readonly kind: 'webhook';
  /** Absolute http or https URL, without user info. Shown only through `redactUrl`. */
  readonly url: string;
}

export type Destination = WebhookDestination;

/** A stream's options, defaults filled in. Times in milliseconds, sizes in bytes. */
export interface StreamOptions {
  readonly batchMaxEvents: number;
  readonly batchMaxBytes: number;
  readonly maxInFlight: number;
  readonly requestTimeoutMs: number;
  /** 0: unlimited. */
  readonly maxRetries: number;
  readonly initialBackoffMs: number;
  readonly maxBackoffMs: number;
  /** Static request headers, names as written. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What `CREATE CDC STREAM` defines. */
export interface StreamDefinition {
  /** A UUID of this incarnation: DROP and CREATE of the same name make another. */
  readonly id: string;
  readonly name: string;
  readonly database: string;
  /** The server and database whose LSNs the stream's positions are. */
  readonly source: SourceIdentity;
  readonly tables: readonly StreamTable[];
  readonly destination: Destination;
  readonly format: 'json';
  readonly envelope: 'native';
  readonly options: StreamOptions;
  /** What the user wants; `status.ts` has what is. */
  readonly desiredState: 'running' | 'paused';
  /** Changes of transactions whose commit LSN is at or above this belong to the stream. */
  readonly startLsn: Lsn;
  readonly owner: string;
  /** Milliseconds since 1970. */
  readonly createdAtMs: number;
  readonly pausedAtMs: number | null;
}
