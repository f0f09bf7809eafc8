import { Lexer } from '../sql/lexer.ts';
import { splitStatements, type SourceSpan } from '../sql/split.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { decodeExecute, decodeParse, decodeQuery } from '../wire/frontend-messages.ts';
import { BACKEND, FRONTEND, STATUS } from '../wire/message-type.ts';
import { answerNotices } from './answer.ts';
import { decodeText } from './client-encoding.ts';
import { errorResponse } from './error-response.ts';
import { failGroup, failQuery } from './failing.ts';
import type { Interception } from './interception.ts';
import { runSpans } from './mixed-query.ts';
import { ExtendedQuestioner, SimpleQuestioner } from './question.ts';
import type { TextSettings } from './statement.ts';

/**
 * The client's own messages while its transaction has changes staged. Each that runs something is answered before the
 * next is sent, so that nothing is on its way behind the end of the transaction, and what a ROLLBACK TO SAVEPOINT has
 * left is known before it is committed.
 */
export class StagedSession {
  readonly #shared: Interception;
  readonly #held: Buffer[] = [];
  #isHandling = false;
  #isSending = false;
  #holdsTags = true;

  constructor(shared: Interception) {
    this.#shared = shared;
  }

  /** A message is about to be handled. */
  handling(): void {
    this.#isHandling = true;
  }

  /** Whether the message was one of the client's own that needed care, and has been taken care of. */
  async handle(message: Buffer): Promise<boolean> {
    switch (message.readUInt8(0)) {
      case FRONTEND.query:
        return this.#query(message);
      case FRONTEND.parse:
        return this.#parse(message);
      case FRONTEND.execute:
        if (this.#shared.names.hasPortal(portalOf(message))) return false;
        await this.#shared.staged.refresh(new ExtendedQuestioner(this.#shared.relay));
        break;
      case FRONTEND.sync:
      case FRONTEND.functionCall:
        break;
      default:
        return false;
    }
    await this.send(message);
    return true;
  }

  /** Sends the client's message, and its answer when what the answer says is true of the catalog too. */
  async send(message: Buffer, holdsTags = true): Promise<void> {
    const { relay, staged, runner } = this.#shared;
    relay.send(message);
    if (!staged.isOpen) return;
    this.#holdsTags = holdsTags;
    this.#isSending = true;
    await relay.answered();
    if (this.#held.length === 0) return;
    await answerNotices(relay, { notices: await runner.endStaged() });
    for (const held of this.#held) await relay.answer(held);
  }

  /** The message has been handled, somehow. */
  handled(): void {
    const { relay, staged } = this.#shared;
    this.#isHandling = false;
    this.#isSending = false;
    this.#held.length = 0;
    const isOver = relay.status === STATUS.idle && relay.due.isSettled && !relay.due.isGroupOpen;
    if (staged.isOpen && isOver) staged.abandon();
  }

  /** ReadyForQuery has come. Behind COPY FROM STDIN nobody waits for it: the server will be asked how it ended. */
  ready(status: number): void {
    const { staged } = this.#shared;
    if (status === STATUS.idle && staged.isOpen && !this.#isHandling) staged.abandon();
  }

  holds(type: number, message: Buffer): boolean {
    const { relay, staged } = this.#shared;
    if (!this.#isSending || !staged.isOpen) return false;
    const isEnd =
      type === BACKEND.readyForQuery
        ? relay.status === STATUS.idle || staged.hasCommitted
        : staged.hasCommitted && this.#holdsTags;
    if (isEnd) this.#held.push(Buffer.from(message));
    return isEnd;
  }

  async #query(message: Buffer): Promise<boolean> {
    const { relay, staged, recogniser, logger } = this.#shared;
    const bytes = textOf(message, decodeQuery);
    const text = bytes && readable(bytes, relay);
    if (!bytes || text === null || recogniser.recognise(bytes, 0, bytes.length)) return false;
    const spans = splitStatements(text, relay);
    if (spans.some((span) => preparesTransaction(text, span, relay))) {
      await relay.answer(errorResponse(refusal(), relay.clientEncoding, logger));
      await failQuery(relay);
      if (relay.status === STATUS.idle) staged.rollback();
      return true;
    }
    await staged.refresh(new SimpleQuestioner(relay));
    // Outside of a block all of them are one transaction, which has no savepoints.
    if (spans.length > 1 && relay.status !== STATUS.idle) await runSpans(this.#shared, text, spans, bytes);
    else await this.send(message, spans.length < 2);
    return true;
  }

  async #parse(message: Buffer): Promise<boolean> {
    const { relay, logger } = this.#shared;
    const bytes = textOf(message, (whole) => decodeParse(whole).text);
    const text = bytes && readable(bytes, relay);
    if (text === null) return false;
    const [span] = splitStatements(text, relay);
    if (!span || !preparesTransaction(text, span, relay)) return false;
    await relay.answer(errorResponse(refusal(), relay.clientEncoding, logger));
    await failGroup(relay);
    return true;
  }
}

function refusal(): PgError {
  return new PgError('feature_not_supported', 'cannot PREPARE a transaction that has executed CDC statements', {
    hint: 'COMMIT it, or run the CDC statements outside of it.',
  });
}

function preparesTransaction(text: string, span: SourceSpan, settings: TextSettings): boolean {
  const lexer = new Lexer(text, settings, span.start, span.end);
  const word = (): string => {
    const { start, end } = lexer.next();
    return text.slice(start, end).toLowerCase();
  };
  return word() === 'prepare' && word() === 'transaction';
}

/** Null where the message is not laid out as it has to be: the upstream will say so. */
function textOf(message: Buffer, decode: (message: Buffer) => Buffer): Buffer | null {
  try {
    return decode(message);
  } catch (error) {
    if (error instanceof PgError) return null;
    throw error;
  }
}

function portalOf(message: Buffer): string {
  try {
    return decodeExecute(message).portal;
  } catch (error) {
    if (error instanceof PgError) return '';
    throw error;
  }
}

/** Null in an encoding that cannot be read: the text then passes whole. */
function readable(bytes: Buffer, { clientEncoding }: TextSettings): string | null {
  try {
    return decodeText(bytes, clientEncoding);
  } catch (error) {
    if (error instanceof PgError) return null;
    throw error;
  }
}
