import type { Position } from '../model/change.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { readBegin } from '../postgres/pgoutput.ts';
import type { OpenTransaction } from './chunk.ts';

const TWO_32 = 0x1_0000_0000n;

/**
 * Where one stands while going through the messages of a log, one after the other: in which transaction, and after
 * which of its changes. The change's LSN is kept in two halves, because a bigint for each change costs more than all
 * the rest of the walk.
 */
export class TransactionCursor {
  isOpen = false;
  commitLsn: Lsn = 0n;
  commitTimeMicros = 0n;
  xid = 0;
  /** Changes of the transaction so far. */
  seq = 0;
  /** The LSN of the last change, and its ordinal among those of the same LSN; -1 before the first. */
  lsnHigh = 0;
  lsnLow = 0;
  ordinal = -1;

  /** A cursor that continues where `open` was. */
  static at(open: OpenTransaction | null): TransactionCursor {
    const cursor = new TransactionCursor();
    if (open) {
      cursor.isOpen = true;
      cursor.commitLsn = open.commitLsn;
      cursor.commitTimeMicros = open.commitTimeMicros;
      cursor.xid = open.xid;
      cursor.seq = open.seq;
      cursor.lsnHigh = Number(open.lastLsn / TWO_32);
      cursor.lsnLow = Number(open.lastLsn % TWO_32);
      cursor.ordinal = open.lastOrdinal;
    }
    return cursor;
  }

  /** Takes in the Begin message whose tag is at `offset`. */
  begin(data: Buffer, offset: number): void {
    const { commitLsn, commitTimeMicros, xid } = readBegin(data, offset);
    this.isOpen = true;
    this.commitLsn = commitLsn;
    this.commitTimeMicros = commitTimeMicros;
    this.xid = xid;
    this.seq = 0;
    this.lsnHigh = 0;
    this.lsnLow = 0;
    this.ordinal = -1;
  }

  /** Takes in a change whose WAL record starts at the LSN of these halves. */
  change(lsnHigh: number, lsnLow: number): void {
    if (lsnLow === this.lsnLow && lsnHigh === this.lsnHigh) this.ordinal++;
    else {
      this.lsnHigh = lsnHigh;
      this.lsnLow = lsnLow;
      this.ordinal = 0;
    }
    this.seq++;
  }

  commit(): void {
    this.isOpen = false;
  }

  /** Whether the last change is at or before that of `open`; both in the same transaction. */
  isAtOrBefore(open: OpenTransaction): boolean {
    const lsn = this.#lsn();
    return lsn < open.lastLsn || (lsn === open.lastLsn && this.ordinal <= open.lastOrdinal);
  }

  /** The transaction that is open here, or null between transactions. */
  open(): OpenTransaction | null {
    if (!this.isOpen) return null;
    return {
      commitLsn: this.commitLsn,
      commitTimeMicros: this.commitTimeMicros,
      xid: this.xid,
      seq: this.seq,
      lastLsn: this.#lsn(),
      lastOrdinal: this.ordinal,
    };
  }

  /** The last change's position. There must have been one. */
  position(): Position {
    return { commitLsn: this.commitLsn, lsn: this.#lsn(), ordinal: this.ordinal };
  }

  #lsn(): Lsn {
    return BigInt(this.lsnHigh) * TWO_32 + BigInt(this.lsnLow);
  }
}
