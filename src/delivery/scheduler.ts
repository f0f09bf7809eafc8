import { assert, must } from '../base/assert.ts';
import type { Random } from '../base/random.ts';
import type { KeyMark, StoredCircuit } from '../log/delivery-store.ts';
import type { Outcome } from '../sinks/sink.ts';
import { Batch, type Entry, type Member, type Place, type SchedulerEvent } from './batch.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import { DueQueue } from './due-queue.ts';
import { Gate, type GateOptions } from './gate.ts';
import { KeyMarks } from './key-marks.ts';
import { Lanes, lanesOf, REPLAYED } from './lanes.ts';
import { type Failure, judgeFailure, type RetryOptions } from './retry-policy.ts';
import { splitBatch } from './split.ts';
import { Window } from './window.ts';

export interface SchedulerOptions extends GateOptions, RetryOptions {
  readonly batchMaxEvents: number;
  /** As many bytes of events fill a batch for certain. */
  readonly batchMaxBytes: number;
  /** How long a batch that is not full waits for more. */
  readonly batchMaxDelayMs: number;
  readonly onDeadLetter: 'continue' | 'block_key';
}

/** Events held at once, finished ones behind a blocked key among them. At the limit the stream stops reading. */
export const WINDOW_MAX_EVENTS = 16_384;
/**
 * Events held at once by a stream none of whose events has been acknowledged since. It may hold more, twice as many at a time,
 * as long as some are: what waits for an endpoint that does not answer lies better on disk than in a heap that all streams share.
 */
const WINDOW_MIN_EVENTS = 2_048;
/** Bytes of events held in memory although they are on disk too: those that fail, and those that are sent next. */
export const OUTSIDE_MAX_BYTES = 4 * 1024 * 1024;
/** Bytes of pending events held at once, as they lie in the log. One event may exceed it alone. */
export const WINDOW_MAX_BYTES = 16 * 1024 * 1024;

const WINDOW_LIMITS: WindowLimits = {
  events: WINDOW_MAX_EVENTS,
  bytes: WINDOW_MAX_BYTES,
  outsideBytes: OUTSIDE_MAX_BYTES,
};

/** Batches that are due later than this are parked with what waits behind them. */
const PARK_AFTER_MS = 500;
/** Events that are parked at a time. */
const PARK_AT_ONCE = 4_096;

/** What an outcome did to the events of its batch. */
export interface Settlement<E> {
  readonly acknowledged: readonly E[];
  readonly dead: readonly E[];
  /** Given up as `skip` has asked; they are to be buried as well. */
  readonly skipped: readonly E[];
  /** Attempts that the dead events had. */
  readonly attempts: number;
  /** Events that go again. */
  readonly retried: number;
  /** The stream has stopped over it. */
  readonly halted: boolean;
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

/** What is to be sent next. */
export interface Preview<E> {
  readonly waiting: readonly Batch<E>[];
  readonly next: readonly Pick<Entry<E>, 'event' | 'gap'>[];
}

/** What a scheduler begins with after a restart. */
export interface SchedulerState {
  /** The highest id ever stored for the stream. */
  readonly lastBatchId?: number | undefined;
  readonly circuit?: StoredCircuit | undefined;
  /** Until when the receiver has asked for time. */
  readonly throttledUntilMs?: number | undefined;
  readonly keyMarks?: readonly KeyMark[] | undefined;
  readonly limits?: WindowLimits | undefined;
}

/** What a stream holds at most. */
export interface WindowLimits {
  readonly events: number;
  readonly bytes: number;
  readonly outsideBytes: number;
}

/**
 * One stream's delivery as pure state: events come in, batches go out, outcomes come back. No I/O, and time is passed in
 * (`nowMs`: wall time, as due times outlive a restart).
 *
 * Invariants: one batch in flight per key; a key's events first go out in commit order; no attempt before it is due, nor
 * while the gate is shut; an event is held, here or parked on disk, until it is acknowledged or dead; a batch that is
 * tried again has the same members.
 */
export class Scheduler<E extends SchedulerEvent> {
  readonly #random: Random;
  readonly #marks: KeyMarks;
  readonly #lanes: Lanes<E>;
  readonly #gate: Gate;
  readonly #window = new Window<E>();
  readonly #waiting = new DueQueue<Batch<E>>();
  readonly #underWay = new Set<Batch<E>>();
  /** Restored batches, and how many members each still waits for. */
  readonly #incomplete = new Map<Batch<E>, number>();
  readonly #changed = new Set<Batch<E>>();
  /** Dead, and their keys not told yet. */
  readonly #dying = new Map<E, Entry<E>>();
  readonly #endedParked: number[] = [];
  /** Batches that are written down and finished, which nobody was told yet. */
  #finishedStored: number[] = [];
  /** Batches were taken apart. */
  #hasDropped = false;
  readonly #limits: WindowLimits;
  /** Events that may be held now. */
  #room: number;
  /** Held here and not the window's. */
  #outside = 0;
  #outsideBytes = 0;
  /** On disk alone. */
  #parked = 0;
  #options: SchedulerOptions;
  #lastBatchId: number;
  #answers = 0;
  #retriedLast = false;
  /** The last probe that failed had failed before: the next ones are new events, if there are any. */
  #probesFresh = false;
  #halted = false;
  /** Wall time as it was told last. */
  #lastMs = -Infinity;

