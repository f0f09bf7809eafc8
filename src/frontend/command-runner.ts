import type { StreamControl } from '../model/stream-control.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { Command } from '../sql/command.ts';
import { STATUS } from '../wire/message-type.ts';
import { executeCommand } from './execute-command.ts';
import type { Questioner } from './question.ts';
import type { Relay } from './relay.ts';
import type { Result } from './result.ts';

/** Runs the commands of one session, one at a time, so that a cancel request finds the one it is for. */
export class CommandRunner {
  readonly #relay: Relay;
  readonly #control: StreamControl;
  readonly #counted: () => void;
  #running: AbortController | null = null;

  constructor(relay: Relay, control: StreamControl, counted: () => void) {
    this.#relay = relay;
    this.#control = control;
    this.#counted = counted;
  }

  /** `isInTransaction`: others of the client's statements belong to the same transaction. */
  async run(command: Command, questioner: Questioner, isInTransaction: boolean): Promise<Result> {
    this.#counted();
    const running = new AbortController();
    this.#running = running;
    try {
      return await executeCommand(command, {
        control: this.#control,
        questioner,
        isInTransaction: isInTransaction || this.#relay.status === STATUS.inBlock,
        signal: running.signal,
      });
    } finally {
      this.#running = null;
    }
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
