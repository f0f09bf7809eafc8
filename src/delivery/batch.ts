import type { Lane } from './lanes.ts';

/** What the scheduler asks of an event. */
export interface SchedulerEvent {
  /** The relation's OID. */
  readonly table: number;
  /** Which columns make the key: lanes before and after a change of it cannot be compared. */
  readonly keyShape: string;
  /** The key, equal for equal keys of the same shape. */
  readonly lane: string;
  /** The other key of an UPDATE that changes it. */
  readonly secondLane: string | null;
  /** Waits for everything before it in its table, and everything after waits for it. */
  readonly barrier: boolean;
  /** Shares its position with the event before it, so that both are acknowledged or neither is. */
  readonly sharesPosition: boolean;
  /** What the window's limit counts. */
  readonly bytes: number;
  /** The event is going to wait: it lets go of memory that it shares with events that do not. */
  detach(): void;
}

/** An event from its arrival until it is acknowledged or dead. */
export interface Entry<E> {
  readonly event: E;
  /** Null for a barrier, which its table holds instead. */
  lane: Lane<E> | null;
  secondLane: Lane<E> | null;
  /** Waits until nothing of its table is pending. */
  readonly fenced: boolean;
  done: boolean;
}

/** Events that are sent in one request. It holds the lanes of its events until each is acknowledged or dead. */
export class Batch<E> {
  readonly id: number;
  entries: Entry<E>[] = [];
  state: 'forming' | 'in-flight' | 'waiting' | 'finished' = 'forming';
  /** Made so far. */
  attempts = 0;
  /** Of these, the ones that `max_retries` counts. */
  transientFailures = 0;
  /** Rejections since the batch is a single event. */
  rejections = 0;
  firstAttemptMs: number | null = null;
  /** The scheduler's count of good answers at the first attempt. */
  answersBefore = 0;
  dueAtMs = 0;
  /** Members that a restored batch still waits for. */
  missing = 0;

  constructor(id: number) {
    this.id = id;
  }
}
