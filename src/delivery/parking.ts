import type { ParkedEvent } from '../log/parked-events.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import type { RequestBuilder } from './request-builder.ts';
import type { Scheduler } from './scheduler.ts';
import { StoredEvent } from './stored-event.ts';

/** Events of one lane that are read from the disk at a time. */
const UNPARK_AT_ONCE = 64;

/** Reads a lane's parked events with numbers above `afterSeq`. */
export type ReadParked = (table: number, lane: string, afterSeq: number, limit: number) => readonly ParkedEvent[];

/**
 * What of a stream waits on disk: when keys that fail fill its window, they and what waits behind them are put there, so that
 * the cursor and the trimming of the log go on. A key's events come back in order when it is their turn.
 */
export class Parking {
  readonly #scheduler: Scheduler<DeliveryEvent>;
  readonly #builder: RequestBuilder;
  readonly #read: ReadParked;
  readonly #unsaved: ParkedEvent[] = [];
  #lastSeq: number;

  constructor(scheduler: Scheduler<DeliveryEvent>, builder: RequestBuilder, read: ReadParked, lastSeq: number) {
    this.#scheduler = scheduler;
    this.#builder = builder;
    this.#read = read;
    this.#lastSeq = lastSeq;
  }

  /** To be written down. */
  get unsaved(): readonly ParkedEvent[] {
    return this.#unsaved;
  }

  saved(): void {
    this.#unsaved.length = 0;
  }

  /** True where events were parked, which are to be saved before anything else. */
  park(nowMs: number): boolean {
    const written = this.#scheduler.park(nowMs, (event) => {
      const seq = ++this.#lastSeq;
      this.#unsaved.push({ seq, ...this.#builder.single(event) });
      return seq;
    });
    return written > 0;
  }

  /** Brings back what may go now. Not while something is unsaved: it could not be read. */
  unpark(nowMs: number): void {
    if (this.#unsaved.length > 0) return;
    for (let next = this.#scheduler.wanting; next !== null; next = this.#scheduler.wanting) {
      const events = this.#read(next.table, next.lane, next.afterSeq, UNPARK_AT_ONCE);
      this.#scheduler.giveParked(
        events.map((row) => ({ event: new StoredEvent(row, false), seq: row.seq })),
        nowMs,
      );
    }
  }
}
