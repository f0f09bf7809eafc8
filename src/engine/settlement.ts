import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { supervise } from '../base/service.ts';
import type { TransactionId } from '../model/catalog-control.ts';
import type { SourceServer } from './source.ts';

export interface SettlementOptions {
  readonly server: Pick<SourceServer, 'transactionStatus'>;
  readonly committed: (transaction: TransactionId) => Promise<unknown>;
  readonly forgotten: (transaction: TransactionId) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A transaction that was in progress is asked for again after this long. */
const ASK_AGAIN_MS = 500;
const BACKOFF = { initialMs: 500, maxMs: 30_000 };

/**
 * Finds out how transactions ended whose COMMIT nobody here has seen answered: those that were staged when the process
 * died, and those whose connection broke.
 *
 * A transaction that the upstream does not know (its status is discarded once every table is frozen past it, hundreds of
 * millions of transactions later; or the server was restored to an earlier time) is forgotten, with an error in the log:
 * the answer to COMMIT is held back until the changes are applied, so nobody was told that they are; and sending a table's
 * changes to somebody on the word of a transaction that may have been rolled back would be the worse mistake.
 */
export class Settlement {
  readonly #options: SettlementOptions;
  readonly #orphans = new Set<TransactionId>();
  #signal: AbortSignal | null = null;
  #isAsking = false;

  constructor(options: SettlementOptions) {
    this.#options = options;
  }

  /** From now on until `signal` aborts, what is added is settled. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    this.#askSoon();
  }

  add(transaction: TransactionId): void {
    this.#orphans.add(transaction);
    this.#askSoon();
  }

  #askSoon(): void {
    const { clock, random, logger } = this.#options;
    if (this.#signal === null || this.#isAsking || this.#orphans.size === 0) return;
    this.#isAsking = true;
    const asking = supervise((signal) => this.#askAll(signal), this.#signal, {
      name: 'settlement',
      backoff: BACKOFF,
      clock,
      random,
      logger,
    });
    void asking.finally(() => (this.#isAsking = false));
  }

  async #askAll(signal: AbortSignal): Promise<void> {
    while (this.#orphans.size > 0 && !signal.aborted) {
      for (const transaction of this.#orphans) await this.#settle(transaction);
      if (this.#orphans.size > 0) await this.#options.clock.sleep(ASK_AGAIN_MS, signal).catch(() => undefined);
    }
  }

  async #settle(transaction: TransactionId): Promise<void> {
    const { server, committed, forgotten, logger } = this.#options;
    const status = await server.transactionStatus(transaction);
    if (status === 'in progress' || this.#signal?.aborted !== false) return;
    this.#orphans.delete(transaction);
    if (status === 'committed') {
      logger.info({ transaction }, 'CDC statements of a committed transaction are applied');
      await committed(transaction);
      return;
    }
    if (status === 'aborted') logger.info({ transaction }, 'CDC statements of an aborted transaction are forgotten');
    else
      logger.error({ transaction }, 'the upstream does not know how a transaction ended: its CDC statements are lost');
    forgotten(transaction);
  }
}
