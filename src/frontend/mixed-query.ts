import { PgError } from '../postgres/sqlstate.ts';
import { decodeCommandComplete, decodeReport, writeReport, type ReportFields } from '../wire/backend-messages.ts';
import { ACTION, actions } from '../wire/framer.ts';
import { writeCopyFail, writeQuery } from '../wire/frontend-messages.ts';
import { BACKEND, STATUS } from '../wire/message-type.ts';
import { Writer } from '../wire/writer.ts';
import { Lexer } from '../sql/lexer.ts';
import type { SourceSpan } from '../sql/split.ts';
import { byteOffset, characterCount, encodeText } from './client-encoding.ts';
import { errorResponse } from './error-response.ts';
import { answerNotices } from './answer.ts';
import { preventInTransaction } from './execute-command.ts';
import { failQuery } from './failing.ts';
import type { Interception } from './interception.ts';
import type { OwnNames } from './own-names.ts';
import { SessionEndedError, type Dialogue, type Relay } from './relay.ts';
import { SimpleQuestioner } from './question.ts';
import type { StagedTransaction } from './staged-transaction.ts';
import type { OurText, TextSettings, TypedStatement } from './statement.ts';
import { PASS_NOTHING, runOutcome, runUnseen } from './unseen-query.ts';

/*
  A Query message of several statements is one transaction in Postgres, and here: BEGIN (unless a block is open), each
  statement of the client's in a Query of its own, ours in their places, COMMIT. Of what frames them, the client sees the
  last ReadyForQuery alone.

  Unlike there, an error of syntax in a statement of the client's is told when its turn comes, behind the results of those
  before it: the server has no way to read a text without running it. All is rolled back as there.
*/

/** Answers such a message, its ReadyForQuery included. Raises what is wrong before anything has been sent. */
export async function runMixed(
  interception: Interception,
  { text, statements }: OurText,
  bytes: Buffer,
  ours: ReadonlyMap<number, TypedStatement>,
  run: (statement: TypedStatement) => Promise<void>,
): Promise<void> {
  const { relay, logger } = interception;
  requireExact(text, bytes, relay);
  for (const { command } of ours.values()) {
    if (command.kind !== 'deallocate') preventInTransaction(command, true);
  }
  for (const { span, isOurs } of statements) if (!isOurs) preventControl(text, span, relay);

  const isInBlock = relay.status === STATUS.inBlock;
  if (!isInBlock) await runUnseen(relay, 'BEGIN', PASS_NOTHING);
  let failure: Buffer | null = null;
  try {
    for (const [i, { span }] of statements.entries()) {
      const statement = ours.get(i);
      if (statement) {
        await run(statement);
        continue;
      }
      failure = await runSpan(interception, text, span, bytes);
      if (failure) break;
    }
  } catch (error) {
    if (error instanceof SessionEndedError) throw error;
    failure = errorResponse(error, relay.clientEncoding, logger);
  }
  if (failure) await relay.answer(failure);
  await end(interception, isInBlock, failure !== null);
}

/** Ends the transaction, or leaves the block as it has to be; the ReadyForQuery of that is the client's. */
async function end(interception: Interception, isInBlock: boolean, hasFailed: boolean): Promise<void> {
  const { relay } = interception;
  if (!isInBlock) await runOutcome(interception, hasFailed ? 'ROLLBACK' : 'COMMIT');
  else if (hasFailed && relay.status === STATUS.inBlock) await failQuery(relay);
  else await runOutcome(interception, '');
  relay.due.endGroup();
}

/** Runs a statement of the client's; its answers pass. Returns the ErrorResponse where it failed. */
async function runSpan(
  { relay, names, staged, runner }: Interception,
  text: string,
  span: SourceSpan,
  bytes: Buffer,
): Promise<Buffer | null> {
  const from = byteOffset(text, span.start, relay.clientEncoding);
  const to = from + byteOffset(text.slice(span.start), span.end - span.start, relay.clientEncoding);
  const writer = new Writer();
  writeQuery(writer, bytes.subarray(from, to));
  const dialogue = new SpanDialogue(relay, names, staged);
  await staged.refresh(new SimpleQuestioner(relay));
  await relay.converse(writer.finish(), dialogue);
  const isOver = staged.hasCommitted || (staged.isOpen && relay.status === STATUS.idle);
  if (isOver) await answerNotices(relay, { notices: await runner.endStaged() });
  if (dialogue.complete) await relay.answer(dialogue.complete);
  return dialogue.error ? placedError(dialogue.error, characterCount(text, span.start)) : null;
}

