import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { createLogger, type Logger } from '../base/logger.ts';
import { systemRandom } from '../base/random.ts';
import { supervise } from '../base/service.ts';
import { loadTracing } from '../base/tracing.ts';
import { Backfiller } from '../capture/backfiller.ts';
import { Capture } from '../capture/capture.ts';
import { CaptureFault, type FaultReason } from '../capture/fault.ts';
import { gapChunk } from '../capture/gap-chunk.ts';
import type { ChunkSink } from '../capture/intake.ts';
import { MembershipWatch } from '../capture/membership.ts';
import { PUBLICATION } from '../capture/publication.ts';
import { TableGaps } from '../capture/table-gaps.ts';
import { type AppendedChunk, ChangeLog, type ChunkDraft } from '../log/change-log.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import { LOG_FILE } from '../log/schema.ts';
import type { GapReason } from '../model/gap.ts';
import { Upstream } from '../upstream/upstream.ts';
import { parseUpstreamUrl } from '../upstream/upstream-config.ts';
import {
  MAX_HANDED_OVER_BYTES,
  type CaptureThreadData,
  type CaptureToDelivery,
  type DeliveryToCapture,
  type FromCaptureThread,
  type ToCaptureThread,
} from './thread-messages.ts';
import { post, serveParts } from './thread.ts';

const RECONNECT_BACKOFF = { initialMs: 100, maxMs: 15_000 };

const { tracer } = await loadTracing();

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

/** A database's part of the capture thread: reads the slot into the log until it is told to stop. */
function open(data: CaptureThreadData, main: MessagePort): () => Promise<void> {
  const { settings } = data;
  const root = createLogger(settings.logLevel, data.logFormat);
  const logger = root.child({ part: 'capture', database: data.database });
  const log = ChangeLog.open(join(data.folder, LOG_FILE));
  const sink = new DeliveryChunkSink(data.peer);
  const config = { ...parseUpstreamUrl(data.upstreamUrl), database: data.database };
  const upstream = new Upstream(config, { clock: systemClock, random: systemRandom, logger });
  const backfiller = new Backfiller({
    upstream,
    slotName: data.slotName,
    log,
    clock: systemClock,
    logger,
    maxRowsPerSecond: settings.backfillMaxRowsPerSecond,
    tracer,
  });
  const membership = new MembershipWatch(log, PUBLICATION);
  const gaps = new TableGaps({
    log,
    onPlaced: (gapId, lsn) => post<FromCaptureThread>(main, { kind: 'gap-placed', placed: { gapId, lsn } }),
  });
  const capture = new Capture({
    upstream,
    backfiller,
    tables: {
      membership,
      gaps,
      onUnpublished: (found) => {
        const report = { reason: 'table-unpublished', logLsn: log.end().confirmLsn, ...found } as const;
        post<FromCaptureThread>(main, { kind: 'gap', report });
      },
    },
    maxLogBytes: settings.maxLogBytes,
    slotName: data.slotName,
    publicationName: PUBLICATION,
    log,
    sink,
    clock: systemClock,
    logger,
    onStreaming: () => post<FromCaptureThread>(main, { kind: 'streaming' }),
  });
  const stopping = new AbortController();
  const runner = new Runner(capture, log, main, logger);
  main.on('message', (message: ToCaptureThread) => {
    switch (message.kind) {
      case 'stop':
        stopping.abort();
        break;
      case 'status':
        post<FromCaptureThread>(main, { kind: 'status', id: message.id, status: capture.status() });
        break;
      case 'behind-gap': {
        const { header, relationMessages } = appendAlone(log, gapChunk(message.gap));
        // The log's end is now one of the server's that the slot was made on.
        log.setTimeline(null);
        membership.republished(null);
        sink.onChunk(header, null, relationMessages);
        sink.onDurable(header.id);
        post<FromCaptureThread>(main, { kind: 'done', id: message.id });
        runner.connectNow();
        break;
      }
      case 'table-gap': {
        const { gap, id } = message;
        gaps.add(gap);
        membership.republished((gap.tables ?? []).map(({ oid }) => oid));
        post<FromCaptureThread>(main, { kind: 'done', id });
        capture.beatNow();
        break;
      }
      case 'gap-settled':
        gaps.settled(message.gapId);
        post<FromCaptureThread>(main, { kind: 'done', id: message.id });
        break;
      case 'streams':
        if (membership.expect(message.published, message.insertsOnly)) capture.beatNow();
        backfiller.retain(new Set(message.ids));
        post<FromCaptureThread>(main, { kind: 'done', id: message.id });
        break;
      case 'backfill':
        backfiller.start(message.backfill);
        post<FromCaptureThread>(main, { kind: 'done', id: message.id });
        break;
      case 'settings':
        root.setLevel(message.settings.logLevel);
        backfiller.setRate(message.settings.backfillMaxRowsPerSecond);
        capture.setBudget(message.settings.maxLogBytes);
        post<FromCaptureThread>(main, { kind: 'done', id: message.id });
        break;
      case 'cancel-backfill': {
        const wasRunning = backfiller.cancel(message.streamId);
        post<FromCaptureThread>(main, { kind: 'cancelled', wasRunning, id: message.id });
        break;
      }
    }
  });
  data.peer.on('message', (message: DeliveryToCapture) => {
    if (message.kind === 'consumed') sink.consumed(message.bytes);
    else trim(log, message.before, logger);
  });
  return async () => {
    await runner.run(stopping.signal);
    data.peer.removeAllListeners('message');
    log.close();
    data.peer.close();
  };
}

