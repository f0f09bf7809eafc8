import type { Random } from '../base/random.ts';
import type { StoredCircuit } from '../log/delivery-store.ts';
import type { CircuitStateName } from '../model/status.ts';
import type { Outcome } from '../sinks/sink.ts';

/** Counted failures in a row that open the circuit. */
export const FAILURES_IN_A_ROW = 5;
/** Of this many counted calls or more within `WINDOW_MS`, half failed: that opens it too. */
export const MIN_CALLS = 10;
export const WINDOW_MS = 60_000;
/** How long it stays open the first time; each probe that fails doubles it. ±20 %. */
export const OPEN_MS = 30_000;
export const MAX_OPEN_MS = 600_000;
const JITTER = 0.2;
/** Probes in a row that close it. */
export const PROBES_TO_CLOSE = 3;
/** After it closes, one request at a time; twice as many each time this has passed. */
export const SLOW_START_STEP_MS = 10_000;

const BUCKET_MS = 1_000;
const BUCKETS = WINDOW_MS / BUCKET_MS;

export const CLOSED_CIRCUIT: StoredCircuit = Object.freeze({
  state: 'closed',
  openedAtMs: null,
  nextProbeAtMs: null,
  failedProbes: 0,
});

type Counted = 'success' | 'failure' | 'none';

/** A rejection is about the payload, an overload asks for time by itself: neither says that the endpoint is broken. */
const COUNTED: Readonly<Record<Outcome['class'], Counted>> = {
  ok: 'success',
  misconfigured: 'failure',
  transient: 'failure',
  rejected: 'none',
  overloaded: 'none',
  gone: 'none',
  cancelled: 'none',
};

/**
 * Keeps a stream from calling an endpoint that fails: after a run of failures it lets nothing through but a probe from
 * time to time, and after it is well again it lets the load come slowly. Pure: time is passed in.
 */
export class CircuitBreaker {
  readonly #random: Random;
  readonly #calls = new RecentCalls();
  #enabled: boolean;
  #state: CircuitStateName;
  #openedAtMs: number | null;
  #nextProbeAtMs: number | null;
  #failedProbes: number;
  #failuresInARow = 0;
  #goodProbes = 0;
  #probing = false;
  /** Null: no slow start. */
  #closedAtMs: number | null = null;

  constructor(enabled: boolean, random: Random, stored: StoredCircuit = CLOSED_CIRCUIT) {
    this.#random = random;
    this.#enabled = enabled;
    // Which probes of an earlier life succeeded is not known: a half-open one begins with the first again.
    this.#state = stored.state;
    this.#openedAtMs = stored.openedAtMs;
    this.#nextProbeAtMs = stored.nextProbeAtMs;
    this.#failedProbes = stored.failedProbes;
    if (!enabled) this.reset();
  }

  get state(): CircuitStateName {
    return this.#state;
  }

  get stored(): StoredCircuit {
    return {
      state: this.#state,
      openedAtMs: this.#openedAtMs,
      nextProbeAtMs: this.#nextProbeAtMs,
      failedProbes: this.#failedProbes,
    };
  }

  configure(enabled: boolean): void {
    this.#enabled = enabled;
    if (!enabled) this.reset();
  }

  /** Closes it by hand, without a slow start: whoever does it knows that the endpoint is well. */
  reset(): void {
    this.#state = 'closed';
    this.#openedAtMs = null;
    this.#nextProbeAtMs = null;
    this.#failedProbes = 0;
    this.#failuresInARow = 0;
    this.#closedAtMs = null;
    this.#calls.clear();
  }

