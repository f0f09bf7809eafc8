import { must } from '../base/assert.ts';
import { Batch, type Entry, type Place, type SchedulerEvent } from './batch.ts';
import { Deque } from './deque.ts';
import { KeyMarks } from './key-marks.ts';

/** The events of one key. At most one batch holds it; the others wait in order. */
export interface Lane<E> {
  readonly key: string;
  readonly table: Table<E>;
  holder: Batch<E> | null;
  /** Events that the holder has of this lane. */
  held: number;
  /** Events that have not been taken, once it was seen that they cannot be. */
  waiting: Deque<Entry<E>> | null;
  /** Admitted and not finished, those on disk among them. */
  pending: number;
  listedReady: boolean;
  /** Events of it that are on disk: they come before those that wait, but for the first `loaded` of these. */
  parked: number;
  loaded: number;
  /** The number on disk of the last event of it that was loaded. */
  lastSeq: number;
  listedWanting: boolean;
}

interface Table<E> {
  readonly oid: number;
  readonly lanes: Map<string, Lane<E>>;
  /** Admitted and not finished, and dead letters that block their keys. */
  pending: number;
  /** Of the last event that came. */
  keyShape: string;
  /** A TRUNCATE is under way, or blocks the table as a dead letter. */
  barrier: boolean;
  /** Behind a barrier or a fence; they have no lanes yet. */
  held: Deque<Entry<E>>;
}

/**
 * Who may go next. The invariant: of two events that share a lane, the later one is in a batch only when the earlier one is
 * finished or earlier in the same batch. Every event is moved a constant number of times; no list of lanes is ever searched.
 *
 * Events come into `fresh` in commit order. One that finds its lane taken moves into the lane's own queue. A lane that is
 * released with a queue is listed in `ready`, whose lanes go first, in turn, so that a busy key cannot starve the others.
 *
 * A lane that has to wait for long may have its queue parked on disk; released, it is listed in `wanting` until some of
 * its events are given back.
 */
export class Lanes<E extends SchedulerEvent> {
  readonly #tables = new Map<number, Table<E>>();
  readonly #fresh = new Deque<Entry<E>>();
  readonly #ready = new Deque<Lane<E>>();
  readonly #wanting = new Deque<Lane<E>>();
  readonly #marks: KeyMarks;
  /** By the dead letter's id: the key that waits for what becomes of it. */
  readonly #blocked = new Map<string, Place>();
  #freshBytes = 0;

  constructor(marks: KeyMarks = new KeyMarks()) {
    this.#marks = marks;
  }

  /** Whether something may be ready to go. False is certain. */
  get hasWork(): boolean {
    return this.#fresh.length > 0 || this.#ready.length > 0;
  }

  /** How many events may go now, as far as is known without trying: some may find their lanes taken. */
  get eligible(): number {
    return this.#fresh.length + this.#ready.length;
  }

  /** Bytes of the events that have not been tried. */
  get eligibleBytes(): number {
    return this.#freshBytes;
  }

