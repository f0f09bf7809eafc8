const FIRST_CAPACITY = 8;

/** A queue open at both ends: a growing ring. Every operation is O(1), amortised. */
export class Deque<T> {
  #ring: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length++) & (this.#ring.length - 1)] = value;
  }

  unshift(value: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = value;
    this.#length++;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#ring[this.#head];
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const value = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    return value;
  }

  /** The value at `index`, 0 being the next that `shift` gives. */
  at(index: number): T | undefined {
    return index < this.#length ? this.#ring[(this.#head + index) & (this.#ring.length - 1)] : undefined;
  }

  /** Takes the value at `index` out; O(n). */
  remove(index: number): T | undefined {
    const found = this.at(index);
    if (found === undefined) return undefined;
    for (let i = index; i > 0; i--) this.#ring[(this.#head + i) & (this.#ring.length - 1)] = this.at(i - 1);
    this.shift();
    return found;
  }

  #grow(): void {
    const larger: (T | undefined)[] = Array.from({ length: Math.max(FIRST_CAPACITY, this.#ring.length * 2) });
    for (let i = 0; i < this.#length; i++) larger[i] = this.at(i);
    this.#ring = larger;
    this.#head = 0;
  }
}
