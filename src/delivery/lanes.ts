import { must } from '../base/assert.ts';
import type { Batch, Entry, SchedulerEvent } from './batch.ts';
import { Deque } from './deque.ts';

/** The events of one key. At most one batch holds it; the others wait in order. */
export interface Lane<E> {
  readonly key: string;
  readonly table: Table<E>;
  holder: Batch<E> | null;
  /** Events that the holder has of this lane. */
  held: number;
  /** Events that have not been taken, once it was seen that they cannot be. */
  waiting: Deque<Entry<E>> | null;
  /** Admitted and not finished. */
  pending: number;
  listedReady: boolean;
}

interface Table<E> {
  readonly lanes: Map<string, Lane<E>>;
  /** Admitted and not finished. */
  pending: number;
  /** Of the last event that came. */
  keyShape: string;
  /** A TRUNCATE is under way. */
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
 */
export class Lanes<E extends SchedulerEvent> {
  readonly #tables = new Map<number, Table<E>>();
  readonly #fresh = new Deque<Entry<E>>();
  readonly #ready = new Deque<Lane<E>>();

  /** Whether something may be ready to go. False is certain. */
  get hasWork(): boolean {
    return this.#fresh.length > 0 || this.#ready.length > 0;
  }

  add(event: E): Entry<E> {
    const table = this.#table(event);
    const entry = this.#entry(table, event);
    if (mustWait(table, entry)) table.held.push(entry);
    else {
      this.#admit(table, entry);
      this.#fresh.push(entry);
    }
    return entry;
  }

  /**
   * Adds an event that belongs to `batch` from before a restart, and gives it its lanes. Where they are not free, which
   * tells that the tables have changed since, it is added as any other; `entry.lane` then has another holder.
   */
  addTo(batch: Batch<E>, event: E): { entry: Entry<E>; taken: boolean } {
    const table = this.#table(event);
    const entry = this.#entry(table, event);
    if (mustWait(table, entry)) {
      table.held.push(entry);
      return { entry, taken: false };
    }
    this.#admit(table, entry);
    const taken = isFree(entry.lane, batch) && isFree(entry.secondLane, batch);
    if (taken) hold(entry, batch);
    else this.#fresh.push(entry);
    return { entry, taken };
  }

  /** Moves events that may go into `batch`, up to `maxEvents`, as long as `fits` says so of each. */
  form(batch: Batch<E>, maxEvents: number, fits: (event: E) => boolean): void {
    const { entries } = batch;
    while (entries.length < maxEvents) {
      const ready = this.#peekReady(batch);
      const entry = ready ?? this.#peekFresh(batch);
      if (entry === undefined || !fits(entry.event)) return;
      if (ready === undefined) this.#fresh.shift();
      else {
        entry.lane?.waiting?.shift();
        entry.secondLane?.waiting?.shift();
      }
      hold(entry, batch);
      entries.push(entry);
    }
  }

  /** The event is acknowledged or dead: what waited for it may go. */
  finish(entry: Entry<E>): void {
    const table = must(this.#tables.get(entry.event.table), 'an admitted event has its table');
    if (entry.lane !== null) this.#finishIn(table, entry.lane);
    if (entry.secondLane !== null) this.#finishIn(table, entry.secondLane);
    if (entry.event.barrier) table.barrier = false;
    table.pending--;
    if (table.held.length > 0) this.#releaseHeld(table);
  }

  /** Takes events out of a batch and puts them back before everything that waits for their lanes. */
  giveBack(entries: readonly Entry<E>[]): void {
    for (const entry of entries.toReversed()) {
      if (entry.lane === null) this.#fresh.unshift(entry);
      for (const lane of lanesOf(entry)) {
        lane.waiting ??= new Deque();
        lane.waiting.unshift(entry);
        if (--lane.held === 0) this.#release(lane);
      }
    }
  }

  #table(event: E): Table<E> {
    let table = this.#tables.get(event.table);
    if (!table) {
      table = { lanes: new Map(), pending: 0, keyShape: event.keyShape, barrier: false, held: new Deque() };
      this.#tables.set(event.table, table);
    }
    return table;
  }

  #entry(table: Table<E>, event: E): Entry<E> {
    const fenced = event.barrier || table.keyShape !== event.keyShape;
    table.keyShape = event.keyShape;
    return { event, lane: null, secondLane: null, fenced, done: false };
  }

  #admit(table: Table<E>, entry: Entry<E>): void {
    const { event } = entry;
    table.pending++;
    if (event.barrier) {
      table.barrier = true;
      return;
    }
    entry.lane = laneOf(table, event.lane);
    if (event.secondLane !== null) entry.secondLane = laneOf(table, event.secondLane);
  }

  #releaseHeld(table: Table<E>): void {
    for (let entry = table.held.peek(); entry !== undefined; entry = table.held.peek()) {
      if (table.barrier || (entry.fenced && table.pending > 0)) return;
      table.held.shift();
      this.#admit(table, entry);
      this.#fresh.push(entry);
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
      this.#fresh.shift();
      for (const lane of lanesOf(entry)) {
        lane.waiting ??= new Deque();
        lane.waiting.push(entry);
      }
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
    lane = { key, table, holder: null, held: 0, waiting: null, pending: 0, listedReady: false };
    table.lanes.set(key, lane);
  }
  lane.pending++;
  return lane;
}

export function lanesOf<E>(entry: Entry<E>): Lane<E>[] {
  if (entry.lane === null) return [];
  return entry.secondLane === null ? [entry.lane] : [entry.lane, entry.secondLane];
}

/** Whether an event that is not queued in the lane may go with `batch`. */
function isFree<E>(lane: Lane<E> | null, batch: Batch<E>): boolean {
  if (lane === null) return true;
  return (lane.holder === null || lane.holder === batch) && (lane.waiting === null || lane.waiting.length === 0);
}

/** Whether `entry` is the lane's next and may go with `batch`. */
function isNext<E>(entry: Entry<E>, lane: Lane<E> | null, batch: Batch<E>): boolean {
  if (lane === null) return true;
  return (lane.holder === null || lane.holder === batch) && lane.waiting?.peek() === entry;
}

function hold<E>(entry: Entry<E>, batch: Batch<E>): void {
  if (entry.lane !== null) {
    entry.lane.holder = batch;
    entry.lane.held++;
  }
  if (entry.secondLane !== null) {
    entry.secondLane.holder = batch;
    entry.secondLane.held++;
  }
}
