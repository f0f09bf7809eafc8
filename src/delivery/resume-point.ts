import type { PositionRange, StoredRetry } from '../log/delivery-store.ts';
import { comparePositions, type Position } from '../model/change.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { Batch, Member } from './batch.ts';
import type { DeliveryEvent } from './delivery-event.ts';

/**
 * What a restart knows of the changes that are read again: which are finished, and which belonged to a batch that waits.
 * Asked in the order of positions, and no more once `passed` tells that everything from here on is new.
 */
export class ResumePoint {
  readonly #startLsn: Lsn;
  readonly #cursor: Position | null;
  readonly #ranges: readonly PositionRange[];
  readonly #members: ReadonlyMap<string, readonly Member<DeliveryEvent>[]>;
  readonly #end: Position | null;
  readonly #used = new Map<string, number>();
  #range = 0;

  constructor(
    startLsn: Lsn,
    cursor: Position | null,
    ranges: readonly PositionRange[],
    retries: readonly { readonly batch: Batch<DeliveryEvent>; readonly stored: StoredRetry }[],
  ) {
    this.#startLsn = startLsn;
    this.#cursor = cursor;
    this.#ranges = ranges;
    const members = new Map<string, Member<DeliveryEvent>[]>();
    let end = ranges.at(-1)?.last ?? cursor;
    for (const { batch, stored } of retries) {
      for (const [index, position] of stored.members.entries()) {
        const key = keyOf(position);
        members.set(key, [...(members.get(key) ?? []), { batch, index }]);
        if (end === null || comparePositions(position, end) > 0) end = position;
      }
    }
    this.#members = members;
    this.#end = end;
  }

  /** Whether `position` and everything after it was never seen before. */
  passed(position: Position): boolean {
    if (position.commitLsn < this.#startLsn) return false;
    return this.#end === null || comparePositions(position, this.#end) > 0;
  }

  /** Positions may be asked from the beginning again. */
  rewind(): void {
    this.#range = 0;
  }

  isFinished(position: Position): boolean {
    if (position.commitLsn < this.#startLsn) return true;
    if (this.#cursor !== null && comparePositions(position, this.#cursor) <= 0) return true;
    let range = this.#ranges[this.#range];
    while (range !== undefined && comparePositions(position, range.last) > 0) range = this.#ranges[++this.#range];
    return range !== undefined && comparePositions(position, range.first) >= 0;
  }

  /** The place that the event at `position` has in a batch that waits for it. Events that share a position come here once each. */
  memberOf(position: Position): Member<DeliveryEvent> | null {
    const key = keyOf(position);
    const members = this.#members.get(key);
    if (members === undefined) return null;
    const used = this.#used.get(key) ?? 0;
    this.#used.set(key, used + 1);
    return members[used] ?? null;
  }
}

function keyOf({ commitLsn, lsn, ordinal }: Position): string {
  return `${commitLsn}/${lsn}/${ordinal}`;
}
