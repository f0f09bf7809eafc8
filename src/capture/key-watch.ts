import { FRAME, type Relation, TAG, TUPLE } from '../postgres/pgoutput.ts';

/** What is asked of a change that goes by. */
export interface ChangeWatch {
  readonly isActive: boolean;
  /** A change of `oid`, whose frame begins at `offset`. */
  saw(oid: number, data: Buffer, offset: number): void;
  truncated(oid: number): void;
}

/** A key as the columns' bytes, told apart whatever they are. */
export function keyText(values: readonly (string | null)[]): string {
  let key = '';
  for (const value of values) key += value === null ? 'n' : `${value.length}:${value}`;
  return key;
}

/**
 * The keys that changes of one table have touched since `begin`: rows read meanwhile under such a key may be older than
 * what the log has of it.
 */
export class KeyWatch implements ChangeWatch {
  readonly #keys = new Set<string>();
  #oid = 0;
  #columns: readonly number[] = [];
  #columnCount = 0;
  #isTruncated = false;
  #isUnsure = false;
  isActive = false;

  /** Forgets what it saw, and goes on with the changes of `relation`, told apart by the columns at `columns`. */
  begin(relation: Relation, columns: readonly number[]): void {
    this.#keys.clear();
    this.#oid = relation.oid;
    this.#columns = columns;
    this.#columnCount = relation.columns.length;
    this.#isTruncated = this.#isUnsure = false;
    this.isActive = true;
  }

  end(): void {
    this.#keys.clear();
    this.isActive = false;
  }

  get touched(): number {
    return this.#keys.size;
  }

  /** A change went by whose key cannot be told. */
  get isUnsure(): boolean {
    return this.#isUnsure;
  }

  /** Nothing was touched. */
  get isQuiet(): boolean {
    return this.#keys.size === 0 && !this.#isTruncated;
  }

  /** Whether the log may have something newer of the row. */
  hasTouched(key: string): boolean {
    return this.#isTruncated || this.#keys.has(key);
  }

  truncated(oid: number): void {
    if (oid === this.#oid) this.#isTruncated = true;
  }

  saw(oid: number, data: Buffer, offset: number): void {
    if (oid !== this.#oid) return;
    const at = offset + FRAME.message;
    let start = at + 5;
    let old: (string | null | undefined)[] | null = null;
    if (data[start] !== TUPLE.newRow) {
      const read = this.#read(data, start + 1);
      old = read.values;
      this.#add(old);
      start = read.end;
    }
    if (data[at] === TAG.delete) return;
    const { values } = this.#read(data, start + 1);
    // A large value that stays is left out of the new row.
    this.#add(values.map((value, i) => (value === undefined ? old?.[i] : value)));
  }

  #add(values: readonly (string | null | undefined)[]): void {
    if (values.includes(undefined)) this.#isUnsure = true;
    else this.#keys.add(keyText(values as (string | null)[]));
  }

  /** The watched columns of the tuple at `at`; undefined for a value that was not sent. */
  #read(data: Buffer, at: number): { readonly values: (string | null | undefined)[]; readonly end: number } {
    const count = data.readUInt16BE(at);
    if (count !== this.#columnCount) this.#isUnsure = true;
    const found = new Map<number, string | null>();
    let next = at + 2;
    for (let i = 0; i < count; i++) {
      const kind = data[next++];
      if (kind === TUPLE.text) {
        const length = data.readUInt32BE(next);
        next += 4;
        if (this.#columns.includes(i)) found.set(i, data.toString('latin1', next, next + length));
        next += length;
      } else if (kind === TUPLE.null) found.set(i, null);
    }
    return { values: this.#columns.map((i) => found.get(i)), end: next };
  }
}
