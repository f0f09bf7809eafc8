import type { Random } from '../base/random.ts';
import type { Outcome } from '../sinks/sink.ts';
import type { StoredCircuit } from '../log/delivery-store.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { TokenBucket } from './token-bucket.ts';

export interface GateOptions {
  readonly maxInFlight: number;
  readonly circuitBreaker: boolean;
  /** 0: unlimited. */
  readonly maxRequestsPerSecond: number;
  /** Of bodies; 0: unlimited. */
  readonly maxBytesPerSecond: number;
}

/**
 * Whether a stream's next request may start now: how many are in flight, the circuit breaker, the time that the receiver
 * asked for, the rates. Waiting here costs no attempt.
 */
export class Gate {
  readonly breaker: CircuitBreaker;
  readonly #requests = new TokenBucket();
  readonly #bytes = new TokenBucket();
  #maxInFlight: number;
  #inFlight = 0;
  #throttledUntilMs: number;

  constructor(options: GateOptions, random: Random, circuit?: StoredCircuit, throttledUntilMs = 0) {
    this.#throttledUntilMs = throttledUntilMs;
    this.#maxInFlight = options.maxInFlight;
    this.breaker = new CircuitBreaker(options.circuitBreaker, random, circuit);
    this.configure(options);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  configure(options: GateOptions): void {
    this.#maxInFlight = options.maxInFlight;
    this.breaker.configure(options.circuitBreaker);
    this.#requests.configure(options.maxRequestsPerSecond);
    this.#bytes.configure(options.maxBytesPerSecond);
  }

  /** When the next request may start: now where it is not after `nowMs`; `Infinity`: when one has been answered. */
  opensAtMs(nowMs: number): number {
    if (this.#inFlight >= this.#maxInFlight) return Infinity;
    return Math.max(
      this.#throttledUntilMs,
      this.breaker.readyAtMs(nowMs, this.#inFlight),
      this.#requests.readyAtMs(nowMs),
      this.#bytes.readyAtMs(nowMs),
    );
  }

  /** A request starts. True where it is the breaker's probe. */
  start(nowMs: number): boolean {
    this.#inFlight++;
    this.#requests.spend(1, nowMs);
    return this.breaker.start();
  }

  /** The body of the request that has just started has so many bytes. */
  charge(bytes: number, nowMs: number): void {
    this.#bytes.spend(bytes, nowMs);
  }

  settle(outcome: Outcome['class'], isProbe: boolean, nowMs: number): void {
    this.#inFlight--;
    this.breaker.settle(outcome, isProbe, nowMs);
  }

  /** The receiver asks for time: nothing starts before `untilMs`. */
  throttle(untilMs: number): void {
    this.#throttledUntilMs = Math.max(this.#throttledUntilMs, untilMs);
  }

  /** Until when the receiver has asked for time; 0: it has not. */
  get throttledUntilMs(): number {
    return this.#throttledUntilMs;
  }

  /** Until when nothing starts, whatever is due: for the circuit's next probe, or as the receiver has asked; 0: it may. */
  get shutUntilMs(): number {
    const { state, nextProbeAtMs } = this.breaker.stored;
    return Math.max(this.#throttledUntilMs, state === 'open' ? (nextProbeAtMs ?? 0) : 0);
  }

  /** What was asked for is forgotten: somebody knows better, or it is another receiver. */
  unthrottle(): void {
    this.#throttledUntilMs = 0;
  }

  /** The clock was set back by so much. */
  shift(backMs: number): void {
    this.#throttledUntilMs = Math.max(0, this.#throttledUntilMs - backMs);
    this.breaker.shift(backMs);
  }

  /** Whether it is the endpoint that keeps events waiting, and not only their keys. */
  isHeldBack(nowMs: number): boolean {
    return this.breaker.state !== 'closed' || nowMs < this.#throttledUntilMs;
  }
}
