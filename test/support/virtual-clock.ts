import type { Cancel, Clock } from '../../src/base/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that moves only when a test says so. Timers run in order of their time, and of their making at the same time. */
export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
  #nowMs: number;
  #elapsedMs = 0;
  #order = 0;

  constructor(startMs = Date.UTC(2026, 0, 5, 10)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, run: () => void): Cancel {
    const timer = { atMs: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const cancel = this.after(delayMs, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** How many are to come. */
  get timers(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, counted from now; null where there is none. */
  get nextTimerMs(): number | null {
    const next = this.#earliest();
    return next === null ? null : next.atMs - this.#elapsedMs;
  }

  /**
   * Moves time by `ms`, running what comes due on the way. Between timers everything that is ready gets to run: promises and
   * the event loop's immediate callbacks.
   */
  async advance(ms: number): Promise<void> {
    const until = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#earliest(); next !== null && next.atMs <= until; next = this.#earliest()) {
      this.#moveTo(next.atMs);
      this.#timers.delete(next);
      next.run();
      await settle();
    }
    this.#moveTo(until);
  }

  /** Sets the wall clock, as an operator or a time server does; what runs is not affected. */
  setWallTime(ms: number): void {
    this.#nowMs = ms;
  }

  #moveTo(elapsedMs: number): void {
    this.#nowMs += elapsedMs - this.#elapsedMs;
    this.#elapsedMs = elapsedMs;
  }

  #earliest(): Timer | null {
    let earliest: Timer | null = null;
    for (const timer of this.#timers) {
      const earlier =
        earliest === null ||
        timer.atMs < earliest.atMs ||
        (timer.atMs === earliest.atMs && timer.order < earliest.order);
      if (earlier) earliest = timer;
    }
    return earliest;
  }
}

const SETTLE_ROUNDS = 4;

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let i = 0; i < SETTLE_ROUNDS; i++) await new Promise((resolve) => setImmediate(resolve));
}
