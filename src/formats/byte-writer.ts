/** A native call costs as much as some twenty bytes copied here. */
const LOOP_BYTES = 20;

/**
 * A growing buffer that envelopes are written into. `bytes` and `length` are public because the inner loops write
 * straight into them: after `reserve(n)`, `n` bytes from `length` on may be set, and `length` moved past them.
 */
export class ByteWriter {
  bytes: Buffer;
  length = 0;

  constructor(initialBytes = 16 * 1024) {
    this.bytes = Buffer.allocUnsafeSlow(initialBytes);
  }

  /** Makes room for `count` more bytes. `bytes` may be another buffer afterwards. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  raw(source: Buffer): void {
    const { length } = source;
    if (length <= LOOP_BYTES) {
      this.slice(source, 0, length);
      return;
    }
    this.reserve(length);
    this.bytes.set(source, this.length);
    this.length += length;
  }

  slice(source: Buffer, start: number, end: number): void {
    this.reserve(end - start);
    const { bytes } = this;
    let at = this.length;
    if (end - start > LOOP_BYTES) {
      source.copy(bytes, at, start, end);
      at += end - start;
    } else {
      for (let i = start; i < end; i++) bytes[at++] = source[i]!;
    }
    this.length = at;
  }

  /** A whole number from 0 to 2^53, in decimal; with zeros in front to at least `width` digits, 16 at most. */
  unsigned(value: number, width = 1): void {
    this.reserve(16);
    const { bytes } = this;
    let digits = 1;
    for (let limit = 10; value >= limit; limit *= 10) digits++;
    if (digits < width) digits = width;
    let rest = value;
    for (let at = this.length + digits - 1; at >= this.length; at--) {
      const next = Math.floor(rest / 10);
      bytes[at] = 0x30 + (rest - next * 10);
      rest = next;
    }
    this.length += digits;
  }

  /** A copy of what was written. */
  copy(): Buffer {
    const copy = Buffer.allocUnsafe(this.length);
    this.bytes.copy(copy, 0, 0, this.length);
    return copy;
  }

  /** Forgets what was written, and a buffer that grew past `keepBytes`: one large event does not stay in memory. */
  clear(keepBytes = 4 * 1024 * 1024): void {
    this.length = 0;
    if (this.bytes.length > keepBytes) this.bytes = Buffer.allocUnsafeSlow(16 * 1024);
  }
}
