import type { StreamCounters } from '../log/delivery-store.ts';
import type { DeliveryStatus } from '../model/status.ts';
import type { Outcome } from '../sinks/sink.ts';
import { Latencies } from './latencies.ts';
import type { Settlement } from './scheduler.ts';

/** What a stream's status counts and remembers. */
export class StreamStatistics {
  lastEventAtMs: number | null;
  readonly #latencies = new Latencies();
  #delivered: number;
  #failed: number;
  #retried: number;
  #dead: number;
  #lastDeliveryAtMs: number | null;
  #lastHttpStatus: number | null;
  #lastError: string | null;
  #lastErrorAtMs: number | null;

  constructor(stored: StreamCounters | null) {
    this.lastEventAtMs = stored?.lastEventAtMs ?? null;
    this.#delivered = stored?.eventsDelivered ?? 0;
    this.#failed = stored?.eventsFailed ?? 0;
    this.#retried = stored?.eventsRetried ?? 0;
    this.#dead = stored?.deadLetters ?? 0;
    this.#lastDeliveryAtMs = stored?.lastDeliveryAtMs ?? null;
    this.#lastHttpStatus = stored?.lastHttpStatus ?? null;
    this.#lastError = stored?.lastError ?? null;
    this.#lastErrorAtMs = stored?.lastErrorAtMs ?? null;
  }

  attempt(outcome: Outcome, settlement: Settlement<unknown>, nowMs: number, tookMs: number): void {
    if (outcome.class === 'cancelled') return;
    this.#latencies.add(tookMs);
    this.#delivered += settlement.acknowledged.length;
    this.#dead += settlement.dead.length;
    this.#retried += settlement.retried;
    if (settlement.acknowledged.length > 0) this.#lastDeliveryAtMs = nowMs;
    if (outcome.status !== null) this.#lastHttpStatus = outcome.status;
    if (outcome.class !== 'ok') this.fault(outcome.reason, nowMs);
    if (outcome.class !== 'ok' || settlement.retried > 0) this.#failed++;
  }

  fault(reason: string, nowMs: number): void {
    this.#lastError = reason;
    this.#lastErrorAtMs = nowMs;
  }

  counters(): StreamCounters {
    return {
      eventsDelivered: this.#delivered,
      eventsFailed: this.#failed,
      eventsRetried: this.#retried,
      deadLetters: this.#dead,
      lastEventAtMs: this.lastEventAtMs,
      lastDeliveryAtMs: this.#lastDeliveryAtMs,
      lastHttpStatus: this.#lastHttpStatus,
      lastError: this.#lastError,
      lastErrorAtMs: this.#lastErrorAtMs,
    };
  }

  /** `pending`: captured, and neither acknowledged nor dead. */
  report(pending: number): StreamCounters & Pick<DeliveryStatus, 'eventsCaptured' | 'deliveryP50Ms' | 'deliveryP99Ms'> {
    return {
      ...this.counters(),
      eventsCaptured: this.#delivered + this.#dead + pending,
      deliveryP50Ms: this.#latencies.quantile(0.5),
      deliveryP99Ms: this.#latencies.quantile(0.99),
    };
  }
}
