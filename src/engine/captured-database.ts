import { supervise, untilAborted, type Service } from '../base/service.ts';
import { insertsOf, PUBLICATION } from '../capture/publication.ts';
import { streamOf, type ArmedTables } from '../catalog/catalog.ts';
import type { StreamRecord } from '../catalog/objects.ts';
import type { BackfillTable } from '../model/backfill.ts';
import type { ChangePreview, TransactionId } from '../model/catalog-control.ts';
import type { DeliveryAnswer, DeliveryRequest } from '../model/delivery-control.ts';
import type { ReplayRange } from '../model/replay.ts';
import type { Requirement } from '../model/requirement.ts';
import type { StagedChange } from '../model/staged-change.ts';
import type { CaptureStatus, StreamReport } from '../model/status.ts';
import { qualify } from '../postgres/identifier.ts';
import { PgError, type PgNotice } from '../postgres/sqlstate.ts';
import { DataPlane, type DataPlaneOptions } from './data-plane.ts';
import { describeChange, notice, problemOf, stoppingError, warning } from './engine-words.ts';
import { GapHandler, tablesToPublish } from './gap-handler.ts';
import { Mutex } from './mutex.ts';
import { ScopeFollower } from './scope-follower.ts';
import { ScopeWatch } from './scope-watch.ts';
import { emptyDeliveryStatus, reportStream } from './status.ts';
import type { GapReport, PlacedGap } from './thread-messages.ts';

const CONVERGE_BACKOFF = { initialMs: 1_000, maxMs: 60_000 };

/**
 * One upstream database, with all that belongs to its streams: slot, publication and log, threads, gaps, schemas that are
 * followed. What is amiss in one stops no other's. What needs the upstream is done one at a time.
 */