/** Removes chunks a few at a time, so that capture is never held up for long. What fails now is asked for again soon. */
function trim(log: ChangeLog, before: number, logger: Logger): void {
  try {
    if (log.isOpen && log.trimBefore(before) > 0) setImmediate(() => trim(log, before, logger));
  } catch (err) {
    logger.warn({ err }, 'the log could not be trimmed');
  }
}

/** A chunk that came by no connection, durable at once. Nothing else may be waiting to become so. */
function appendAlone(log: ChangeLog, draft: ChunkDraft): AppendedChunk {
  const appended = log.append(draft);
  log.commit();
  return appended;
}

/** Connects again after whatever fault, since every fault may be mended; one that costs changes is told to the engine. */
class Runner {
  readonly #capture: Capture;
  readonly #log: ChangeLog;
  readonly #main: MessagePort;
  readonly #logger: Logger;
  #again = new AbortController();
  #lastReason: FaultReason | null = null;

  constructor(capture: Capture, log: ChangeLog, main: MessagePort, logger: Logger) {
    this.#capture = capture;
    this.#log = log;
    this.#main = main;
    this.#logger = logger;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#again = new AbortController();
      await supervise((inner) => this.#capture.run(inner), AbortSignal.any([signal, this.#again.signal]), {
        name: 'capture',
        backoff: RECONNECT_BACKOFF,
        clock: systemClock,
        random: systemRandom,
        logger: this.#logger,
        onFailure: (error) => this.#judge(error),
      });
    }
  }

  /** Ends the wait for the next attempt. */
  connectNow(): void {
    this.#again.abort();
  }

  #judge(error: Error): 'retry' | 'quiet' | 'stop' {
    if (!(error instanceof CaptureFault)) return 'stop';
    const { kind, reason, remedy, message } = error;
    if (kind === 'gap') {
      const report = {
        reason: reason as GapReason,
        message,
        logLsn: this.#log.end().confirmLsn,
        fromLsn: this.#capture.completeLsn,
      };
      post<FromCaptureThread>(this.#main, { kind: 'gap', report });
    }
    if (kind === 'reconnect') {
      this.#lastReason = null;
      return 'retry';
    }
    if (reason !== this.#lastReason) this.#logger.error({ err: error, reason, remedy }, 'capture cannot go on');
    this.#lastReason = reason;
    return 'quiet';
  }
}

serveParts(open, async () => tracer?.flush());
