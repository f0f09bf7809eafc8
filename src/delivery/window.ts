import type { Entry, SchedulerEvent, Skipped } from './batch.ts';
import { Deque } from './deque.ts';

/**
 * A stream's events from the first that is neither acknowledged nor dead, in commit order. What is finished before that one
 * is the cursor's; what is finished after it makes the ranges that are stored beside the cursor.
 */
export class Window<E extends SchedulerEvent> {
  readonly #entries = new Deque<Entry<E>>();
  #pending = 0;
  #bytes = 0;
  #passed: E | Skipped | null = null;

  /** Neither acknowledged nor dead. */
  get pending(): number {
    return this.#pending;
  }

  /** Held, finished ones among them: the length that has a limit. */
  get length(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get oldest(): E | null {
    return this.#entries.peek()?.event ?? null;
  }

  /** The last event, or dropped change, before which, itself included, all are finished; null until there is one. */
  get passed(): E | Skipped | null {
    return this.#passed;
  }

  push(entry: Entry<E>): void {
    this.#entries.push(entry);
    this.#pending++;
    this.#bytes += entry.event.bytes;
  }

  /** A filter has dropped everything since the last event that came, up to here. */
  skip(skipped: Skipped): void {
    const last = this.#entries.at(this.#entries.length - 1);
    if (last === undefined) this.#passed = skipped;
    else last.skipped = skipped;
  }

  finish(entry: Entry<E>): void {
    entry.done = true;
    this.#pending--;
    this.#bytes -= entry.event.bytes;
    for (let length = this.#finishedGroup(0); length > 0; length = this.#finishedGroup(0)) {
      for (; length > 0; length--) {
        const { event, skipped } = this.#entries.shift()!;
        this.#passed = skipped ?? event;
      }
    }
  }

  /** First and last events of each run of finished ones beyond the cursor. */
  *finishedRuns(): Generator<readonly [E, E | Skipped]> {
    let first: E | null = null;
    let last: E | Skipped | null = null;
    // Most are near the cursor: behind the last of them there is nothing to look for.
    let finished = this.#entries.length - this.#pending;
    for (let i = 0; finished > 0;) {
      const length = this.#finishedGroup(i);
      if (length > 0) {
        first ??= this.#entries.at(i)!.event;
        const end = this.#entries.at(i + length - 1)!;
        last = end.skipped ?? end.event;
      } else if (first !== null && last !== null) {
        yield [first, last];
        first = null;
      }
      if (length > 0) finished -= length;
      else if (this.#entries.at(i)!.done) finished--;
      i += Math.max(1, length);
    }
    if (first !== null && last !== null) yield [first, last];
  }

  /** How many events from `index` on share a position and are all finished; 0 where one is not. */
  #finishedGroup(index: number): number {
    const head = this.#entries.at(index);
    if (head === undefined || !head.done) return 0;
    let length = 1;
    for (let next = this.#entries.at(index + 1); next?.event.sharesPosition; next = this.#entries.at(index + length)) {
      if (!next.done) return 0;
      length++;
    }
    return length;
  }
}
