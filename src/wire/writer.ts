/** Messages one behind the other in a buffer that grows. One method per primitive; lengths are filled in by `end`. */
export class Writer {
  #bytes: Buffer;
  #size = 0;
  #lengthAt = 0;

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size;
  }

  /** Begins a message: its type byte, and room for its length. */
  begin(type: number): this {
    return this.uint8(type).beginUntyped();
  }

  /** Begins a message that has no type byte: the startup packet and its kin. */
  beginUntyped(): this {
    this.#lengthAt = this.#size;
    return this.int32(0);
  }

  /** Ends the message: its length counts itself, not the type byte. */
  end(): this {
    this.#bytes.writeInt32BE(this.#size - this.#lengthAt, this.#lengthAt);
    return this;
  }

  uint8(value: number): this {
    const at = this.#grow(1);
    this.#bytes.writeUInt8(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#grow(2);
    this.#bytes.writeInt16BE(value, at);
    return this;
  }

  uint16(value: number): this {
    const at = this.#grow(2);
    this.#bytes.writeUInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#grow(4);
    this.#bytes.writeInt32BE(value, at);
    return this;
  }

  uint32(value: number): this {
    const at = this.#grow(4);
    this.#bytes.writeUInt32BE(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  cstringBytes(value: Uint8Array): this {
    return this.bytes(value).uint8(0);
  }

  /** A String in UTF-8. `value` has no zero byte in it. */
  cstring(value: string): this {
    const at = this.#grow(Buffer.byteLength(value));
    this.#bytes.write(value, at, 'utf8');
    return this.uint8(0);
  }

  /** A String of a name that `Reader.name` read. */
  name(value: string): this {
    const at = this.#grow(value.length);
    this.#bytes.write(value, at, 'latin1');
    return this.uint8(0);
  }

  /** What has been written. The writer is not used again. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  /** Room for so many bytes; `#bytes` may be another buffer afterwards. */
  #grow(length: number): number {
    const at = this.#size;
    const size = at + length;
    if (size > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(size, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.#size = size;
    return at;
  }
}