  /** When the oldest came that may go now, as far as is known; `Infinity` where there is none. */
  get oldestEligibleMs(): number {
    const ready = this.#ready.peek()?.waiting?.peek()?.addedMs ?? Infinity;
    return Math.min(ready, this.#fresh.peek()?.addedMs ?? Infinity);
  }

  add(event: E, nowMs: number): Entry<E> {
    const table = this.#table(event);
    const entry = this.#entry(table, event, nowMs);
    if (mustWait(table, entry)) table.held.push(entry);
    else {
      this.#admit(table, entry);
      this.#enqueue(entry);
    }
    return entry;
  }

  /** Adds an event that is on disk too; `parkedSeq` as in an entry. */
  addOutside(event: E, parkedSeq: number, nowMs: number): Entry<E> {
    const entry = this.add(event, nowMs);
    entry.parkedSeq = parkedSeq;
    return entry;
  }

  /**
   * The dead letter that blocks its key is sent again, before everything that waits for it. False where it blocks none.
   */
  replayBlocked(eventId: string, event: E, nowMs: number): Entry<E> | null {
    const place = this.#blocked.get(eventId);
    if (place === undefined) return null;
    const table = must(this.#tables.get(place.table), 'a blocked key has its table');
    const entry: Entry<E> = { ...outsideEntry(event, REPLAYED, null, nowMs), fenced: place.barrier };
    this.#admit(table, entry);
    if (entry.lane === null) this.#enqueue(entry);
    else for (const lane of lanesOf(entry)) unshiftWaiting(lane, entry);
    this.unblock(eventId, true);
    return entry;
  }

  /**
   * Adds an event that belongs to `batch` from before a restart, and gives it its lanes. Where they are not free, which
   * tells that the tables have changed since, it is added as any other; `entry.lane` then has another holder.
   */
  addTo(batch: Batch<E>, event: E, nowMs: number): { entry: Entry<E>; taken: boolean } {
    const table = this.#table(event);
    const entry = this.#entry(table, event, nowMs);
    if (mustWait(table, entry)) {
      table.held.push(entry);
      return { entry, taken: false };
    }
    this.#admit(table, entry);
    const taken = isFree(entry.lane, batch) && isFree(entry.secondLane, batch);
    if (taken) {
      hold(entry, batch);
      this.#takeMark(entry);
    } else this.#enqueue(entry);
    return { entry, taken };
  }

  /**
   * Moves events that may go into `batch`, up to `maxEvents`, as long as `fits` says so of each. One that carries a mark is
   * the first of its batch.
   */
  form(batch: Batch<E>, maxEvents: number, fits: (event: E) => boolean): void {
    const { entries } = batch;
    while (entries.length < maxEvents) {
      const ready = this.#peekReady(batch);
      const entry = ready ?? this.#peekFresh(batch);
      if (entry === undefined) return;
      this.#takeMark(entry);
      if ((entry.gap !== null && entries.length > 0) || !fits(entry.event)) return;
      if (ready === undefined) this.#shiftFresh();
      else for (const lane of lanesOf(entry)) shiftWaiting(lane);
      hold(entry, batch);
      entries.push(entry);
    }
  }

  /**
   * Events whose turn it is and whose lanes are free, with the marks that they are going to carry, without taking them. Of a
   * lane no more than go into one batch, of `maxEvents`.
   */
  preview(limit: number, maxEvents: number): readonly Pick<Entry<E>, 'event' | 'gap'>[] {
    const taken = new Set<string>();
    return this.#free(limit, maxEvents).map(({ event, gap }) => ({
      event,
      gap: gap ?? this.#marks.preview(event, taken),
    }));
  }

  /** Takes the one of these events that `isIt` into `batch`; null where none is, or another of its key goes before it. */
  take(batch: Batch<E>, isIt: (event: E) => boolean): Entry<E> | null {
    const free = this.#free(Infinity, 1);
    const at = free.findIndex(({ event }) => isIt(event));
    const entry = free[at];
    if (entry === undefined) return null;
    const lanes = new Set(lanesOf(entry));
    if (free.slice(0, at).some((earlier) => lanesOf(earlier).some((lane) => lanes.has(lane)))) return null;
    this.#takeMark(entry);
    if (lanesOf(entry).some((lane) => lane.waiting?.peek() === entry)) {
      for (const lane of lanesOf(entry)) shiftWaiting(lane);
    } else {
      for (let i = 0; i < this.#fresh.length; i++) if (this.#fresh.at(i) === entry) this.#fresh.remove(i);
      this.#freshBytes -= entry.event.bytes;
    }
    hold(entry, batch);
    batch.entries.push(entry);
    return entry;
  }

  #free(limit: number, perLane: number): Entry<E>[] {
    const nobody = new Batch<E>(0);
    const ready = new Set<Entry<E>>();
    for (let i = 0; i < this.#ready.length && ready.size < limit; i++) {
      const { waiting, parked, loaded } = this.#ready.at(i)!;
      const entry = waiting?.peek();
      // One of two lanes may be at the head of both.
      if (!waiting || !entry || !lanesOf(entry).every((lane) => isNext(entry, lane, nobody))) continue;
      ready.add(entry);
      const length = Math.min(parked === 0 ? waiting.length : loaded, perLane);
      for (let n = 1; n < length && waiting.at(n)!.secondLane === null; n++) ready.add(waiting.at(n)!);
    }
    const found = [...ready].slice(0, limit);
    /** Lanes of events that came before and cannot go. */
    const behind = new Set<Lane<E>>();
    for (let i = 0; i < this.#fresh.length && found.length < limit; i++) {
      const entry = this.#fresh.at(i)!;
      const lanes = lanesOf(entry);
      if (lanes.every((lane) => isFree(lane, nobody) && !behind.has(lane))) found.push(entry);
      else for (const lane of lanes) behind.add(lane);
    }
    return found;
  }

  /** The event is acknowledged or dead: what waited for it may go, unless it was told to `block`. */
  finish(entry: Entry<E>, blocks = false): void {
    const table = must(this.#tables.get(entry.event.table), 'an admitted event has its table');
    if (entry.lane !== null) this.#finishIn(table, entry.lane);
    if (entry.secondLane !== null) this.#finishIn(table, entry.secondLane);
    if (entry.event.barrier && !blocks) table.barrier = false;
    table.pending--;
    if (table.held.length > 0) this.#releaseHeld(table);
  }

  /** Takes events out of a batch and puts them back before everything that waits for their lanes. */
  giveBack(entries: readonly Entry<E>[]): void {
    for (const entry of entries.toReversed()) {
      if (entry.lane === null) {
        this.#fresh.unshift(entry);
        this.#freshBytes += entry.event.bytes;
      }
      for (const lane of lanesOf(entry)) {
        unshiftWaiting(lane, entry);
        if (--lane.held === 0) this.#release(lane);
      }
    }
  }

  /** The key of a dead letter waits for what becomes of it. */
  block(place: Place, eventId: string): void {
    const table = this.#table(place);
    if (place.barrier) table.barrier = true;
    else if (place.lane !== null) {
      const blocker = new Batch<E>(0);
      blocker.state = 'blocking';
      hold({ lane: laneOf(table, place.lane), secondLane: secondLaneOf(table, place) }, blocker);
    } else return;
    table.pending++;
    const { table: oid, keyShape, lane, secondLane, barrier } = place;
    this.#blocked.set(eventId, { table: oid, keyShape, lane, secondLane, barrier });
  }

  /** The key goes on; false where no dead letter of that id blocks one. `keepsBarrier`: it is under way again. */
  unblock(eventId: string, keepsBarrier = false): boolean {
    const place = this.#blocked.get(eventId);
    if (place === undefined) return false;
    this.#blocked.delete(eventId);
    const table = must(this.#tables.get(place.table), 'a blocked key has its table');
    table.pending--;
    if (place.barrier && !keepsBarrier) table.barrier = false;
    for (const key of [place.lane, place.secondLane]) {
      if (key !== null) this.#finishIn(table, must(table.lanes.get(key), 'a blocked key has its lane'));
    }
    if (table.held.length > 0) this.#releaseHeld(table);
    return true;
  }

  get blockedKeys(): number {
    return this.#blocked.size;
  }

  /**
   * Takes out what waits right behind `batch` and has one lane only, to be parked: it stays the lane's in number. The
   * caller keeps it, in this order, behind what it keeps of the lane already.
   */
  parkBehind(entries: readonly Entry<E>[], limit: number): Entry<E>[] {
    const parked: Entry<E>[] = [];
    for (const lane of new Set(entries.flatMap((entry) => lanesOf(entry)))) this.#parkLane(lane, parked, limit);
    return parked;
  }

  /** The same of the lanes that dead letters block. */
  parkBlocked(limit: number): Entry<E>[] {
    const parked: Entry<E>[] = [];
    for (const { table, lane } of this.#blocked.values()) {
      const found = lane === null ? undefined : this.#tables.get(table)?.lanes.get(lane);
      if (found?.holder?.state === 'blocking') this.#parkLane(found, parked, limit);
    }
    return parked;
  }

  #parkLane(lane: Lane<E>, parked: Entry<E>[], limit: number): void {
    const { waiting } = lane;
    if (waiting === null || lane.loaded > 0) return;
    for (let entry = waiting.peek(); entry !== undefined && parked.length < limit; entry = waiting.peek()) {
      if (entry.parkedSeq !== 0 || entry.secondLane !== null || !entry.event.mayPark) return;
      waiting.shift();
      lane.parked++;
      parked.push(entry);
    }
  }

  /** A lane has so many events on disk from before a restart; told before any event is added. */
  restoreParked(place: Place & { readonly lane: string }, count: number, afterSeq: number): void {
    const table = this.#table(place);
    const lane = laneOf(table, place.lane);
    lane.pending += count - 1;
    lane.parked += count;
    lane.lastSeq = afterSeq;
    table.pending += count;
    if (lane.holder === null) this.#want(lane);
  }

  /** A lane whose next events are on disk and could go; null where there is none. It is asked for until it is answered. */
  get wanting(): { readonly table: number; readonly lane: string; readonly afterSeq: number } | null {
    for (let lane = this.#wanting.peek(); lane !== undefined; lane = this.#wanting.peek()) {
      if (lane.holder === null && lane.loaded === 0 && lane.parked > 0) {
        return { table: lane.table.oid, lane: lane.key, afterSeq: lane.lastSeq };
      }
      lane.listedWanting = false;
      this.#wanting.shift();
    }
    return null;
  }

  /** The first events of the lane that `wanting` has named, from the disk, in order; one at least. */
  giveParked(events: readonly { readonly event: E; readonly seq: number }[], nowMs: number): Entry<E>[] {
    const lane = must(this.#wanting.shift(), 'a lane is wanting');
    lane.listedWanting = false;
    const entries = events.map(({ event, seq }) => outsideEntry(event, seq, lane, nowMs));
    for (const entry of entries.toReversed()) unshiftWaiting(lane, entry);
    lane.loaded = entries.length;
    lane.lastSeq = must(events.at(-1), 'an event at least').seq;
    lane.parked -= entries.length;
    this.#list(lane);
    return entries;
  }

  #want(lane: Lane<E>): void {
    if (lane.listedWanting) return;
    lane.listedWanting = true;
    this.#wanting.push(lane);
  }

  #table(event: Place): Table<E> {
    let table = this.#tables.get(event.table);
    if (!table) {
      table = {
        oid: event.table,
        lanes: new Map(),
        pending: 0,
        keyShape: event.keyShape,
        barrier: false,
        held: new Deque(),
      };
      this.#tables.set(event.table, table);
    }
    return table;
  }

  #entry(table: Table<E>, event: E, addedMs: number): Entry<E> {
    const fenced = event.barrier || table.keyShape !== event.keyShape;
    table.keyShape = event.keyShape;
    return {
      event,
      lane: null,
      secondLane: null,
      fenced,
      done: false,
      addedMs,
      gap: null,
      skipped: null,
      parkedSeq: 0,
    };
  }

  #admit(table: Table<E>, entry: Entry<E>): void {
    const { event } = entry;
    table.pending++;
    if (event.barrier) {
      table.barrier = true;
      return;
    }
    if (event.lane === null) return;
    entry.lane = laneOf(table, event.lane);
    entry.secondLane = secondLaneOf(table, event);
  }

  #enqueue(entry: Entry<E>): void {
    this.#fresh.push(entry);
    this.#freshBytes += entry.event.bytes;
  }

  #shiftFresh(): void {
    const entry = this.#fresh.shift();
    if (entry !== undefined) this.#freshBytes -= entry.event.bytes;
  }

  #takeMark(entry: Entry<E>): void {
    if (entry.gap === null && !this.#marks.isEmpty) entry.gap = this.#marks.take(entry.event);
  }

  #releaseHeld(table: Table<E>): void {
    for (let entry = table.held.peek(); entry !== undefined; entry = table.held.peek()) {
      if (table.barrier || (entry.fenced && table.pending > 0)) return;
      table.held.shift();
      this.#admit(table, entry);
      this.#enqueue(entry);
    }
  }

  /** The first event of the lane whose turn it is; lanes that cannot go are unlisted until they are released again. */
  #peekReady(batch: Batch<E>): Entry<E> | undefined {
    for (let lane = this.#ready.peek(); lane !== undefined; lane = this.#ready.peek()) {
      const entry = lane.waiting?.peek();
      if (entry !== undefined && isNext(entry, entry.lane, batch) && isNext(entry, entry.secondLane, batch))
        return entry;
      lane.listedReady = false;
      this.#ready.shift();
    }
    return undefined;
  }

  /** The first fresh event that may go; those before it that may not move into their lanes' queues. */
  #peekFresh(batch: Batch<E>): Entry<E> | undefined {
    for (let entry = this.#fresh.peek(); entry !== undefined; entry = this.#fresh.peek()) {
      if (isFree(entry.lane, batch) && isFree(entry.secondLane, batch)) return entry;
      this.#shiftFresh();
      queue(entry);
    }
    return undefined;
  }

  #finishIn(table: Table<E>, lane: Lane<E>): void {
    if (--lane.pending === 0) {
      table.lanes.delete(lane.key);
      return;
    }
    if (--lane.held === 0) this.#release(lane);
  }

  #release(lane: Lane<E>): void {
    lane.holder = null;
    if (lane.parked > 0 && lane.loaded === 0) this.#want(lane);
    else this.#list(lane);
  }

  #list(lane: Lane<E>): void {
    if (lane.listedReady || lane.waiting === null || lane.waiting.length === 0) return;
    lane.listedReady = true;
    this.#ready.push(lane);
  }
}

