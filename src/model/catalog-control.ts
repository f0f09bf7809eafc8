import type { PgNotice } from '../postgres/sqlstate.ts';
import type { EndpointDefinition } from './endpoint.ts';
import type { SecretInfo } from './secret.ts';
import type { HistoryEntry, ObjectKind, StagedChange, StreamChange } from './staged-change.ts';
import type { StreamDefinition } from './stream.ts';
import type { TransformCheck } from './transform-check.ts';

/**
 * The upstream's top-level transaction, as `pg_current_xact_id()` gives it in the client's own session: an xid8 in
 * decimal. It is assigned by the asking, so ask only when there is something to stage.
 */
export type TransactionId = string;

/** What staging a change gives. */
export interface Staged {
  readonly notices: readonly PgNotice[];
  /** What `unstage` takes to go back to here: remember the last one at SAVEPOINT. */
  readonly mark: number;
}

/** An endpoint, and what uses it: `stream orders`. */
export interface ListedEndpoint {
  readonly definition: EndpointDefinition;
  readonly usedBy: readonly string[];
}

/** What a change would come to. */
export interface ChangePreview {
  readonly notices: readonly PgNotice[];
  /** The stream that would be made or changed; null where nothing would. */
  readonly stream: StreamDefinition | null;
  /** OIDs of tables that are captured already. */
  readonly captured: readonly number[];
  /** The publication's name. */
  readonly publication: string;
  /** Of the one beside it, for tables without a replica identity. */
  readonly insertsPublication: string;
  /** Why changes could not be captured now, with the remedy, or null. */
  readonly problem: string | null;
}

/** Before the first change of a transaction. */
export const NOTHING_STAGED = 0;

/**
 * Definitions changed by statements, in the client's transaction or outside of one; the engine implements it.
 *
 * A name that a transaction has staged a change of is its own until it ends: anybody else who wants to change it gets
 * 55006 at once. (PostgreSQL would wait; but the wait would be for a transaction of a session that may wait for us.)
 *
 * Raises 42704, 42710, 2BP01, 22023, 54000, 55000, 55006, and 58030 where the catalog cannot be written.
 */
export interface CatalogControl extends TransformCheck {
  /** One change by itself. What it needs upstream is done when it resolves; a failure leaves nothing behind. */
  execute(change: StagedChange, actor: string, signal: AbortSignal): Promise<readonly PgNotice[]>;
  /**
   * Validates against the catalog and what the transaction has staged before, and writes it down, durable: call it when
   * the statement runs, and so before COMMIT is sent. A database's first stream is checked for `wal_level` too.
   */
  stage(transaction: TransactionId, change: StagedChange, actor: string): Promise<Staged>;
  /** Forgets what was staged after `mark`, for ROLLBACK TO SAVEPOINT. */
  unstage(transaction: TransactionId, mark: number): void;
  /**
   * The upstream has said COMMIT: applies everything at once. Resolves when capture is armed, which is when the client may
   * see COMMIT succeed. Never rejects, since the transaction is committed: what could not be armed in time or at all is a
   * WARNING (01000), and is tried again until it succeeds. Where nothing was staged it resolves at once.
   */
  commit(transaction: TransactionId, signal: AbortSignal): Promise<readonly PgNotice[]>;
  /** The upstream has said ROLLBACK. */
  rollback(transaction: TransactionId): void;
  /** Nobody knows how it ended (the connection broke, PREPARE TRANSACTION): the upstream is asked until it tells. */
  abandon(transaction: TransactionId): void;
  /** The definition as `transaction` sees it, its own changes included; null: outside of one. 42704. */
  definition(name: string, transaction: TransactionId | null): StreamDefinition;
  /** An endpoint, in the same way. 42704. */
  endpoint(name: string, transaction: TransactionId | null): EndpointDefinition;
  /** Who owns it, in the same way: what privileges are asked for. */
  ownerOf(kind: ObjectKind, name: string, transaction: TransactionId | null): string | null;
  /** By name, as `transaction` sees them. */
  endpoints(transaction: TransactionId | null): readonly ListedEndpoint[];
  /** By name, as `transaction` sees them, without those that belong to a stream. */
  secrets(transaction: TransactionId | null): readonly SecretInfo[];
  /**
   * What the change would come to if `transaction` staged it now: raises what `stage` raises, and does nothing. What the
   * upstream lacks for it is a problem of the preview's, not an error.
   */
  preview(change: StreamChange, actor: string, transaction: TransactionId | null): Promise<ChangePreview>;
  /** Newest first; also of a stream that is gone. */
  history(kind: ObjectKind, name: string, limit: number): readonly HistoryEntry[];
}
