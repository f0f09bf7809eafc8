import type { Random } from './random.ts';

/** Exponential back-off: `initialMs · 2^n`, at most `maxMs`, ±20 % jitter so that retries do not come in step. */
export interface Backoff {
  readonly initialMs: number;
  readonly maxMs: number;
}

const JITTER = 0.2;

/** The wait in whole milliseconds before retry number `retry` (0 for the first). */
export function backoffMs(backoff: Backoff, retry: number, random: Random): number {
  // 2^40 ms is 34 years: past any maximum, and far from overflow.
  const base = Math.min(backoff.maxMs, backoff.initialMs * 2 ** Math.min(retry, 40));
  return Math.round(base * (1 - JITTER + 2 * JITTER * random.float()));
}
