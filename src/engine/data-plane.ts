import { formatLsn, type Lsn, parseLsn } from '../postgres/lsn.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { join } from 'node:path';
import { isToBeArmed, type Catalog, type TablesOf } from '../catalog/catalog.ts';
import type { DatabaseCatalog } from '../catalog/database-catalog.ts';
import type { ArmedAt, StreamRecord } from '../catalog/objects.ts';
import { must } from '../base/assert.ts';
import type { Random } from '../base/random.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/clock.ts';
import type { DeliveryAnswer, DeliveryRequest } from '../model/delivery-control.ts';
import type { CaptureStatus, DeliveryStatus } from '../model/status.ts';
import type { BackfillTable } from '../model/backfill.ts';
import type { Gap } from '../model/gap.ts';
import type { ReplayRange } from '../model/replay.ts';
import { type StreamDefinition, takesInsertsOnly } from '../model/stream.ts';
import { backfillOf } from './backfill-of.ts';
import { ChangeLog } from '../log/change-log.ts';
import { DELIVERY_FILE, openDatabaseFolder, removeDatabaseFolder } from '../log/database-folder.ts';
import { DeliveryStore } from '../log/delivery-store.ts';
import { LOG_FILE } from '../log/schema.ts';
import { type DataThreads, Pipeline, type PipelineEvents, type PipelineOptions } from './pipeline.ts';
import { digestOfSecrets, resolveStreams } from './resolve-stream.ts';
import type { Source } from './source.ts';
import { IDLE_CAPTURE, type Arming } from './status.ts';
import type { StreamMessage } from './stream-message.ts';

export interface DataPlaneOptions {
  readonly catalog: Catalog;
  readonly database: DatabaseCatalog;
  readonly source: Source;
  readonly threads: DataThreads;
  readonly pipeline: PipelineOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * What runs for the streams of one database, here and upstream: threads, slot, publication. The caller sees to it that one
 * thing is done at a time. While no stream is armed, nothing runs and nothing of ours is left upstream.
 */
export class DataPlane {
  readonly #options: DataPlaneOptions;
  /** Why a stream's tables could not be armed the last time, by the stream's id. */
  readonly #problems = new Map<string, string>();
  readonly #events: PipelineEvents;
  #pipeline: Pipeline | null = null;
  /** Why the threads could not be started the last time. */
  #startProblem: string | null = null;
  /** Of the secrets that the pipeline has. */
  #secretsDigest = '';

  constructor(options: DataPlaneOptions, events: PipelineEvents) {
    this.#options = options;
    this.#events = events;
  }

  async stop(): Promise<void> {
    await this.#pipeline?.stop();
    this.#pipeline = null;
  }

