import type { KeyMark } from '../log/delivery-store.ts';
import type { Place } from './batch.ts';

/** Keys that are remembered as having lost an event; beyond it the oldest is forgotten. */
export const MAX_KEY_MARKS = 10_000;

/** Keys that go on after a dead letter: the next event of each carries the dead one's id. */
export class KeyMarks {
  readonly #marks = new Map<string, string>();
  readonly #changed = new Map<string, KeyMark>();

  constructor(stored: readonly KeyMark[] = []) {
    for (const { table, lane, eventId } of stored) if (eventId !== null) this.#marks.set(keyOf(table, lane), eventId);
  }

  get isEmpty(): boolean {
    return this.#marks.size === 0;
  }

  /** What was made or ended since `clearChanged`. */
  get changed(): Iterable<KeyMark> {
    return this.#changed.values();
  }

  get isUnchanged(): boolean {
    return this.#changed.size === 0;
  }

  clearChanged(): void {
    this.#changed.clear();
  }

  mark(event: Place, eventId: string): void {
    for (const lane of lanesOf(event)) {
      const key = keyOf(event.table, lane);
      this.#marks.delete(key);
      this.#marks.set(key, eventId);
      this.#changed.set(key, { table: event.table, lane, eventId });
    }
    for (const [oldest] of this.#marks) {
      if (this.#marks.size <= MAX_KEY_MARKS) break;
      this.#marks.delete(oldest);
      const at = oldest.indexOf('/');
      this.#changed.set(oldest, { table: Number(oldest.slice(0, at)), lane: oldest.slice(at + 1), eventId: null });
    }
  }

  /** What `take` would give, asked of several events in turn; `taken`: the keys whose marks are given. */
  preview(event: Place, taken: Set<string>): string | null {
    let found: string | null = null;
    for (const lane of lanesOf(event)) {
      const key = keyOf(event.table, lane);
      const eventId = this.#marks.get(key);
      if (eventId === undefined || taken.has(key)) continue;
      taken.add(key);
      found ??= eventId;
    }
    return found;
  }

  /** The mark that the event is to carry, if there is one. It stays stored until `end` tells that it has arrived. */
  take(event: Place): string | null {
    let found: string | null = null;
    for (const lane of lanesOf(event)) {
      const key = keyOf(event.table, lane);
      const eventId = this.#marks.get(key);
      if (eventId === undefined) continue;
      this.#marks.delete(key);
      found ??= eventId;
    }
    return found;
  }

  /** An event that carried a mark is acknowledged. */
  end(event: Place): void {
    for (const lane of lanesOf(event)) {
      const key = keyOf(event.table, lane);
      if (!this.#marks.has(key)) this.#changed.set(key, { table: event.table, lane, eventId: null });
    }
  }
}

function keyOf(table: number, lane: string): string {
  return `${table}/${lane}`;
}

function lanesOf({ lane, secondLane }: Place): string[] {
  if (lane === null) return [];
  return secondLane === null ? [lane] : [lane, secondLane];
}
