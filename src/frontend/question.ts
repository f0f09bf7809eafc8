import { decodeDataRow, decodeReport, type ReportFields } from '../wire/backend-messages.ts';
import { ACTION, actions } from '../wire/framer.ts';
import { writeBind, writeClose, writeEmpty, writeExecute, writeParse, writeQuery } from '../wire/frontend-messages.ts';
import { BACKEND, FRONTEND } from '../wire/message-type.ts';
import { Writer } from '../wire/writer.ts';
import type { Dialogue, Relay } from './relay.ts';

/**
 * Questions of our own on the client's upstream session: as the client's role, with its search path. NOTIFY and
 * parameter changes that arrive meanwhile go to the client; nothing else does.
 */
export interface Questioner {
  /**
   * The value of a SQL expression of type json. The text is ASCII, and every name in it qualified: the session's search
   * path is the client's, and so may be what it finds there. Rejects with `UpstreamError` where the upstream answers
   * with an error.
   */
  ask(jsonExpression: string): Promise<unknown>;
}

/** An error of the upstream's, in answer to something that we sent. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly fields: ReportFields;

  constructor(fields: ReportFields) {
    super(fields.get('M')?.toString() ?? 'the upstream failed');
    // Positions in a text that the client has never seen.
    this.fields = new Map([...fields].filter(([letter]) => !'Ppq'.includes(letter)));
  }
}

/** What came in answer to a question is not what was asked for: whatever the upstream is, it is no matter for an assertion. */
export function senseless(): Error {
  return new Error('the upstream answered a question of ours with something else');
}

const TAKE_ALL = actions(ACTION.take, [
  [ACTION.forward, 'A'],
  [ACTION.tee, 'S'],
]);

const NAME = 'walhook question';

/** In hexadecimal of UTF-8, so that the answer is the same in every client encoding. */
function queryText(jsonExpression: string): Buffer {
  return Buffer.from(
    `SELECT pg_catalog.encode(pg_catalog.convert_to(CAST(${jsonExpression} AS pg_catalog.text), 'UTF8'), 'hex')`,
    'latin1',
  );
}

/** For a simple query: no group is open, and outside a block the question is a transaction of its own. */
export class SimpleQuestioner implements Questioner {
  readonly #relay: Relay;

  constructor(relay: Relay) {
    this.#relay = relay;
  }

  async ask(jsonExpression: string): Promise<unknown> {
    const writer = new Writer();
    writeQuery(writer, queryText(jsonExpression));
    const answer = new Answer(BACKEND.readyForQuery);
    await this.#relay.converse(writer.finish(), answer);
    return answer.value();
  }
}

/**
 * For the extended protocol, in the middle of a group or at its beginning. Touches neither the unnamed statement nor the
 * unnamed portal. An error leaves the upstream skipping to the client's next Sync, as an error of the client's does.
 */
export class ExtendedQuestioner implements Questioner {
  readonly #relay: Relay;

  constructor(relay: Relay) {
    this.#relay = relay;
  }

  async ask(jsonExpression: string): Promise<unknown> {
    const writer = new Writer();
    // One that failed may have left its statement behind.
    writeClose(writer, { kind: 'statement', name: NAME });
    writeParse(writer, { name: NAME, text: queryText(jsonExpression), parameterTypes: [] });
    writeBind(writer, {
      portal: NAME,
      statement: NAME,
      parameterFormats: [],
      parameters: [],
      resultFormats: [],
    });
    writeExecute(writer, { portal: NAME, maxRows: 0 });
    writeClose(writer, { kind: 'portal', name: NAME });
    writeClose(writer, { kind: 'statement', name: NAME });
    writeEmpty(writer, FRONTEND.flush);
    const answer = new Answer(BACKEND.closeComplete, 3);
    await this.#relay.converse(writer.finish(), answer);
    if (answer.isError) this.#relay.due.failed();
    return answer.value();
  }
}

class Answer implements Dialogue {
  readonly actions = TAKE_ALL;
  readonly #lastType: number;
  #lastCount: number;
  #text: string | null = null;
  #error: UpstreamError | null = null;

  /** Over at the `lastCount`-th message of `lastType`; without Sync at an error too, since nothing follows it. */
  constructor(lastType: number, lastCount = 1) {
    this.#lastType = lastType;
    this.#lastCount = lastCount;
  }

  get isError(): boolean {
    return this.#error !== null;
  }

  took(type: number, message: Buffer): boolean {
    if (type === BACKEND.dataRow) this.#text = decodeDataRow(message)[0]?.toString('latin1') ?? null;
    if (type === BACKEND.errorResponse) {
      this.#error = new UpstreamError(decodeReport(message));
      return this.#lastType !== BACKEND.readyForQuery || this.#error.fields.get('V')?.toString() !== 'ERROR';
    }
    return type === this.#lastType && --this.#lastCount === 0;
  }

  /** Null where the expression was null. */
  value(): unknown {
    if (this.#error) throw this.#error;
    if (this.#text === null) return null;
    return JSON.parse(Buffer.from(this.#text, 'hex').toString('utf8'));
  }
}
