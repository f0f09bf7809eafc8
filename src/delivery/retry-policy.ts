import { backoffMs, type Backoff } from '../base/backoff.ts';
import type { Random } from '../base/random.ts';
import type { Outcome } from '../sinks/sink.ts';

/** The waits of a single event that the receiver rejects; after the last it is dead. */
export const REJECTED_RETRY_MS: readonly number[] = [5_000, 30_000, 120_000, 600_000];

/** What is known of a batch whose attempt has just failed, that attempt not counted yet. */
export interface FailedAttempt {
  readonly size: number;
  readonly attempts: number;
  readonly transientFailures: number;
  readonly rejections: number;
  /** The endpoint has taken something else since this batch was first sent. */
  readonly endpointAnswered: boolean;
}

export type Verdict =
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'split'; readonly bySize: boolean }
  | { readonly kind: 'dead' }
  | { readonly kind: 'halt' };

export type Failure = Exclude<Outcome, { class: 'ok' } | { class: 'cancelled' }>;

/**
 * What a failure means for a batch. `maxRetries` (0: unlimited) counts transient failures only: a wrong setting of the
 * endpoint or its overload says nothing about the events. An event is given up only when the endpoint has taken others in
 * the meantime, so that an endpoint that is down never turns a backlog into dead letters; and a batch is taken apart
 * before, so that one bad event does not take its neighbours along.
 */
export function judgeFailure(
  failed: FailedAttempt,
  failure: Failure,
  options: { readonly maxRetries: number; readonly backoff: Backoff },
  random: Random,
): Verdict {
  const wait = (): Verdict => ({
    kind: 'retry',
    delayMs: Math.max(backoffMs(options.backoff, failed.attempts, random), failure.retryAfterMs ?? 0),
  });
  switch (failure.class) {
    case 'gone':
      return { kind: 'halt' };
    case 'rejected': {
      if (failed.size > 1) return { kind: 'split', bySize: failure.status === 413 };
      const delayMs = REJECTED_RETRY_MS[failed.rejections];
      if (delayMs === undefined) return { kind: 'dead' };
      return { kind: 'retry', delayMs: Math.max(delayMs, failure.retryAfterMs ?? 0) };
    }
    case 'misconfigured':
    case 'overloaded':
      return wait();
    case 'transient': {
      const exhausted = options.maxRetries > 0 && failed.transientFailures >= options.maxRetries;
      if (!exhausted || !failed.endpointAnswered) return wait();
      return failed.size > 1 ? { kind: 'split', bySize: false } : { kind: 'dead' };
    }
  }
}
