import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { supervise, untilAborted, type Service } from '../base/service.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { CreateStreamRequest, StreamControl } from '../model/stream-control.ts';
import type { CaptureStatus, DeliveryStatus, StreamReport } from '../model/status.ts';
import type { StreamDefinition } from '../model/stream.ts';
import { PgError, SQLSTATE, type PgNotice } from '../postgres/sqlstate.ts';
import { Mutex } from './mutex.ts';
import { chooseName } from './naming.ts';
import { Pipeline, type PipelineOptions } from './pipeline.ts';
import type { Source } from './source.ts';
import { IDLE_CAPTURE, emptyDeliveryStatus, reportStream } from './status.ts';

export interface EngineOptions {
  readonly catalog: Catalog;
  readonly source: Source;
  readonly pipeline: PipelineOptions;
  /** Forgets the change log; called only while no pipeline runs. */
  readonly resetLog: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const CLEAN_UP_BACKOFF = { initialMs: 1_000, maxMs: 60_000 };

/**
 * Keeps what runs equal to what the catalog says. While there is no stream, nothing of ours runs and nothing of ours is
 * left upstream: the first stream makes publication, slot, log and threads, the last one takes them away.
 */
export class Engine implements StreamControl, Service {
  readonly #options: EngineOptions;
  /** Definitions change one at a time. */
  readonly #changes = new Mutex();
  readonly #failed = Promise.withResolvers<never>();
  #pipeline: Pipeline | null = null;
  #stopping = false;
  #signal: AbortSignal | null = null;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#failed.promise.catch(() => undefined);
  }

