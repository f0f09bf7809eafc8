/** Attempts whose duration is remembered. */
const REMEMBERED = 1_000;

/** How long a stream's last attempts took. */
export class Latencies {
  readonly #ms: number[] = [];
  #next = 0;

  add(ms: number): void {
    this.#ms[this.#next] = ms;
    this.#next = (this.#next + 1) % REMEMBERED;
  }

  /** Of each share of the attempts the latency that they did not exceed; null before the first attempt. */
  quantiles(...shares: readonly number[]): (number | null)[] {
    if (this.#ms.length === 0) return shares.map(() => null);
    const sorted = Float64Array.from(this.#ms).sort();
    return shares.map((share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!);
  }
}
