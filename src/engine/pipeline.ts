import { MessageChannel } from 'node:worker_threads';
import type { LogLevel } from '../base/logger.ts';
import type { CaptureStatus, DeliveryStatus } from '../model/status.ts';
import type { StreamDefinition } from '../model/stream.ts';
import type {
  CaptureThreadData,
  DeliveryThreadData,
  FromCaptureThread,
  FromDeliveryThread,
  ToCaptureThread,
  ToDeliveryThread,
} from './thread-messages.ts';
import { Thread } from './thread.ts';

export interface PipelineOptions {
  readonly dataDir: string;
  readonly upstreamUrl: string;
  readonly slotName: string;
  readonly egressAllow: readonly string[];
  readonly userAgent: string;
  readonly logLevel: LogLevel;
  readonly logFormat: 'json' | 'pretty';
}

type StatusOf<From> = Extract<From, { kind: 'status' }>;

/** Capture and delivery of one database, each on its thread, joined by a channel of their own. */
export class Pipeline {
  readonly #capture: Thread<ToCaptureThread, FromCaptureThread>;
  readonly #delivery: Thread<ToDeliveryThread, FromDeliveryThread>;

  private constructor(
    capture: Thread<ToCaptureThread, FromCaptureThread>,
    delivery: Thread<ToDeliveryThread, FromDeliveryThread>,
  ) {
    this.#capture = capture;
    this.#delivery = delivery;
  }

  /** Starts both threads; resolves when they have opened the log. */
  static async start(options: PipelineOptions, definitions: readonly StreamDefinition[]): Promise<Pipeline> {
    const channel = new MessageChannel();
    const shared = { dataDir: options.dataDir, logLevel: options.logLevel, logFormat: options.logFormat };
    const captureData: CaptureThreadData = {
      ...shared,
      upstreamUrl: options.upstreamUrl,
      slotName: options.slotName,
      peer: channel.port1,
    };
    const deliveryData: DeliveryThreadData = {
      ...shared,
      egressAllow: options.egressAllow,
      userAgent: options.userAgent,
      definitions,
      peer: channel.port2,
    };
    // The log's writer makes the file; its reader opens what is there.
    const capture = new Thread<ToCaptureThread, FromCaptureThread>('capture', captureData, [channel.port1]);
    await capture.ready();
    const delivery = new Thread<ToDeliveryThread, FromDeliveryThread>('delivery', deliveryData, [channel.port2]);
    await delivery.ready();
    return new Pipeline(capture, delivery);
  }

  /** Rejects when either thread ends by itself. */
  get failed(): Promise<never> {
    return Promise.race([this.#capture.failed, this.#delivery.failed]);
  }

  /** Makes what is delivered equal to `definitions`; resolves when it is. */
  async configure(definitions: readonly StreamDefinition[]): Promise<void> {
    await this.#delivery.ask({ kind: 'configure', definitions });
  }

  async captureStatus(): Promise<CaptureStatus> {
    return (await this.#capture.ask<StatusOf<FromCaptureThread>>({ kind: 'status' })).status;
  }

  async deliveryStatus(): Promise<ReadonlyMap<string, DeliveryStatus>> {
    const { status } = await this.#delivery.ask<StatusOf<FromDeliveryThread>>({ kind: 'status' });
    return new Map(status.map((one) => [one.streamId, one]));
  }

  /** Delivery first, so that what it acknowledged is written down before the log's writer goes. */
  async stop(): Promise<void> {
    await this.#delivery.stop();
    await this.#capture.stop();
  }
}
