/** How many values there were up to each bound, each count with those below it; and all of them. */
export interface HistogramCounts {
  readonly bounds: readonly number[];
  /** As many as bounds. */
  readonly upTo: readonly number[];
  readonly count: number;
  readonly sum: number;
}

/** Counts values by bounds that ascend. https://prometheus.io/docs/concepts/metric_types/#histogram */
export class Histogram {
  readonly #bounds: readonly number[];
  /** Of each bound alone; the last: beyond all. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array<number>(bounds.length + 1).fill(0);
  }

  /** Counts a value so many times. */
  add(value: number, times = 1): void {
    let at = 0;
    while (at < this.#bounds.length && value > this.#bounds[at]!) at++;
    this.#counts[at]! += times;
    this.#sum += value * times;
  }

  counts(): HistogramCounts {
    let count = 0;
    const upTo = this.#bounds.map((_, i) => (count += this.#counts[i]!));
    return { bounds: this.#bounds, upTo, count: count + this.#counts.at(-1)!, sum: this.#sum };
  }
}