function mustWait<E>(table: Table<E>, entry: Entry<E>): boolean {
  return table.held.length > 0 || table.barrier || (entry.fenced && table.pending > 0);
}

function laneOf<E>(table: Table<E>, key: string): Lane<E> {
  let lane = table.lanes.get(key);
  if (lane === undefined) {
    lane = {
      key,
      table,
      holder: null,
      held: 0,
      waiting: null,
      pending: 0,
      listedReady: false,
      parked: 0,
      loaded: 0,
      lastSeq: 0,
      listedWanting: false,
    };
    table.lanes.set(key, lane);
  }
  lane.pending++;
  return lane;
}

function secondLaneOf<E>(table: Table<E>, { secondLane }: Place): Lane<E> | null {
  return secondLane === null ? null : laneOf(table, secondLane);
}

function shiftWaiting<E>(lane: Lane<E>): void {
  lane.waiting?.shift();
  if (lane.loaded > 0) lane.loaded--;
}

/** In front of everything, also of what is on disk. */
function unshiftWaiting<E>(lane: Lane<E>, entry: Entry<E>): void {
  lane.waiting ??= new Deque();
  lane.waiting.unshift(entry);
  if (lane.parked > 0) lane.loaded++;
}

/** The `parkedSeq` of a dead letter that is sent again. */
export const REPLAYED = -1;

