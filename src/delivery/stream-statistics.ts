import type { StreamCounters } from '../log/delivery-store.ts';
import type { DeliveryStatus } from '../model/status.ts';
import type { Outcome } from '../sinks/sink.ts';
import { DeliveryMetrics } from './delivery-metrics.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import { Latencies } from './latencies.ts';
import type { Settlement } from './scheduler.ts';

/** What a stream's status counts and remembers. */
export class StreamStatistics {
  lastEventAtMs: number | null;
  #filtered: number;
  #doubts: number;
  #lastDoubt: string | null;
  readonly #latencies = new Latencies();
  readonly #metrics = new DeliveryMetrics();
  #delivered: number;
  #failed: number;
  #retried: number;
  #discarded: number;
  #lastDeliveryAtMs: number | null;
  #lastHttpStatus: number | null;
  #lastError: string | null;
  #lastErrorAtMs: number | null;

  constructor(stored: StreamCounters | null) {
    this.lastEventAtMs = stored?.lastEventAtMs ?? null;
    this.#delivered = stored?.eventsDelivered ?? 0;
    this.#failed = stored?.eventsFailed ?? 0;
    this.#retried = stored?.eventsRetried ?? 0;
    this.#discarded = stored?.eventsDiscarded ?? 0;
    this.#filtered = stored?.eventsFiltered ?? 0;
    this.#doubts = stored?.filterDoubts ?? 0;
    this.#lastDoubt = stored?.lastFilterDoubt ?? null;
    this.#lastDeliveryAtMs = stored?.lastDeliveryAtMs ?? null;
    this.#lastHttpStatus = stored?.lastHttpStatus ?? null;
    this.#lastError = stored?.lastError ?? null;
    this.#lastErrorAtMs = stored?.lastErrorAtMs ?? null;
  }

  /** `bodyBytes`: of its request. */
  attempt(
    outcome: Outcome,
    settlement: Settlement<DeliveryEvent>,
    { nowMs, tookMs, bodyBytes }: { readonly nowMs: number; readonly tookMs: number; readonly bodyBytes: number },
  ): void {
    if (outcome.class === 'cancelled') return;
    this.#latencies.add(tookMs);
    this.#metrics.attempt(outcome, bodyBytes, tookMs);
    this.#metrics.acknowledged(settlement.acknowledged, nowMs);
    this.#delivered += settlement.acknowledged.length;
    this.#retried += settlement.retried;
    if (settlement.acknowledged.length > 0) this.#lastDeliveryAtMs = nowMs;
    if (outcome.status !== null) this.#lastHttpStatus = outcome.status;
    if (outcome.class !== 'ok') this.fault(outcome.reason, nowMs);
    this.#failed += settlement.retried + settlement.dead.length + settlement.skipped.length;
  }

  /** Dead letters were discarded. */
  discarded(count: number): void {
    this.#discarded += count;
  }

  /** Filters have dropped so many changes. */
  filtered(count: number): void {
    this.#filtered += count;
  }

  /** A filter could not tell, and the event is sent. */
  doubt(reason: string): void {
    this.#doubts++;
    this.#lastDoubt = reason;
  }

  fault(reason: string, nowMs: number): void {
    this.#lastError = reason;
    this.#lastErrorAtMs = nowMs;
  }

  /** `deadLetters`: how many there are. */
  counters(deadLetters: number): StreamCounters {
    return {
      eventsDelivered: this.#delivered,
      eventsFailed: this.#failed,
      eventsRetried: this.#retried,
      deadLetters,
      eventsDiscarded: this.#discarded,
      eventsFiltered: this.#filtered,
      filterDoubts: this.#doubts,
      lastFilterDoubt: this.#lastDoubt,
      lastEventAtMs: this.lastEventAtMs,
      lastDeliveryAtMs: this.#lastDeliveryAtMs,
      lastHttpStatus: this.#lastHttpStatus,
      lastError: this.#lastError,
      lastErrorAtMs: this.#lastErrorAtMs,
    };
  }

  /** `pending`: captured, and neither acknowledged nor dead. */
  report(
    pending: number,
    deadLetters: number,
  ): StreamCounters & Pick<DeliveryStatus, 'eventsCaptured' | 'deliveryP50Ms' | 'deliveryP99Ms' | 'measures'> {
    const [deliveryP50Ms = null, deliveryP99Ms = null] = this.#latencies.quantiles(0.5, 0.99);
    return {
      ...this.counters(deadLetters),
      eventsCaptured: this.#delivered + deadLetters + this.#discarded + this.#filtered + pending,
      deliveryP50Ms,
      deliveryP99Ms,
      measures: this.#metrics.measures(),
    };
  }
}
