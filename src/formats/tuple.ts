import { PgoutputError, TUPLE } from '../postgres/pgoutput.ts';

/** What `starts` of a column says where it has no text. */
export const NULL = -1;
export const UNCHANGED = -2;
/** Not sent, or sent as a null that stands for "not part of the key". */
export const UNKNOWN = -3;

/** Where the columns of one tuple lie in the chunk. Reused from change to change: nothing is allocated per row. */
export class TupleView {
  count = 0;
  /** Offset of the column's text, or one of the constants above. */
  starts = new Int32Array(64);
  ends = new Int32Array(64);

  /** Reads the tuple at `offset` (its column count) and returns the offset just past it. */
  read(data: Buffer, offset: number): number {
    const count = data.readUInt16BE(offset);
    if (count > this.starts.length) {
      this.starts = new Int32Array(count);
      this.ends = new Int32Array(count);
    }
    this.count = count;
    const { starts, ends } = this;
    let at = offset + 2;
    for (let i = 0; i < count; i++) {
      const kind = data[at++];
      if (kind === TUPLE.text) {
        const length = (data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!;
        starts[i] = at + 4;
        at += 4 + length;
        ends[i] = at;
        // A length of 2^31 or more turns negative here; Postgres sends at most 1 GB.
        if (length < 0 || at > data.length) throw new PgoutputError('a column ends past its message');
      } else if (kind === TUPLE.null) {
        starts[i] = NULL;
      } else if (kind === TUPLE.unchanged) {
        starts[i] = UNCHANGED;
      } else {
        throw new PgoutputError(`unknown kind of column: ${kind}`);
      }
    }
    return at;
  }

  /** The tuple of which nothing is known. */
  clear(count: number): void {
    if (count > this.starts.length) {
      this.starts = new Int32Array(count);
      this.ends = new Int32Array(count);
    }
    this.count = count;
    this.starts.fill(UNKNOWN, 0, count);
  }

  /** Takes column `i` from `other`, which views the same buffer. */
  take(other: TupleView, i: number): void {
    this.starts[i] = other.starts[i]!;
    this.ends[i] = other.ends[i]!;
  }

  /** Whether column `i` has the same value in both, which view the same buffer. */
  sameColumn(data: Buffer, other: TupleView, i: number): boolean {
    const mine = this.starts[i]!;
    const theirs = other.starts[i]!;
    if (mine < 0 || theirs < 0) return mine === theirs;
    const length = this.ends[i]! - mine;
    if (length !== other.ends[i]! - theirs) return false;
    if (length > 64) return data.compare(data, theirs, theirs + length, mine, mine + length) === 0;
    for (let at = 0; at < length; at++) if (data[mine + at] !== data[theirs + at]) return false;
    return true;
  }
}
