/** One request to a receiver. */
export interface SinkBatch {
  /** The same on every attempt of the same events. */
  readonly requestId: string;
  readonly body: Buffer;
  readonly events: number;
  /** 1 for the first. */
  readonly attempt: number;
  readonly stream: string;
  /** Where every event is of one table. */
  readonly table: { readonly schema: string; readonly name: string } | null;
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
  | { readonly class: 'ok'; readonly status: number; readonly failed: readonly string[] }
  | {
      readonly class: 'rejected' | 'misconfigured' | 'overloaded' | 'transient' | 'gone';
      /** Null where no answer came. */
      readonly status: number | null;
      /** A short constant: `http_500`, `connection_refused`, `timeout`, … */
      readonly code: string;
      /** For people; without secrets, and without the URL's query. */
      readonly reason: string;
      /** The least wait that the receiver asked for. */
      readonly retryAfterMs: number | null;
    }
  | { readonly class: 'cancelled' };

export type FailureClass = Exclude<Outcome['class'], 'ok' | 'cancelled'>;

/** Where events go. `send` never rejects. */
export interface Sink {
  send(batch: SinkBatch, signal: AbortSignal): Promise<Outcome>;
  /** Ends what is still under way and frees the connections. */
  close(): Promise<void>;
}
