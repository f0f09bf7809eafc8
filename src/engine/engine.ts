import { must } from '../base/assert.ts';
import type { Random } from '../base/random.ts';
import { untilAborted, type Service } from '../base/service.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { StreamRecord } from '../catalog/objects.ts';
import { MAX_TRANSFORMED_BYTES } from '../delivery/transformer.ts';
import type { BackfillTable } from '../model/backfill.ts';
import type { CatalogControl, ChangePreview, ListedEndpoint, Staged, TransactionId } from '../model/catalog-control.ts';
import type { DeliveryControl } from '../model/delivery-control.ts';
import type { EndpointDefinition } from '../model/endpoint.ts';
import type { ReplayRange } from '../model/replay.ts';
import type { Requirement, SlotInfo } from '../model/requirement.ts';
import type { SecretInfo } from '../model/secret.ts';
import type { HistoryEntry, ObjectKind, StagedChange, StreamChange } from '../model/staged-change.ts';
import type { CaptureStatus, StreamReport } from '../model/status.ts';
import type { CreateStreamRequest, StreamControl } from '../model/stream-control.ts';
import type { StreamDefinition, StreamTransform } from '../model/stream.ts';
import type { TransformFault, TransformSample } from '../model/transform-check.ts';
import { PgError, type PgNotice } from '../postgres/sqlstate.ts';
import { CapturedDatabase } from './captured-database.ts';
import type { DataPlaneOptions } from './data-plane.ts';
import { DeliveryDesk } from './delivery-desk.ts';
import { EndpointTest } from './endpoint-test.ts';
import { describeChange, NEVER, stoppingError, warning } from './engine-words.ts';
import { DataThreads } from './pipeline.ts';
import { sampleEvent } from './sample-event.ts';
import { Settlement } from './settlement.ts';
import type { Source, SourceServer } from './source.ts';
import { TransformPool } from './transform-pool.ts';

export interface EngineOptions extends Omit<DataPlaneOptions, 'database' | 'source' | 'threads'> {
  readonly server: SourceServer;
  /** The way to one database. */
  readonly sourceOf: (database: string, slotName: string) => Source;
  readonly random: Random;
  /** How long the answer to COMMIT waits for capture to be armed. */
  readonly activationTimeoutMs?: number;
}

/** A slot cannot be made before the transactions that are running have ended; a COMMIT does not wait for them for ever. */
export const ACTIVATION_TIMEOUT_MS = 30_000;
/** How often secrets are looked up again, which files hold or which expire. */
const SECRETS_EVERY_MS = 5_000;

/**
 * Keeps what runs equal to what the catalog says, database by database. While a database has no stream, nothing of ours
 * runs for it and nothing of ours is left in it: the first stream makes publication, slot, log and threads, the last one
 * takes them away.
 *
 * Staging and applying wait for no database: a slot in the making waits for running transactions, and these may have
 * statements for us still.
 */
