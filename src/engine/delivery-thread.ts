import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { createLogger, type Logger, type RootLogger } from '../base/logger.ts';
import { systemRandom } from '../base/random.ts';
import { loadTracing } from '../base/tracing.ts';
import { Delivery } from '../delivery/delivery.ts';
import { DELIVERY_FILE } from '../log/database-folder.ts';
import { DeliveryStore } from '../log/delivery-store.ts';
import { LogReader } from '../log/log-reader.ts';
import { LOG_FILE } from '../log/schema.ts';
import type { DeliveryAnswer } from '../model/delivery-control.ts';
import type { ResolvedStream } from '../model/resolved-stream.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { AddressGuard, parseEgressAllow } from '../sinks/address-guard.ts';
import { createSink } from '../sinks/create-sink.ts';
import { Upstream } from '../upstream/upstream.ts';
import { parseUpstreamUrl } from '../upstream/upstream-config.ts';
import { readStreamMessage } from './stream-message.ts';
import {
  type CaptureToDelivery,
  type DeliveryThreadData,
  type DeliveryToCapture,
  type FromDeliveryThread,
  type Refusal,
  type ThreadSettings,
  type ToDeliveryThread,
} from './thread-messages.ts';
import { post, serveParts } from './thread.ts';
import { TransformPool } from './transform-pool.ts';
import { UpstreamValues } from './upstream-values.ts';

/** How often the log is told what no stream needs any more. */
const TRIM_EVERY_MS = 1_000;

/** Endpoints that refuse their credentials are told of no more often. */
const TELL_REFUSED_EVERY_MS = 1_000;

/** Of all databases: what a client has written is not to have more threads for their number. */
const transforms = new TransformPool(systemClock);

const { tracer } = await loadTracing();

/** A database's part of the delivery thread: sends what the log has to the streams' endpoints until it is told to stop. */
class DatabaseDelivery {
  readonly #data: DeliveryThreadData;
  readonly #main: MessagePort;
  readonly #rootLogger: RootLogger;
  readonly #logger: Logger;
  readonly #store: DeliveryStore;
  readonly #reader: LogReader;
  #guard: AddressGuard;
  #egressAllow: readonly string[];
  readonly #values: UpstreamValues;
  readonly #stopping = new AbortController();
  #streams: readonly ResolvedStream[];
  #toldRefusedAtMs = -Infinity;
  #delivery: Delivery;
  /** Ends the present delivery, to begin another on what the log really has. */
  #restart = new AbortController();
  readonly #held: CaptureToDelivery[] = [];

