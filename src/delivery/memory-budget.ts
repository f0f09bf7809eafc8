/** Bytes of pending events that all streams together hold, as they lie in the log. */
export const TOTAL_WINDOW_BYTES = 256 * 1024 * 1024;
/** What a stream may hold although the others have used up the total: none is kept from moving. */
export const STREAM_SHARE_BYTES = 128 * 1024;

/** Counts what streams hold, so that a thousand dead endpoints do not fill the memory. */
export class MemoryBudget {
  #used = 0;

  /** Whether a stream that holds `ownBytes` may take more. */
  allows(ownBytes: number): boolean {
    return this.#used < TOTAL_WINDOW_BYTES || ownBytes < STREAM_SHARE_BYTES;
  }

  /** Tells that a stream holds so much more, or less. */
  change(bytes: number): void {
    this.#used += bytes;
  }
}
