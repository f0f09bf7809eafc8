import { Histogram } from '../base/histogram.ts';
import type { AttemptCount, DeliveryMeasures } from '../model/status.ts';
import type { Outcome } from '../sinks/sink.ts';

const ATTEMPT_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const END_TO_END_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200, 43_200, 259_200];

/** An event that was acknowledged, as far as it is counted. */
interface Acknowledged {
  readonly commitMs: number;
  readonly isReplay: boolean;
}

/** What is counted of a stream's attempts for whoever watches it, since the process began. */
export class DeliveryMetrics {
  /** By class and code. */
  readonly #attempts = new Map<string, { readonly outcomeClass: string; readonly code: string; count: number }>();
  readonly #attemptSeconds = new Histogram(ATTEMPT_SECONDS);
  readonly #endToEndSeconds = new Histogram(END_TO_END_SECONDS);
  #bytes = 0;

  attempt(outcome: Exclude<Outcome, { class: 'cancelled' }>, bodyBytes: number, tookMs: number): void {
    const code = codeOf(outcome.status);
    const name = `${outcome.class} ${code}`;
    const known = this.#attempts.get(name);
    if (known === undefined) this.#attempts.set(name, { outcomeClass: outcome.class, code, count: 1 });
    else known.count++;
    this.#bytes += bodyBytes;
    this.#attemptSeconds.add(tookMs / 1_000);
  }

  /** A replay says nothing of how long anything takes. */
  acknowledged(events: readonly Acknowledged[], nowMs: number): void {
    for (let i = 0; i < events.length;) {
      const { commitMs, isReplay } = events[i]!;
      let end = i + 1;
      // Events of one transaction come together.
      while (events[end]?.commitMs === commitMs) end++;
      if (!isReplay) this.#endToEndSeconds.add(Math.max(0, nowMs - commitMs) / 1_000, end - i);
      i = end;
    }
  }

  measures(): DeliveryMeasures {
    return {
      attempts: [...this.#attempts.values()].map((attempt): AttemptCount => ({ ...attempt })),
      attemptSeconds: this.#attemptSeconds.counts(),
      endToEndSeconds: this.#endToEndSeconds.counts(),
      bytesSent: this.#bytes,
    };
  }
}

/** `429` by itself, as it is the one that says something of the sender. */
function codeOf(status: number | null): string {
  if (status === null) return 'none';
  return status === 429 ? '429' : `${Math.floor(status / 100)}xx`;
}