  constructor(data: DeliveryThreadData, main: MessagePort) {
    this.#data = data;
    this.#main = main;
    const { database, folder } = data;
    const { logLevel, egressAllow } = data.settings;
    this.#rootLogger = createLogger(logLevel, data.logFormat);
    this.#logger = this.#rootLogger.child({ part: 'delivery', database });
    const parts = { clock: systemClock, random: systemRandom, logger: this.#logger };
    const upstream = new Upstream({ ...parseUpstreamUrl(data.upstreamUrl), database }, parts);
    this.#values = new UpstreamValues(upstream, systemClock, this.#logger);
    this.#reader = LogReader.open(join(folder, LOG_FILE));
    this.#store = DeliveryStore.open(join(folder, DELIVERY_FILE));
    this.#guard = new AddressGuard(parseEgressAllow(egressAllow));
    this.#egressAllow = egressAllow;
    this.#streams = data.streams.map(readStreamMessage);
    this.#delivery = this.#createDelivery();
  }

  async run(): Promise<void> {
    this.#main.on('message', (message: ToDeliveryThread) => this.#fromMain(message));
    this.#data.peer.on('message', (message: CaptureToDelivery) => this.#fromCapture(message));
    this.#trimLater();
    while (!this.#stopping.signal.aborted) {
      await this.#delivery.run(AbortSignal.any([this.#stopping.signal, this.#restart.signal]));
      if (this.#stopping.signal.aborted) break;
      this.#restart = new AbortController();
      this.#delivery = this.#createDelivery();
      for (const message of this.#held.splice(0)) this.#fromCapture(message);
    }
    this.#values.close();
    this.#reader.close();
    this.#store.close();
    this.#data.peer.close();
  }

  #createDelivery(): Delivery {
    const delivery = new Delivery({
      source: this.#reader,
      store: this.#store,
      createSink: (stream) =>
        createSink(stream, {
          guard: this.#guard,
          userAgent: this.#data.userAgent,
          clock: systemClock,
          random: systemRandom,
          onRefused: () => this.#tellRefused(),
        }),
      transformer: transforms,
      values: this.#values,
      clock: systemClock,
      random: systemRandom,
      logger: this.#logger,
      tracer,
    });
    delivery.configure(this.#streams);
    return delivery;
  }

  #tellRefused(): void {
    const nowMs = systemClock.monotonicMs();
    if (nowMs - this.#toldRefusedAtMs < TELL_REFUSED_EVERY_MS || this.#stopping.signal.aborted) return;
    this.#toldRefusedAtMs = nowMs;
    post<FromDeliveryThread>(this.#main, { kind: 'refused' });
  }

  #fromMain(message: ToDeliveryThread): void {
    switch (message.kind) {
      case 'configure':
        this.#streams = message.streams.map(readStreamMessage);
        this.#delivery.configure(this.#streams);
        post<FromDeliveryThread>(this.#main, { kind: 'configured', id: message.id });
        break;
      case 'status':
        post<FromDeliveryThread>(this.#main, { kind: 'status', id: message.id, status: this.#delivery.status() });
        break;
      case 'control': {
        const { id, request } = message;
        const tell = (answer: DeliveryAnswer): void =>
          post<FromDeliveryThread>(this.#main, { kind: 'control', id, answer });
        if (request.kind === 'skip-event') void this.#delivery.skip(request).then(tell);
        else tell(this.#delivery.control(request));
        break;
      }
      case 'replay':
        this.#replay(message);
        break;
      case 'settings':
        this.#apply(message.settings);
        post<FromDeliveryThread>(this.#main, { kind: 'configured', id: message.id });
        break;
      case 'retained':
        post<FromDeliveryThread>(this.#main, { kind: 'retained', id: message.id, from: this.#delivery.retainedFrom() });
        break;
      case 'stop':
        this.#stopping.abort();
        break;
    }
  }

  #apply({ logLevel, egressAllow }: ThreadSettings): void {
    this.#rootLogger.setLevel(logLevel);
    if (isDeepStrictEqual(egressAllow, this.#egressAllow)) return;
    this.#egressAllow = egressAllow;
    this.#guard = new AddressGuard(parseEgressAllow(egressAllow));
    // Connections that are open lead to where the old list let them.
    this.#delivery.reconnect();
  }

  #replay({ id, streamId, range }: Extract<ToDeliveryThread, { kind: 'replay' }>): void {
    let events = 0;
    let refusal: Refusal | null = null;
    try {
      events = this.#delivery.replay(streamId, range);
    } catch (error) {
      const { message } = error as Error;
      refusal =
        error instanceof PgError
          ? { message, detail: error.detail ?? null, hint: error.hint ?? null }
          : { message: `delivery progress cannot be stored: ${message}`, detail: null, hint: null };
    }
    post<FromDeliveryThread>(this.#main, { kind: 'replayed', id, events, refusal });
  }

  #fromCapture(message: CaptureToDelivery): void {
    if (this.#restart.signal.aborted) {
      this.#hold(message);
      return;
    }
    switch (message.kind) {
      case 'chunk': {
        const { header, data, relationMessages } = message;
        this.#delivery.chunkAppended(header, data && asBuffer(data), relationMessages && asBuffers(relationMessages));
        if (data) post<DeliveryToCapture>(this.#data.peer, { kind: 'consumed', bytes: data.byteLength });
        break;
      }
      case 'durable':
        this.#delivery.durable(message.lastChunkId);
        break;
      case 'discarded':
        // Chunks that were handed over are not in the log, and their ids will name others. What a crash would mend, a
        // new start mends: ids of events do not change.
        this.#logger.warn({ from: message.firstChunkId }, 'the log gave chunks up; delivery starts again from the log');
        this.#restart.abort();
        break;
    }
  }

  /** While one delivery ends and the next is not there: kept for the next, which reads the bytes from the log. */
  #hold(message: CaptureToDelivery): void {
    if (message.kind === 'discarded') {
      this.#held.length = 0;
      return;
    }
    if (message.kind === 'chunk' && message.data) {
      post<DeliveryToCapture>(this.#data.peer, { kind: 'consumed', bytes: message.data.byteLength });
    }
    this.#held.push(message.kind === 'chunk' ? { ...message, data: null, relationMessages: null } : message);
  }

  #trimLater(): void {
    systemClock.after(TRIM_EVERY_MS, () => {
      if (this.#stopping.signal.aborted) return;
      // The ids that a delivery on its way out knows may have come to name other chunks.
      if (!this.#restart.signal.aborted) {
        post<DeliveryToCapture>(this.#data.peer, { kind: 'trim', before: this.#delivery.lowestNeededChunk() });
      }
      this.#trimLater();
    });
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asBuffers(messages: ReadonlyMap<number, Uint8Array>): ReadonlyMap<number, Buffer> {
  return new Map([...messages].map(([version, bytes]) => [version, asBuffer(bytes)]));
}

serveParts<DeliveryThreadData>(
  (data, main) => {
    const delivery = new DatabaseDelivery(data, main);
    return () => delivery.run();
  },
  async () => {
    await transforms.close();
    await tracer?.flush();
  },
);