export class CapturedDatabase implements Service {
  readonly #options: DataPlaneOptions;
  readonly #plane: DataPlane;
  readonly #gaps: GapHandler;
  readonly #scopes: ScopeFollower;
  readonly #watch: ScopeWatch;
  readonly #changes = new Mutex();
  #stopping = false;
  #signal: AbortSignal | null = null;
  #isConverging = false;
  #isRefreshing = false;
  #isHandlingGap = false;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#plane = new DataPlane(options, {
      // Which may have changed.
      refused: () => void this.refreshSecrets(),
      capture: (report) => this.#captureSays(report),
    });
    const parts = { ...options, plane: this.#plane };
    this.#gaps = new GapHandler(parts);
    this.#scopes = new ScopeFollower({ ...parts, converge: (id) => this.#converge([id]) });
    this.#watch = new ScopeWatch({
      ...options,
      streams: () => options.database.armedStreams(),
      follow: (name, tables) => this.#unlessStopping(() => this.#scopes.follow(name, tables)),
      readNew: () => this.#unlessStopping(() => this.#scopes.readNew()),
      unpublish: (oids) => this.#unlessStopping(() => options.source.unpublish(oids)),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await this.#changes.run(() => this.#begin());
    // What a crash between a definition's change and the upstream's may have left.
    this.#convergeSoon();
    const watching = supervise((watched) => this.#watch.run(watched), signal, {
      ...this.#options,
      name: 'scopes',
      backoff: CONVERGE_BACKOFF,
    });
    await untilAborted(signal);
    this.#stopping = true;
    await watching;
    await this.#changes.run(() => this.#plane.stop());
  }

  /** A change that brings tables: in effect when it resolves; a failure leaves nothing behind. Raises what `execute` does. */
  async bring(change: StagedChange, actor: string, signal: AbortSignal): Promise<readonly PgNotice[]> {
    return this.#change(async () => {
      const { catalog, logger } = this.#options;
      const holder = catalog.begin();
      try {
        const plan = catalog.plan(holder, change, actor);
        if (plan.effects.length === 0) return plan.notices;
        const armed: ArmedTables[] = [];
        try {
          for (const tables of catalog.tablesBroughtBy(plan)) {
            const at = await this.#plane.arm(tables);
            const isNew = change.kind === 'create-stream' && catalog.stream(change.request.name ?? '') === null;
            const startLsn = isNew ? change.request.options.startLsn : null;
            armed.push({ ...tables, at: await this.#plane.startingAt(startLsn, tables.oids, at) });
          }
          if (signal.aborted) throw new PgError('query_canceled', 'canceling statement due to user request');
          catalog.apply(plan, armed);
        } catch (error) {
          // What failed half-way has left something as well; the client does not wait for an upstream that may be gone.
          if (armed.length > 0) await this.#tidy();
          else this.#convergeSoon();
          throw error;
        }
        logger.info(describeChange(change), 'definitions changed');
        await this.#converge([]);
        return plan.notices;
      } finally {
        catalog.end(holder);
      }
    });
  }

  /** 55000 where the first stream could not be captured at all, or what is to be created cannot begin where it is to. */
  async requireCapturable(change: StagedChange): Promise<void> {
    const { database, source } = this.#options;
    if (database.armedStreams().length === 0) await source.requireCapturable();
    if (change.kind !== 'create-stream') return;
    const { tables, options } = change.request;
    const oids = tables.map(({ oid }) => oid);
    if (options.startLsn !== null) await this.#plane.requireStart(options.startLsn, oids, null);
  }

  async setDesiredState(name: string, state: 'running' | 'paused', actor: string): Promise<readonly PgNotice[]> {
    return this.#change(async () => {
      const { id, definition } = this.#must(name);
      if (state === 'running' && definition.heldGap !== null) {
        this.#options.catalog.resumePast(name, actor);
        await this.#plane.configure();
        await this.#gaps.resumed();
        if (definition.desiredState === 'running') return [];
      }
      const halted = typeof (await this.#plane.deliveryStatus()).get(id)?.haltedReason === 'string';
      if (definition.desiredState === state && !(state === 'running' && halted)) {
        return [notice(`CDC stream "${name}" is already ${state}`)];
      }
      // Delivery lets go of a halt when it sees the stream paused and running again.
      if (halted && definition.desiredState === 'running') await this.#alterState(name, 'paused', actor);
      await this.#alterState(name, state, actor);
      this.#options.logger.info({ stream: name, state }, 'stream altered');
      return [];
    });
  }

  async backfill(name: string, tables: readonly BackfillTable[], actor: string): Promise<readonly PgNotice[]> {
    return this.#change(async () => {
      const { definition } = this.#mustBeCaptured(name);
      await this.#plane.backfill(definition, tables);
      const read = definition.tables.filter(({ oid }) => tables.some((table) => table.oid === oid));
      const names = read.map((table) => qualify(table.schema, table.name)).join(', ');
      this.#options.catalog.note(name, 'backfill', names, actor);
      const keyless = read.filter(({ keyColumns }) => keyColumns.length === 0);
      return keyless.map((table) =>
        notice(`rows of "${table.name}", which has no primary key, may come in any order with its changes`),
      );
    });
  }

  async cancelBackfill(name: string, actor: string): Promise<readonly PgNotice[]> {
    return this.#change(async () => {
      const { id } = this.#must(name);
      if (!(await this.#plane.cancelBackfill(id))) return [notice(`CDC stream "${name}" has no backfill under way`)];
      this.#options.catalog.note(name, 'cancel backfill', null, actor);
      return [];
    });
  }

  async replay(name: string, range: ReplayRange, actor: string): Promise<number> {
    return this.#change(async () => {
      const { id } = this.#mustBeCaptured(name);
      const events = await this.#plane.replay(id, range);
      this.#options.catalog.note(name, 'replay', `${events} events`, actor);
      return events;
    });
  }

  async check(): Promise<readonly Requirement[]> {
    const { database, source } = this.#options;
    return source.check(tablesToPublish(database));
  }

  /** What the change would come to. */
  async preview(change: StagedChange, actor: string, transaction: TransactionId | null): Promise<ChangePreview> {
    const { catalog, database, source } = this.#options;
    const plan = catalog.preview(transaction, change, actor);
    const tables = database.streams().flatMap(({ definition }) => definition.tables);
    const problem =
      database.armedStreams().length === 0 ? await source.requireCapturable().then(() => null, problemOf) : null;
    return {
      notices: plan.notices,
      stream: streamOf(plan),
      captured: tables.map(({ oid }) => oid),
      publication: PUBLICATION,
      insertsPublication: insertsOf(PUBLICATION),
      problem,
    };
  }

  /** Null while nothing runs. */
  control(request: DeliveryRequest): Promise<DeliveryAnswer> | null {
    return this.#plane.control(request);
  }

  async captureStatus(): Promise<CaptureStatus> {
    return this.#plane.captureStatus();
  }

  /** Of streams of this database. */
  async reports(records: readonly StreamRecord[]): Promise<readonly StreamReport[]> {
    const [capture, delivery] = await Promise.all([this.#plane.captureStatus(), this.#plane.deliveryStatus()]);
    const nowMs = this.#options.clock.now();
    return records.map((record) => {
      const status = delivery.get(record.id) ?? emptyDeliveryStatus(record.id);
      const report = reportStream(record.definition, status, capture, nowMs, this.#plane.arming(record));
      const problem = this.#watch.problemOf(record.id);
      if (problem === null || report.statusReason !== null) return report;
      // What is wrong with one table does not keep the stream's others from running.
      const isLost = problem.isFatal && report.status === 'running';
      return { ...report, status: isLost ? 'failed' : report.status, statusReason: problem.reason };
    });
  }

  /** The catalog has it already: what cannot be done now is done later. `streams`: the ids of those that are to be armed. */
  async converge(streams: readonly string[]): Promise<void> {
    await this.#changes.run(() => this.#converge(streams));
  }

  /** Of these streams, by id, those that are not captured yet. */
  warnings(streams: readonly string[]): readonly PgNotice[] {
    const waiting = this.#options.database.streams().filter(({ id }) => streams.includes(id));
    return waiting.flatMap((record) => {
      const { isDone, problem } = this.#plane.arming(record);
      if (isDone) return [];
      const message = `CDC stream "${record.name}" is committed, but its changes are not captured yet`;
      const hint = `SHOW CDC STREAM STATUS ${record.name} tells when they are.`;
      return [warning(message, problem ?? 'Its tables are still being armed.', hint)];
    });
  }

  /** In force when it resolves; never rejects. It waits for no turn: what is being done may wait for transactions of the upstream's. */
  async applySettings(): Promise<void> {
    try {
      await this.#plane.applySettings();
    } catch (err) {
      // What stops has no use for them, and what starts again asks for them itself.
      this.#options.logger.debug({ err }, 'settings could not be told to the threads');
    }
    void this.refreshSecrets();
  }

  /** One at a time waits for its turn: whatever else is being done looks secrets up itself. */
  async refreshSecrets(): Promise<void> {
    if (this.#stopping || this.#isRefreshing) return;
    this.#isRefreshing = true;
    try {
      await this.#unlessStopping(() => this.#plane.refreshSecrets());
    } catch (err) {
      this.#options.logger.warn({ err }, 'secrets could not be looked up again');
    } finally {
      this.#isRefreshing = false;
    }
  }

  /** What does not start now is tried again, and shown until then: a file that cannot be read stops no other database. */
  async #begin(): Promise<void> {
    try {
      await this.#plane.configure();
      await this.#gaps.heal();
    } catch (err) {
      this.#options.logger.error({ err }, 'the streams of a database cannot be started yet');
    }
  }

  /** Not while an earlier report is dealt with: capture reports again with each attempt. */
  #captureSays(report: GapReport | PlacedGap | 'streaming'): void {
    if (report !== 'streaming' && 'gapId' in report) {
      const placing = this.#unlessStopping(() => this.#gaps.placed(report));
      placing.catch((err: unknown) => this.#options.logger.warn({ err }, 'streams do not know the gap’s place yet'));
      return;
    }
    if (this.#stopping || this.#isHandlingGap) return;
    if (report === 'streaming' && this.#options.database.openGap === null) return;
    this.#isHandlingGap = true;
    void this.#unlessStopping(() => (report === 'streaming' ? this.#gaps.streaming() : this.#gaps.handle(report)))
      .catch((err: unknown) => this.#options.logger.warn({ err }, 'capture cannot begin anew yet'))
      .finally(() => (this.#isHandlingGap = false));
  }

  async #change<T>(work: () => Promise<T>): Promise<T> {
    return this.#changes.run(() => {
      if (this.#stopping) throw stoppingError();
      return work();
    });
  }

  /** As a change among the others. */
  async #unlessStopping(work: () => Promise<void>): Promise<void> {
    await this.#changes.run(async () => (this.#stopping ? undefined : work()));
  }

  async #alterState(name: string, state: 'running' | 'paused', actor: string): Promise<void> {
    const { catalog } = this.#options;
    const holder = catalog.begin();
    try {
      catalog.apply(catalog.plan(holder, { kind: 'alter-stream', name, alteration: { kind: 'state', state } }, actor));
    } finally {
      catalog.end(holder);
    }
    await this.#plane.configure();
  }

  async #converge(streams: readonly string[]): Promise<void> {
    if (this.#stopping) return;
    try {
      await this.#plane.converge(streams);
    } catch (err) {
      this.#options.logger.warn({ err }, 'the definitions are not in effect yet');
      this.#convergeSoon();
    }
  }

  async #tidy(): Promise<void> {
    try {
      await this.#plane.tidy();
    } catch (err) {
      this.#options.logger.warn({ err }, 'the upstream could not be tidied yet');
      this.#convergeSoon();
    }
  }

  /** Tries until all is as the catalog says, so that nothing is missing and nothing of ours holds back WAL for nobody. */
  #convergeSoon(): void {
    if (this.#signal === null || this.#isConverging) return;
    this.#isConverging = true;
    const converge = async (): Promise<void> => {
      await this.#plane.converge(null);
      await this.#gaps.heal();
    };
    const converging = supervise(() => this.#unlessStopping(converge), this.#signal, {
      ...this.#options,
      name: 'definitions',
      backoff: CONVERGE_BACKOFF,
    });
    void converging.finally(() => (this.#isConverging = false));
  }

  #must(name: string): StreamRecord {
    const record = this.#options.catalog.stream(name);
    if (record === null) throw this.#options.catalog.missing('stream', name, null);
    return record;
  }

  #mustBeCaptured(name: string): StreamRecord {
    const record = this.#must(name);
    if (record.isArmed && record.unarmedTables.length === 0) return record;
    throw new PgError('object_not_in_prerequisite_state', `CDC stream "${name}" is not captured yet`, {
      hint: `SHOW CDC STREAM STATUS ${name} tells why.`,
    });
  }
}
