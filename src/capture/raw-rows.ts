const FIRST_BYTES = 4 * 1024;
/** What does not fit into the first bytes is a page of a table: growing to it step by step copies it twice. */
const SECOND_BYTES = 1024 * 1024;
const NONE = Buffer.alloc(0);
/** As many as pages are under way. */
const MAX_SPARE = 4;
/** A message's type and length. */
const HEAD_BYTES = 5;

/**
 * Rows as the server sent them, whole DataRow messages end to end: what goes from a table into the log is never made into
 * strings or objects. A row is named by the offset of its column count.
 *
 *   DataRow => 'D' Int32(length) Int16(columns) (Int32(length, -1 for NULL) Byte n)*
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-DATAROW
 */
export class RawRows {
  #bytes: Buffer = NONE;
  #end = 0;
  #count = 0;
  #last = 0;
  readonly #maxBytes: number;
  readonly #spare: Buffer[];
  #isCut = false;

  /** Of more than `maxBytes`, the first rows are kept: at least one. `spare`: buffers of earlier pages, to be used again. */
  constructor(maxBytes = Infinity, spare: Buffer[] = []) {
    this.#maxBytes = maxBytes;
    this.#spare = spare;
  }

  /** The rows are not needed any more: their bytes may become those of others. */
  release(): void {
    if (this.#bytes.length >= SECOND_BYTES && this.#spare.length < MAX_SPARE) this.#spare.push(this.#bytes);
    this.#bytes = NONE;
    this.#end = this.#count = 0;
  }

  /** There were more rows than these. */
  get isCut(): boolean {
    return this.#isCut;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Takes a copy of the whole DataRow messages that lie from `start` to `end`. */
  add(data: Buffer, start: number, end: number): void {
    const until = this.#isCut ? start : this.#fitting(data, start, end);
    this.#isCut ||= until < end;
    if (until === start) return;
    this.#reserve(until - start);
    data.copy(this.#bytes, this.#end, start, until);
    const filled = this.#end + until - start;
    while (this.#end < filled) {
      this.#last = this.#end + HEAD_BYTES;
      this.#end += 1 + this.#bytes.readUInt32BE(this.#end + 1);
      this.#count++;
    }
  }

  /** Up to where there is room. */
  #fitting(data: Buffer, start: number, end: number): number {
    const room = this.#maxBytes - this.#end;
    if (end - start <= room) return end;
    let at = start;
    for (;;) {
      const next = at + 1 + data.readUInt32BE(at + 1);
      const isFirst = this.#count === 0 && at === start;
      if (next > end || (next - start > room && !isFirst)) return at;
      at = next;
    }
  }

  /** Each row in turn. */
  *[Symbol.iterator](): Generator<number> {
    for (let at = 0; at < this.#end; at += 1 + this.#bytes.readUInt32BE(at + 1)) yield at + HEAD_BYTES;
  }

  /** The last row; null where there is none. */
  get last(): number | null {
    return this.#count === 0 ? null : this.#last;
  }

  /** A row's columns at `indexes`, in that order. */
  values(row: number, indexes: readonly number[], encoding: 'utf8' | 'latin1'): (string | null)[] {
    const columns = this.#bytes.readUInt16BE(row);
    const found = new Map<number, string | null>();
    let at = row + 2;
    for (let i = 0; i < columns; i++) {
      const length = this.#bytes.readInt32BE(at);
      at += 4;
      if (indexes.includes(i)) found.set(i, length < 0 ? null : this.#bytes.toString(encoding, at, at + length));
      if (length > 0) at += length;
    }
    return indexes.map((i) => found.get(i) ?? null);
  }

  /** All rows as text; for answers that are small. */
  texts(): (string | null)[][] {
    return [...this].map((row) => {
      const columns = this.#bytes.readUInt16BE(row);
      return this.values(row, [...Array(columns).keys()], 'utf8');
    });
  }

  #reserve(more: number): void {
    const wanted = this.#end + more;
    if (wanted <= this.#bytes.length) return;
    const least = wanted <= FIRST_BYTES ? FIRST_BYTES : SECOND_BYTES;
    const bytes = Math.max(least, wanted, this.#bytes.length * 2);
    const spare = bytes < SECOND_BYTES ? -1 : this.#spare.findIndex(({ length }) => length >= bytes);
    const larger = spare < 0 ? Buffer.allocUnsafeSlow(bytes) : this.#spare.splice(spare, 1)[0]!;
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}
