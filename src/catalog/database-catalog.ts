import type { Clock } from '../base/clock.ts';
import { describeGap, type Gap } from '../model/gap.ts';
import { type StreamDefinition, takesInsertsOnly } from '../model/stream.ts';
import type { CatalogStore } from './catalog-store.ts';
import type { ArmedAt, Objects, StreamRecord } from './objects.ts';
import { OWN_ACTOR } from './plan.ts';

/** In the catalog's facts: how many gaps were ever announced. */
export const GAPS = 'gaps';

export interface DatabaseCatalogParts {
  readonly store: CatalogStore;
  /** Those there are now: they are replaced as a whole. */
  readonly objects: () => Objects;
  readonly clock: Clock;
}

/** The catalog's part of one upstream database: its streams, and what stands upstream for them. */
export class DatabaseCatalog {
  readonly name: string;
  /** Of the slot, and of the folder of log and delivery state. */
  readonly slotName: string;
  readonly #parts: DatabaseCatalogParts;

  constructor(name: string, slotName: string, parts: DatabaseCatalogParts) {
    this.name = name;
    this.slotName = slotName;
    this.#parts = parts;
  }

  /**
   * Whether a slot and a publication of ours may exist upstream. Set before they are made and cleared after they are
   * dropped, so that a crash between leaves nothing behind for good.
   */
  get isArmed(): boolean {
    return this.#parts.store.databases().some(({ name }) => name === this.name);
  }

  set isArmed(armed: boolean) {
    if (armed) this.#parts.store.putDatabase(this.name, this.slotName);
    else this.#parts.store.deleteDatabase(this.name);
  }

  /** By name; also those that are not armed yet. */
  streams(): readonly StreamRecord[] {
    return this.#parts
      .objects()
      .streams.all()
      .filter(({ definition }) => definition.database === this.name);
  }

  /** What can be captured and delivered: the streams that have a position, by name. */
  armedStreams(): readonly StreamDefinition[] {
    return this.streams().flatMap(({ definition, isArmed }) => (isArmed ? [definition] : []));
  }

  /** The tables that streams have and that were published for them, as OIDs. */
  publishedTables(): readonly number[] {
    const published = this.streams().flatMap(({ isArmed, unarmedTables, definition }) =>
      isArmed ? definition.tables.map(({ oid }) => oid).filter((oid) => !unarmedTables.includes(oid)) : [],
    );
    return [...new Set(published)];
  }

  /** Tables of which all streams take inserts only, as OIDs. */
  insertsOnly(): ReadonlySet<number> {
    const definitions = this.streams().map(({ definition }) => definition);
    const tablesOf = (wanted: boolean): number[] =>
      definitions.flatMap((one) => (takesInsertsOnly(one) === wanted ? one.tables.map(({ oid }) => oid) : []));
    const others = new Set(tablesOf(false));
    return new Set(tablesOf(true).filter((oid) => !others.has(oid)));
  }

  /** The gap behind which capture could not begin anew yet; null where there is none. */
  get openGap(): Gap | null {
    return this.#parts.store.databases().find(({ name }) => name === this.name)?.openGap ?? null;
  }

  set openGap(gap: Gap | null) {
    this.#parts.store.setOpenGap(this.name, gap);
  }

  /**
   * A gap, in the history of each armed stream of `held`; they send nothing of what is behind it until
   * `Catalog.resumePast`. Durable, as everything here, before the log goes on.
   */
  announceGap(gap: Gap, held: ReadonlySet<string>): void {
    const { store } = this.#parts;
    this.#onArmed((record) => {
      if (!held.has(record.id)) return record.definition;
      this.#record(record.name, 'gap', describeGap(gap));
      const { heldGap } = record.definition;
      // A stream that waits at an earlier one goes on waiting there, unless its positions mean nothing any more.
      const isBefore = heldGap !== null && heldGap.toLsn !== null && gap.reason !== 'other-history';
      return { ...record.definition, heldGap: isBefore ? heldGap : gap };
    });
    store.setFact(GAPS, String(Number(store.fact(GAPS) ?? 0) + 1));
  }

  /** The gap has its place in the log: streams that wait for it wait there. */
  placeGap(gapId: string, toLsn: string): void {
    this.#onArmed(({ definition }) => {
      const { heldGap } = definition;
      return heldGap?.id === gapId ? { ...definition, heldGap: { ...heldGap, toLsn } } : definition;
    });
  }

  /** The gap was none: what is held for it goes on. */
  withdrawGap({ id }: Gap): void {
    this.#onArmed((record) => {
      if (record.definition.heldGap?.id !== id) return record.definition;
      this.#record(record.name, 'resume', 'the server continues the history that was captured: nothing is lost');
      return { ...record.definition, heldGap: null };
    });
  }

  /** The positions of all armed streams mean nothing any more: they begin anew, in another history. */
  beginAnew(at: ArmedAt): void {
    this.#onArmed((record) => {
      const epoch = (record.definition.source.epoch ?? 0) + 1;
      return { ...record.definition, startLsn: at.startLsn, source: { ...at.source, epoch } };
    });
  }

  #onArmed(change: (record: StreamRecord) => StreamDefinition): void {
    const { store, objects } = this.#parts;
    const records: StreamRecord[] = [];
    store.transaction(() => {
      for (const record of this.streams()) {
        if (!record.isArmed) continue;
        const changed = { ...record, definition: change(record) };
        store.putStream(changed);
        records.push(changed);
      }
    });
    for (const record of records) objects().streams.put(record);
  }

  #record(name: string, action: string, detail: string): void {
    const { store, clock } = this.#parts;
    store.record(clock.now(), { kind: 'record', object: 'stream', name, actor: OWN_ACTOR, action, detail });
  }
}
