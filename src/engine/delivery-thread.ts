import { join } from 'node:path';
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { systemClock } from '../base/clock.ts';
import { createLogger, type Logger } from '../base/logger.ts';
import { systemRandom } from '../base/random.ts';
import { Delivery } from '../delivery/delivery.ts';
import { DeliveryStore } from '../log/delivery-store.ts';
import { LogReader } from '../log/log-reader.ts';
import { LOG_FILE } from '../log/schema.ts';
import type { StreamDefinition } from '../model/stream.ts';
import type { Sink } from '../sinks/sink.ts';
import { AddressGuard, parseEgressAllow } from '../sinks/webhook/address-guard.ts';
import { WebhookSink } from '../sinks/webhook/webhook-sink.ts';
import {
  DELIVERY_FILE,
  type CaptureToDelivery,
  type DeliveryThreadData,
  type DeliveryToCapture,
  type FromDeliveryThread,
  type ToDeliveryThread,
} from './thread-messages.ts';
import { post } from './thread.ts';

/** How often the log is told what no stream needs any more. */
const TRIM_EVERY_MS = 1_000;

/** The delivery thread: sends what the log has to the streams' endpoints until it is told to stop. */
class DeliveryThread {
  readonly #data: DeliveryThreadData;
  readonly #main: MessagePort;
  readonly #logger: Logger;
  readonly #store: DeliveryStore;
  readonly #reader: LogReader;
  readonly #guard: AddressGuard;
  readonly #stopping = new AbortController();
  #definitions: readonly StreamDefinition[];
  #delivery: Delivery;
  /** Ends the present delivery, to begin another on what the log really has. */
  #restart = new AbortController();
  readonly #held: CaptureToDelivery[] = [];

  constructor(data: DeliveryThreadData, main: MessagePort) {
    this.#data = data;
    this.#main = main;
    this.#logger = createLogger(data.logLevel, data.logFormat).child({ part: 'delivery' });
    this.#reader = LogReader.open(join(data.dataDir, LOG_FILE));
    this.#store = DeliveryStore.open(join(data.dataDir, DELIVERY_FILE));
    this.#guard = new AddressGuard(parseEgressAllow(data.egressAllow));
    this.#definitions = data.definitions;
    this.#delivery = this.#createDelivery();
  }

  async run(): Promise<void> {
    this.#main.on('message', (message: ToDeliveryThread) => this.#fromMain(message));
    this.#data.peer.on('message', (message: CaptureToDelivery) => this.#fromCapture(message));
    post<FromDeliveryThread>(this.#main, { kind: 'ready' });
    this.#trimLater();
    while (!this.#stopping.signal.aborted) {
      await this.#delivery.run(AbortSignal.any([this.#stopping.signal, this.#restart.signal]));
      if (this.#stopping.signal.aborted) break;
      this.#restart = new AbortController();
      this.#delivery = this.#createDelivery();
      for (const message of this.#held.splice(0)) this.#fromCapture(message);
    }
    this.#reader.close();
    this.#store.close();
    this.#data.peer.close();
    this.#main.close();
  }

  #createDelivery(): Delivery {
    const delivery = new Delivery({
      source: this.#reader,
      store: this.#store,
      createSink: (definition) => this.#createSink(definition),
      clock: systemClock,
      random: systemRandom,
      logger: this.#logger,
    });
    delivery.configure(this.#definitions);
    return delivery;
  }

  #createSink({ destination, options }: StreamDefinition): Sink {
    return new WebhookSink({
      url: destination.url,
      headers: options.headers,
      requestTimeoutMs: options.requestTimeoutMs,
      userAgent: this.#data.userAgent,
      guard: this.#guard,
      clock: systemClock,
    });
  }

  #fromMain(message: ToDeliveryThread): void {
    switch (message.kind) {
      case 'configure':
        this.#definitions = message.definitions;
        this.#delivery.configure(message.definitions);
        post<FromDeliveryThread>(this.#main, { kind: 'configured', id: message.id });
        break;
      case 'status':
        post<FromDeliveryThread>(this.#main, { kind: 'status', id: message.id, status: this.#delivery.status() });
        break;
      case 'stop':
        this.#stopping.abort();
        break;
    }
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

await new DeliveryThread(workerData as DeliveryThreadData, must(parentPort, 'this is a thread')).run();
