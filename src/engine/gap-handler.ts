import { randomUUID } from 'node:crypto';
import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { DatabaseCatalog } from '../catalog/database-catalog.ts';
import { OWN_ACTOR } from '../catalog/plan.ts';
import type { BackfillTable } from '../model/backfill.ts';
import { describeGap, type Gap, type GapTable } from '../model/gap.ts';
import type { StreamDefinition } from '../model/stream.ts';
import { describeFlaw, isFlawFor } from '../upstream/table-facts.ts';
import { formatLsn } from '../postgres/lsn.ts';
import type { PublishedTable, Source } from './source.ts';
import type { GapReport, PlacedGap } from './thread-messages.ts';

/** What runs, as a gap needs it. */
interface Plane {
  configure(): Promise<void>;
  goBehind(gap: Gap): Promise<void>;
  placeGap(gap: Gap): Promise<void>;
  settleGap(gapId: string): Promise<void>;
  forgetPositions(): Promise<void>;
  backfill(definition: StreamDefinition, tables: readonly BackfillTable[] | null): Promise<void>;
}

export interface GapHandlerOptions {
  readonly catalog: Pick<Catalog, 'resumePast'>;
  readonly database: DatabaseCatalog;
  readonly source: Source;
  readonly plane: Plane;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Announces what is lost to the slot, and has capture begin anew behind it. First comes what the catalog says, so that no
 * crash makes a gap quiet: where one comes between, the same gap is found again and announced again.
 *
 * Where the server is not where it was (it was restored, or a standby was promoted that lacked the end), the log's positions
 * mean nothing in its history. Then nothing is thrown away before somebody has resumed each stream that waits for that: the
 * right server may come back.
 */
export class GapHandler {
  readonly #options: GapHandlerOptions;
  #lastReport: GapReport | null = null;
  /** Gaps of tables that are not published again yet, which some stream may hold no more, by their tables. */
  readonly #open = new Map<string, Gap>();

  constructor(options: GapHandlerOptions) {
    this.#options = options;
  }

  /** Rejects where the upstream cannot be asked; the report comes again. */
  async handle(report: GapReport): Promise<void> {
    if (report.tables !== undefined) {
      await this.#republish(report, report.tables);
      return;
    }
    this.#lastReport = report;
    if (report.reason === 'other-history') await this.#otherHistory(report);
    else await this.#goBehind(report);
  }

  /** Streams that heal a gap by reading their tables again begin to, and go on. */
  async heal(): Promise<void> {
    const { catalog, database, plane } = this.#options;
    if (database.openGap !== null) return;
    for (const definition of database.armedStreams()) {
      const { heldGap, options } = definition;
      if (heldGap === null || heldGap.toLsn === null || options.onGap !== 'backfill') continue;
      // Written down before the stream goes on: no crash leaves it without.
      await plane.backfill(definition, tablesToRead(definition, heldGap));
      catalog.resumePast(definition.name, OWN_ACTOR);
      await plane.configure();
    }
  }

  /** A stream that was held has been resumed. */
  async resumed(): Promise<void> {
    if (this.#options.database.openGap !== null && this.#lastReport !== null) await this.handle(this.#lastReport);
  }

  /** Capture streams: a server that was taken for another is the right one after all. */
  async streaming(): Promise<void> {
    const { database, plane, logger } = this.#options;
    const gap = database.openGap;
    if (gap === null) return;
    database.withdrawGap(gap);
    database.openGap = null;
    logger.info({ gap: gap.id }, 'the server continues the history that was captured: nothing is lost');
    await plane.configure();
  }

  /** The gap of some tables stands in the log: streams send what is before it, and those that are healed go on. */
  async placed({ gapId, lsn }: PlacedGap): Promise<void> {
    const { database, plane } = this.#options;
    // It is the last that they send.
    database.placeGap(gapId, formatLsn(lsn + 1n));
    await plane.configure();
    await this.heal();
    await plane.settleGap(gapId);
  }

  /**
   * Some tables have left the publication; of the others nothing is missing. It is announced before they are published again,
   * which may fail, and what was announced is found again until then. One whose updates would begin to fail stays out.
   */
  async #republish(report: GapReport, tables: readonly GapTable[]): Promise<void> {
    const { database, source, plane } = this.#options;
    const insertsOnly = database.insertsOnly();
    const facts = await source.tablesOf(tables.map(({ oid }) => oid));
    const flaws = new Map(
      facts.flatMap(({ oid, flaw }) => (isFlawFor(flaw, insertsOnly.has(oid)) ? [[oid, describeFlaw(flaw)]] : [])),
    );
    const [flawed, whole] = [tables.filter(({ oid }) => flaws.has(oid)), tables.filter(({ oid }) => !flaws.has(oid))];
    const why = [...flaws.values()].map(
      ({ message, hint }) => `${message}, and is not published until that is mended: ${hint}`,
    );
    await this.#tellOf({ ...report, message: why.join(' ') }, flawed);
    const gap = await this.#tellOf(report, whole);
    if (gap === null) return;
    const oids = must(gap.tables, 'it is of some tables').map(({ oid }) => oid);
    await source.republish({ oids, insertsOnly, hasLostOptions: report.hasLostOptions === true });
    this.#open.delete(keyOf(gap.tables ?? []));
    await plane.placeGap(gap);
  }