  constructor(options: SchedulerOptions, random: Random, state: SchedulerState = {}) {
    const { lastBatchId = 0, circuit, throttledUntilMs, keyMarks, limits = WINDOW_LIMITS } = state;
    this.#limits = limits;
    this.#room = Math.min(WINDOW_MIN_EVENTS, limits.events);
    this.#options = options;
    this.#random = random;
    this.#lastBatchId = lastBatchId;
    this.#gate = new Gate(options, random, circuit, throttledUntilMs);
    this.#marks = new KeyMarks(keyMarks);
    this.#lanes = new Lanes(this.#marks);
  }

  get window(): Window<E> {
    return this.#window;
  }

  get inFlight(): number {
    return this.#gate.inFlight;
  }

  get breaker(): CircuitBreaker {
    return this.#gate.breaker;
  }

  /** Until when the receiver has asked for time; 0: it has not. */
  get throttledUntilMs(): number {
    return this.#gate.throttledUntilMs;
  }

  /** Requests go to another receiver from now on: the circuit, and the time that was asked for, are the old one's. */
  forgetReceiver(): void {
    this.#gate.unthrottle();
    this.breaker.reset();
  }

  get keyMarks(): KeyMarks {
    return this.#marks;
  }

  /** Keys that wait for what becomes of a dead letter. */
  get blockedKeys(): number {
    return this.#lanes.blockedKeys;
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
    this.#gate.configure(options);
  }

  /** Neither acknowledged nor dead. */
  get pending(): number {
    return this.#window.pending + this.#outside + this.#parked;
  }

  /** Bytes of events held in memory. */
  get bytes(): number {
    return this.#window.bytes + this.#outsideBytes;
  }

  /** Events held in memory, finished ones among them that no cursor has passed. */
  get heldEvents(): number {
    return this.#window.length + this.#outside;
  }

  /** Members of a batch from before a restart are still to come. */
  get awaitsMembers(): boolean {
    return this.#incomplete.size > 0;
  }

