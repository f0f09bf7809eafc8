const CAPACITY = 8_192;

/**
 * The ids of the transactions that came last. A transaction's commit is in the WAL a moment before others see it (for as
 * long as a synchronous standby takes): a snapshot taken after a commit record may lack what it committed.
 */
export class RecentTransactions {
  readonly #ids = new Uint32Array(CAPACITY);
  #count = 0;

  /** How many have come so far. */
  get count(): number {
    return this.#count;
  }

  add(xid: number): void {
    this.#ids[this.#count++ % CAPACITY] = xid;
  }

  /** Whether one of `xids` is among those that had come when `count` was `before`. */
  hasAny(xids: ReadonlySet<number>, before: number): boolean {
    if (xids.size === 0) return false;
    const from = Math.max(0, this.#count - CAPACITY);
    for (let i = from; i < before; i++) if (xids.has(this.#ids[i % CAPACITY]!)) return true;
    return false;
  }
}
