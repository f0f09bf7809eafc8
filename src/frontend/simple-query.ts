import { PgError } from '../postgres/sqlstate.ts';
import { decodeQuery, decodeTextLeniently } from '../wire/frontend-messages.ts';
import { STATUS } from '../wire/message-type.ts';
import { answerComplete, answerNotices, answerRows, formatsOf, rowDescription } from './answer.ts';
import { requireValid } from './client-encoding.ts';
import { errorResponse } from './error-response.ts';
import { isTransactional } from './change-of.ts';
import { failQuery } from './failing.ts';
import { preventInFailed } from './command-runner.ts';
import type { Interception } from './interception.ts';
import { runMixed } from './mixed-query.ts';
import { SimpleQuestioner } from './question.ts';
import { SessionEndedError, type Relay } from './relay.ts';
import { prepareStatement, type OurText, type Prepared, type TypedStatement } from './statement.ts';
import { endQuery } from './unseen-query.ts';

/**
 * Answers Query messages with statements of ours in them. The ReadyForQuery at the end is always the upstream's.
 */
export class SimpleQuery {
  readonly #shared: Interception;
  readonly #relay: Relay;

  constructor(shared: Interception) {
    this.#shared = shared;
    this.#relay = shared.relay;
  }

  async handle(message: Buffer): Promise<void> {
    const relay = this.#relay;
    const bytes = decodeTextLeniently(message);
    const ours = this.#shared.recogniser.recognise(bytes, 0, bytes.length);
    if (!ours) {
      relay.send(message);
      return;
    }
    try {
      requireValid(decodeQuery(message), relay.clientEncoding);
      // As in Postgres, an error of syntax anywhere keeps all of it from running; of ours, all that can be told before.
      const prepared = this.#prepare(ours);
      preventInFailed(relay);
      const statements = typed(prepared);
      if (isOneTransaction(ours, statements)) {
        await runMixed(this.#shared, ours, bytes, statements, (statement) => this.run(statement, true));
        return;
      }
      for (const statement of statements.values()) await this.run(statement, relay.due.hasExecuted);
    } catch (error) {
      if (error instanceof SessionEndedError) throw error;
      await relay.answer(errorResponse(error, relay.clientEncoding, this.#shared.logger));
      if (relay.status === STATUS.inBlock || relay.due.isGroupOpen) {
        await failQuery(relay);
        // What was implicit, the server has rolled back.
        if (relay.status === STATUS.idle) this.#shared.staged.rollback();
        return;
      }
    }
    await endQuery(this.#shared);
  }

  /** Runs a statement and answers up to its CommandComplete. */
  async run({ prepared, command }: TypedStatement, isInTransaction: boolean): Promise<void> {
    const relay = this.#relay;
    if (isTransactional(command)) preventInOpenGroup(relay);
    const result = await prepared.placed(() =>
      this.#shared.runner.run(command, new SimpleQuestioner(relay), isInTransaction),
    );
    await answerNotices(relay, result);
    if (result.columns.length > 0) {
      const formats = formatsOf(result.columns, []);
      await relay.answer(rowDescription(result.columns, formats));
      await answerRows(relay, result.columns, formats, result.rows);
    }
    await answerComplete(relay, result.tag);
  }

  /** By their places among the statements of the text. */
  #prepare({ text, statements }: OurText): ReadonlyMap<number, Prepared> {
    const prepared = new Map<number, Prepared>();
    for (const [i, { span, isOurs }] of statements.entries()) {
      if (isOurs) prepared.set(i, prepareStatement(text, span, this.#relay));
    }
    return prepared;
  }
}

function typed(statements: ReadonlyMap<number, Prepared>): ReadonlyMap<number, TypedStatement> {
  return new Map([...statements].map(([i, prepared]) => [i, { prepared, command: prepared.command([]) }]));
}

/**
 * 25001 where messages of the extended protocol have begun an implicit transaction that no Sync has ended: a question of
 * ours in a Query might end it too soon.
 */
function preventInOpenGroup({ status, due }: Relay): void {
  if (status !== STATUS.idle || !due.hasExecuted) return;
  const message = 'CDC statements cannot be in a Query message that follows an Execute without a Sync';
  throw new PgError('active_sql_transaction', message);
}

/** Whether it is more than statements of ours that each stand for themselves. */
function isOneTransaction({ statements }: OurText, ours: ReadonlyMap<number, TypedStatement>): boolean {
  if (statements.some(({ isOurs }) => !isOurs)) return true;
  return statements.length > 1 && [...ours.values()].some(({ command }) => isTransactional(command));
}
