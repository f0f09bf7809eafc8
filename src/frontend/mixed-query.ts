import type { Logger } from '../base/logger.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { decodeReport, writeReport, type ReportFields } from '../wire/backend-messages.ts';
import { ACTION, actions } from '../wire/framer.ts';
import { writeCopyFail, writeQuery } from '../wire/frontend-messages.ts';
import { BACKEND, STATUS } from '../wire/message-type.ts';
import { Writer } from '../wire/writer.ts';
import { Lexer } from '../sql/lexer.ts';
import type { SourceSpan } from '../sql/split.ts';
import { byteOffset, characterCount, encodeText } from './client-encoding.ts';
import { errorResponse } from './error-response.ts';
import { preventInTransaction } from './execute-command.ts';
import { failQuery } from './failing.ts';
import { SessionEndedError, type Dialogue, type Relay } from './relay.ts';
import type { OurText, TextSettings, TypedStatement } from './statement.ts';

/*
  A Query message of several statements is one transaction in Postgres, and here: BEGIN (unless a block is open), each
  statement of the client's in a Query of its own, ours in their places, COMMIT. Of what frames them, the client sees the
  last ReadyForQuery alone.
*/

/** Answers such a message, its ReadyForQuery included. Raises what is wrong before anything has been sent. */
export async function runMixed(
  relay: Relay,
  logger: Logger,
  { text, statements }: OurText,
  bytes: Buffer,
  ours: ReadonlyMap<number, TypedStatement>,
  run: (statement: TypedStatement) => Promise<void>,
): Promise<void> {
  requireExact(text, bytes, relay);
  for (const { command } of ours.values()) preventInTransaction(command, true);
  for (const { span, isOurs } of statements) if (!isOurs) preventControl(text, span, relay);

  const isInBlock = relay.status === STATUS.inBlock;
  if (!isInBlock) await frame(relay, 'BEGIN', SWALLOW_ALL);
  let failure: Buffer | null = null;
  try {
    for (const [i, { span }] of statements.entries()) {
      const statement = ours.get(i);
      if (statement) {
        await run(statement);
        continue;
      }
      failure = await runSpan(relay, text, span, bytes);
      if (failure) break;
    }
  } catch (error) {
    if (error instanceof SessionEndedError) throw error;
    failure = errorResponse(error, relay.clientEncoding, logger);
  }
  if (failure) await relay.answer(failure);
  await end(relay, isInBlock, failure !== null);
}

/** Ends the transaction, or leaves the block as it has to be; the ReadyForQuery of that is the client's. */
async function end(relay: Relay, isInBlock: boolean, hasFailed: boolean): Promise<void> {
  if (!isInBlock) await frame(relay, hasFailed ? 'ROLLBACK' : 'COMMIT', SWALLOW_COMPLETE);
  else if (hasFailed && relay.status === STATUS.inBlock) await failQuery(relay);
  else await frame(relay, '', SWALLOW_COMPLETE);
  relay.due.endGroup();
}

const SWALLOW_ALL = actions(ACTION.take, [
  [ACTION.forward, 'A'],
  [ACTION.tee, 'S'],
]);

/** A COMMIT may fail, and a ROLLBACK warn. */
const SWALLOW_COMPLETE = actions(ACTION.take, [
  [ACTION.forward, 'AEN'],
  [ACTION.tee, 'SZ'],
]);

async function frame(relay: Relay, statement: string, passing: typeof SWALLOW_ALL): Promise<void> {
  const writer = new Writer();
  writeQuery(writer, Buffer.from(statement));
  const dialogue: Dialogue = { actions: passing, took: (type) => type === BACKEND.readyForQuery };
  await relay.converse(writer.finish(), dialogue);
}

/** Runs a statement of the client's; its answers pass. Returns the ErrorResponse where it failed. */
async function runSpan(relay: Relay, text: string, span: SourceSpan, bytes: Buffer): Promise<Buffer | null> {
  const from = byteOffset(text, span.start, relay.clientEncoding);
  const to = from + byteOffset(text.slice(span.start), span.end - span.start, relay.clientEncoding);
  const writer = new Writer();
  writeQuery(writer, bytes.subarray(from, to));
  const dialogue = new SpanDialogue(relay);
  await relay.converse(writer.finish(), dialogue);
  return dialogue.error ? placedError(dialogue.error, characterCount(text, span.start)) : null;
}

const SPAN = actions(ACTION.forward, [
  [ACTION.take, 'EZ'],
  [ACTION.tee, 'SG'],
]);

class SpanDialogue implements Dialogue {
  readonly actions = SPAN;
  error: ReportFields | null = null;
  readonly #relay: Relay;

  constructor(relay: Relay) {
    this.#relay = relay;
  }

  took(type: number, message: Buffer): boolean {
    if (type === BACKEND.errorResponse) this.error = decodeReport(message);
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
