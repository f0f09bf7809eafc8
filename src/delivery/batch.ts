import type { Position } from '../model/change.ts';
import type { Lane } from './lanes.ts';

/** Where an event stands among those that it must not overtake. */
export interface Place {
  /** The relation's OID, or what stands for all of the stream's. */
  readonly table: number;
  /** Which columns make the key: lanes before and after a change of it cannot be compared. */
  readonly keyShape: string;
  /** The key, equal for equal keys of the same shape. Null: the event is in no order, or a barrier. */
  readonly lane: string | null;
  /** The other key of an UPDATE that changes it. */
  readonly secondLane: string | null;
  /** Waits for everything before it in its table, and everything after waits for it. */
  readonly barrier: boolean;
}

/** What the scheduler asks of an event. */
export interface SchedulerEvent extends Place {
  /** Shares its position with the event before it, so that both are acknowledged or neither is. */
  readonly sharesPosition: boolean;
  /** It may be kept on disk while its key is blocked. Not one that shares its position: the log is read again from there. */
  readonly mayPark: boolean;
  /** What the window's limit counts. */
  readonly bytes: number;
  /** The event is going to wait: it lets go of memory that it shares with events that do not. */
  detach(): void;
}

/** An event from its arrival until it is acknowledged or dead. */
export interface Entry<E> {
  readonly event: E;
  /** Null for a barrier, which its table holds instead, and for what is in no order. */
  lane: Lane<E> | null;
  secondLane: Lane<E> | null;
  /** Waits until nothing of its table is pending. */
  readonly fenced: boolean;
  done: boolean;
  /** When it came, wall time. */
  readonly addedMs: number;
  /** The id of the dead letter that its key had right before it. */
  gap: string | null;
  /**
   * Its number on disk, where it is parked, and so no longer the window's; of a dead letter that is sent again, -1. 0: it is
   * the window's.
   */
  parkedSeq: number;
  /** The last of the changes right after it that a filter has dropped: they are finished when it is. */
  skipped: Skipped | null;
}

/** Changes up to here are no events of the stream. */
export interface Skipped {
  readonly position: Position;
}

/** An event's place in a batch from before a restart. */
export interface Member<E> {
  readonly batch: Batch<E>;
  readonly index: number;
}

/** Events that are sent in one request. It holds the lanes of its events until each is acknowledged or dead. */
export class Batch<E> {
  readonly id: number;
  entries: Entry<E>[] = [];
  state: 'forming' | 'in-flight' | 'waiting' | 'blocking' | 'finished' = 'forming';
  /** Made so far. */
  attempts = 0;
  /** Of these, the ones that `max_retries` counts. */
  transientFailures = 0;
  /** Rejections since the batch is a single event. */
  rejections = 0;
  firstAttemptMs: number | null = null;
  /** The scheduler's count of good answers when this one last failed; before, at its first attempt. */
  answersBefore = 0;
  /** In flight as the circuit breaker's probe. */
  isProbe = false;
  /** Its members are written down. */
  isStored = false;
  dueAtMs = 0;
  /** In flight: those of its events that are to be given up unless they are acknowledged. Null: none is. */
  skipped: Set<Entry<E>> | null = null;
  /** Where it was restored: its members in their order, as far as they have been read again; null: it is complete. */
  slots: (Entry<E> | null)[] | null = null;

  constructor(id: number) {
    this.id = id;
  }
}