  /** The clock was set back by so much: what waits for a time waits for as much earlier a one. */
  shift(backMs: number): void {
    if (this.#openedAtMs !== null) this.#openedAtMs -= backMs;
    if (this.#nextProbeAtMs !== null) this.#nextProbeAtMs -= backMs;
    if (this.#closedAtMs !== null) this.#closedAtMs -= backMs;
  }

  /** Requests will be others from now on (another secret, say): whether the endpoint takes them is asked at once. */
  probeNow(nowMs: number): void {
    if (this.#state === 'open') this.#nextProbeAtMs = nowMs;
  }

  /** When the next request may start, with so many in flight; `Infinity`: when one has been answered. */
  readyAtMs(nowMs: number, inFlight: number): number {
    if (this.#state === 'closed') return this.#slowStartMs(nowMs, inFlight);
    if (this.#probing) return Infinity;
    return this.#state === 'open' ? (this.#nextProbeAtMs ?? 0) : 0;
  }

  /** A request starts; `readyAtMs` has let it. True where it is a probe. */
  start(): boolean {
    if (this.#state === 'closed') return false;
    if (this.#state === 'open') {
      this.#state = 'half_open';
      this.#goodProbes = 0;
    }
    this.#probing = true;
    return true;
  }

  /** What became of a request. What was under way when the circuit opened says nothing any more. */
  settle(outcome: Outcome['class'], isProbe: boolean, nowMs: number): void {
    const counted = COUNTED[outcome];
    if (isProbe) {
      this.#probing = false;
      if (this.#state === 'half_open') this.#settleProbe(counted, nowMs);
      return;
    }
    if (!this.#enabled || this.#state !== 'closed' || counted === 'none') return;
    this.#calls.add(counted === 'failure', nowMs);
    if (counted === 'success') {
      this.#failuresInARow = 0;
      return;
    }
    this.#failuresInARow++;
    if (this.#failuresInARow >= FAILURES_IN_A_ROW || this.#calls.halfFailed(nowMs)) this.#open(nowMs);
  }

  #settleProbe(counted: Counted, nowMs: number): void {
    if (counted === 'none') return;
    if (counted === 'failure') {
      this.#failedProbes++;
      this.#open(nowMs);
      return;
    }
    if (++this.#goodProbes < PROBES_TO_CLOSE) return;
    this.reset();
    this.#closedAtMs = nowMs;
  }

  #open(nowMs: number): void {
    if (this.#state === 'closed') this.#openedAtMs = nowMs;
    this.#state = 'open';
    this.#failuresInARow = 0;
    this.#closedAtMs = null;
    this.#calls.clear();
    // 2^20 is past the maximum, and far from overflow.
    const base = Math.min(MAX_OPEN_MS, OPEN_MS * 2 ** Math.min(this.#failedProbes, 20));
    this.#nextProbeAtMs = nowMs + Math.round(base * (1 - JITTER + 2 * JITTER * this.#random.float()));
  }

  #slowStartMs(nowMs: number, inFlight: number): number {
    if (this.#closedAtMs === null) return 0;
    const steps = Math.floor((nowMs - this.#closedAtMs) / SLOW_START_STEP_MS);
    // 2^14 is more than any stream may have in flight.
    if (steps >= 14 || steps < 0) this.#closedAtMs = null;
    else if (inFlight >= 2 ** steps) return this.#closedAtMs + (steps + 1) * SLOW_START_STEP_MS;
    return 0;
  }
}

/** Counted calls of the last `WINDOW_MS`, by the second. */
class RecentCalls {
  readonly #successes = new Uint32Array(BUCKETS);
  readonly #failures = new Uint32Array(BUCKETS);
  #last = -1;

  add(failed: boolean, nowMs: number): void {
    const at = this.#advance(nowMs);
    if (failed) this.#failures[at]!++;
    else this.#successes[at]!++;
  }

  halfFailed(nowMs: number): boolean {
    this.#advance(nowMs);
    let successes = 0;
    let failures = 0;
    for (let i = 0; i < BUCKETS; i++) {
      successes += this.#successes[i]!;
      failures += this.#failures[i]!;
    }
    return successes + failures >= MIN_CALLS && failures >= successes;
  }

  clear(): void {
    this.#successes.fill(0);
    this.#failures.fill(0);
  }

  /** The bucket of now, with those in between emptied. A clock that was set back begins anew. */
  #advance(nowMs: number): number {
    const now = Math.floor(nowMs / BUCKET_MS);
    if (now !== this.#last) {
      if (now < this.#last || now - this.#last >= BUCKETS) this.clear();
      else {
        for (let bucket = this.#last + 1; bucket <= now; bucket++) {
          this.#successes[bucket % BUCKETS] = 0;
          this.#failures[bucket % BUCKETS] = 0;
        }
      }
      this.#last = now;
    }
    return now % BUCKETS;
  }
}