  /** The gap of the tables, announced now or before; null where no stream has any of them. */
  async #tellOf(report: GapReport, tables: readonly GapTable[]): Promise<Gap | null> {
    const { database, plane } = this.#options;
    const has = (stream: StreamDefinition): boolean =>
      stream.tables.some(({ oid }) => tables.some((table) => table.oid === oid));
    const affected = database.armedStreams().filter(has);
    if (affected.length === 0) return null;
    const key = keyOf(tables);
    const told = affected.find(
      ({ heldGap }) => heldGap?.toLsn === null && keyOf(heldGap.tables ?? []) === key,
    )?.heldGap;
    const known = told ?? this.#open.get(key);
    if (known !== undefined) return known;
    const gap = { ...this.#gapOf(report, null), tables };
    this.#open.set(key, gap);
    this.#announce(gap, affected);
    await plane.configure();
    return gap;
  }

  async #goBehind(report: GapReport): Promise<void> {
    const { database, source, plane } = this.#options;
    // A slot that is there would bring what comes before a table is published again without that table.
    const isForced = report.reason === 'publication-missing' || report.fromLsn < report.logLsn;
    const armed = await source.rearm(tablesToPublish(database), report.logLsn, isForced);
    if (armed === null) return;
    const gap = this.#gapOf(report, formatLsn(armed.startLsn));
    this.#announce(gap);
    await plane.configure();
    await plane.goBehind(gap);
    await this.heal();
  }

  async #otherHistory(report: GapReport): Promise<void> {
    const { database, source, plane } = this.#options;
    let gap = database.openGap;
    if (gap === null) {
      gap = this.#gapOf(report, null);
      database.openGap = gap;
      this.#announce(gap);
      await plane.configure();
    }
    const { id } = gap;
    const waits = ({ heldGap, options }: StreamDefinition): boolean => heldGap?.id === id && options.onGap === 'halt';
    if (database.armedStreams().some(waits)) return;
    const armed = await source.rearm(tablesToPublish(database), null, true);
    if (armed === null) return;
    const { startLsn } = armed;
    // The gap itself stands right before what follows it.
    database.beginAnew({ source: armed.source, startLsn: startLsn - 1n });
    await plane.forgetPositions();
    database.openGap = null;
    await plane.configure();
    await plane.goBehind({ ...gap, toLsn: formatLsn(startLsn) });
    await this.heal();
  }

  #gapOf({ reason, message, fromLsn }: GapReport, toLsn: string | null): Gap {
    const atMs = this.#options.clock.now();
    return { id: randomUUID(), reason, message, fromLsn: formatLsn(fromLsn), toLsn, atMs };
  }

  #announce(gap: Gap, streams = this.#options.database.armedStreams()): void {
    const { database, logger } = this.#options;
    // Also those that are healed: until their backfill is written down.
    database.announceGap(gap, new Set(streams.map(({ id }) => id)));
    const waiting = streams.filter(({ options }) => options.onGap === 'halt').map(({ name }) => name);
    logger.error({ gap: gap.id, reason: gap.reason, from: gap.fromLsn, to: gap.toLsn, waiting }, describeGap(gap));
  }
}

function keyOf(tables: readonly GapTable[]): string {
  return tables.map(({ oid }) => oid).join();
}

/** Those of the stream's that the gap is of; null: all. */
function tablesToRead({ tables }: StreamDefinition, gap: Gap): readonly BackfillTable[] | null {
  const lost = gap.tables?.map(({ oid }) => oid) ?? null;
  if (lost === null) return null;
  return tables.filter(({ oid }) => lost.includes(oid)).map(({ oid }) => ({ oid, where: null }));
}

/** Of armed streams. */
export function tablesToPublish(database: DatabaseCatalog): readonly PublishedTable[] {
  const insertsOnly = database.insertsOnly();
  const oids = new Set(database.armedStreams().flatMap(({ tables }) => tables.map(({ oid }) => oid)));
  return [...oids].map((oid) => ({ oid, insertsOnly: insertsOnly.has(oid) }));
}
