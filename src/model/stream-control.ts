import type { Requirement, SlotInfo } from './requirement.ts';
import type { ReplayRange } from './replay.ts';
import type { BackfillTable } from './backfill.ts';
import type { TransactionId } from './catalog-control.ts';
import type { PgNotice } from '../postgres/sqlstate.ts';
import type { DeliveryControl } from './delivery-control.ts';
import type { StreamReport } from './status.ts';
import type { StreamDeclaration } from './stream.ts';

/** What CREATE asks for once the client's session has resolved the tables. */
export interface CreateStreamRequest extends StreamDeclaration {
  /** Null: `<table>_cdc_stream`, or that with `_1`, `_2`, … where it is taken. */
  readonly name: string | null;
  readonly ifNotExists: boolean;
  readonly database: string;
  /** The client's `current_user`. */
  readonly owner: string;
}

/**
 * What the control plane may ask of the data plane; the engine implements it. Streams are by name, which is one for the
 * whole server, whatever database they are of. Every method raises `PgError`: 42704 where a stream does not exist, 42710
 * where it does already, 55000 where its database cannot be captured from, 57014 when the signal aborts.
 * `actor` is the client's `current_user`, for the history.
 */
export interface StreamControl {
  readonly delivery: DeliveryControl;
  /** Resolves once capture is armed: every write that begins after that is captured. */
  createStream(request: CreateStreamRequest, signal: AbortSignal): Promise<readonly PgNotice[]>;
  /** Asking for the state that is already there is a NOTICE. A paused stream keeps its position. */
  setDesiredState(name: string, state: 'running' | 'paused', actor: string): Promise<readonly PgNotice[]>;
  /** All or none. A name that does not exist is 42704, or a NOTICE with `ifExists`. */
  dropStreams(names: readonly string[], ifExists: boolean, actor: string): Promise<readonly PgNotice[]>;
  /**
   * Reads the stream's tables again, each row as a `read` in its place among the changes; resolves once that has begun.
   * Takes the place of a backfill that is under way. 55000 where the stream is not captured yet.
   */
  backfill(name: string, tables: readonly BackfillTable[], actor: string): Promise<readonly PgNotice[]>;
  /** Sends events again, with their ids, in order with what comes after them; how many. 55000 where the log has them no more. */
  replay(name: string, range: ReplayRange, actor: string): Promise<number>;
  /** What capturing from a database needs, and whether it is there. 55000 where it cannot be asked. */
  check(database: string): Promise<readonly Requirement[]>;
  /** Of all databases. 55000 where the upstream cannot be asked. */
  slots(): Promise<readonly SlotInfo[]>;
  /** Ends it; what was read already is sent. A NOTICE where none is under way. */
  cancelBackfill(name: string, actor: string): Promise<readonly PgNotice[]>;
  /** By name, as `transaction` sees them: what it has staged is `starting`. */
  reports(transaction: TransactionId | null): Promise<readonly StreamReport[]>;
  report(name: string, transaction: TransactionId | null): Promise<StreamReport>;
}
