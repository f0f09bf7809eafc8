import { NOTHING_STAGED, type CatalogControl, type TransactionId } from '../model/catalog-control.ts';
import type { StagedChange } from '../model/staged-change.ts';
import { asciiLiteral } from '../postgres/identifier.ts';
import { PgError, type PgNotice } from '../postgres/sqlstate.ts';
import { senseless, UpstreamError, type Questioner } from './question.ts';
import { SessionEndedError, type Relay } from './relay.ts';

/**
 * The first half of the advisory locks' keys, `cdc` in ASCII; the other half is a mark of `CatalogControl`. A transaction
 * holds one, shared, for each change it has staged: savepoints that are rolled back take theirs along, and nothing else
 * does (a setting would not outlive RESET ALL). So the server itself tells how much of what was staged stands.
 * https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
 */
const LOCK_CLASS = 0x63_64_63;

/** Null where nothing stands. */
const MARK = `(SELECT pg_catalog.max(CAST(l.objid AS pg_catalog.int8)) FROM pg_catalog.pg_locks l
  WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
    AND l.classid OPERATOR(pg_catalog.=) CAST(${LOCK_CLASS} AS pg_catalog.oid)
    AND l.objsubid OPERATOR(pg_catalog.=) CAST(2 AS pg_catalog.int2))`;
const STANDING = `pg_catalog.json_build_object('mark', ${MARK})`;
/** Assigns the transaction its id. */
const BEGINNING = `pg_catalog.json_build_object('mark', ${MARK},
  'xid', CAST(pg_catalog.pg_current_xact_id() AS pg_catalog.text))`;

/** What one session's open transaction has staged. */
export class StagedTransaction {
  readonly #relay: Relay;
  readonly #control: CatalogControl;
  #transaction: TransactionId | null = null;
  #mark = NOTHING_STAGED;
  #isDoubtful = false;
  #hasCommitted = false;
  #hasEnded = false;

  constructor(relay: Relay, control: CatalogControl) {
    this.#relay = relay;
    this.#control = control;
  }

  /** Something is, or may be, staged. */
  get isOpen(): boolean {
    return this.#transaction !== null;
  }

  /** As whom the catalog is to be asked. */
  get transaction(): TransactionId | null {
    return this.#transaction;
  }

  /** The client's COMMIT has succeeded: `end` is due. */
  get hasCommitted(): boolean {
    return this.#hasCommitted;
  }

  /** A command of the client's has completed. Of ROLLBACK the tag does not tell whether it was one to a savepoint. */
  completed(tag: string): void {
    if (tag === 'ROLLBACK') this.#isDoubtful = true;
    else if (tag === 'COMMIT') this.#hasCommitted = this.isOpen;
    // The server keeps it from here on, and the session has seen the last of it.
    else if (tag === 'PREPARE TRANSACTION') this.abandon();
  }

  /** Forgets what the client has rolled back. Call it before anything that depends on what is staged. */
  async refresh(questioner: Questioner): Promise<void> {
    if (!this.isOpen || !this.#isDoubtful) return;
    const { mark } = objectOf(await questioner.ask(STANDING));
    this.#isDoubtful = false;
    this.#stands(mark);
  }

  /** Validates and stages a change in the client's transaction. Raises what `CatalogControl.stage` does. */
  async stage(change: StagedChange, actor: string, questioner: Questioner): Promise<readonly PgNotice[]> {
    const { mark, xid } = objectOf(await questioner.ask(BEGINNING));
    if (typeof xid !== 'string') throw senseless();
    if (this.#transaction !== null && this.#transaction !== xid) this.abandon();
    this.#open(xid);
    this.#stands(mark, true);
    const staged = await this.#control.stage(xid, change, actor);
    if (this.#hasEnded) {
      this.abandon();
      throw new SessionEndedError('the session has ended');
    }
    if (staged.mark === this.#mark) return staged.notices;
    const lock = `pg_catalog.pg_try_advisory_xact_lock_shared(${LOCK_CLASS}, ${staged.mark})`;
    if ((await questioner.ask(`pg_catalog.to_json(${lock})`)) !== true) {
      this.#control.unstage(xid, this.#mark);
      throw new PgError('object_in_use', `advisory lock (${LOCK_CLASS}, ${staged.mark}) is not available`);
    }
    this.#mark = staged.mark;
    return staged.notices;
  }

  /**
   * The transaction is over: applies what it staged if it has committed. Where no COMMIT of the client's told, the server
   * is asked; the session must be between two transactions. Gives the notices that come before the answer; early
   * when the signal aborts.
   */
  async end(questioner: Questioner, signal: AbortSignal): Promise<readonly PgNotice[]> {
    const transaction = this.#transaction;
    if (transaction === null) return [];
    const status = this.#hasCommitted ? 'committed' : await this.#outcome(transaction, questioner);
    if (status === 'aborted') this.rollback();
    else if (status !== 'committed') this.abandon();
    else {
      this.#close();
      return this.#control.commit(transaction, signal);
    }
    return [];
  }

  /** It is known to have come to nothing. */
  rollback(): void {
    const transaction = this.#close();
    if (transaction !== null) this.#control.rollback(transaction);
  }

  /** How it ends will not be seen here. */
  abandon(): void {
    const transaction = this.#close();
    if (transaction !== null) this.#control.abandon(transaction);
  }

  /** The session has ended. */
  ended(): void {
    this.#hasEnded = true;
    this.abandon();
  }

  async #outcome(transaction: TransactionId, questioner: Questioner): Promise<unknown> {
    const xid = `CAST(${asciiLiteral(transaction)} AS pg_catalog.xid8)`;
    try {
      return await questioner.ask(`pg_catalog.to_json(pg_catalog.pg_xact_status(${xid}))`);
    } catch (error) {
      if (error instanceof UpstreamError) return null;
      throw error;
    }
  }

  #stands(mark: unknown, stays = false): void {
    if (mark !== null && typeof mark !== 'number') throw senseless();
    const standing = mark ?? NOTHING_STAGED;
    const transaction = this.#transaction;
    if (transaction === null || standing >= this.#mark) return;
    this.#control.unstage(transaction, standing);
    this.#mark = standing;
    if (standing === NOTHING_STAGED && !stays) this.rollback();
  }

  #open(transaction: TransactionId): void {
    // It may have ended while the question was asked, and is then given up when the change has been staged.
    this.#transaction = transaction;
    this.#relay.isStaging = true;
  }

  #close(): TransactionId | null {
    const transaction = this.#transaction;
    this.#transaction = null;
    this.#mark = NOTHING_STAGED;
    this.#isDoubtful = false;
    this.#hasCommitted = false;
    if (transaction !== null) this.#relay.isStaging = false;
    return transaction;
  }
}

function objectOf(answer: unknown): Record<string, unknown> {
  if (typeof answer !== 'object' || answer === null) throw senseless();
  return answer as Record<string, unknown>;
}
