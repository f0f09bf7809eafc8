import type { TransactionId } from './catalog-control.ts';
import type { Requirement } from './requirement.ts';
import type { StreamDefinition } from './stream.ts';

/** What took how long of an attempt, in ms; null: it did not come to that, or there is no such thing. */
export interface AttemptPhases {
  /** The name's addresses. Null, as the next two are, where the connection was there already. */
  readonly dnsMs: number | null;
  readonly connectMs: number | null;
  readonly tlsMs: number | null;
  /** From the request's beginning, connection included, to the head of its answer. */
  readonly firstByteMs: number | null;
}

export const NO_PHASES: AttemptPhases = Object.freeze({ dnsMs: null, connectMs: null, tlsMs: null, firstByteMs: null });

/** One attempt to deliver. Times in ms since 1970. */
export interface DeliveryRecord extends AttemptPhases {
  readonly streamId: string;
  readonly id: string;
  /** The first of its events', in order. */
  readonly eventIds: readonly string[];
  /** How many it had. */
  readonly events: number;
  /** 1 for the first. */
  readonly attempt: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly httpStatus: number | null;
  /** A class of outcomes: `ok`, `rejected`, `misconfigured`, `overloaded`, `transient`, `gone`. */
  readonly outcome: string;
  readonly error: string | null;
  /** A short constant: `http_500`, `connection_refused`, `timeout`, …; null of an attempt that was acknowledged. */
  readonly errorCode: string | null;
  /** The beginning of the answer, of failures only; the stream's secrets in it are `***`. */
  readonly responseExcerpt: string | null;
  readonly nextRetryAtMs: number | null;
}

/** An event that was given up on, and kept. */
export interface DeadLetterRecord {
  readonly streamId: string;
  readonly eventId: string;
  readonly schema: string;
  readonly table: string;
  readonly operation: string;
  /** JSON. */
  readonly key: string;
  readonly reason: string;
  readonly httpStatus: number | null;
  readonly attempts: number;
  readonly firstFailedAtMs: number | null;
  readonly parkedAtMs: number;
  /** The beginning of the last answer; the stream's secrets in it are `***`. */
  readonly responseExcerpt: string | null;
  /** JSON. */
  readonly payload: string;
}

/** A request that would be sent next. */
export interface PeekedRequest {
  readonly requestId: string;
  readonly eventIds: readonly string[];
  readonly events: number;
  readonly attempt: number;
  /** Null: as soon as the stream may send. */
  readonly dueAtMs: number | null;
  /** Added to the URL. */
  readonly path: string;
  /** As if it were sent now; secrets are `***`. Null: it has none. */
  readonly headers: readonly (readonly [name: string, value: string])[] | null;
  readonly body: string;
}

/** What is tested: a stream or endpoint as it is defined, or a URL with nothing said besides. */
export type TestTarget =
  | { readonly kind: 'stream' | 'endpoint'; readonly name: string }
  | { readonly kind: 'webhook'; readonly url: string }
  /** A stream that is not there yet, or not like this; what it names is what `transaction` sees. */
  | {
      readonly kind: 'declared';
      readonly name: string;
      readonly declaration: Pick<StreamDefinition, 'destination' | 'options' | 'givenOptions' | 'tables' | 'database'>;
      readonly transaction: TransactionId | null;
    };

/** What came of one `cdc.test` event, or of asking whether events would be taken. */
export interface TestResult {
  readonly ok: boolean;
  /** Null where no answer came. */
  readonly httpStatus: number | null;
  readonly totalMs: number;
  readonly signatureSent: boolean;
  readonly responseExcerpt: string | null;
  readonly error: string | null;
  /** The address may not be called: `error` names it, and what would allow it. */
  readonly isBlocked: boolean;
}

/** What is asked of delivery about streams, by their ids. */
export type DeliveryRequest =
  | { readonly kind: 'deliveries' | 'dead-letters'; readonly streamIds: readonly string[]; readonly limit: number }
  /** `id`: one event's; null: all. */
  | {
      readonly kind: 'retry-dead-letters' | 'discard-dead-letters';
      readonly streamId: string;
      readonly id: string | null;
    }
  | { readonly kind: 'skip-event'; readonly streamId: string; readonly id: string }
  /** Takes back that one is to be skipped; who waits for that is told. */
  | { readonly kind: 'keep-event'; readonly streamId: string; readonly id: string }
  | { readonly kind: 'restart' | 'reset-circuit'; readonly streamId: string }
  | { readonly kind: 'peek'; readonly streamId: string; readonly limit: number };

/**
 * What became of an event that was to be skipped: `acknowledged` before it could be; `kept`, as that was taken back;
 * `unknown`: no such event is to be sent now.
 */
export type SkipResult = 'skipped' | 'acknowledged' | 'kept' | 'unknown';

/** `count`: how many it was done to; 0 where there was none. */
export type DeliveryAnswer =
  | { readonly kind: 'deliveries'; readonly deliveries: readonly DeliveryRecord[] }
  | { readonly kind: 'dead-letters'; readonly deadLetters: readonly DeadLetterRecord[] }
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'skipped'; readonly result: SkipResult }
  | { readonly kind: 'peek'; readonly requests: readonly PeekedRequest[] }
  /** It could not be written down. */
  | { readonly kind: 'failed'; readonly message: string };

/**
 * What operators see and do of deliveries; the engine implements it. Streams are by name. Every method raises `PgError`:
 * 42704 where the stream or the event does not exist, 58030 where it cannot be written down. `actor` is the client's
 * `current_user`, for the history.
 */
export interface DeliveryControl {
  /** Newest first. */
  deliveries(streams: readonly string[], limit: number): Promise<readonly DeliveryRecord[]>;
  /** Oldest first. */
  deadLetters(streams: readonly string[], limit: number): Promise<readonly DeadLetterRecord[]>;
  /** Sends them again, with the ids they had, through their keys' lanes. `id` null: all. Gives how many. */
  retryDeadLetters(stream: string, id: string | null, actor: string): Promise<number>;
  /** Forgets them; keys that waited for them go on. `id` null: all. Gives how many. */
  discardDeadLetters(stream: string, id: string | null, actor: string): Promise<number>;
  /**
   * Gives up an event that waits to be tried again or could be sent now: it becomes a dead letter. So does one that is being
   * sent, with its answer, unless that acknowledges it: 55000. `signal` ends the wait for that, and the event is kept.
   */
  skipEvent(stream: string, id: string, actor: string, signal: AbortSignal): Promise<void>;
  /** What waits is tried at once, with all of its retries before it; a stream that stopped by itself goes on. */
  restart(stream: string, actor: string): Promise<void>;
  resetCircuit(stream: string, actor: string): Promise<void>;
  /** The requests that would be sent next, in order. */
  peek(stream: string, limit: number): Promise<readonly PeekedRequest[]>;
  /** Sends one event of the type `cdc.test`. What the endpoint makes of it is the result, not an error. */
  test(target: TestTarget, signal: AbortSignal): Promise<TestResult>;
  /** What the stream's destination has to be like, and is. Empty where it cannot be asked without being sent something. */
  inspect(stream: string, signal: AbortSignal): Promise<readonly Requirement[]>;
}
