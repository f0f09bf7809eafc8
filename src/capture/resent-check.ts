import type { CommitMark } from '../log/chunk.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import { CaptureFault } from './fault.ts';

/**
 * Compares the transactions that a server sends again with those that the log has: a server that was restored to an
 * earlier point and went on from there passes every check of positions once its WAL has grown long enough, but it cannot
 * have the same transactions at the same places.
 */
export class ResentCheck {
  /** Null: the log does not know. */
  #marks: readonly CommitMark[] | null;
  #next = 0;

  /** `marks`: transactions of the log from where the server begins to where the log ends, ascending. */
  constructor(marks: readonly CommitMark[] | null) {
    this.#marks = marks;
  }

  /** Takes in the next transaction before the log's end. Throws `CaptureFault` (other-history). */
  begin(commitLsn: Lsn, commitTimeMicros: bigint, xid: number): void {
    const mark = this.#marks?.[this.#next];
    if (mark === undefined || commitLsn < mark.commitLsn) return;
    const isSame = mark.commitLsn === commitLsn && mark.commitTimeMicros === commitTimeMicros && mark.xid === xid;
    if (!isSame) throw differs(mark.commitLsn);
    this.#next++;
  }

  /** It had changes. Behind the last that the log has there was nothing to log. Throws as `begin`. */
  end(commitLsn: Lsn, changes: number): void {
    const last = this.#marks?.at(-1);
    if (this.#marks === null || changes === 0) return;
    if (last === undefined || commitLsn > last.commitLsn) throw differs(commitLsn);
  }

  /** What comes now is new: all that the log has must have come. Throws as `begin`. */
  finish(): void {
    const mark = this.#marks?.[this.#next];
    this.#marks = null;
    if (mark !== undefined) throw differs(mark.commitLsn);
  }
}

function differs(lsn: Lsn): CaptureFault {
  return new CaptureFault(
    'other-history',
    `the server has other transactions at ${formatLsn(lsn)} than it had sent before: it was restored to an earlier ` +
      'point and has gone on from there',
    null,
  );
}
