import type { DeduplicationStore } from './deduplicate.ts';

export interface MemoryStoreOptions {
  /** How many ids are remembered; the oldest are forgotten first. 100,000 by default. */
  readonly maxIds?: number;
}

/** Remembers in this process: for tests, and for handlers whose effects end with the process too. */
export class MemoryStore implements DeduplicationStore<void> {
  readonly #maxIds: number;
  readonly #applied = new Set<string>();
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor({ maxIds = 100_000 }: MemoryStoreOptions = {}) {
    this.#maxIds = maxIds;
  }

  async apply(ids: readonly string[], work: (fresh: readonly string[], context: void) => Promise<void>): Promise<void> {
    for (;;) {
      const others = ids.flatMap((id) => this.#underWay.get(id) ?? []);
      if (others.length === 0) break;
      await Promise.allSettled(others);
    }
    const fresh = ids.filter((id) => !this.#applied.has(id));
    if (fresh.length === 0) return;
    const working = work(fresh, undefined);
    for (const id of fresh) this.#underWay.set(id, working);
    try {
      await working;
      for (const id of fresh) this.#remember(id);
    } finally {
      for (const id of fresh) this.#underWay.delete(id);
    }
  }

  #remember(id: string): void {
    this.#applied.add(id);
    if (this.#applied.size <= this.#maxIds) return;
    for (const oldest of this.#applied) {
      this.#applied.delete(oldest);
      return;
    }
  }
}
