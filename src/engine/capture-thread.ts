import { join } from 'node:path';
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { systemClock } from '../base/clock.ts';
import { createLogger, type Logger } from '../base/logger.ts';
import { systemRandom } from '../base/random.ts';
import { supervise, untilAborted } from '../base/service.ts';
import { Capture } from '../capture/capture.ts';
import { CaptureFault } from '../capture/fault.ts';
import type { ChunkSink } from '../capture/intake.ts';
import { PUBLICATION } from '../capture/publication.ts';
import { ChangeLog } from '../log/change-log.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import { LOG_FILE } from '../log/schema.ts';
import { parseUpstreamUrl } from '../upstream/upstream-config.ts';
import {
  MAX_HANDED_OVER_BYTES,
  type CaptureThreadData,
  type CaptureToDelivery,
  type DeliveryToCapture,
  type FromCaptureThread,
  type ToCaptureThread,
} from './thread-messages.ts';
import { post } from './thread.ts';

const RECONNECT_BACKOFF = { initialMs: 100, maxMs: 15_000 };

/** Hands chunks to delivery, with their bytes as long as it keeps up. */
class DeliveryChunkSink implements ChunkSink {
  readonly #delivery: MessagePort;
  #handedOverBytes = 0;

  constructor(delivery: MessagePort) {
    this.#delivery = delivery;
  }

  wantsData(): boolean {
    return this.#handedOverBytes < MAX_HANDED_OVER_BYTES;
  }

  consumed(bytes: number): void {
    this.#handedOverBytes -= bytes;
  }

  onChunk(header: ChunkHeader, data: Buffer | null, relationMessages: ReadonlyMap<number, Buffer>): void {
    if (data) this.#handedOverBytes += data.length;
    const message: CaptureToDelivery = { kind: 'chunk', header, data, relationMessages };
    post(this.#delivery, message, data ? [data.buffer as ArrayBuffer] : []);
  }

  onDurable(lastChunkId: number): void {
    post<CaptureToDelivery>(this.#delivery, { kind: 'durable', lastChunkId });
  }

  onDiscarded(firstChunkId: number): void {
    post<CaptureToDelivery>(this.#delivery, { kind: 'discarded', firstChunkId });
  }
}

/** The capture thread: reads the slot into the log until it is told to stop. */
async function run(data: CaptureThreadData, main: MessagePort): Promise<void> {
  const logger = createLogger(data.logLevel, data.logFormat).child({ part: 'capture' });
  const log = ChangeLog.open(join(data.dataDir, LOG_FILE));
  const sink = new DeliveryChunkSink(data.peer);
  const capture = new Capture({
    upstream: parseUpstreamUrl(data.upstreamUrl),
    slotName: data.slotName,
    publicationName: PUBLICATION,
    log,
    sink,
    clock: systemClock,
    logger,
  });
  const stopping = new AbortController();
  main.on('message', (message: ToCaptureThread) => {
    if (message.kind === 'stop') stopping.abort();
    else post<FromCaptureThread>(main, { kind: 'status', id: message.id, status: capture.status() });
  });
  data.peer.on('message', (message: DeliveryToCapture) => {
    if (message.kind === 'consumed') sink.consumed(message.bytes);
    else trim(log, message.before, logger);
  });
  post<FromCaptureThread>(main, { kind: 'ready' });
  await runUntilStopped(capture, stopping.signal, logger);
  data.peer.removeAllListeners('message');
  log.close();
  data.peer.close();
  main.close();
}

/** Removes chunks a few at a time, so that capture is never held up for long. What fails now is asked for again soon. */
function trim(log: ChangeLog, before: number, logger: Logger): void {
  try {
    if (log.isOpen && log.trimBefore(before) > 0) setImmediate(() => trim(log, before, logger));
  } catch (err) {
    logger.warn({ err }, 'the log could not be trimmed');
  }
}

/** Reconnects after what may mend itself; after anything else it waits, showing the fault, for an operator. */
async function runUntilStopped(capture: Capture, signal: AbortSignal, logger: Logger): Promise<void> {
  const stopped = untilAborted(signal);
  try {
    await supervise((inner) => capture.run(inner), signal, {
      name: 'capture',
      backoff: RECONNECT_BACKOFF,
      clock: systemClock,
      random: systemRandom,
      logger,
      onFailure: (error) => (error instanceof CaptureFault && error.kind === 'reconnect' ? 'retry' : 'stop'),
    });
  } catch (error) {
    if (!(error instanceof CaptureFault)) throw error;
    logger.error({ err: error, reason: error.reason, remedy: error.remedy }, 'capture stopped');
    await stopped;
  }
}

await run(workerData as CaptureThreadData, must(parentPort, 'this is a thread'));