/** An event that the window does not count: it is on disk too. */
function outsideEntry<E>(event: E, parkedSeq: number, lane: Lane<E> | null, addedMs: number): Entry<E> {
  return { event, lane, secondLane: null, fenced: false, done: false, addedMs, gap: null, skipped: null, parkedSeq };
}

function queue<E>(entry: Entry<E>): void {
  for (const lane of lanesOf(entry)) {
    lane.waiting ??= new Deque();
    lane.waiting.push(entry);
  }
}

export function lanesOf<E>(entry: Entry<E>): Lane<E>[] {
  if (entry.lane === null) return [];
  return entry.secondLane === null ? [entry.lane] : [entry.lane, entry.secondLane];
}

/** Whether an event that is not queued in the lane may go with `batch`. */
function isFree<E>(lane: Lane<E> | null, batch: Batch<E>): boolean {
  if (lane === null) return true;
  if (lane.holder !== null && lane.holder !== batch) return false;
  return lane.parked === 0 && (lane.waiting === null || lane.waiting.length === 0);
}

/** Whether `entry` is the lane's next and may go with `batch`. */
function isNext<E>(entry: Entry<E>, lane: Lane<E> | null, batch: Batch<E>): boolean {
  if (lane === null) return true;
  if (lane.holder !== null && lane.holder !== batch) return false;
  return (lane.parked === 0 || lane.loaded > 0) && lane.waiting?.peek() === entry;
}

function hold<E>(entry: Pick<Entry<E>, 'lane' | 'secondLane'>, batch: Batch<E>): void {
  if (entry.lane !== null) {
    entry.lane.holder = batch;
    entry.lane.held++;
  }
  if (entry.secondLane !== null) {
    entry.secondLane.holder = batch;
    entry.secondLane.held++;
  }
}
