import type { IndexedChunk } from './chunk-index.ts';
import type { RelationChanges } from './relation-changes.ts';

/** Walks the changes of some relations through a chunk, in commit order. */
export class ChunkCursor {
  readonly chunk: IndexedChunk;
  /** Changes not yet walked over. */
  remaining: number;
  readonly #lists: RelationChanges[] = [];
  readonly #next: number[] = [];
  #current = -1;
  #lastOffset = -1;
  #sharesPosition = false;

  constructor(chunk: IndexedChunk, oids: Iterable<number>) {
    this.chunk = chunk;
    this.remaining = 0;
    for (const oid of oids) {
      const changes = chunk.relations.get(oid);
      if (changes === undefined || changes.count === 0) continue;
      this.#lists.push(changes);
      this.#next.push(0);
      this.remaining += changes.count;
    }
  }

  /** The change that `step` came to: its relation's list, and its index there. */
  get changes(): RelationChanges {
    return this.#lists[this.#current]!;
  }

  get index(): number {
    return this.#next[this.#current]! - 1;
  }

  /** It is of the same frame as the one before: a TRUNCATE of several tables. */
  get sharesPosition(): boolean {
    return this.#sharesPosition;
  }

  /** Whether the next change would share its position with the current one. */
  get nextShares(): boolean {
    const next = this.#peek();
    return next !== -1 && this.#offsetOf(next) === this.#lastOffset;
  }

  /** Moves to the next change; false where there is none. */
  step(): boolean {
    const next = this.#lists.length === 1 ? (this.remaining > 0 ? 0 : -1) : this.#peek();
    if (next === -1) return false;
    const offset = this.#offsetOf(next);
    this.#sharesPosition = offset === this.#lastOffset;
    this.#lastOffset = offset;
    this.#current = next;
    this.#next[next]!++;
    this.remaining--;
    return true;
  }

  /** Which list has the lowest frame next; streams have few tables. */
  #peek(): number {
    let lowest = -1;
    for (let i = 0; i < this.#lists.length; i++) {
      if (this.#next[i]! >= this.#lists[i]!.count) continue;
      if (lowest === -1 || this.#offsetOf(i) < this.#offsetOf(lowest)) lowest = i;
    }
    return lowest;
  }

  #offsetOf(list: number): number {
    return this.#lists[list]!.offsets[this.#next[list]!]!;
  }
}
