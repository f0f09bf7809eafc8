/**
 * Time as a parameter. Nothing outside `base/` asks the system for it, so that a test can run days of retries in
 * milliseconds on a clock of its own.
 */
export interface Clock {
  /** Wall time in milliseconds since 1970, UTC. */
  now(): number;
  /** Milliseconds on a clock that never goes back; the zero is arbitrary. */
  monotonicMs(): number;
  /** Calls `run` once, `delayMs` from now, and returns what cancels it. Timers do not keep the process alive alone. */
  after(delayMs: number, run: () => void): Cancel;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export type Cancel = () => void;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs).unref();
    return () => clearTimeout(timer);
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, delayMs);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  },
};

/** Something took longer than it may. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  constructor(delayMs: number) {
    super(`timed out after ${delayMs} ms`);
  }
}
