/** What waits for a time, earliest first: a binary heap. */
export class DueQueue<T extends { dueAtMs: number }> {
  readonly #heap: T[] = [];

  get length(): number {
    return this.#heap.length;
  }

  /** In no order. */
  values(): readonly T[] {
    return this.#heap;
  }

  remove(item: T): void {
    const others = this.#heap.filter((other) => other !== item);
    this.#heap.length = 0;
    for (const other of others) this.push(other);
  }

  peek(): T | undefined {
    return this.#heap[0];
  }

  push(item: T): void {
    const heap = this.#heap;
    let at = heap.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.dueAtMs <= item.dueAtMs) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = item;
  }

  pop(): T | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || last === undefined) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.dueAtMs < heap[child]!.dueAtMs) child++;
      if (heap[child]!.dueAtMs >= last.dueAtMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
