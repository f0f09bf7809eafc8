import { PgError } from '../postgres/sqlstate.ts';

/**
 * A cursor over one message's fields. Reading past the end, or leaving bytes unread, is a protocol violation (08P01)
 * in the server's words: what is read here comes from outside.
 */
export class Reader {
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;

  constructor(bytes: Buffer, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#advance(2));
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#advance(4));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4));
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** A String's bytes without the zero that ends it: a view, not a copy. */
  cstringBytes(): Buffer {
    const zero = this.#bytes.indexOf(0, this.#at);
    if (zero < 0 || zero >= this.#end) throw new PgError('protocol_violation', 'invalid string in message');
    const at = this.#at;
    this.#at = zero + 1;
    return this.#bytes.subarray(at, zero);
  }

  /** A String byte by byte as Latin-1: the spelling of a name that any client encoding keeps apart from others. */
  name(): string {
    return this.cstringBytes().toString('latin1');
  }

  /** Asserts that nothing is left. */
  finish(): void {
    if (this.#at !== this.#end) throw new PgError('protocol_violation', 'invalid message format');
  }

  #advance(length: number): number {
    const at = this.#at;
    if (length < 0 || length > this.#end - at) {
      throw new PgError('protocol_violation', 'insufficient data left in message');
    }
    this.#at = at + length;
    return at;
  }
}
