import type { Clock } from '../base/clock.ts';

/** What time servers correct bit by bit is no setting of the clock. */
const LEAST_MS = 1_000;

/** Finds out that the wall clock was set forward, or that the machine slept: by what passes on the other clock. */
export class WallClockWatch {
  readonly #clock: Clock;
  #offsetMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#offsetMs = clock.now() - clock.monotonicMs();
  }

  /** By how many milliseconds it was set forward since this was last asked; 0: it was not, or it was set back. */
  aheadMs(): number {
    const offsetMs = this.#clock.now() - this.#clock.monotonicMs();
    const byMs = offsetMs - this.#offsetMs;
    this.#offsetMs = offsetMs;
    return byMs >= LEAST_MS ? byMs : 0;
  }
}
