import { backoffMs, type Backoff } from '../base/backoff.ts';
import type { Random } from '../base/random.ts';
import type { Outcome } from '../sinks/sink.ts';

/** The waits of a single event that the receiver rejects; after the last it is dead, or sooner by `maxRetries`. */
export const REJECTED_RETRY_MS: readonly number[] = [5_000, 30_000, 120_000, 600_000];

/** What is known of a batch whose attempt has just failed, that attempt not counted yet. */
export interface FailedAttempt {
  readonly size: number;
  readonly attempts: number;
  readonly transientFailures: number;
  readonly rejections: number;
  /** Since the first attempt. */
  readonly ageMs: number;
  /** The endpoint has taken something else since this batch last failed, or else was first sent. */
  readonly endpointAnswered: boolean;
}

export interface RetryOptions {
  readonly backoff: Backoff;
  /** 0: unlimited. */
  readonly maxRetries: number;
  /** 0: unlimited. */
  readonly maxRetryDurationMs: number;
  readonly onExhausted: 'dead_letter' | 'pause';
}

export type Verdict =
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'split'; readonly bySize: boolean }
  | { readonly kind: 'dead' }
  /** The stream stops, and keeps the events. */
  | { readonly kind: 'halt' };

export type Failure = Exclude<Outcome, { class: 'ok' } | { class: 'cancelled' }>;

/**
 * What a failure means for a batch. `maxRetries` counts transient failures and rejections: a wrong setting of the endpoint
 * or its overload says nothing about the events. An event is given up only when the endpoint has taken others in the meantime,
 * so that an endpoint that is down never turns a backlog into dead letters; and a batch is taken apart before, so that one
 * bad event does not take its neighbours along. To stop the stream instead loses nothing, and waits for neither.
 */
export function judgeFailure(failed: FailedAttempt, failure: Failure, options: RetryOptions, random: Random): Verdict {
  const wait = (): Verdict => ({
    kind: 'retry',
    delayMs: Math.max(backoffMs(options.backoff, failed.attempts, random), failure.retryAfterMs ?? 0),
  });
  const isSpent = options.maxRetries > 0 && failed.transientFailures + failed.rejections >= options.maxRetries;
  const isOld = options.maxRetryDurationMs > 0 && failed.ageMs >= options.maxRetryDurationMs;
  const exhausted = (): Verdict => (options.onExhausted === 'pause' ? { kind: 'halt' } : { kind: 'dead' });
  const giveUp = (): Verdict => {
    if (options.onExhausted === 'pause') return { kind: 'halt' };
    if (!failed.endpointAnswered) return wait();
    return failed.size > 1 ? { kind: 'split', bySize: false } : { kind: 'dead' };
  };
  switch (failure.class) {
    case 'gone':
      return { kind: 'halt' };
    case 'rejected': {
      if (failed.size > 1)
        return { kind: 'split', bySize: failure.status === 413 || failure.code === 'message_too_large' };
      const delayMs = REJECTED_RETRY_MS[failed.rejections];
      if (delayMs === undefined || isSpent || isOld) return exhausted();
      return { kind: 'retry', delayMs: Math.max(delayMs, failure.retryAfterMs ?? 0) };
    }
    case 'misconfigured':
    case 'overloaded':
      return isOld ? giveUp() : wait();
    case 'transient':
      return isSpent || isOld ? giveUp() : wait();
  }
}
