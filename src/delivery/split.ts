import type { Entry, SchedulerEvent } from './batch.ts';
import { lanesOf, type Lane } from './lanes.ts';

/**
 * Halves of a batch. `independent`: they share no lane, and may go at the same time. Otherwise every event hangs together
 * by its key, and the second half has to wait for the first.
 */
export interface Halves<E> {
  readonly first: Entry<E>[];
  readonly second: Entry<E>[];
  readonly independent: boolean;
}

/** Cuts a batch of two events or more in two, by number or by bytes, both halves in order and neither empty. */
export function splitBatch<E extends SchedulerEvent>(entries: readonly Entry<E>[], bySize: boolean): Halves<E> {
  const weight = (entry: Entry<E>): number => (bySize ? Math.max(1, entry.event.bytes) : 1);
  const half = entries.reduce((sum, entry) => sum + weight(entry), 0) / 2;
  const groups = groupByLane(entries);
  const first = new Set<Entry<E>>();
  let taken = 0;
  const independent = groups.length > 1;
  const parts = independent ? groups : entries.map((entry) => [entry]);
  for (const part of parts.slice(0, -1)) {
    if (taken >= half) break;
    for (const entry of part) {
      first.add(entry);
      taken += weight(entry);
    }
  }
  return {
    first: entries.filter((entry) => first.has(entry)),
    second: entries.filter((entry) => !first.has(entry)),
    independent,
  };
}

/** The connected components: events that share a lane, directly or through an event of two lanes. */
function groupByLane<E extends SchedulerEvent>(entries: readonly Entry<E>[]): Entry<E>[][] {
  const groupOf = new Map<Lane<E>, Entry<E>[]>();
  const groups = new Set<Entry<E>[]>();
  for (const entry of entries) {
    const lanes = lanesOf(entry);
    const joined = new Set<Entry<E>[]>();
    for (const lane of lanes) {
      const group = groupOf.get(lane);
      if (group !== undefined) joined.add(group);
    }
    const [target = [], ...others] = joined;
    for (const other of others) {
      target.push(...other);
      groups.delete(other);
      for (const lane of other.flatMap(lanesOf)) groupOf.set(lane, target);
    }
    target.push(entry);
    groups.add(target);
    for (const lane of lanes) groupOf.set(lane, target);
  }
  return [...groups];
}
