/** Above this, the client is not read on while a statement of ours runs. */
const FULL_BYTES = 65_536;

/** What a client has sent while its turn waits, in order. */
export class Backlog {
  #chunks: Buffer[] = [];
  #at = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  get isFull(): boolean {
    return this.#bytes >= FULL_BYTES;
  }

  /** Adds a copy. */
  add(bytes: Buffer, start: number, end: number): void {
    this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
    this.#bytes += end - start;
  }

  /** Gives the oldest chunk's rest to `take`, which answers how far it got. */
  consume(take: (bytes: Buffer, start: number, end: number) => number): void {
    const chunk = this.#chunks[0];
    if (!chunk) return;
    const at = take(chunk, this.#at, chunk.length);
    this.#bytes -= at - this.#at;
    this.#at = at;
    if (at < chunk.length) return;
    this.#chunks.shift();
    this.#at = 0;
  }
}
