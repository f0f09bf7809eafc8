import type { Logger } from '../base/logger.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { decodeQuery } from '../wire/frontend-messages.ts';
import { FRONTEND, STATUS } from '../wire/message-type.ts';
import { answerComplete, answerNotices, answerRows, formatsOf, rowDescription } from './answer.ts';
import { errorResponse } from './error-response.ts';
import { failQuery } from './failing.ts';
import { preventInFailed, type CommandRunner } from './command-runner.ts';
import { runMixed } from './mixed-query.ts';
import { SimpleQuestioner } from './question.ts';
import { SessionEndedError, type Relay } from './relay.ts';
import { PreparedCommand, recognise, type OurText, type TypedStatement } from './statement.ts';

const SYNC = Buffer.from([FRONTEND.sync, 0, 0, 0, 4]);

/**
 * Answers Query messages with statements of ours in them. The ReadyForQuery at the end is always the upstream's: a Sync
 * takes the place of a Query that it need not see.
 */
export class SimpleQuery {
  readonly #relay: Relay;
  readonly #logger: Logger;
  readonly #runner: CommandRunner;

  constructor(relay: Relay, logger: Logger, runner: CommandRunner) {
    this.#relay = relay;
    this.#logger = logger;
    this.#runner = runner;
  }

  async handle(message: Buffer): Promise<void> {
    const relay = this.#relay;
    const bytes = textOf(message);
    const ours = bytes && recognise(bytes, 0, bytes.length, relay);
    if (!ours) {
      relay.send(message);
      return;
    }
    try {
      preventInFailed(relay);
      const isMixed = ours.statements.some((statement) => !statement.isOurs);
      // As in Postgres, an error of syntax anywhere keeps all of it from running.
      const statements = this.#prepare(ours);
      if (isMixed) {
        await runMixed(relay, this.#logger, ours, bytes, statements, (statement) => this.run(statement, true));
        return;
      }
      for (const statement of statements.values()) await this.run(statement, relay.due.hasExecuted);
    } catch (error) {
      if (error instanceof SessionEndedError) throw error;
      await relay.answer(errorResponse(error, relay.clientEncoding, this.#logger));
      if (relay.status === STATUS.inBlock || relay.due.isGroupOpen) {
        await failQuery(relay);
        return;
      }
    }
    relay.send(SYNC);
  }

  /** Runs a statement and answers up to its CommandComplete. */
  async run({ prepared, command }: TypedStatement, isInTransaction: boolean): Promise<void> {
    const relay = this.#relay;
    const result = await prepared.placed(() => this.#runner.run(command, new SimpleQuestioner(relay), isInTransaction));
    await answerNotices(relay, result);
    if (result.columns.length > 0) {
      const formats = formatsOf(result.columns, []);
      await relay.answer(rowDescription(result.columns, formats));
      await answerRows(relay, result.columns, formats, result.rows);
    }
    await answerComplete(relay, result.tag);
  }

  /** By their places among the statements of the text. */
  #prepare({ text, statements }: OurText): ReadonlyMap<number, TypedStatement> {
    const typed = new Map<number, TypedStatement>();
    for (const [i, { span, isOurs }] of statements.entries()) {
      if (!isOurs) continue;
      const prepared = new PreparedCommand(text, span, this.#relay);
      typed.set(i, { prepared, command: prepared.command([]) });
    }
    return typed;
  }
}

/** Null where the message is not laid out as a Query: the upstream will say so. */
function textOf(message: Buffer): Buffer | null {
  try {
    return decodeQuery(message);
  } catch (error) {
    if (error instanceof PgError) return null;
    throw error;
  }
}
