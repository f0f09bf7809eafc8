import { AddressRate } from '../../base/address-rate.ts';

/** What one address may try: ten times at once, then once in six seconds. */
const PER_ADDRESS = { perSecond: 1 / 6, burst: 10 };
/** What all addresses together may. */
const TOGETHER = { perSecond: 1, burst: 50 };
/** Each holds a connection to the upstream while it waits for its answer. */
const MAX_AT_ONCE = 8;

/** How often somebody may try to sign in, right or wrong. */
export class SignInLimit {
  readonly #each = new AddressRate(PER_ADDRESS);
  readonly #all = new AddressRate(TOGETHER, 1);
  #running = 0;

  /** Runs the attempt, or resolves to null where it may not be made now. `nowMs` is of a clock that never goes back. */
  async attempt<T>(address: string, nowMs: number, run: () => Promise<T>): Promise<T | null> {
    if (this.#running >= MAX_AT_ONCE || !this.#each.admits(address, nowMs) || !this.#all.admits('', nowMs)) return null;
    this.#running++;
    try {
      return await run();
    } finally {
      this.#running--;
    }
  }
}
