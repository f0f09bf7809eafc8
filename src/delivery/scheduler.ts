import { assert } from '../base/assert.ts';
import type { Backoff } from '../base/backoff.ts';
import type { Random } from '../base/random.ts';
import type { Outcome } from '../sinks/sink.ts';
import { Batch, type Entry, type SchedulerEvent } from './batch.ts';
import { DueQueue } from './due-queue.ts';
import { Lanes } from './lanes.ts';
import { type Failure, judgeFailure } from './retry-policy.ts';
import { splitBatch } from './split.ts';
import { Window } from './window.ts';

export interface SchedulerOptions {
  readonly batchMaxEvents: number;
  readonly maxInFlight: number;
  /** 0: unlimited. */
  readonly maxRetries: number;
  readonly backoff: Backoff;
}

/** Events held at once, finished ones behind a blocked key among them. At the limit the stream stops reading. */
export const WINDOW_MAX_EVENTS = 32_768;
/** Bytes of pending events held at once, as they lie in the log. One event may exceed it alone. */
export const WINDOW_MAX_BYTES = 16 * 1024 * 1024;

/** What an outcome did to the events of its batch. */
export interface Settlement<E> {
  readonly acknowledged: readonly E[];
  readonly dead: readonly E[];
  /** Attempts that the dead events had. */
  readonly attempts: number;
  /** Events that go again. */
  readonly retried: number;
}

/** A batch's state, to outlive a restart. */
export interface RetryState {
  readonly attempts: number;
  readonly transientFailures: number;
  readonly rejections: number;
  readonly firstAttemptMs: number;
  readonly dueAtMs: number;
  readonly members: number;
}

/**
 * One stream's delivery as pure state: events come in, batches go out, outcomes come back. No I/O, and time is passed in
 * (`nowMs`: wall time, as due times outlive a restart).
 *
 * Invariants: one batch in flight per key; a key's events first go out in commit order; no attempt before it is due; an
 * event is held until it is acknowledged or dead; a batch that is tried again has the same members.
 */
export class Scheduler<E extends SchedulerEvent> {
  readonly #random: Random;
  readonly #lanes = new Lanes<E>();
  readonly #window = new Window<E>();
  readonly #waiting = new DueQueue<Batch<E>>();
  readonly #incomplete = new Set<Batch<E>>();
  readonly #changed = new Set<Batch<E>>();
  #options: SchedulerOptions;
  #inFlight = 0;
  #lastBatchId: number;
  #answers = 0;
  #retriedLast = false;
  #throttledUntilMs = 0;
  #halted = false;

  /** `lastBatchId`: the highest id ever stored for the stream. */
  constructor(options: SchedulerOptions, random: Random, lastBatchId = 0) {
    this.#options = options;
    this.#random = random;
    this.#lastBatchId = lastBatchId;
  }

  get window(): Window<E> {
    return this.#window;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get halted(): boolean {
    return this.#halted;
  }

  get lastBatchId(): number {
    return this.#lastBatchId;
  }

  /** From the next batch on. */
  configure(options: SchedulerOptions): void {
    this.#options = options;
  }

  /** Whether another event may be added. */
  get hasRoom(): boolean {
    return this.#window.length < WINDOW_MAX_EVENTS && this.#window.bytes < WINDOW_MAX_BYTES;
  }

  /** Adds the stream's next event, in commit order. */
  add(event: E): void {
    const entry = this.#lanes.add(event);
    if (entry.lane?.holder?.state === 'waiting') event.detach();
    this.#window.push(entry);
  }

  /** A batch that waited when the process ended; its members follow by `addMember`, as they are read again. */
  restore(id: number, state: RetryState): Batch<E> {
    const batch = new Batch<E>(id);
    batch.attempts = state.attempts;
    batch.transientFailures = state.transientFailures;
    batch.rejections = state.rejections;
    batch.firstAttemptMs = state.firstAttemptMs;
    batch.dueAtMs = state.dueAtMs;
    batch.missing = state.members;
    this.#incomplete.add(batch);
    return batch;
  }

  /** Adds the stream's next event as a member of a restored batch. */
  addMember(batch: Batch<E>, event: E): void {
    if (!this.#incomplete.has(batch)) {
      this.add(event);
      return;
    }
    const { entry, taken } = this.#lanes.addTo(batch, event);
    this.#window.push(entry);
    if (taken) batch.entries.push(entry);
    batch.missing--;
    if (batch.missing > 0) return;
    this.#incomplete.delete(batch);
    if (batch.entries.length > 0) this.#wait(batch);
    else this.#drop(batch);
  }

