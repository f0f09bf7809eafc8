import type { AttemptPhases } from '../model/delivery-control.ts';
import type { Requirement } from '../model/requirement.ts';
import type { EventOperation } from '../model/stream.ts';

/** Schemas as JSON. Records of one table have the same strings. */
export interface RecordSchemas {
  readonly key: string | null;
  readonly value: string;
}

/** One of a batch's messages, for sinks that send each by itself. An event is one, or several where its envelope wants it. */
export interface SinkRecord {
  /** The event's. */
  readonly id: string;
  /** The event's place in the batch. */
  readonly event: number;
  readonly operation: EventOperation;
  readonly schema: string;
  readonly table: string;
  /** Of the change, as Postgres writes it. */
  readonly lsn: string;
  /** JSON, or as its schema has it; null: the event has none. */
  readonly key: Buffer | null;
  /** JSON, or as its schema has it; null: the row of the key is gone, which is all that is said. */
  readonly value: Buffer | null;
  /** What has to be known to read key and value; absent: they are JSON. */
  readonly schemas?: RecordSchemas;
  /** Why the event cannot be written in the stream's format; absent: it is. It is rejected. */
  readonly fault?: string;
  /** Records of one text keep their order. Null: those of one key do. */
  readonly order: string | null;
}

/** One request to a receiver. */
export interface SinkBatch {
  /** The same on every attempt of the same events. */
  readonly requestId: string;
  readonly body: Buffer;
  /** The same one by one, for a sink that `takesRecords`. */
  readonly records?: readonly SinkRecord[];
  /** The body's media type; of records that have schemas it says nothing. */
  readonly contentType: string;
  readonly events: number;
  /** 1 for the first. */
  readonly attempt: number;
  /** The id of the dead letter that the first event's key had right before it; absent or null: there is none. */
  readonly gap?: string | null;
  /** Its events are sent again although newer ones of their keys may have arrived. */
  readonly isReplay?: boolean;
  readonly stream: string;
  /** Where every event is of one table. */
  readonly table: { readonly schema: string; readonly name: string } | null;
  /** What `path_template` came to for all of its events, percent-encoded; empty where there is none. */
  readonly path: string;
  /** What the request is a part of, where traces are collected (W3C Trace Context). */
  readonly traceparent?: string;
  /** Of the headers that the stream gives those that are its events', by their names as written; absent: there are none. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * What became of an attempt. A value and never an exception: what it means for the events is decided by its class.
 *
 * - `ok`: acknowledged, but for the events whose ids `failed` lists
 * - `rejected`: the receiver refuses this payload
 * - `misconfigured`: the endpoint is not the right one, or may not be called
 * - `overloaded`: the receiver asks for time
 * - `transient`: may succeed when repeated
 * - `gone`: the endpoint wants nothing more
 * - `cancelled`: given up from our side; counts as no attempt
 */
export type Outcome =
  | {
      readonly class: 'ok';
      readonly status: number | null;
      readonly failed: readonly string[];
      readonly phases?: AttemptPhases;
    }
  | FailureOutcome
  | { readonly class: 'cancelled' };

export interface FailureOutcome {
  readonly class: 'rejected' | 'misconfigured' | 'overloaded' | 'transient' | 'gone';
  /** Null where no answer came, and where answers have no number. */
  readonly status: number | null;
  /** A short constant: `http_500`, `connection_refused`, `timeout`, … */
  readonly code: string;
  /** For people; without secrets, and without the URL's query. */
  readonly reason: string;
  /** The least wait that the receiver asked for. */
  readonly retryAfterMs: number | null;
  /** The beginning of the answer's body, for people. May hold anything that the receiver says. */
  readonly excerpt?: string;
  readonly phases?: AttemptPhases;
}

/** The longest wait that a receiver may ask for. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

export type FailureClass = FailureOutcome['class'];

export type HeaderPair = readonly [name: string, value: string];

export interface SourceTable {
  readonly schema: string;
  readonly name: string;
}

/** Where events go. `send` never rejects. */
export interface Sink {
  /**
   * Why it cannot send anything at all, for people: a secret that cannot be had, say. While there is one, nobody is to call
   * `send`. Null or absent: it can.
   */
  readonly problem?: string | null;
  /** Events go one by one with their keys, and not as one body. */
  readonly takesRecords?: boolean;
  send(batch: SinkBatch, signal: AbortSignal): Promise<Outcome>;
  /** The head of a batch's request as a client may see it: secrets are `***`. Absent: its requests have none. */
  shownHead?(batch: SinkBatch): readonly HeaderPair[];
  /**
   * Whether events would be taken, without sending one: where a test event would be a stranger among the others. Absent: one
   * is sent. `tables`: whose events are to be taken.
   */
  probe?(tables: readonly SourceTable[], signal: AbortSignal): Promise<Outcome>;
  /**
   * What `probe` asks, part by part, for people. Absent: the destination cannot be asked. Answers are bounded in time; it
   * never rejects.
   */
  inspect?(tables: readonly SourceTable[]): Promise<readonly Requirement[]>;
  /** Ends what is still under way and frees the connections. */
  close(): Promise<void>;
}
