import type { CatalogControl } from '../model/catalog-control.ts';
import type { ServerInfo } from '../model/server-info.ts';
import type { StreamControl } from '../model/stream-control.ts';
import type { Span } from '../base/tracing.ts';
import { PgError, SQLSTATE, type PgNotice } from '../postgres/sqlstate.ts';
import { STATUS } from '../wire/message-type.ts';
import { executeCommand } from './execute-command.ts';
import type { OwnNames } from './own-names.ts';
import { SimpleQuestioner, type Questioner } from './question.ts';
import type { Relay } from './relay.ts';
import type { Result } from './result.ts';
import type { StagedTransaction } from './staged-transaction.ts';
import type { OwnCommand } from './statement.ts';

/** Runs the commands of one session, one at a time, so that a cancel request finds the one it is for. */
export class CommandRunner {
  readonly #relay: Relay;
  readonly #control: StreamControl & CatalogControl;
  readonly #names: OwnNames;
  readonly #staged: StagedTransaction;
  readonly #info: ServerInfo;
  readonly #begun: (command: OwnCommand) => Span | null;
  #running: AbortController | null = null;

  constructor(
    relay: Relay,
    control: StreamControl & CatalogControl,
    names: OwnNames,
    staged: StagedTransaction,
    info: ServerInfo,
    begun: (command: OwnCommand) => Span | null,
  ) {
    this.#info = info;
    this.#relay = relay;
    this.#names = names;
    this.#staged = staged;
    this.#control = control;
    this.#begun = begun;
  }

  /** `isInTransaction`: others of the client's statements belong to the same transaction. */
  async run(command: OwnCommand, questioner: Questioner, isInTransaction: boolean): Promise<Result> {
    if (command.kind === 'deallocate') return this.#deallocate(command.name);
    const span = this.#begun(command);
    if (span === null) return this.#execute(command, questioner, isInTransaction);
    try {
      const result = await this.#execute(command, questioner, isInTransaction);
      span.end({}, null);
      return result;
    } catch (error) {
      const code = error instanceof PgError ? error.code : SQLSTATE.internal_error;
      span.end({ 'db.response.status_code': code, 'error.type': code }, code);
      throw error;
    }
  }

  async #execute(
    command: Exclude<OwnCommand, { kind: 'deallocate' }>,
    questioner: Questioner,
    isInTransaction: boolean,
  ): Promise<Result> {
    const isIn = isInTransaction || this.#relay.status === STATUS.inBlock;
    return this.#cancellable((signal) => {
      const session = { control: this.#control, info: this.#info, staged: this.#staged, questioner };
      return executeCommand(command, { ...session, isInTransaction: isIn, signal });
    });
  }

  /** The transaction is over, and the session between two: see `StagedTransaction.end`. A cancel request ends the waiting. */
  endStaged(): Promise<readonly PgNotice[]> {
    return this.#cancellable((signal) => this.#staged.end(new SimpleQuestioner(this.#relay), signal));
  }

  async #cancellable<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const running = new AbortController();
    this.#running = running;
    try {
      return await run(running.signal);
    } finally {
      this.#running = null;
    }
  }

  #deallocate(name: string): Result {
    if (this.#names.deleteStatement(name)) return { columns: [], rows: [], tag: 'DEALLOCATE', notices: [] };
    // The name as it came; a client encoding beyond ASCII is a rare thing in one.
    throw new PgError('invalid_sql_statement_name', `prepared statement "${name}" does not exist`);
  }

  /** The command that runs, if any, ends with 57014. */
  cancel(): void {
    this.#running?.abort(new PgError('query_canceled', 'canceling statement due to user request'));
  }
}

/** 25P02 in a failed transaction, where nothing but its end is possible. */
export function preventInFailed(relay: Relay): void {
  if (relay.status !== STATUS.failed) return;
  throw new PgError(
    'in_failed_sql_transaction',
    'current transaction is aborted, commands ignored until end of transaction block',
  );
}
