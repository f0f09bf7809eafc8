/*
  The protocol's primitive types, in the versions before it became "flexible": lengths are INT16 and INT32, and −1 is null.
  Records have zigzag varints. https://kafka.apache.org/protocol#protocol_types
*/

/** Bytes that are no message of the protocol. */
export class KafkaFormatError extends Error {
  override readonly name = 'KafkaFormatError';
}

const LOOP_BYTES = 20;

/** A growing message. */
export class KafkaWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    // Small ones come from Node's pool: they are many.
    this.#bytes = Buffer.allocUnsafe(Math.max(initialBytes, 16));
  }

  get length(): number {
    return this.#length;
  }

  /** What was written, not copied: nothing is to be written afterwards. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  int8(value: number): this {
    this.#reserve(1);
    this.#length = this.#bytes.writeInt8(value, this.#length);
    return this;
  }

  int16(value: number): this {
    this.#reserve(2);
    this.#length = this.#bytes.writeInt16BE(value, this.#length);
    return this;
  }

  int32(value: number): this {
    this.#reserve(4);
    this.#length = this.#bytes.writeInt32BE(value, this.#length);
    return this;
  }

  int64(value: bigint): this {
    this.#reserve(8);
    this.#length = this.#bytes.writeBigInt64BE(value, this.#length);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const bytes = Buffer.from(value, 'utf8');
    return this.int16(bytes.length).raw(bytes);
  }

  bytes(value: Buffer): this {
    return this.int32(value.length).raw(value);
  }

  array<T>(values: readonly T[], write: (value: T) => void): this {
    this.int32(values.length);
    for (const value of values) write(value);
    return this;
  }

  raw(value: Buffer): this {
    const { length } = value;
    this.#reserve(length);
    // A native call costs as much as some twenty bytes copied here.
    if (length > LOOP_BYTES) this.#bytes.set(value, this.#length);
    else for (let i = 0; i < length; i++) this.#bytes[this.#length + i] = value[i]!;
    this.#length += length;
    return this;
  }

  /** Zigzag, of a number of 31 bits. */
  varint(value: number): this {
    this.#reserve(5);
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
    return this;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** How many bytes `KafkaWriter.varint` writes. */
export function varintBytes(value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  let bytes = 1;
  while (rest > 0x7f) {
    bytes++;
    rest >>>= 7;
  }
  return bytes;
}

/** Reads a message from its beginning. Every method throws `KafkaFormatError` where the bytes end too early. */
export class KafkaReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  string(): string | null {
    const length = this.int16();
    if (length < 0) return null;
    const at = this.#take(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  bytes(): Buffer {
    const length = this.int32();
    if (length < 0) return EMPTY;
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Of a null array none. */
  array<T>(read: () => T): readonly T[] {
    const count = this.int32();
    // An element has a byte at least: a count that cannot be true allocates nothing.
    if (count > this.#bytes.length - this.#at) throw new KafkaFormatError(`an array of ${count} elements does not fit`);
    return Array.from({ length: Math.max(0, count) }, read);
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw new KafkaFormatError('the message ends too early');
    this.#at = at + count;
    return at;
  }
}

const EMPTY = Buffer.alloc(0);
