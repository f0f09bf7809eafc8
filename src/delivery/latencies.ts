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

  /** The latency that a share of the attempts did not exceed; null before the first attempt. */
  quantile(share: number): number | null {
    if (this.#ms.length === 0) return null;
    const sorted = this.#ms.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  }
}
