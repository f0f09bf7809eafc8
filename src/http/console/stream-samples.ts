import type { Clock } from '../../base/clock.ts';
import type { StreamReport } from '../../model/status.ts';

/** What is kept of each stream, each time: rates a second since the time before, and states. */
export const SERIES = ['captured', 'delivered', 'failed', 'p50Ms', 'p99Ms', 'lagSeconds', 'pending'] as const;
export type SeriesName = (typeof SERIES)[number];

export const SAMPLE_EVERY_MS = 5_000;
/** A quarter of an hour. */
const SAMPLES = 180;
/** Of more streams than these nothing is kept: 5 kB each. */
const MAX_STREAMS = 2_000;

/** Points in time order; null where nothing is known. */
export interface Samples {
  /** Milliseconds since 1970. */
  readonly times: readonly number[];
  readonly series: Readonly<Partial<Record<SeriesName, ReadonlyArray<number | null>>>>;
}

interface Counts {
  readonly captured: number;
  readonly delivered: number;
  readonly failed: number;
}

class StreamRing {
  readonly #values = new Float32Array(SAMPLES * SERIES.length).fill(Number.NaN);
  counts: Counts | null = null;

  set(slot: number, values: Readonly<Record<SeriesName, number | null>>): void {
    SERIES.forEach((name, at) => (this.#values[at * SAMPLES + slot] = values[name] ?? Number.NaN));
  }

  get(name: SeriesName, slot: number): number | null {
    const value = this.#values[SERIES.indexOf(name) * SAMPLES + slot]!;
    // Three digits are more than a chart shows.
    return Number.isNaN(value) ? null : Math.round(value * 1_000) / 1_000;
  }
}

/** The last quarter of an hour of every stream, for the charts. By the streams' ids, so that a name used again is another. */
export class StreamSamples {
  readonly #reports: () => Promise<readonly StreamReport[]>;
  readonly #clock: Clock;
  readonly #rings = new Map<string, StreamRing>();
  #idOf: ReadonlyMap<string, string> = new Map();
  /** Of each slot; the slot of the n-th sample is n modulo SAMPLES. */
  readonly #times = new Float64Array(SAMPLES);
  #count = 0;

  constructor(reports: () => Promise<readonly StreamReport[]>, clock: Clock) {
    this.#reports = reports;
    this.#clock = clock;
  }

  /** How many samples were ever taken: what `since` takes to get only those after them. */
  get count(): number {
    return this.#count;
  }

  /** Takes samples until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // What cannot be asked now is a hole in the charts.
      await this.take().catch(() => undefined);
      await this.#clock.sleep(SAMPLE_EVERY_MS, signal).catch(() => undefined);
    }
  }

  async take(): Promise<void> {
    const reports = await this.#reports();
    const nowMs = this.#clock.now();
    const slot = this.#count % SAMPLES;
    const elapsed = this.#count === 0 ? null : (nowMs - this.#times[(this.#count - 1) % SAMPLES]!) / 1_000;
    this.#idOf = new Map(reports.map(({ definition }) => [definition.name, definition.id]));
    const ids = new Set(this.#idOf.values());
    for (const id of this.#rings.keys()) if (!ids.has(id)) this.#rings.delete(id);
    for (const report of reports) this.#record(report, slot, elapsed);
    this.#times[slot] = nowMs;
    this.#count++;
  }

  /** Of the stream of that name, from the `since`-th sample on, but the last `most` at most. */
  of(stream: string, names: readonly SeriesName[], since: number, most: number = SAMPLES): Samples {
    const ring = this.#rings.get(this.#idOf.get(stream) ?? '');
    const first = Math.max(since, this.#count - Math.min(most, SAMPLES), 0);
    const slots = Array.from({ length: Math.max(0, this.#count - first) }, (_, at) => (first + at) % SAMPLES);
    const series = names.map((name) => [name, slots.map((slot) => ring?.get(name, slot) ?? null)] as const);
    return { times: slots.map((slot) => this.#times[slot]!), series: Object.fromEntries(series) };
  }

  #record({ definition, delivery, lagSeconds }: StreamReport, slot: number, elapsed: number | null): void {
    let ring = this.#rings.get(definition.id);
    if (ring === undefined) {
      if (this.#rings.size >= MAX_STREAMS) return;
      ring = new StreamRing();
      this.#rings.set(definition.id, ring);
    }
    const counts: Counts = {
      captured: delivery.eventsCaptured,
      delivered: delivery.eventsDelivered,
      failed: delivery.eventsFailed,
    };
    const before = ring.counts;
    // A count that goes back was begun anew.
    const rate = (name: keyof Counts): number | null =>
      before === null || elapsed === null || elapsed <= 0 ? null : Math.max(0, counts[name] - before[name]) / elapsed;
    ring.counts = counts;
    ring.set(slot, {
      captured: rate('captured'),
      delivered: rate('delivered'),
      failed: rate('failed'),
      p50Ms: delivery.deliveryP50Ms,
      p99Ms: delivery.deliveryP99Ms,
      lagSeconds,
      pending: delivery.pendingEvents,
    });
  }
}