  /** Rejects when a thread of the data plane ends by itself: a bug, after which the process must end. */
  async run(signal: AbortSignal): Promise<void> {
    const { catalog } = this.#options;
    await this.#changes.run(async () => {
      if (catalog.streams().length > 0) await this.#startPipeline();
    });
    const aborted = untilAborted(signal);
    this.#signal = signal;
    this.#tidySoon();
    try {
      await Promise.race([aborted, this.#failed.promise]);
    } finally {
      this.#stopping = true;
      await this.#changes.run(async () => {
        await this.#pipeline?.stop();
        this.#pipeline = null;
      });
    }
  }

  async createStream(request: CreateStreamRequest, signal: AbortSignal): Promise<readonly PgNotice[]> {
    return this.#changes.run(async () => {
      this.#refuseWhileStopping();
      const { catalog, source, clock, logger } = this.#options;
      const { name, notices, exists } = chooseName(request, (taken) => catalog.stream(taken) !== null);
      if (exists) return notices;
      source.requireDatabase(request.database);
      const isFirst = catalog.streams().length === 0;
      if (isFirst) await this.#clearUpstream();
      catalog.isArmed = true;
      try {
        const armed = await source.arm(request.tables, isFirst);
        if (signal.aborted) throw new PgError('query_canceled', 'canceling statement due to user request');
        catalog.insert(define(request, name, armed, clock.now()), request.owner);
      } catch (error) {
        // What was made upstream for a stream that is not to be would hold back WAL for nobody.
        await this.#tidyUpstream().catch((err: unknown) =>
          logger.warn({ err }, 'the upstream could not be tidied yet'),
        );
        throw error;
      }
      logger.info({ stream: name, tables: request.tables.length }, 'stream created');
      await this.#apply();
      return notices;
    });
  }

  async setDesiredState(name: string, state: 'running' | 'paused', actor: string): Promise<readonly PgNotice[]> {
    return this.#changes.run(async () => {
      this.#refuseWhileStopping();
      const { catalog, clock, logger } = this.#options;
      const definition = this.#must(name);
      const halted = typeof (await this.#deliveryStatus()).get(definition.id)?.haltedReason === 'string';
      if (definition.desiredState === state && !(state === 'running' && halted)) {
        return [notice(`CDC stream "${name}" is already ${state}`)];
      }
      const pausedAtMs = state === 'paused' ? clock.now() : null;
      if (halted && definition.desiredState === 'running') {
        // Delivery lets go of the halt when it sees the stream paused and running again.
        catalog.update({ ...definition, desiredState: 'paused', pausedAtMs: clock.now() }, actor, 'pause');
        await this.#apply();
      }
      catalog.update(
        { ...definition, desiredState: state, pausedAtMs },
        actor,
        state === 'paused' ? 'pause' : 'resume',
      );
      logger.info({ stream: name, state }, 'stream altered');
      await this.#apply();
      return [];
    });
  }

  async dropStreams(names: readonly string[], ifExists: boolean, actor: string): Promise<readonly PgNotice[]> {
    return this.#changes.run(async () => {
      this.#refuseWhileStopping();
      const { catalog, source, logger } = this.#options;
      const notices: PgNotice[] = [];
      const found = new Map<string, StreamDefinition>();
      for (const name of names) {
        const definition = catalog.stream(name);
        if (definition) found.set(name, definition);
        else if (ifExists) notices.push(notice(`CDC stream "${name}" does not exist, skipping`));
        else throw missing(name);
      }
      if (found.size === 0) return notices;
      catalog.remove([...found.values()], actor);
      logger.info({ streams: [...found.keys()] }, 'streams dropped');
      await this.#apply();
      if (catalog.streams().length === 0) {
        await this.#stopPipeline();
        await this.#clearUpstream().catch((err: unknown) => {
          logger.warn({ err }, 'the slot and the publication could not be dropped yet');
          this.#tidySoon();
        });
      } else {
        await source.publishOnly(this.#tables()).catch((err: unknown) => {
          logger.warn({ err }, 'the publication could not be narrowed yet');
          this.#tidySoon();
        });
      }
      return notices;
    });
  }

  async reports(): Promise<readonly StreamReport[]> {
    const { catalog, clock } = this.#options;
    const [capture, delivery] = await Promise.all([this.captureStatus(), this.#deliveryStatus()]);
    const nowMs = clock.now();
    return catalog
      .streams()
      .map((one) => reportStream(one, delivery.get(one.id) ?? emptyDeliveryStatus(one.id), capture, nowMs));
  }

  async report(name: string): Promise<StreamReport> {
    const definition = this.#must(name);
    const [capture, delivery] = await Promise.all([this.captureStatus(), this.#deliveryStatus()]);
    const status = delivery.get(definition.id) ?? emptyDeliveryStatus(definition.id);
    return reportStream(definition, status, capture, this.#options.clock.now());
  }

  async captureStatus(): Promise<CaptureStatus> {
    return this.#pipeline ? this.#pipeline.captureStatus() : IDLE_CAPTURE;
  }

  async #deliveryStatus(): Promise<ReadonlyMap<string, DeliveryStatus>> {
    return this.#pipeline ? this.#pipeline.deliveryStatus() : new Map();
  }

  /** Makes the pipeline equal to the catalog. */
  async #apply(): Promise<void> {
    if (this.#pipeline) await this.#pipeline.configure(this.#options.catalog.streams());
    else if (this.#options.catalog.streams().length > 0) await this.#startPipeline();
  }

  async #startPipeline(): Promise<void> {
    const pipeline = await Pipeline.start(this.#options.pipeline, this.#options.catalog.streams());
    pipeline.failed.catch((error: unknown) => this.#failed.reject(error));
    this.#pipeline = pipeline;
  }

  async #stopPipeline(): Promise<void> {
    await this.#pipeline?.stop();
    this.#pipeline = null;
  }

  /** With no stream left: slot and publication go, then the log, whose positions mean nothing without the slot. */
  async #clearUpstream(): Promise<void> {
    const { catalog, source, resetLog } = this.#options;
    if (!catalog.isArmed) return;
    await source.disarm();
    resetLog();
    catalog.isArmed = false;
  }

  /** Tries until it is done, so that nothing of ours holds back WAL for nobody. */
  #tidySoon(): void {
    const { clock, random, logger } = this.#options;
    if (this.#signal === null) return;
    void supervise(() => this.#changes.run(() => this.#tidyUpstream()), this.#signal, {
      name: 'upstream clean-up',
      backoff: CLEAN_UP_BACKOFF,
      clock,
      random,
      logger,
    });
  }

  /** What a crash between a definition's change and the upstream's may have left: settled once at the start. */
  async #tidyUpstream(): Promise<void> {
    if (this.#stopping) return;
    const { catalog, source } = this.#options;
    if (catalog.streams().length === 0) await this.#clearUpstream();
    else await source.publishOnly(this.#tables());
  }

  #tables(): StreamDefinition['tables'] {
    return this.#options.catalog.streams().flatMap((definition) => definition.tables);
  }

  #must(name: string): StreamDefinition {
    const definition = this.#options.catalog.stream(name);
    if (!definition) throw missing(name);
    return definition;
  }

  #refuseWhileStopping(): void {
    if (this.#stopping) throw new PgError('object_not_in_prerequisite_state', 'walhook is shutting down');
  }
}

function define(
  request: CreateStreamRequest,
  name: string,
  armed: Awaited<ReturnType<Source['arm']>>,
  createdAtMs: number,
): StreamDefinition {
  return {
    id: randomUUID(),
    name,
    database: request.database,
    source: armed.identity,
    tables: request.tables,
    destination: request.destination,
    format: 'json',
    envelope: 'native',
    options: request.options,
    desiredState: 'running',
    startLsn: armed.startLsn,
    owner: request.owner,
    createdAtMs,
    pausedAtMs: null,
  };
}

function missing(name: string): PgError {
  return new PgError('undefined_object', `CDC stream "${name}" does not exist`, {
    hint: 'SHOW CDC STREAMS lists the streams that exist.',
  });
}

function notice(message: string): PgNotice {
  return { severity: 'NOTICE', code: SQLSTATE.successful_completion, message };
}