  async captureStatus(): Promise<CaptureStatus> {
    if (this.#pipeline !== null) return this.#pipeline.captureStatus();
    return this.#startProblem === null ? IDLE_CAPTURE : { ...IDLE_CAPTURE, state: 'failed', error: this.#startProblem };
  }

  /** The log goes on behind the gap. */
  async goBehind(gap: Gap): Promise<void> {
    await this.#pipeline?.goBehind(gap);
  }

  /** The gap of some tables, which are published again, is to have its place in the log. */
  async placeGap(gap: Gap): Promise<void> {
    await this.#pipeline?.placeGap(gap);
  }

  async settleGap(gapId: string): Promise<void> {
    await this.#pipeline?.settleGap(gapId);
  }

  /** Ends what runs, and forgets the log and how far streams have come in it; `configure` starts it again. */
  async forgetPositions(): Promise<void> {
    await this.stop();
    const { database, pipeline } = this.#options;
    const folder = openDatabaseFolder(pipeline.dataDir, database.slotName);
    const store = DeliveryStore.open(join(folder, DELIVERY_FILE));
    try {
      store.forgetPositions();
    } finally {
      store.close();
    }
    const log = ChangeLog.open(join(folder, LOG_FILE));
    try {
      log.reset();
    } finally {
      log.close();
    }
  }

  /** By the stream's id. */
  async deliveryStatus(): Promise<ReadonlyMap<string, DeliveryStatus>> {
    return this.#pipeline ? this.#pipeline.deliveryStatus() : new Map();
  }

  /** Null while nothing runs. */
  control(request: DeliveryRequest): Promise<DeliveryAnswer> | null {
    return this.#pipeline?.control(request) ?? null;
  }

  arming(record: StreamRecord): Arming {
    return { isDone: !isToBeArmed(record), problem: this.#problems.get(record.id) ?? null };
  }

  /** Publishes tables for a stream that is to be. A failure leaves nothing upstream. Raises what `Source.arm` raises. */
  async arm({ oids, insertsOnly = false }: Pick<TablesOf, 'oids' | 'insertsOnly'>): Promise<ArmedAt> {
    const { database, source, logger } = this.#options;
    const isFirst = database.armedStreams().length === 0;
    if (isFirst) {
      await this.configure();
      await this.#clearUpstream();
    }
    database.isArmed = true;
    try {
      return await source.arm(
        oids.map((oid) => ({ oid, insertsOnly })),
        isFirst,
      );
    } catch (error) {
      // What was made upstream for a stream that is not to be would hold back WAL for nobody.
      await this.tidy().catch((err: unknown) => logger.warn({ err }, 'the upstream could not be tidied yet'));
      throw error;
    }
  }

  /**
   * Makes everything equal to the catalog. `streams`: the ids whose tables are to be armed; null: all. What could not be
   * armed keeps no other stream from running; the first failure is thrown in the end.
   */
  async converge(streams: readonly string[] | null): Promise<void> {
    const failures: unknown[] = [];
    for (const record of this.#options.database.streams()) {
      if (!isToBeArmed(record) || streams?.includes(record.id) === false) continue;
      await this.#armStream(record).catch((error: unknown) => failures.push(error));
    }
    await this.configure();
    await this.tidy();
    if (failures.length > 0) throw failures[0];
  }

  /** Makes what runs here equal to the catalog, and to what its secrets stand for now. */
  async configure(): Promise<void> {
    const { database } = this.#options;
    const tables = { published: database.publishedTables(), insertsOnly: [...database.insertsOnly()] };
    const streams = this.#resolve();
    this.#secretsDigest = digestOfSecrets(streams);
    if (this.#pipeline) {
      await this.#pipeline.configure(streams, tables);
      if (streams.length === 0) await this.stop();
    } else if (streams.length > 0) {
      const pipeline = await this.#start(streams);
      this.#pipeline = pipeline;
      // They may have changed while it began.
      await this.applySettings();
      // Backfills of streams that went while nothing ran.
      await pipeline.configure(streams, tables);
    }
    if (this.#pipeline !== null) await this.#startInitialScans();
  }

  /** What may change of the options is in force when it resolves. */
  async applySettings(): Promise<void> {
    await this.#pipeline?.applySettings(this.#options.pipeline.settings());
  }

  async #start(streams: readonly StreamMessage[]): Promise<Pipeline> {
    const { threads, pipeline, database } = this.#options;
    try {
      const started = await Pipeline.start(threads, pipeline, database, streams, this.#events);
      this.#startProblem = null;
      return started;
    } catch (error) {
      this.#startProblem = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  /** Reads tables for a stream; null: all of its. Resolves once it is written down. */
  async backfill(definition: StreamDefinition, tables: readonly BackfillTable[] | null = null): Promise<void> {
    const { clock, random } = this.#options;
    const pipeline = must(this.#pipeline, 'a stream is armed');
    await pipeline.backfill(backfillOf(definition, tables, clock.now(), random));
  }

  /**
   * Where a stream begins that is to begin at `startLsn` (in text; null: where it was armed) in the log that there is.
   * 55000 where the log does not have everything from there on.
   */
  async startingAt(startLsn: string | null, oids: readonly number[], at: ArmedAt): Promise<ArmedAt> {
    if (startLsn === null) return at;
    return { ...at, startLsn: await this.requireStart(startLsn, oids, at.startLsn) };
  }

  /** 55000 where the log does not have everything from there on; `endLsn`: where it ends, null where that is not known yet. */
  async requireStart(startLsn: string, oids: readonly number[], endLsn: Lsn | null): Promise<Lsn> {
    const wanted = must(parseLsn(startLsn), 'the option was read');
    const streams = this.#options.database.armedStreams();
    const refuse = (detail: string): PgError =>
      new PgError('object_not_in_prerequisite_state', `the log does not have everything from ${startLsn} on`, {
        detail,
      });
    if (endLsn !== null && wanted > endLsn) throw refuse(`It ends at ${formatLsn(endLsn)}.`);
    for (const oid of oids) {
      // Since when the table is captured, whoever it is for.
      const since = streams
        .filter(({ tables }) => tables.some((table) => table.oid === oid))
        .map((one) => one.startLsn);
      if (endLsn !== null) since.push(endLsn);
      if (since.length === 0) throw refuse('One of the tables is not captured yet.');
      const first = since.reduce((lowest, lsn) => (lsn < lowest ? lsn : lowest));
      if (wanted < first) throw refuse(`Changes of one of the tables are captured since ${formatLsn(first)}.`);
    }
    const retained = (await this.#pipeline?.retainedFrom()) ?? null;
    if (retained !== null && wanted < retained) throw refuse(`Its oldest change committed at ${formatLsn(retained)}.`);
    return wanted;
  }

  async replay(streamId: string, range: ReplayRange): Promise<number> {
    return must(this.#pipeline, 'a stream is armed').replay(streamId, range);
  }

  async cancelBackfill(streamId: string): Promise<boolean> {
    return (await this.#pipeline?.cancelBackfill(streamId)) ?? false;
  }

  /** Streams that are to have the rows that were there first, and never had them. */
  async #startInitialScans(): Promise<void> {
    const wanting = this.#options.database.streams().filter(({ isArmed, unarmedTables, definition }) => {
      return isArmed && unarmedTables.length === 0 && definition.options.initialScan !== 'no';
    });
    if (wanting.length === 0) return;
    const begun = new Set((await this.captureStatus()).backfills.map(({ streamId }) => streamId));
    for (const { id, definition } of wanting) if (!begun.has(id)) await this.backfill(definition);
  }

  /** Looks secrets up again: files change, and values that were kept from before expire. */
  async refreshSecrets(): Promise<void> {
    if (!this.#pipeline || digestOfSecrets(this.#resolve()) === this.#secretsDigest) return;
    await this.configure();
    this.#options.logger.info({}, 'secrets have changed');
  }

  /** Takes away upstream what no stream needs. */
  async tidy(): Promise<void> {
    const { database, source } = this.#options;
    if (database.armedStreams().length === 0) await this.#clearUpstream();
    else await source.publishOnly(database.streams().flatMap(({ definition }) => definition.tables));
  }

  async #armStream({ id, name, isArmed, definition, unarmedTables: oids }: StreamRecord): Promise<void> {
    const { catalog, logger } = this.#options;
    try {
      const at = await this.arm({ oids, insertsOnly: takesInsertsOnly(definition) });
      const startLsn = isArmed ? null : definition.options.startLsn;
      catalog.markArmed({ streamId: id, oids, at: await this.startingAt(startLsn, oids, at) });
      this.#problems.delete(id);
      logger.info({ stream: name, tables: oids.length }, 'stream armed');
    } catch (error) {
      this.#problems.set(id, error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /** With no stream left: slot and publication go, then the log, whose positions mean nothing without the slot. */
  async #clearUpstream(): Promise<void> {
    const { database, source, pipeline } = this.#options;
    if (!database.isArmed) return;
    await source.disarm();
    removeDatabaseFolder(pipeline.dataDir, database.slotName);
    database.isArmed = false;
  }

  #resolve(): readonly StreamMessage[] {
    const { catalog, database, clock } = this.#options;
    return resolveStreams(database.armedStreams(), catalog, clock.now());
  }
}
