import type { Logger } from '../base/logger.ts';
import type { StreamControl } from '../model/stream-control.ts';
import { decodeCommandComplete } from '../wire/backend-messages.ts';
import { FRONTEND, STATUS } from '../wire/message-type.ts';
import { CommandRunner } from './command-runner.ts';
import { ExtendedQuery } from './extended-query.ts';
import { SessionEndedError, type Interceptor, type Relay } from './relay.ts';
import { SimpleQuery } from './simple-query.ts';
import { mayConcern } from './statement.ts';

export interface InterceptorOptions {
  readonly relay: Relay;
  readonly control: StreamControl;
  readonly logger: Logger;
  /** Counts a statement of ours. */
  readonly intercepted: () => void;
}

/** Steps in for the statements of ours in one session: whose message it is, and who answers it. */
export class StatementInterceptor implements Interceptor {
  readonly #options: InterceptorOptions;
  readonly #simple: SimpleQuery;
  readonly #extended: ExtendedQuery;
  readonly #runner: CommandRunner;

  constructor(options: InterceptorOptions) {
    this.#options = options;
    const { relay, control, logger, intercepted } = options;
    this.#runner = new CommandRunner(relay, control, intercepted);
    this.#simple = new SimpleQuery(relay, logger, this.#runner);
    this.#extended = new ExtendedQuery(relay, logger, this.#runner);
  }

  concerns(type: number, bytes: Buffer, start: number, end: number, whole: boolean): boolean {
    const { relay } = this.#options;
    // While it reads COPY data, a statement is a violation of the protocol: the upstream says so.
    if (relay.due.isCopyIn) return false;
    if (type !== FRONTEND.query) return this.#extended.concerns(type, bytes.subarray(start, end), whole);
    const isOurs = whole && mayConcern(bytes, start + 5, end - 1, relay);
    // A simple query ends the unnamed statement and portal, whosever they are.
    this.#extended.forgetUnnamed();
    return isOurs;
  }

  async handle(message: Buffer): Promise<void> {
    try {
      await this.#options.relay.settled();
      // The upstream, too, drops what comes before the next Sync.
      if (this.#options.relay.due.isSkipping) return;
      if (message[0] === FRONTEND.query) await this.#simple.handle(message);
      else await this.#extended.handle(message);
    } catch (error) {
      if (!(error instanceof SessionEndedError)) throw error;
    }
  }

  cancel(): void {
    this.#runner.cancel();
  }

  ready(status: number): void {
    // Portals end with their transaction.
    if (status === STATUS.idle) this.#extended.forgetPortals();
  }

  completed(message: Buffer): void {
    const tag = decodeCommandComplete(message);
    if (tag === 'DEALLOCATE ALL' || tag === 'DISCARD ALL') this.#extended.forgetAll();
  }
}