export class Engine implements StreamControl, CatalogControl, Service {
  readonly delivery: DeliveryControl;
  readonly #options: EngineOptions;
  /** For what is tried and shown: events on their way have the delivery threads'. */
  readonly #transforms: TransformPool;
  #checks = 0;
  /** By name; one that has streams no more has nothing that runs. */
  readonly #databases = new Map<string, CapturedDatabase>();
  readonly #settlement: Settlement;
  readonly #threads = new DataThreads();
  readonly #running: Promise<void>[] = [];
  #signal: AbortSignal | null = null;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#transforms = new TransformPool(options.clock);
    this.delivery = new DeliveryDesk({
      ...options,
      transformer: this.#transforms,
      ask: (database, request) => this.#databases.get(database)?.control(request) ?? null,
      test: new EndpointTest({ ...options, ...options.pipeline }),
    });
    this.#settlement = new Settlement({
      ...options,
      committed: (transaction) => this.commit(transaction, NEVER),
      forgotten: (transaction) => this.rollback(transaction),
    });
  }

  /** Rejects when a thread of the data plane ends by itself: a bug, after which the process must end. */
  async run(signal: AbortSignal): Promise<void> {
    const { catalog } = this.#options;
    const stopping = new AbortController();
    this.#signal = AbortSignal.any([signal, stopping.signal]);
    for (const database of this.#databases.values()) this.#start(database);
    for (const name of catalog.databases()) this.#database(name);
    for (const transaction of catalog.stagedTransactions()) this.#settlement.add(transaction);
    this.#settlement.start(this.#signal);
    void this.#watchSecrets(this.#signal);
    try {
      await Promise.race([untilAborted(signal), this.#threads.failed]);
    } finally {
      stopping.abort();
      await Promise.all(this.#running);
      await this.#transforms.close();
    }
  }

  /** What the pipeline's settings are now is in force when it resolves; secrets are looked up again besides. Never rejects. */
  async applySettings(): Promise<void> {
    await Promise.all([...this.#databases.values()].map((database) => database.applySettings()));
  }

  async checkTransform(transform: StreamTransform, sample: TransformSample): Promise<TransformFault | null> {
    // Nobody waits for what another has tried.
    const name = `check ${this.#checks++}`;
    const body = sampleEvent(sample);
    const transformed = await this.#transforms.transform(name, transform, body, MAX_TRANSFORMED_BYTES);
    if ('body' in transformed) return null;
    return { message: transformed.fault, isSyntax: transformed.isSyntax };
  }

  async createStream(request: CreateStreamRequest, signal: AbortSignal): Promise<readonly PgNotice[]> {
    return this.execute({ kind: 'create-stream', request, orReplace: false }, request.owner, signal);
  }

  async dropStreams(names: readonly string[], ifExists: boolean, actor: string): Promise<readonly PgNotice[]> {
    return this.execute({ kind: 'drop-streams', names, ifExists }, actor, NEVER);
  }

  async setDesiredState(name: string, state: 'running' | 'paused', actor: string): Promise<readonly PgNotice[]> {
    return this.#databaseOf(name).setDesiredState(name, state, actor);
  }

  async backfill(name: string, tables: readonly BackfillTable[], actor: string): Promise<readonly PgNotice[]> {
    return this.#databaseOf(name).backfill(name, tables, actor);
  }

  async cancelBackfill(name: string, actor: string): Promise<readonly PgNotice[]> {
    return this.#databaseOf(name).cancelBackfill(name, actor);
  }

  async replay(name: string, range: ReplayRange, actor: string): Promise<number> {
    return this.#databaseOf(name).replay(name, range, actor);
  }

  async check(database: string): Promise<readonly Requirement[]> {
    return this.#database(database).check();
  }

  async slots(): Promise<readonly SlotInfo[]> {
    const { catalog, server } = this.#options;
    return server.slots(catalog.databases().map((name) => catalog.inDatabase(name).slotName));
  }

  async execute(change: StagedChange, actor: string, signal: AbortSignal): Promise<readonly PgNotice[]> {
    this.#refuseWhileStopping();
    if (change.kind === 'alter-stream' && change.alteration.kind === 'state') {
      return this.setDesiredState(change.name, change.alteration.state, actor);
    }
    const bringing = databaseBroughtBy(change);
    if (bringing !== null) return this.#database(bringing).bring(change, actor, signal);
    if (signal.aborted) throw new PgError('query_canceled', 'canceling statement due to user request');
    const { catalog, logger } = this.#options;
    const { databases, notices } = catalog.change(change, actor);
    if (databases === null) return notices;
    logger.info(describeChange(change), 'definitions changed');
    await this.#converge(databases, [], signal);
    return notices;
  }

  async stage(transaction: TransactionId, change: StagedChange, actor: string): Promise<Staged> {
    this.#refuseWhileStopping();
    const bringing = databaseBroughtBy(change);
    if (bringing !== null) await this.#database(bringing).requireCapturable(change);
    return this.#options.catalog.stage(transaction, change, actor);
  }

  unstage(transaction: TransactionId, mark: number): void {
    this.#options.catalog.unstage(transaction, mark);
  }

  async commit(transaction: TransactionId, signal: AbortSignal): Promise<readonly PgNotice[]> {
    const { catalog, logger } = this.#options;
    if (!catalog.hasStaged(transaction)) {
      catalog.forgetStaged(transaction);
      return [];
    }
    let applied: ReturnType<Catalog['applyStaged']>;
    try {
      applied = catalog.applyStaged(transaction);
    } catch (err) {
      // They are durable as staged, and the upstream says that they are to be applied.
      logger.error({ err, transaction }, 'committed CDC statements cannot be applied yet');
      this.#settlement.add(transaction);
      return [warning('the transaction is committed, but its CDC statements could not be applied yet')];
    }
    const { databases, unarmed } = applied;
    logger.info({ transaction, toArm: unarmed.length }, 'definitions changed');
    await this.#converge(databases, unarmed, signal);
    return [...databases].flatMap((name) => this.#database(name).warnings(unarmed));
  }

  rollback(transaction: TransactionId): void {
    this.#options.catalog.forgetStaged(transaction);
  }

  abandon(transaction: TransactionId): void {
    if (this.#options.catalog.hasStaged(transaction)) this.#settlement.add(transaction);
    else this.rollback(transaction);
  }

  definition(name: string, transaction: TransactionId | null): StreamDefinition {
    return this.#must(name, transaction).definition;
  }

  endpoint(name: string, transaction: TransactionId | null): EndpointDefinition {
    const { catalog } = this.#options;
    const endpoint = catalog.endpoint(name, transaction);
    if (endpoint === null) throw catalog.missing('endpoint', name, transaction);
    return endpoint;
  }

  ownerOf(kind: ObjectKind, name: string, transaction: TransactionId | null): string | null {
    return this.#options.catalog.ownerOf(kind, name, transaction);
  }

  endpoints(transaction: TransactionId | null = null): readonly ListedEndpoint[] {
    return this.#options.catalog.endpoints(transaction);
  }

  secrets(transaction: TransactionId | null = null): readonly SecretInfo[] {
    return this.#options.catalog.secrets(transaction);
  }

  async preview(change: StreamChange, actor: string, transaction: TransactionId | null): Promise<ChangePreview> {
    const { database } =
      change.kind === 'create-stream' ? change.request : this.#must(change.name, transaction).definition;
    return this.#database(database).preview(change, actor, transaction);
  }

  history(kind: ObjectKind, name: string, limit: number): readonly HistoryEntry[] {
    return this.#options.catalog.history(kind, name, limit);
  }

  async reports(transaction: TransactionId | null = null): Promise<readonly StreamReport[]> {
    return this.#reportsOf(this.#options.catalog.streams(transaction));
  }

  async report(name: string, transaction: TransactionId | null = null): Promise<StreamReport> {
    const [report] = await this.#reportsOf([this.#must(name, transaction)]);
    return report!;
  }

  /** Of each database that has streams, by its name. */
  async captureStatus(): Promise<ReadonlyMap<string, CaptureStatus>> {
    const names = this.#options.catalog.databases();
    const asked = names.map(async (name) => [name, await this.#database(name).captureStatus()] as const);
    return new Map(await Promise.all(asked));
  }

  /** Gaps that were ever announced. */
  gapCount(): number {
    return this.#options.catalog.gapCount();
  }

  async #reportsOf(records: readonly StreamRecord[]): Promise<readonly StreamReport[]> {
    const byDatabase = Map.groupBy(records, ({ definition }) => definition.database);
    const asked = [...byDatabase].map(([name, some]) => this.#database(name).reports(some));
    const byId = new Map((await Promise.all(asked)).flat().map((report) => [report.definition.id, report]));
    return records.flatMap(({ id }) => byId.get(id) ?? []);
  }

  /** What the catalog has is in effect there, as far as it can be now and within the activation's time. */
  async #converge(databases: ReadonlySet<string>, unarmed: readonly string[], signal: AbortSignal): Promise<void> {
    const { clock, activationTimeoutMs = ACTIVATION_TIMEOUT_MS } = this.#options;
    const done = new AbortController();
    const over = clock.sleep(activationTimeoutMs, AbortSignal.any([signal, done.signal])).catch(() => undefined);
    const converged = Promise.all([...databases].map((name) => this.#database(name).converge(unarmed)));
    await Promise.race([converged, over]);
    done.abort();
  }

  async #watchSecrets(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(SECRETS_EVERY_MS, signal).catch(() => undefined);
      await Promise.all([...this.#databases.values()].map((database) => database.refreshSecrets()));
    }
  }

  /** The one of that name, whether it has streams or not; once the engine runs, so does it. */
  #database(name: string): CapturedDatabase {
    const known = this.#databases.get(name);
    if (known !== undefined) return known;
    const { catalog, sourceOf, logger } = this.#options;
    const database = catalog.inDatabase(name);
    const source = sourceOf(name, database.slotName);
    const made = new CapturedDatabase({
      ...this.#options,
      database,
      source,
      threads: this.#threads,
      logger: logger.child({ database: name }),
    });
    this.#databases.set(name, made);
    if (this.#signal !== null) this.#start(made);
    return made;
  }

  #start(database: CapturedDatabase): void {
    this.#running.push(database.run(must(this.#signal, 'the engine runs')));
  }

  /** 42704. */
  #databaseOf(stream: string): CapturedDatabase {
    return this.#database(this.#must(stream).definition.database);
  }

  #must(name: string, transaction: TransactionId | null = null): StreamRecord {
    const record = this.#options.catalog.stream(name, transaction);
    if (!record) throw this.#options.catalog.missing('stream', name, transaction);
    return record;
  }

  #refuseWhileStopping(): void {
    if (this.#signal?.aborted === true) throw stoppingError();
  }
}

/** The database whose tables the change brings into a stream; null where it brings none. */
function databaseBroughtBy(change: StagedChange): string | null {
  if (change.kind === 'create-stream') return change.request.database;
  if (change.kind === 'alter-stream' && change.alteration.kind === 'add-tables') return change.alteration.database;
  return null;
}
