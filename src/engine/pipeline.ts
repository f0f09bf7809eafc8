import { MessageChannel } from 'node:worker_threads';
import { openDatabaseFolder } from '../log/database-folder.ts';
import type { Backfill } from '../model/backfill.ts';
import type { Gap } from '../model/gap.ts';
import type { DeliveryAnswer, DeliveryRequest } from '../model/delivery-control.ts';
import type { ReplayRange } from '../model/replay.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { CaptureStatus, DeliveryStatus } from '../model/status.ts';
import type { StreamMessage } from './stream-message.ts';
import type {
  CaptureThreadData,
  DeliveryThreadData,
  FromCaptureThread,
  FromDeliveryThread,
  GapReport,
  PlacedGap,
  ThreadSettings,
  ToCaptureThread,
  ToDeliveryThread,
} from './thread-messages.ts';
import { SharedThread, type Part } from './shared-thread.ts';

/** As OIDs; of those of `insertsOnly` all streams take inserts only. */
export interface PublishedTables {
  readonly published: readonly number[];
  readonly insertsOnly: readonly number[];
}

/** What the pipelines of all databases share. */
export interface PipelineOptions {
  readonly dataDir: string;
  readonly upstreamUrl: string;
  readonly userAgent: string;
  /** As they are now. */
  readonly settings: () => ThreadSettings;
  readonly logFormat: 'json' | 'pretty';
}

type StatusOf<From> = Extract<From, { kind: 'status' }>;

/** The threads that all databases share. */
export class DataThreads {
  readonly capture = new SharedThread('capture');
  readonly delivery = new SharedThread('delivery');

  /** Rejects when either ends by itself. */
  get failed(): Promise<never> {
    return Promise.race([this.capture.failed, this.delivery.failed]);
  }
}

/** What is captured, and through what. */
export interface CapturedNames {
  /** The database. */
  readonly name: string;
  readonly slotName: string;
}

/** What the threads say without having been asked. */
export interface PipelineEvents {
  /** An endpoint has refused credentials; called at most once a second. */
  readonly refused: () => void;
  /** What capture cannot go on from, with each attempt; and that it streams. */
  readonly capture: (report: GapReport | PlacedGap | 'streaming') => void;
}

/** Capture and delivery of one database, each its part of a thread, joined by a channel of their own. */
export class Pipeline {
  readonly #capture: Part<ToCaptureThread, FromCaptureThread>;
  readonly #delivery: Part<ToDeliveryThread, FromDeliveryThread>;

  private constructor(
    capture: Part<ToCaptureThread, FromCaptureThread>,
    delivery: Part<ToDeliveryThread, FromDeliveryThread>,
  ) {
    this.#capture = capture;
    this.#delivery = delivery;
  }

  /** Begins both; resolves when they have opened the log, rejects where one cannot, and neither is left then. */
  static async start(
    threads: DataThreads,
    options: PipelineOptions,
    { name: database, slotName }: CapturedNames,
    streams: readonly StreamMessage[],
    events: PipelineEvents,
  ): Promise<Pipeline> {
    const channel = new MessageChannel();
    const folder = openDatabaseFolder(options.dataDir, slotName);
    const shared = { folder, database, settings: options.settings(), logFormat: options.logFormat };
    const captureData: CaptureThreadData = {
      ...shared,
      upstreamUrl: options.upstreamUrl,
      slotName,
      peer: channel.port1,
    };
    const deliveryData: DeliveryThreadData = {
      ...shared,
      upstreamUrl: options.upstreamUrl,
      userAgent: options.userAgent,
      streams,
      peer: channel.port2,
    };
    // The log's writer makes the file; its reader opens what is there.
    const capture = threads.capture.open<ToCaptureThread, FromCaptureThread>(
      captureData,
      [channel.port1],
      (message) => {
        if (message.kind === 'gap') events.capture(message.report);
        else if (message.kind === 'gap-placed') events.capture(message.placed);
        else if (message.kind === 'streaming') events.capture('streaming');
      },
    );
    await capture.ready().catch((error: unknown) => stopped(capture, error));
    const delivery = threads.delivery.open<ToDeliveryThread, FromDeliveryThread>(
      deliveryData,
      [channel.port2],
      ({ kind }) => {
        if (kind === 'refused') events.refused();
      },
    );
    await delivery
      .ready()
      .catch((error: unknown) => stopped(delivery, error))
      .catch((error: unknown) => stopped(capture, error));
    return new Pipeline(capture, delivery);
  }

