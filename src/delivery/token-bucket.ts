/** What may be spent at once after a pause: a twentieth of a second's worth, and one at least. */
const BURST_SHARE = 1 / 20;

/**
 * A rate as a bucket that fills evenly. An amount that is larger than the bucket is taken on credit, and what comes next
 * waits until it is paid off: over any time `t` in seconds, no more than `rate × t` and one bucket and the last amount.
 * Times are wall time in milliseconds; a clock that is set back stops the filling, and gives nothing away.
 */
export class TokenBucket {
  #perSecond = 0;
  #capacity = 0;
  #tokens = 0;
  #atMs = 0;

  /** 0: unlimited. */
  configure(perSecond: number): void {
    if (perSecond === this.#perSecond) return;
    this.#perSecond = perSecond;
    this.#capacity = Math.max(1, perSecond * BURST_SHARE);
    this.#tokens = this.#capacity;
  }

  /** When something may be spent again; `nowMs` or before: now. */
  readyAtMs(nowMs: number): number {
    if (this.#perSecond === 0) return 0;
    this.#fill(nowMs);
    return this.#tokens >= 1 ? nowMs : nowMs + Math.ceil(((1 - this.#tokens) * 1000) / this.#perSecond);
  }

  spend(amount: number, nowMs: number): void {
    if (this.#perSecond === 0) return;
    this.#fill(nowMs);
    this.#tokens -= amount;
  }

  #fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#capacity, this.#tokens + (elapsedMs * this.#perSecond) / 1000);
  }
}