  /** Whether another event may be added. */
  get hasRoom(): boolean {
    if (this.#window.bytes >= this.#limits.bytes) return false;
    // Members of a batch from before a restart may lie anywhere in what was held then.
    if (this.#incomplete.size > 0) return this.#window.length < this.#limits.events;
    return this.#window.length < this.#room;
  }

  #setRoom(events: number): void {
    this.#room = Math.min(events, this.#limits.events);
  }

  /** Adds the stream's next event, in commit order. `nowMs`: when it came, which a batch's delay is counted from. */
  add(event: E, nowMs: number): void {
    const entry = this.#lanes.add(event, nowMs);
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
    batch.isStored = true;
    batch.slots = Array.from({ length: state.members }, () => null);
    this.#incomplete.set(batch, state.members);
    return batch;
  }

  /** Adds the stream's next event as a member of a restored batch. */
  addMember(member: Member<E>, event: E, nowMs: number): void {
    if (!this.#incomplete.has(member.batch)) {
      this.add(event, nowMs);
      return;
    }
    this.#window.push(this.#takeMember(member, event, 0, nowMs));
  }

  #takeMember({ batch, index }: Member<E>, event: E, parkedSeq: number, nowMs: number): Entry<E> {
    const { entry, taken } = this.#lanes.addTo(batch, event, nowMs);
    entry.parkedSeq = parkedSeq;
    const slots = must(batch.slots, 'the batch was restored');
    const missing = (this.#incomplete.get(batch) ?? 1) - 1;
    if (taken) slots[index] = entry;
    this.#incomplete.set(batch, missing);
    if (missing > 0) return entry;
    this.#complete(batch, slots);
    return entry;
  }

  /**
   * A parked event from before a restart: a member of `batch`, or one that no lane alone can hold. Told in the order of
   * their numbers, and before `restoreParked`.
   */
  addParked(member: Member<E> | null, event: E, seq: number, nowMs: number): void {
    this.#outside++;
    this.#outsideBytes += event.bytes;
    const isMember = member !== null && this.#incomplete.has(member.batch);
    const entry = isMember ? this.#takeMember(member, event, seq, nowMs) : this.#lanes.addOutside(event, seq, nowMs);
    for (const lane of lanesOf(entry)) lane.lastSeq = seq;
  }

  /** A lane has so many events on disk besides, with numbers above `afterSeq`. */
  restoreParked(place: Place & { readonly lane: string }, count: number, afterSeq: number): void {
    this.#parked += count;
    this.#lanes.restoreParked(place, count, afterSeq);
  }

  /**
   * Where the window is full and it is failing keys that fill it: lets what fails and what waits behind it be counted as
   * `write` has put it on disk, which gives each a number that ascends. Returns how many were written; the caller makes
   * them durable, together with the window's new place, before the next turn.
   */
  park(nowMs: number, write: (event: E) => number): number {
    if (this.#halted || this.#gate.isHeldBack(nowMs)) return 0;
    let count = 0;
    const failing: Entry<E>[] = [];
    for (const batch of this.#waiting.values()) {
      if (batch.dueAtMs <= nowMs + PARK_AFTER_MS || count >= PARK_AT_ONCE) continue;
      const own = batch.entries.filter(({ parkedSeq }) => parkedSeq === 0);
      if (own.length > 0 && (this.#outsideBytes >= this.#limits.outsideBytes || !own.every(mayPark))) continue;
      for (const entry of own) this.#moveOut(entry, write(entry.event));
      count += own.length;
      failing.push(...batch.entries);
    }
    const queued = this.#lanes.parkBehind(failing, PARK_AT_ONCE);
    queued.push(...this.#lanes.parkBlocked(PARK_AT_ONCE));
    for (const entry of queued) {
      write(entry.event);
      this.#window.finish(entry);
    }
    this.#parked += queued.length;
    return count + queued.length;
  }

  /** Events that wait on disk. */
  get parkedEvents(): number {
    return this.#parked;
  }

  /** A lane whose parked events are to be read from the disk now, from those above `afterSeq` on; null: none. */
  get wanting(): { readonly table: number; readonly lane: string; readonly afterSeq: number } | null {
    // What is under way makes room; where nothing is, there is always room for one lane more.
    const hasRoom = this.#outsideBytes < this.#limits.outsideBytes || this.inFlight === 0;
    return hasRoom ? this.#lanes.wanting : null;
  }

  /** The first parked events of the lane that `wanting` has named, in order. */
  giveParked(events: readonly { readonly event: E; readonly seq: number }[], nowMs: number): void {
    this.#lanes.giveParked(events, nowMs);
    this.#parked -= events.length;
    this.#outside += events.length;
    for (const { event } of events) this.#outsideBytes += event.bytes;
  }

  /** A dead letter is sent again: in the place of the key that it blocks, or after everything that its key has. */
  replay(event: E, eventId: string, nowMs: number): void {
    this.#outside++;
    this.#outsideBytes += event.bytes;
    const entry = this.#lanes.replayBlocked(eventId, event, nowMs);
    if (entry === null) this.#lanes.addOutside(event, REPLAYED, nowMs);
  }

  /** Numbers of parked events that are acknowledged or dead since `clearChanged`. */
  get endedParked(): readonly number[] {
    return this.#endedParked;
  }

  /** In the order that they had: the request's id is a hash of it. */
  #complete(batch: Batch<E>, slots: readonly (Entry<E> | null)[]): void {
    this.#incomplete.delete(batch);
    batch.entries = slots.filter((entry) => entry !== null);
    batch.slots = null;
    if (batch.entries.length === 0) this.#drop(batch);
    else this.#wait(batch);
  }

  /** Gives up waiting for members that did not come back; those that did go as any other event. */
  dissolveIncomplete(): void {
    for (const batch of this.#incomplete.keys()) {
      batch.entries = (batch.slots ?? []).filter((entry) => entry !== null);
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
    this.#follow(nowMs);
    if (this.#halted || this.#gate.opensAtMs(nowMs) > nowMs) return null;
    const due = this.#waiting.peek();
    const isDue = due !== undefined && due.dueAtMs <= nowMs;
    if (isDue && (!this.#isFreshsTurn || !this.#lanes.hasWork)) return this.#retry(nowMs);
    const batch = this.#holdUntilMs(nowMs) > nowMs ? null : this.#form(nowMs, fits);
    return batch === null && isDue ? this.#retry(nowMs) : batch;
  }

  /** The request of the batch that `next` has just given has a body of so many bytes. */
  charge(bytes: number, nowMs: number): void {
    this.#gate.charge(bytes, nowMs);
  }

  /** The next time at which `next` may have something although no outcome comes and no event is added; null: never. */
  nextDueMs(nowMs: number): number | null {
    this.#follow(nowMs);
    if (this.#halted) return null;
    const opensAtMs = this.#gate.opensAtMs(nowMs);
    const retryAtMs = Math.max(opensAtMs, this.#waiting.peek()?.dueAtMs ?? Infinity);
    const freshAtMs = this.#lanes.hasWork ? Math.max(opensAtMs, this.#holdUntilMs(nowMs)) : Infinity;
    const atMs = Math.min(retryAtMs > nowMs ? retryAtMs : Infinity, freshAtMs > nowMs ? freshAtMs : Infinity);
    return atMs === Infinity ? null : atMs;
  }

  /** When the earliest waiting batch is tried; null where none waits. */
  get nextRetryMs(): number | null {
    const first = this.#waiting.peek();
    return first === undefined ? null : this.triedAtMs(first);
  }

  /** When a batch that waits is tried: where it is due, but the gate is shut for longer, then. */
  triedAtMs(batch: Batch<E>): number {
    return Math.max(batch.dueAtMs, this.#gate.shutUntilMs);
  }

  /** Takes an attempt's outcome. `failedMembers`: the indexes that an `ok` excepts. */
  settle(batch: Batch<E>, outcome: Outcome, nowMs: number, failedMembers: ReadonlySet<number> = NONE): Settlement<E> {
    assert(batch.state === 'in-flight', 'an outcome is of a batch in flight');
    this.#underWay.delete(batch);
    this.#follow(nowMs);
    this.#gate.settle(outcome.class, batch.isProbe, nowMs);
    if (batch.isProbe && outcome.class !== 'ok') this.#probesFresh = batch.attempts > 0;
    if (outcome.class === 'cancelled') {
      const skipped = this.#leaveOutSkipped(batch);
      if (batch.entries.length > 0) this.#wait(batch);
      return { ...NOTHING, skipped, attempts: batch.attempts };
    }
    if (outcome.class !== 'ok') return this.#fail(batch, outcome, nowMs);
    this.#answers++;
    if (failedMembers.size > 0) return this.#acknowledgePart(batch, failedMembers, nowMs);
    return this.#finish(batch, batch.entries, 'acknowledged');
  }

  /** Takes apart a batch that is not sent: its events do not belong into one request any more. It costs no attempt. */
  divide(batch: Batch<E>, nowMs: number): void {
    assert(batch.state === 'in-flight' && batch.entries.length > 1, 'a batch of several was given out');
    this.#underWay.delete(batch);
    this.#gate.settle('cancelled', batch.isProbe, nowMs);
    this.#split(batch, false, nowMs);
  }

  /** Gives a batch up that is not to be sent. Each of its events is to be buried. */
  giveUp(batch: Batch<E>, nowMs: number): Settlement<E> {
    assert(batch.state === 'in-flight', 'the batch was given out');
    this.#underWay.delete(batch);
    this.#gate.settle('cancelled', batch.isProbe, nowMs);
    return this.#finish(batch, batch.entries, 'dead');
  }

  /**
   * Gives up the event that `isIt`: one that waits to be tried again, is under way, or could go now; null where none is. One
   * that is under way is given up with its answer, unless that acknowledges it. It is to be buried.
   */
  skip(isIt: (event: E) => boolean): { readonly batch: Batch<E>; readonly event: E } | null {
    for (const batch of [...this.#waiting.values(), ...this.#underWay]) {
      const entry = batch.entries.find(({ event }) => isIt(event));
      if (entry === undefined) continue;
      if (batch.state === 'in-flight') (batch.skipped ??= new Set()).add(entry);
      else {
        this.#leaveOut(batch, entry);
        if (batch.entries.length === 0) this.#waiting.remove(batch);
        else this.#keepRest(batch, 'waiting');
      }
      return { batch, event: entry.event };
    }
    const batch = new Batch<E>(0);
    const entry = this.#lanes.take(batch, isIt);
    if (entry === null) return null;
    this.#finish(batch, [entry], 'dead');
    return { batch, event: entry.event };
  }

  /** An event under way is not to be given up after all. */
  keep({ batch, event }: { readonly batch: Batch<E>; readonly event: E }): void {
    for (const entry of batch.skipped ?? []) if (entry.event === event) batch.skipped?.delete(entry);
  }

  /**
   * Takes an event out of its batch, dead. Where the batch has more of its key, all that is behind it goes anew: only the
   * first event of a batch can tell of a dead one.
   */
  #leaveOut(batch: Batch<E>, entry: Entry<E>): void {
    const { entries } = batch;
    const after = entries.slice(entries.indexOf(entry) + 1);
    const lanes = new Set(lanesOf(entry));
    const isFollowed = after.some((other) => lanesOf(other).some((lane) => lanes.has(lane)));
    this.#finish(batch, [entry], 'dead');
    if (isFollowed) this.#lanes.giveBack(after);
    batch.entries = entries.filter((other) => other !== entry && !(isFollowed && after.includes(other)));
    if (!isFollowed || batch.entries.length > 0) return;
    // It has ended, but not all of its members have.
    this.#finishedStored = this.#finishedStored.filter((id) => id !== batch.id);
    this.#drop(batch);
  }

  /** Those of a batch's events that are to be given up now that its answer has come. */
  #leaveOutSkipped(batch: Batch<E>): readonly E[] {
    const skipped = batch.entries.filter((entry) => batch.skipped?.has(entry));
    // What is behind one of them may be given back with the others: the last one first.
    for (const entry of skipped.toReversed()) this.#leaveOut(batch, entry);
    batch.skipped = null;
    if (skipped.length > 0 && batch.entries.length > 0) this.#keepRest(batch, 'in-flight');
    return skipped.map(({ event }) => event);
  }

  /** Some of the batch's events are finished: what is written down of it holds no more, until it is written anew. */
  #keepRest(batch: Batch<E>, state: 'waiting' | 'in-flight'): void {
    batch.state = state;
    batch.isStored = false;
    this.#finishedStored = this.#finishedStored.filter((id) => id !== batch.id);
    this.#changed.add(batch);
  }

  /** Batches that wait, the first due first, and events that would go now, as far as is known without trying. */
  preview(limit: number): Preview<E> {
    const waiting = this.#waiting.values().toSorted((a, b) => a.dueAtMs - b.dueAtMs);
    const { batchMaxEvents } = this.#options;
    const next = this.#lanes.preview(limit * batchMaxEvents, batchMaxEvents);
    return { waiting: waiting.slice(0, limit), next };
  }

  /** Goes on as somebody has asked for: what waits is due, whatever it waits for, and has all of its retries before it. */
  resume(nowMs: number): void {
    this.#halted = false;
    this.#gate.unthrottle();
    const waiting: Batch<E>[] = [];
    for (let batch = this.#waiting.pop(); batch !== undefined; batch = this.#waiting.pop()) waiting.push(batch);
    for (const batch of waiting) {
      batch.transientFailures = 0;
      batch.rejections = 0;
      batch.firstAttemptMs = nowMs;
      batch.dueAtMs = Math.min(batch.dueAtMs, nowMs);
      this.#wait(batch);
    }
  }

  /**
   * To be called with each event that was given as dead, now that its id is known: its key goes on with a mark, or is
   * blocked.
   */
  bury(event: E, eventId: string, blocks = this.#options.onDeadLetter === 'block_key'): void {
    const entry = must(this.#dying.get(event), 'a dead event is buried once');
    this.#dying.delete(event);
    if (!blocks) this.#marks.mark(event, eventId);
    else {
      this.#lanes.block(event, eventId);
      // What it was to tell of is told by nobody: its key is the operator's now.
      if (entry.gap !== null) this.#marks.end(event);
    }
    this.#lanes.finish(entry, blocks);
  }

  /** Blocks the key of a dead letter from before a restart, before any event is added. */
  block(place: Place, eventId: string): void {
    this.#lanes.block(place, eventId);
  }

  /** The key that waited for the dead letter goes on; false where none did. */
  unblock(eventId: string): boolean {
    return this.#lanes.unblock(eventId);
  }

  /** Stops until `resume`, as before a restart. */
  halt(): void {
    this.#halted = true;
  }

  /** Batches that are written down and have finished since this was asked, and since `clearChanged`. */
  takeFinished(): readonly number[] {
    const finished = this.#finishedStored;
    this.#finishedStored = [];
    return finished;
  }

  /** Whether more has changed than that batches have finished. */
  get hasFailures(): boolean {
    for (const { state } of this.#changed) if (state !== 'finished') return true;
    return this.#hasDropped || this.#endedParked.length > 0 || !this.#marks.isUnchanged;
  }

  /** Batches whose retry state was made, changed or ended since `clearChanged`. */
  get changed(): ReadonlySet<Batch<E>> {
    return this.#changed;
  }

  /** What `changed` and the others have is stored. */
  clearChanged(): void {
    for (const batch of this.#changed) batch.isStored = batch.state !== 'finished';
    this.#changed.clear();
    this.#endedParked.length = 0;
    this.#finishedStored = [];
    this.#hasDropped = false;
    this.#marks.clearChanged();
  }

  /**
   * By turns, so that neither many failing keys nor many new events starve the others. A probe is the oldest that is due;
   * but an event that fails for a reason of its own must not keep the circuit open for ever.
   */
  get #isFreshsTurn(): boolean {
    return this.breaker.state === 'closed' ? this.#retriedLast : this.#probesFresh;
  }

  get #unfinished(): readonly Batch<E>[] {
    return [...this.#waiting.values(), ...this.#underWay, ...this.#incomplete.keys()];
  }

  /**
   * The clock was set forward by so much while nothing was tried: what has failed is none the older for it. What waits may
   * go sooner.
   */
  setForward(byMs: number): void {
    for (const batch of this.#unfinished) {
      if (batch.firstAttemptMs === null) continue;
      batch.firstAttemptMs += byMs;
      if (batch.state === 'waiting') this.#changed.add(batch);
    }
  }

  /**
   * A clock that is set back by a year must not have a retry wait for a year: what waits for a time waits for as much earlier a
   * one. One that is set forward only makes waits shorter.
   */
  #follow(nowMs: number): void {
    const backMs = this.#lastMs - nowMs;
    this.#lastMs = nowMs;
    if (!(backMs > 0)) return;
    for (const batch of this.#unfinished) {
      // All alike, so that the order of those that wait is the same.
      batch.dueAtMs -= backMs;
      if (batch.firstAttemptMs !== null) batch.firstAttemptMs -= backMs;
      if (batch.state === 'waiting') this.#changed.add(batch);
    }
    this.#gate.shift(backMs);
  }

  /** Until when new events wait for a fuller batch. */
  #holdUntilMs(nowMs: number): number {
    const { batchMaxDelayMs, batchMaxEvents, batchMaxBytes } = this.#options;
    if (batchMaxDelayMs === 0) return 0;
    const { eligible, eligibleBytes, oldestEligibleMs } = this.#lanes;
    if (eligible >= batchMaxEvents || eligibleBytes >= batchMaxBytes) return 0;
    // After a clock was set back nothing waits, lest it wait for ever; nor where only trying can tell.
    return oldestEligibleMs > nowMs ? 0 : oldestEligibleMs + batchMaxDelayMs;
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
    return this.#start(batch, nowMs);
  }

  #retry(nowMs: number): Batch<E> | null {
    const batch = this.#waiting.pop();
    if (batch === undefined) return null;
    this.#retriedLast = true;
    batch.firstAttemptMs ??= nowMs;
    return this.#start(batch, nowMs);
  }

  #start(batch: Batch<E>, nowMs: number): Batch<E> {
    batch.state = 'in-flight';
    this.#underWay.add(batch);
    batch.isProbe = this.#gate.start(nowMs);
    return batch;
  }

  #finish(batch: Batch<E>, entries: readonly Entry<E>[], how: 'acknowledged' | 'dead'): Settlement<E> {
    const wasFull = this.#window.length >= this.#room;
    for (const entry of entries) {
      if (entry.parkedSeq === 0) this.#window.finish(entry);
      else this.#endOutside(entry);
      if (how === 'dead') this.#dying.set(entry.event, entry);
      else this.#lanes.finish(entry);
      if (entry.gap !== null && how === 'acknowledged') this.#marks.end(entry.event);
    }
    if (this.#window.pending === 0) this.#setRoom(WINDOW_MIN_EVENTS);
    else if (wasFull && how === 'acknowledged') this.#setRoom(2 * this.#room);
    if (batch.attempts > 0 || batch.isStored) this.#changed.add(batch);
    if (batch.isStored) this.#finishedStored.push(batch.id);
    batch.state = 'finished';
    const events = entries.map((entry) => entry.event);
    const { attempts } = batch;
    return how === 'dead' ? { ...NOTHING, dead: events, attempts } : { ...NOTHING, acknowledged: events, attempts };
  }

  #moveOut(entry: Entry<E>, seq: number): void {
    this.#window.finish(entry);
    entry.parkedSeq = seq;
    // What its lanes have on disk comes after it.
    for (const lane of lanesOf(entry)) lane.lastSeq = seq;
    this.#outside++;
    this.#outsideBytes += entry.event.bytes;
  }

  #endOutside(entry: Entry<E>): void {
    this.#outside--;
    this.#outsideBytes -= entry.event.bytes;
    if (entry.parkedSeq !== REPLAYED) this.#endedParked.push(entry.parkedSeq);
  }

  #acknowledgePart(batch: Batch<E>, failedMembers: ReadonlySet<number>, nowMs: number): Settlement<E> {
    const accepted = batch.entries.filter((_, i) => !failedMembers.has(i));
    const failed = batch.entries.filter((_, i) => failedMembers.has(i));
    const { acknowledged } = this.#finish(batch, accepted, 'acknowledged');
    batch.entries = failed;
    this.#keepRest(batch, 'in-flight');
    return { ...this.#fail(batch, PARTIAL_FAILURE, nowMs), acknowledged };
  }

  #fail(batch: Batch<E>, failure: Failure, nowMs: number): Settlement<E> {
    // A rejection is an answer too: what the receiver can read, it judges.
    if (failure.class === 'rejected') this.#answers++;
    const skipped = this.#leaveOutSkipped(batch);
    if (batch.entries.length === 0) return { ...NOTHING, skipped, attempts: ++batch.attempts };
    const size = batch.entries.length;
    const verdict = judgeFailure(
      {
        size,
        attempts: batch.attempts,
        transientFailures: batch.transientFailures,
        rejections: batch.rejections,
        ageMs: nowMs - (batch.firstAttemptMs ?? nowMs),
        endpointAnswered: this.#answers > batch.answersBefore,
      },
      failure,
      this.#options,
      this.#random,
    );
    if (batch.attempts++ === 0) detach(batch.entries);
    if (failure.class === 'transient') batch.transientFailures++;
    if (failure.class === 'rejected' && size === 1) batch.rejections++;
    batch.answersBefore = this.#answers;
    if (this.#gate.breaker.state !== 'closed') this.#setRoom(WINDOW_MIN_EVENTS);
    if (failure.class === 'overloaded') {
      this.#setRoom(WINDOW_MIN_EVENTS);
      this.#gate.throttle(nowMs + (verdict.kind === 'retry' ? verdict.delayMs : (failure.retryAfterMs ?? 0)));
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
        return { ...this.#finish(batch, batch.entries, 'dead'), skipped };
      case 'halt':
        this.#halted = true;
        batch.dueAtMs = nowMs;
        this.#wait(batch);
    }
    return { ...NOTHING, skipped, attempts: batch.attempts, retried: size, halted: this.#halted };
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
    this.#hasDropped = true;
    batch.state = 'finished';
    this.#changed.add(batch);
  }
}

/** What its lanes may have on disk comes after it: where something is there already, its number would be too high. */
function mayPark<E extends SchedulerEvent>(entry: Entry<E>): boolean {
  return entry.event.mayPark && lanesOf(entry).every(({ parked }) => parked === 0);
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

const NOTHING = Object.freeze({ acknowledged: [], dead: [], skipped: [], attempts: 0, retried: 0, halted: false });

const PARTIAL_FAILURE: Failure = {
  class: 'transient',
  status: null,
  code: 'partial_failure',
  reason: 'the receiver listed the event as failed',
  retryAfterMs: null,
};
