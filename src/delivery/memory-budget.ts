/** Bytes of pending events that all streams together hold, as they lie in the log. */
export const TOTAL_WINDOW_BYTES = 256 * 1024 * 1024;
/**
 * Events that all streams together hold: each takes some 500 bytes of the thread's heap, whatever its rows are, and that has
 * 256 MB in all.
 */
export const TOTAL_WINDOW_EVENTS = 150_000;
/** What a stream may hold although the others have used up the total: none is kept from moving. */
export const STREAM_SHARE_BYTES = 128 * 1024;
export const STREAM_SHARE_EVENTS = 128;

/** What one stream holds, or all. */
export interface Held {
  readonly bytes: number;
  readonly events: number;
}

/** Counts what streams hold, so that a thousand dead endpoints do not fill the memory. */
export class MemoryBudget {
  #bytes = 0;
  #events = 0;

  get used(): Held {
    return { bytes: this.#bytes, events: this.#events };
  }

  /** Whether a stream that holds so much may take more. */
  allows(ownBytes: number, ownEvents: number): boolean {
    if (ownEvents >= STREAM_SHARE_EVENTS && this.#events >= TOTAL_WINDOW_EVENTS) return false;
    return this.#bytes < TOTAL_WINDOW_BYTES || ownBytes < STREAM_SHARE_BYTES;
  }

  /** Tells that a stream holds so much more, or less. */
  change(bytes: number, events: number): void {
    this.#bytes += bytes;
    this.#events += events;
  }
}