  /** Gives up waiting for members that did not come back; those that did go as any other event. */
  dissolveIncomplete(): void {
    for (const batch of this.#incomplete) {
      this.#lanes.giveBack(batch.entries);
      this.#drop(batch);
    }
    this.#incomplete.clear();
  }

  /**
   * What to send now, or null. `fits` is asked of each event of a new batch in turn; the first must fit. A batch that was
   * sent before has `attempts > 0`: `fits` is not asked, its members stay.
   */
  next(nowMs: number, fits: (event: E) => boolean): Batch<E> | null {
    if (this.#halted || this.#inFlight >= this.#options.maxInFlight || nowMs < this.#throttledUntilMs) return null;
    const due = this.#waiting.peek();
    const retryFirst = due !== undefined && due.dueAtMs <= nowMs;
    // By turns, so that neither many failing keys nor many new events starve the others.
    if (retryFirst && (!this.#retriedLast || !this.#lanes.hasWork)) return this.#retry(nowMs);
    const batch = this.#form(nowMs, fits);
    if (batch !== null || !retryFirst) return batch;
    return this.#retry(nowMs);
  }

  /** The next time at which `next` may have something although no outcome comes and no event is added; null: never. */
  nextDueMs(nowMs: number): number | null {
    if (this.#halted) return null;
    const due = this.#waiting.peek()?.dueAtMs ?? Infinity;
    const fresh = this.#lanes.hasWork ? this.#throttledUntilMs : Infinity;
    const at = Math.max(
      Math.min(due > nowMs ? due : this.#throttledUntilMs, fresh > nowMs ? fresh : Infinity),
      this.#throttledUntilMs,
    );
    return at > nowMs && at !== Infinity ? at : null;
  }

  /** When the earliest waiting batch is due; null where none waits. */
  get nextRetryMs(): number | null {
    return this.#waiting.peek()?.dueAtMs ?? null;
  }

  /** Takes an attempt's outcome. `failedMembers`: the indexes that an `ok` excepts. */
  settle(batch: Batch<E>, outcome: Outcome, nowMs: number, failedMembers: ReadonlySet<number> = NONE): Settlement<E> {
    assert(batch.state === 'in-flight', 'an outcome is of a batch in flight');
    this.#inFlight--;
    if (outcome.class === 'cancelled') {
      this.#wait(batch);
      return { acknowledged: [], dead: [], attempts: batch.attempts, retried: 0 };
    }
    if (outcome.class !== 'ok') return this.#fail(batch, outcome, nowMs);
    this.#answers++;
    if (failedMembers.size > 0) return this.#acknowledgePart(batch, failedMembers, nowMs);
    return this.#finish(batch, batch.entries, 'acknowledged');
  }

  /** Goes on after a `gone`. */
  resume(): void {
    this.#halted = false;
  }

  /** Stops until `resume`, as before a restart. */
  halt(): void {
    this.#halted = true;
  }

  /** Batches whose retry state was made, changed or ended since `clearChanged`. */
  get changed(): ReadonlySet<Batch<E>> {
    return this.#changed;
  }

  /** What `changed` has is stored. */
  clearChanged(): void {
    this.#changed.clear();
  }

  #form(nowMs: number, fits: (event: E) => boolean): Batch<E> | null {
    if (!this.#lanes.hasWork) return null;
    const batch = new Batch<E>(this.#lastBatchId + 1);
    this.#lanes.form(batch, this.#options.batchMaxEvents, fits);
    if (batch.entries.length === 0) return null;
    this.#lastBatchId++;
    this.#retriedLast = false;
    batch.firstAttemptMs = nowMs;
    batch.answersBefore = this.#answers;
    return this.#start(batch);
  }

  #retry(nowMs: number): Batch<E> | null {
    const batch = this.#waiting.pop();
    if (batch === undefined) return null;
    this.#retriedLast = true;
    batch.firstAttemptMs ??= nowMs;
    return this.#start(batch);
  }

  #start(batch: Batch<E>): Batch<E> {
    batch.state = 'in-flight';
    this.#inFlight++;
    return batch;
  }

  #finish(batch: Batch<E>, entries: readonly Entry<E>[], how: 'acknowledged' | 'dead'): Settlement<E> {
    for (const entry of entries) {
      this.#window.finish(entry);
      this.#lanes.finish(entry);
    }
    if (batch.attempts > 0) this.#changed.add(batch);
    batch.state = 'finished';
    const events = entries.map((entry) => entry.event);
    const none: readonly E[] = [];
    return {
      acknowledged: how === 'acknowledged' ? events : none,
      dead: how === 'dead' ? events : none,
      attempts: batch.attempts,
      retried: 0,
    };
  }

  #acknowledgePart(batch: Batch<E>, failedMembers: ReadonlySet<number>, nowMs: number): Settlement<E> {
    const accepted = batch.entries.filter((_, i) => !failedMembers.has(i));
    const failed = batch.entries.filter((_, i) => failedMembers.has(i));
    const { acknowledged } = this.#finish(batch, accepted, 'acknowledged');
    batch.state = 'in-flight';
    batch.entries = failed;
    return { ...this.#fail(batch, PARTIAL_FAILURE, nowMs), acknowledged };
  }

  #fail(batch: Batch<E>, failure: Failure, nowMs: number): Settlement<E> {
    // A rejection is an answer too: what the receiver can read, it judges.
    if (failure.class === 'rejected') this.#answers++;
    const size = batch.entries.length;
    const verdict = judgeFailure(
      {
        size,
        attempts: batch.attempts,
        transientFailures: batch.transientFailures,
        rejections: batch.rejections,
        endpointAnswered: this.#answers > batch.answersBefore,
      },
      failure,
      this.#options,
      this.#random,
    );
    if (batch.attempts++ === 0) detach(batch.entries);
    if (failure.class === 'transient') batch.transientFailures++;
    if (failure.class === 'rejected' && size === 1) batch.rejections++;
    if (failure.class === 'overloaded' && verdict.kind === 'retry') {
      this.#throttledUntilMs = Math.max(this.#throttledUntilMs, nowMs + verdict.delayMs);
    }
    switch (verdict.kind) {
      case 'retry':
        batch.dueAtMs = nowMs + verdict.delayMs;
        this.#wait(batch);
        break;
      case 'split':
        this.#split(batch, verdict.bySize, nowMs);
        break;
      case 'dead':
        return this.#finish(batch, batch.entries, 'dead');
      case 'halt':
        this.#halted = true;
        batch.dueAtMs = nowMs;
        this.#wait(batch);
    }
    return { acknowledged: [], dead: [], attempts: batch.attempts, retried: size };
  }

  /** Two batches in place of one, with other ids: the request id is a hash of the members. */
  #split(batch: Batch<E>, bySize: boolean, nowMs: number): void {
    const { first, second, independent } = splitBatch(batch.entries, bySize);
    this.#part(batch, first, nowMs);
    if (independent) this.#part(batch, second, nowMs);
    else this.#lanes.giveBack(second);
    this.#drop(batch);
  }

  #part(of: Batch<E>, entries: Entry<E>[], nowMs: number): void {
    const part = new Batch<E>(++this.#lastBatchId);
    part.entries = entries;
    part.attempts = of.attempts;
    part.transientFailures = of.transientFailures;
    part.firstAttemptMs = of.firstAttemptMs;
    part.answersBefore = of.answersBefore;
    part.dueAtMs = nowMs;
    for (const entry of entries) {
      if (entry.lane !== null) entry.lane.holder = part;
      if (entry.secondLane !== null) entry.secondLane.holder = part;
    }
    this.#wait(part);
  }

  #wait(batch: Batch<E>): void {
    batch.state = 'waiting';
    this.#waiting.push(batch);
    this.#changed.add(batch);
  }

  #drop(batch: Batch<E>): void {
    batch.state = 'finished';
    this.#changed.add(batch);
  }
}

/** A batch that failed may wait long, and so may what is queued behind it. */
function detach<E extends SchedulerEvent>(entries: readonly Entry<E>[]): void {
  for (const entry of entries) {
    entry.event.detach();
    const queued = entry.lane?.waiting;
    if (!queued) continue;
    for (let i = 0; i < queued.length; i++) queued.at(i)?.event.detach();
  }
}

const NONE: ReadonlySet<number> = new Set();

const PARTIAL_FAILURE: Failure = {
  class: 'transient',
  status: null,
  code: 'partial_failure',
  reason: 'the receiver listed the event as failed',
  retryAfterMs: null,
};