/**
 * A Query of the client's alone, of several statements, while changes are staged: one by one, since one of them may be
 * a ROLLBACK TO SAVEPOINT, and what it leaves must be known before another commits it. What comes behind the end of the
 * transaction is a transaction of its own, as it is in Postgres.
 */
export async function runSpans(
  interception: Interception,
  text: string,
  spans: readonly SourceSpan[],
  bytes: Buffer,
): Promise<void> {
  const { relay, staged } = interception;
  for (const [i, span] of spans.entries()) {
    const failure = await runSpan(interception, text, span, bytes);
    if (failure) {
      await relay.answer(failure);
      break;
    }
    const next = spans[i + 1];
    if (staged.isOpen || next === undefined) continue;
    const writer = new Writer();
    writeQuery(writer, bytes.subarray(byteOffset(text, next.start, relay.clientEncoding)));
    relay.send(writer.finish());
    await relay.answered();
    return;
  }
  await runOutcome(interception, '');
  relay.due.endGroup();
}

const SPAN = actions(ACTION.forward, [
  [ACTION.take, 'EZC'],
  [ACTION.tee, 'SG'],
]);

class SpanDialogue implements Dialogue {
  readonly actions = SPAN;
  error: ReportFields | null = null;
  readonly #relay: Relay;
  /** Its CommandComplete, for the client. */
  complete: Buffer | null = null;
  readonly #names: OwnNames;
  readonly #staged: StagedTransaction;

  constructor(relay: Relay, names: OwnNames, staged: StagedTransaction) {
    this.#relay = relay;
    this.#staged = staged;
    this.#names = names;
  }

  took(type: number, message: Buffer): boolean {
    if (type === BACKEND.errorResponse) this.error = decodeReport(message);
    if (type === BACKEND.commandComplete) {
      const tag = decodeCommandComplete(message);
      this.complete = Buffer.from(message);
      this.#names.completed(tag);
      this.#staged.completed(tag);
    }
    if (type === BACKEND.copyInResponse) {
      // What the client sends now stands behind this message, which has more to do.
      const writer = new Writer();
      writeCopyFail(writer, 'COPY FROM STDIN cannot be in one message with a statement of walhook');
      this.#relay.add(writer.finish());
    }
    return type === BACKEND.readyForQuery;
  }
}

/** The error with its position counted from the beginning of the client's text. */
function placedError(fields: ReportFields, charactersBefore: number): Buffer {
  const placed = new Map(fields);
  const position = fields.get('P');
  if (position) placed.set('P', Buffer.from(String(Number(position.toString('latin1')) + charactersBefore)));
  const writer = new Writer();
  writeReport(writer, BACKEND.errorResponse, placed);
  return writer.finish();
}

const CONTROL: ReadonlySet<string> = new Set([
  'abort',
  'begin',
  'commit',
  'end',
  'release',
  'rollback',
  'savepoint',
  'start',
]);

/**
 * 25001 for a statement that controls transactions: in the transaction that the message is, it would do something else
 * than it says. (One that cannot run inside a transaction, the upstream refuses itself, and all is rolled back.)
 */
function preventControl(text: string, span: SourceSpan, settings: TextSettings): void {
  const lexer = new Lexer(text, settings, span.start, span.end);
  const word = (): string => {
    const { start, end } = lexer.next();
    return text.slice(start, end).toLowerCase();
  };
  const verb = word();
  if (!CONTROL.has(verb) && !(verb === 'prepare' && word() === 'transaction')) return;
  throw new PgError(
    'active_sql_transaction',
    `${verb.toUpperCase()} cannot be in one message with a statement of walhook`,
    { hint: 'Send the statements one by one.', position: characterCount(text, span.start) + 1 },
  );
}

/** 0A000 where the bytes of the text's parts cannot be told. */
function requireExact(text: string, bytes: Buffer, { clientEncoding }: TextSettings): void {
  if (encodeText(text, clientEncoding).equals(bytes)) return;
  throw new PgError(
    'feature_not_supported',
    `statements of walhook cannot be in one message with others in client encoding "${clientEncoding}"`,
    { hint: 'Send the statements one by one.' },
  );
}