  /** Makes what is delivered equal to `streams`, whose tables are published as `tables` says; resolves when it is. */
  async configure(streams: readonly StreamMessage[], tables: PublishedTables): Promise<void> {
    await this.#capture.ask({ kind: 'streams', ids: streams.map(({ definition }) => definition.id), ...tables });
    await this.#delivery.ask({ kind: 'configure', streams });
  }

  /** Resolves once they are in force. */
  async applySettings(settings: ThreadSettings): Promise<void> {
    await Promise.all([
      this.#capture.ask({ kind: 'settings', settings }),
      this.#delivery.ask({ kind: 'settings', settings }),
    ]);
  }

  async captureStatus(): Promise<CaptureStatus> {
    return (await this.#capture.ask<StatusOf<FromCaptureThread>>({ kind: 'status' })).status;
  }

  async deliveryStatus(): Promise<ReadonlyMap<string, DeliveryStatus>> {
    const { status } = await this.#delivery.ask<StatusOf<FromDeliveryThread>>({ kind: 'status' });
    return new Map(status.map((one) => [one.streamId, one]));
  }

  /** How many events are sent again. 55000. */
  async replay(streamId: string, range: ReplayRange): Promise<number> {
    type Replayed = Extract<FromDeliveryThread, { kind: 'replayed' }>;
    const { events, refusal } = await this.#delivery.ask<Replayed>({ kind: 'replay', streamId, range });
    if (refusal === null) return events;
    const { message, detail, hint } = refusal;
    throw new PgError('object_not_in_prerequisite_state', message, {
      detail: detail ?? undefined,
      hint: hint ?? undefined,
    });
  }

  /** The commit LSN of the log's oldest change; null: the log has everything since it began. */
  async retainedFrom(): Promise<Lsn | null> {
    type Retained = Extract<FromDeliveryThread, { kind: 'retained' }>;
    return (await this.#delivery.ask<Retained>({ kind: 'retained' })).from;
  }

  /** Resolves once it is written down. */
  async backfill(backfill: Backfill): Promise<void> {
    await this.#capture.ask({ kind: 'backfill', backfill });
  }

  async cancelBackfill(streamId: string): Promise<boolean> {
    const answer = await this.#capture.ask<Extract<FromCaptureThread, { kind: 'cancelled' }>>({
      kind: 'cancel-backfill',
      streamId,
    });
    return answer.wasRunning;
  }

  /** What operators see and do of deliveries. */
  async control(request: DeliveryRequest): Promise<DeliveryAnswer> {
    type Answer = Extract<FromDeliveryThread, { kind: 'control' }>;
    return (await this.#delivery.ask<Answer>({ kind: 'control', request })).answer;
  }

  /** The log goes on behind the gap, which stands in it. */
  async goBehind(gap: Gap): Promise<void> {
    await this.#capture.ask({ kind: 'behind-gap', gap });
  }

  /** The gap of some tables, which are published again, is to have its place. Resolves once that is written down. */
  async placeGap(gap: Gap): Promise<void> {
    await this.#capture.ask({ kind: 'table-gap', gap });
  }

  /** Its place is known to whoever announces it. */
  async settleGap(gapId: string): Promise<void> {
    await this.#capture.ask({ kind: 'gap-settled', gapId });
  }

  /** Delivery first, so that what it acknowledged is written down before the log's writer goes. */
  async stop(): Promise<void> {
    await this.#delivery.stop();
    await this.#capture.stop();
  }
}

/** Stops a part for the error's sake, and goes on with that. */
async function stopped(part: { stop(): Promise<void> }, error: unknown): Promise<never> {
  await part.stop();
  throw error;
}
