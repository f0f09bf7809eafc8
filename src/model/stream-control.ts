import type { PgNotice } from '../postgres/sqlstate.ts';
import type { StreamReport } from './status.ts';
import type { Destination, StreamOptions, StreamTable } from './stream.ts';

/** What CREATE asks for once the client's session has resolved the table. */
export interface CreateStreamRequest {
  /** Null: `<table>_cdc_stream`, or that with `_1`, `_2`, … where it is taken. */
  readonly name: string | null;
  readonly ifNotExists: boolean;
  readonly database: string;
  readonly tables: readonly StreamTable[];
  readonly destination: Destination;
  readonly options: StreamOptions;
  /** The client's `current_user`. */
  readonly owner: string;
}

/**
 * What the control plane may ask of the data plane; the engine implements it. Every method raises `PgError`:
 * 42704 where a stream does not exist, 42710 where it does already, 55000 where the upstream cannot be captured from,
 * 0A000 for a database that is not the captured one, 57014 when the signal aborts.
 * `actor` is the client's `current_user`, for the history.
 */
export interface StreamControl {
  /** Resolves once capture is armed: every write that begins after that is captured. */
  createStream(request: CreateStreamRequest, signal: AbortSignal): Promise<readonly PgNotice[]>;
  /** Asking for the state that is already there is a NOTICE. A paused stream keeps its position. */
  setDesiredState(name: string, state: 'running' | 'paused', actor: string): Promise<readonly PgNotice[]>;
  /** All or none. A name that does not exist is 42704, or a NOTICE with `ifExists`. */
  dropStreams(names: readonly string[], ifExists: boolean, actor: string): Promise<readonly PgNotice[]>;
  /** By name. */
  reports(): Promise<readonly StreamReport[]>;
  report(name: string): Promise<StreamReport>;
}
