import { backoffMs, type Backoff } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';
import type { Random } from './random.ts';

/**
 * A long-running part. `run` is called once; it resolves when the signal aborts (or the work is done) and rejects on
 * failure. Constructors only store.
 */
export interface Service {
  run(signal: AbortSignal): Promise<void>;
}

/** Resolves when the signal aborts; at once where it has. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

export interface SuperviseOptions {
  readonly name: string;
  readonly backoff: Backoff;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /**
   * Tells of each failure before the wait. Returning `stop` ends the supervision by throwing the error; after `quiet`
   * nothing is logged.
   */
  readonly onFailure?: (error: Error, retryInMs: number) => 'retry' | 'quiet' | 'stop';
  /** A run that lasted this long was healthy: the next wait is the first again. */
  readonly healthyMs?: number;
}

/** Runs `start` again and again, with back-off between failures, until the signal aborts. */
export async function supervise(
  start: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
  options: SuperviseOptions,
): Promise<void> {
  const { clock, healthyMs = 60_000 } = options;
  let failures = 0;
  while (!signal.aborted) {
    const startedMs = clock.monotonicMs();
    try {
      await start(signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      const err = error instanceof Error ? error : new Error(String(error));
      if (clock.monotonicMs() - startedMs >= healthyMs) failures = 0;
      const waitMs = backoffMs(options.backoff, failures++, options.random);
      const verdict = options.onFailure?.(err, waitMs) ?? 'retry';
      if (verdict === 'stop') throw err;
      if (verdict === 'retry') options.logger.warn({ service: options.name, err, retryInMs: waitMs }, 'service failed');
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }
}
