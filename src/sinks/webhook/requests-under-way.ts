import { type Cancel, type Clock, DeadlineError } from '../../base/clock.ts';

/** Nobody wants the answer any more. */
export class CancelledError extends Error {
  override readonly name = 'CancelledError';
}

export interface RequestUnderWay {
  readonly startedMs: number;
  readonly signal: AbortSignal;
  /** Gives it up. `delete` may be called within. */
  readonly abandon: (reason: Error) => void;
}

/**
 * Requests that are to be given up after a time which is the same for all, or when their signals abort. They share one timer,
 * and those of a signal one listener (a stream has one signal): of the thousands a second that end in time none costs either.
 */
export class RequestsUnderWay {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** The oldest first. */
  readonly #requests = new Set<RequestUnderWay>();
  readonly #stopListening = new Map<AbortSignal, () => void>();
  #cancelTimer: Cancel | null = null;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** It has begun just now. Its signal has not aborted. */
  add(request: RequestUnderWay): void {
    this.#requests.add(request);
    this.#listen(request.signal);
    this.#cancelTimer ??= this.#clock.after(this.#timeoutMs, () => this.#onTimer());
  }

  delete(request: RequestUnderWay): void {
    this.#requests.delete(request);
  }

  /** Gives up all of them. */
  close(): void {
    this.#cancelTimer?.();
    for (const stop of this.#stopListening.values()) stop();
    this.#stopListening.clear();
    for (const { abandon } of this.#requests) abandon(new CancelledError());
  }

  #listen(signal: AbortSignal): void {
    if (this.#stopListening.has(signal)) return;
    const onAbort = (): void => {
      this.#stopListening.delete(signal);
      for (const request of this.#requests) if (request.signal === signal) request.abandon(new CancelledError());
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#stopListening.set(signal, () => signal.removeEventListener('abort', onAbort));
  }

  #onTimer(): void {
    this.#cancelTimer = null;
    const startedByMs = this.#clock.monotonicMs() - this.#timeoutMs;
    for (const { startedMs, abandon } of this.#requests) {
      if (startedMs > startedByMs) {
        this.#cancelTimer = this.#clock.after(startedMs - startedByMs, () => this.#onTimer());
        return;
      }
      abandon(new DeadlineError(this.#timeoutMs));
    }
  }
}
