import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Span } from '../base/tracing.ts';
import type { CatalogControl } from '../model/catalog-control.ts';
import type { ServerInfo } from '../model/server-info.ts';
import type { StreamControl } from '../model/stream-control.ts';
import { decodeCommandComplete } from '../wire/backend-messages.ts';
import { MAX_DOUBTFUL_BYTES } from '../wire/framer.ts';
import { FRONTEND, STATUS } from '../wire/message-type.ts';
import { CommandRunner } from './command-runner.ts';
import { ExtendedQuery } from './extended-query.ts';
import type { Interception } from './interception.ts';
import { OwnNames } from './own-names.ts';
import { SessionEndedError, type Relay } from './relay.ts';
import type { Interceptor } from './steps-in.ts';
import { SimpleQuery } from './simple-query.ts';
import { StagedSession } from './staged-session.ts';
import { StagedTransaction } from './staged-transaction.ts';
import { type OwnCommand, Recogniser } from './statement.ts';
import { UnreadText } from './unread-text.ts';

export interface InterceptorOptions {
  readonly relay: Relay;
  readonly control: StreamControl & CatalogControl;
  readonly info: ServerInfo;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Counts a statement of ours; its span, where traces are collected. */
  readonly intercepted: (command: OwnCommand) => Span | null;
  /** A message was not passed on as it came: for how long it, and what is behind it, was held up. */
  readonly held: (durationMs: number) => void;
}

/** Steps in for the statements of ours in one session: whose message it is, and who answers it. */
export class StatementInterceptor implements Interceptor {
  readonly #shared: Interception;
  readonly #unread: UnreadText;
  readonly #simple: SimpleQuery;
  readonly #extended: ExtendedQuery;
  readonly #clock: Clock;
  readonly #held: (durationMs: number) => void;
  readonly #stagedSession: StagedSession;

  constructor({ relay, control, info, logger, clock, intercepted, held }: InterceptorOptions) {
    this.#clock = clock;
    this.#held = held;
    const names = new OwnNames(relay);
    const recogniser = new Recogniser(relay, names);
    const staged = new StagedTransaction(relay, control);
    const runner = new CommandRunner(relay, control, names, staged, info, intercepted);
    this.#shared = { relay, logger, names, runner, staged, recogniser };
    this.#stagedSession = new StagedSession(this.#shared);
    this.#unread = new UnreadText(relay);
    this.#simple = new SimpleQuery(this.#shared);
    this.#extended = new ExtendedQuery(this.#shared);
  }

  concerns(type: number, bytes: Buffer, start: number, end: number, whole: boolean): boolean {
    // With changes staged, all of them are.
    return (
      this.#isOurs(type, bytes, start, end, whole) || (this.#shared.staged.isOpen && !this.#shared.relay.due.isCopyIn)
    );
  }

  #isOurs(type: number, bytes: Buffer, start: number, end: number, whole: boolean): boolean {
    const { relay, names, recogniser } = this.#shared;
    // While it reads COPY data, a statement is a violation of the protocol: the upstream says so.
    if (relay.due.isCopyIn) return false;
    if (!whole && end - start >= MAX_DOUBTFUL_BYTES) return false;
    if (names.areNone && isText(type) && !recogniser.mayBeOurs(bytes, start + 5, end)) return false;
    if (type !== FRONTEND.query) return this.#extended.concerns(type, bytes.subarray(start, end), whole);
    const isOurs = whole
      ? recogniser.mayConcern(bytes, start + 5, end - 1)
      : recogniser.mayBeOurs(bytes, start + 5, end);
    // A simple query ends the unnamed statement and portal, whosever they are.
    names.deleteStatement('');
    names.deletePortal('');
    return isOurs;
  }

  passing(type: number, bytes: Buffer, start: number, end: number): void {
    if (isText(type)) this.#unread.passing(bytes, start, end);
  }

  failed(message: Buffer): Buffer | null {
    return this.#unread.failed(message);
  }

  async handle(message: Buffer): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    this.#stagedSession.handling();
    try {
      const { relay } = this.#shared;
      // Before authentication it is a violation of the protocol, of which the upstream tells.
      if (!(await relay.settled())) return relay.send(message);
      if (relay.due.isSkipping) {
        // The upstream drops what comes before the next Sync; what is ours it need not even see.
        const type = message.readUInt8(0);
        if (!this.#isOurs(type, message, 0, message.length, true)) await this.#stagedSession.send(message);
        return;
      }
      if (this.#shared.staged.isOpen && (await this.#stagedSession.handle(message))) return;
      if (message[0] === FRONTEND.query) await this.#simple.handle(message);
      else await this.#extended.handle(message);
    } catch (error) {
      if (!(error instanceof SessionEndedError)) throw error;
    } finally {
      this.#stagedSession.handled();
      this.#held(this.#clock.monotonicMs() - startedMs);
    }
  }

  cancel(): void {
    this.#shared.runner.cancel();
  }

  ready(status: number): void {
    this.#unread.ready();
    if (status === STATUS.idle) this.#shared.names.transactionEnded();
    this.#stagedSession.ready(status);
  }

  completed(message: Buffer): void {
    const tag = decodeCommandComplete(message);
    this.#shared.names.completed(tag);
    this.#shared.staged.completed(tag);
  }

  holds(type: number, message: Buffer): boolean {
    return this.#stagedSession.holds(type, message);
  }

  ended(): void {
    this.#shared.staged.ended();
  }
}

function isText(type: number): boolean {
  return type === FRONTEND.query || type === FRONTEND.parse;
}
