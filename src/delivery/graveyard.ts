import type { DeadLetter, DeadLetterCounts, DeadLetters } from '../log/dead-letters.ts';
import { withoutSecrets } from '../model/resolved-stream.ts';
import type { Outcome } from '../sinks/sink.ts';
import type { Batch } from './batch.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import type { RequestBuilder } from './request-builder.ts';
import type { Scheduler } from './scheduler.ts';
import { StoredEvent } from './stored-event.ts';

/** Dead letters that are being sent again at a time; the others wait on disk. */
const REPLAYS_AT_ONCE = 64;

/** A stream's dead letters: those that are to be written down, and those that are sent again. */
export class Graveyard {
  readonly #streamId: string;
  readonly #scheduler: Scheduler<DeliveryEvent>;
  readonly #builder: RequestBuilder;
  readonly #store: DeadLetters;
  readonly #unsaved: DeadLetter[] = [];
  readonly #arrived: string[] = [];
  readonly #replaying = new Set<string>();
  #kept: number;
  /** To be sent again, and on disk still. */
  #waiting: number;
  #after = 0;

  constructor(
    streamId: string,
    scheduler: Scheduler<DeliveryEvent>,
    builder: RequestBuilder,
    store: DeadLetters,
    counts: DeadLetterCounts,
  ) {
    this.#streamId = streamId;
    this.#scheduler = scheduler;
    this.#builder = builder;
    this.#store = store;
    this.#kept = counts.kept;
    this.#waiting = counts.retrying;
  }

  /** Dead letters, without those that are sent again. */
  get kept(): number {
    return this.#kept;
  }

  /** Dead letters that are to be sent again and have not been read yet. */
  get waiting(): number {
    return this.#waiting;
  }

  get unsaved(): readonly DeadLetter[] {
    return this.#unsaved;
  }

  /** Ids of those that have arrived, to be forgotten. */
  get arrived(): readonly string[] {
    return this.#arrived;
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.length > 0 || this.#arrived.length > 0;
  }

  saved(): void {
    this.#unsaved.length = 0;
    this.#arrived.length = 0;
  }

  /** Events that the scheduler gave as dead. `mayBlock`: their keys wait for what becomes of them. */
  bury(
    batch: Batch<DeliveryEvent>,
    dead: readonly DeliveryEvent[],
    why: CauseOfDeath & { readonly mayBlock: boolean },
    nowMs: number,
  ): void {
    for (const event of dead) {
      const row = this.#builder.single(event);
      this.#scheduler.bury(event, row.eventId, why.mayBlock);
      this.#replaying.delete(row.eventId);
      this.#kept++;
      this.#unsaved.push({
        ...row,
        reason: why.reason,
        attempts: batch.attempts,
        lastStatus: why.status,
        lastExcerpt: why.excerpt,
        firstAttemptMs: batch.firstAttemptMs,
        diedAtMs: nowMs,
        blocksKey: why.mayBlock,
      });
    }
  }

  acknowledged(events: readonly DeliveryEvent[]): void {
    for (const event of events) {
      if (!(event instanceof StoredEvent) || !event.isReplay) continue;
      this.#arrived.push(event.eventId);
      this.#replaying.delete(event.eventId);
    }
  }

  /** They are to be sent again; `id` null: all. What is unsaved is saved before. Gives how many. */
  retry(id: string | null): number {
    const count = this.#store.markRetrying(this.#streamId, id);
    this.#kept -= count;
    this.#waiting += count;
    this.#after = 0;
    return count;
  }

  /** Forgets them. What is unsaved is saved before. Gives how many. */
  discard(id: string | null): number {
    const ids = this.#store.discard(this.#streamId, id);
    for (const one of ids) this.#scheduler.unblock(one);
    this.#kept -= ids.length;
    return ids.length;
  }

  /** Gives the scheduler what is to be sent again, a few at a time. */
  replay(nowMs: number): void {
    if (this.#waiting === 0 || this.#unsaved.length > 0 || this.#replaying.size >= REPLAYS_AT_ONCE) return;
    const found = this.#store.replays(this.#streamId, this.#after, REPLAYS_AT_ONCE * 2);
    for (const { row, number } of found) {
      if (this.#replaying.size >= REPLAYS_AT_ONCE) return;
      this.#after = number;
      // What has arrived is forgotten with the next save.
      if (this.#replaying.has(row.eventId) || this.#arrived.includes(row.eventId)) continue;
      this.#replaying.add(row.eventId);
      this.#waiting--;
      this.#scheduler.replay(new StoredEvent(row, true), row.eventId, nowMs);
    }
  }
}

/** What a dead letter says of the last outcome. */
export interface CauseOfDeath {
  readonly reason: string;
  readonly status: number | null;
  /** Without secrets. */
  readonly excerpt: string | null;
}

/** `secrets`: what must not be kept, should the answer repeat it. */
export function causeOfDeath(outcome: Outcome, secrets: () => readonly string[]): CauseOfDeath {
  if (!('reason' in outcome)) return { reason: 'listed as failed by the receiver', status: null, excerpt: null };
  const { reason, status, excerpt } = outcome;
  return { reason, status, excerpt: excerpt === undefined ? null : withoutSecrets(excerpt, secrets()) };
}
