import { assert } from '../base/assert.ts';
import type { Relation } from '../postgres/pgoutput.ts';

const BYTES_PER_CHANGE = 16;

/** The changes of one relation in one chunk, in order: parallel arrays, of which the first `count` items are set. */
export class RelationChanges {
  count = 0;
  /** Of the change's frame in the chunk's data. */
  offsets: Uint32Array;
  seqs: Uint32Array;
  ordinals: Uint32Array;
  /** Indexes of the chunk's transactions. */
  transactions: Uint32Array;
  readonly #definitions: { readonly from: number; readonly relation: Relation }[] = [];

  constructor(expected: number) {
    this.offsets = new Uint32Array(expected);
    this.seqs = new Uint32Array(expected);
    this.ordinals = new Uint32Array(expected);
    this.transactions = new Uint32Array(expected);
  }

  get defined(): boolean {
    return this.#definitions.length > 0;
  }

  /** `relation` holds from the next change on. */
  define(relation: Relation): void {
    // Postgres repeats the message after a reconnect; only the last before a change counts.
    if (this.#definitions.at(-1)?.from === this.count) this.#definitions.pop();
    this.#definitions.push({ from: this.count, relation });
  }

  /** The definition that holds at change `i`. */
  relationAt(i: number): Relation {
    let found: Relation | null = null;
    for (const { from, relation } of this.#definitions) {
      if (from > i) break;
      found = relation;
    }
    assert(found !== null, 'a change has a definition');
    return found;
  }

  add(offset: number, seq: number, ordinal: number, transaction: number): void {
    if (this.count === this.offsets.length) this.#grow();
    const i = this.count++;
    this.offsets[i] = offset;
    this.seqs[i] = seq;
    this.ordinals[i] = ordinal;
    this.transactions[i] = transaction;
  }

  /** Bytes that the arrays hold. */
  finish(): number {
    return this.offsets.length * BYTES_PER_CHANGE;
  }

  #grow(): void {
    const length = Math.max(16, this.offsets.length * 2);
    this.offsets = grown(this.offsets, length);
    this.seqs = grown(this.seqs, length);
    this.ordinals = grown(this.ordinals, length);
    this.transactions = grown(this.transactions, length);
  }
}

function grown(array: Uint32Array, length: number): Uint32Array {
  const larger = new Uint32Array(length);
  larger.set(array);
  return larger;
}
