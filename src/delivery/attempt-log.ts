import { formatUuid, ID_BYTES } from '../formats/event-id.ts';
import { MAX_FAILED_ATTEMPTS } from '../log/failed-attempts.ts';
import { type DeliveryRecord, NO_PHASES } from '../model/delivery-control.ts';
import { withoutSecrets } from '../model/resolved-stream.ts';
import type { Outcome } from '../sinks/sink.ts';

/** Attempts of a stream that are remembered while it runs; the failures among all are stored besides. */
export const ATTEMPTS_REMEMBERED = 100;
/** Events of an attempt that are named. */
const EVENTS_NAMED = 10;

export interface Attempt {
  readonly streamId: string;
  readonly attempt: number;
  /** Of its events, 16 bytes each. */
  readonly ids: Buffer;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly outcome: Exclude<Outcome, { class: 'cancelled' }>;
  readonly nextRetryAtMs: number | null;
}

interface Remembered extends Attempt {
  readonly number: number;
}

/** A stream's last attempts, for people to look at. Making records of them waits until somebody asks, or one has failed. */
export class AttemptLog {
  readonly #recent: Remembered[] = [];
  #next = 0;
  #unsaved: DeliveryRecord[] = [];
  #lastNumber: number;

  /** `lastNumber`: the highest that was stored. */
  constructor(lastNumber: number) {
    this.#lastNumber = lastNumber;
  }

  /** Failures to be stored. */
  get unsaved(): readonly DeliveryRecord[] {
    return this.#unsaved;
  }

  saved(): void {
    this.#unsaved = [];
  }

  /** `secrets`: what must not be shown, should the answer repeat it. */
  add(attempt: Attempt, secrets: () => readonly string[]): void {
    const ids =
      attempt.ids.length <= EVENTS_NAMED * ID_BYTES
        ? attempt.ids
        : Buffer.from(attempt.ids.subarray(0, EVENTS_NAMED * ID_BYTES));
    const events = attempt.ids.length / ID_BYTES;
    const remembered = { ...attempt, ids, events, number: ++this.#lastNumber };
    if (attempt.outcome.class === 'ok') {
      this.#recent[this.#next] = remembered;
      this.#next = (this.#next + 1) % ATTEMPTS_REMEMBERED;
      return;
    }
    if (this.#unsaved.length >= MAX_FAILED_ATTEMPTS) this.#unsaved.shift();
    this.#unsaved.push(recordOf(remembered, secrets()));
  }

  /** Successes that are remembered, and failures that are not stored yet. */
  records(): readonly DeliveryRecord[] {
    return [...this.#recent.map((one) => recordOf(one, [])), ...this.#unsaved];
  }
}

function recordOf(one: Remembered & { readonly events?: number }, secrets: readonly string[]): DeliveryRecord {
  const { outcome, ids } = one;
  const isOk = outcome.class === 'ok';
  const excerpt = isOk ? null : (outcome.excerpt ?? null);
  return {
    streamId: one.streamId,
    id: String(one.number),
    eventIds: Array.from({ length: ids.length / ID_BYTES }, (_, i) => formatUuid(ids, i * ID_BYTES)),
    events: one.events ?? ids.length / ID_BYTES,
    attempt: one.attempt,
    startedAtMs: one.startedAtMs,
    durationMs: one.durationMs,
    httpStatus: outcome.status,
    outcome: outcome.class,
    errorCode: isOk ? (outcome.failed.length > 0 ? 'partial_failure' : null) : outcome.code,
    error: isOk ? (outcome.failed.length > 0 ? 'the receiver listed events as failed' : null) : outcome.reason,
    responseExcerpt: excerpt === null ? null : withoutSecrets(excerpt, secrets),
    nextRetryAtMs: one.nextRetryAtMs,
    ...(outcome.phases ?? NO_PHASES),
  };
}
