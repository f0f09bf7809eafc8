import { AssertionError } from '../base/assert.ts';
import type { Cancel, Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Service } from '../base/service.ts';
import type { ChangeLog } from '../log/change-log.ts';
import type { CaptureStatus } from '../model/status.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import { askServer } from '../upstream/questions.ts';
import type { UpstreamConfig } from '../upstream/upstream-config.ts';
import { confirmableLsn } from './confirm.ts';
import { CaptureFault, faultOf } from './fault.ts';
import { checkBeforeStreaming } from './guards.ts';
import { Intake, type ChunkSink, type IntakeCounts } from './intake.ts';
import { liveness, statusIntervalMs } from './liveness.ts';
import { hasPublication } from './publication.ts';
import { ReplicationConnection } from './replication-connection.ts';
import { findSlot } from './slot.ts';
import { standbyStatusFrame } from './standby-status.ts';

/** From the first packet to the server's answer that the stream begins. */
const START_TIMEOUT_MS = 30_000;
/** For the last status to leave when capture stops. */
const FINISH_TIMEOUT_MS = 1_000;
/** After a commit, a status goes out unless one did so this recently. */
const STATUS_AFTER_COMMIT_MS = 1_000;

export interface CaptureOptions {
  readonly upstream: UpstreamConfig;
  readonly slotName: string;
  readonly publicationName: string;
  readonly log: ChangeLog;
  readonly sink: ChunkSink;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Reads one slot into the log. `run` is one connection's life: it rejects with a `CaptureFault` when that ends, whose
 * `kind` says whether to run again; it resolves when the signal aborts, with everything received in the log.
 *
 * Invariant: the LSN confirmed to the server is never beyond what the log has made durable.
 */
export class Capture implements Service {
  readonly #options: CaptureOptions;
  #state: CaptureStatus['state'] = 'idle';
  #fault: CaptureFault | null = null;
  #stream: Stream | null = null;
  #lastConfirmedLsn: Lsn = 0n;
  #lastReceivedLsn: Lsn = 0n;
  #upstreamLsn: Lsn = 0n;
  #changes = 0;
  #transactions = 0;

  constructor(options: CaptureOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#state = 'connecting';
    try {
      await this.#connectAndStream(signal);
      this.#state = 'idle';
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      this.#fault = faultOf(error);
      this.#state = this.#fault.kind === 'stop' ? 'failed' : 'connecting';
      if (signal.aborted) {
        this.#state = 'idle';
        return;
      }
      throw this.#fault;
    }
  }

  /** The counts are since this object was made. Asks the log for its size, so it belongs on the log's thread. */
  status(): CaptureStatus {
    const counts = this.#stream?.counts ?? { changes: 0, transactions: 0 };
    const size = this.#options.log.size();
    const lsn = (value: Lsn): string | null => (value === 0n ? null : formatLsn(value));
    this.#noteStream();
    return {
      state: this.#state,
      error: this.#fault === null ? null : describe(this.#fault),
      slotName: this.#options.slotName,
      receivedLsn: lsn(this.#lastReceivedLsn),
      confirmedLsn: lsn(this.#lastConfirmedLsn),
      upstreamLsn: lsn(this.#upstreamLsn),
      changesCaptured: this.#changes + counts.changes,
      transactionsCaptured: this.#transactions + counts.transactions,
      logBytes: size.bytes,
      logChunks: size.chunks,
    };
  }

  async #connectAndStream(signal: AbortSignal): Promise<void> {
    const { upstream, slotName, publicationName, log, sink, clock, logger } = this.#options;
    const connection = ReplicationConnection.to(upstream);
    try {
      const stream = await this.#inTime(connection, signal, async () => {
        await connection.open();
        const walSenderTimeoutMs = await this.#prepare(connection);
        const next = new Stream({ connection, log, sink, clock, walSenderTimeoutMs });
        this.#stream = next;
        await connection.start(slotName, publicationName, log.end().confirmLsn, next);
        return next;
      });
      this.#state = 'streaming';
      this.#fault = null;
      logger.info({ slot: slotName, from: formatLsn(log.end().confirmLsn) }, 'streaming');
      await stream.run(signal);
    } finally {
      connection.close();
      this.#endStream();
    }
  }

  /** Waits for the server, but neither for ever nor once the signal aborts: closing the connection ends every wait. */
  async #inTime<T>(connection: ReplicationConnection, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    let isLate = false;
    const close = (): void => connection.close();
    const cancel = this.#options.clock.after(START_TIMEOUT_MS, () => {
      isLate = true;
      close();
    });
    signal.addEventListener('abort', close);
    try {
      signal.throwIfAborted();
      return await work();
    } catch (error) {
      if (!isLate) throw error;
      throw new CaptureFault('silent', 'the server did not begin to stream in time', null, error);
    } finally {
      cancel();
      signal.removeEventListener('abort', close);
    }
  }

  /** Asks and checks what has to be known before the stream begins; returns `wal_sender_timeout` in ms. */
  async #prepare(connection: ReplicationConnection): Promise<number> {
    const { upstream, slotName, publicationName, log } = this.#options;
    const system = await connection.identifySystem();
    const facts = await askServer(connection.session);
    const slot = await findSlot(connection.session, slotName);
    const reached = { systemId: system.systemId, databaseOid: facts.databaseOid };
    const logged = log.source();
    const fault = checkBeforeStreaming({
      reached,
      databaseName: upstream.database,
      walLevel: facts.walLevel,
      flushLsn: system.flushLsn,
      slotName,
      slot,
      publicationName,
      hasPublication: await hasPublication(connection.session, publicationName),
      logged,
      logEnd: log.end(),
    });
    if (fault !== null) throw fault;
    if (logged === null) log.bindSource(reached);
    // A first stream begins where its slot does; from here on the slot must not be ahead of the log.
    if (slot !== null) log.confirm(slot.confirmedLsn);
    this.#upstreamLsn = system.flushLsn;
    return facts.walSenderTimeoutMs;
  }

  #endStream(): void {
    const stream = this.#stream;
    if (stream === null) return;
    stream.close();
    this.#noteStream();
    this.#changes += stream.counts.changes;
    this.#transactions += stream.counts.transactions;
    this.#stream = null;
  }

  /** Keeps what the stream knows, so that it is still known when the stream has ended. */
  #noteStream(): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#lastReceivedLsn = stream.receivedLsn;
    this.#lastConfirmedLsn = stream.confirmedLsn;
    if (stream.upstreamLsn > this.#upstreamLsn) this.#upstreamLsn = stream.upstreamLsn;
  }
}

function describe(fault: CaptureFault): string {
  return fault.remedy === null ? fault.message : `${fault.message}. ${fault.remedy}`;
}

interface StreamOptions {
  readonly connection: ReplicationConnection;
  readonly log: ChangeLog;
  readonly sink: ChunkSink;
  readonly clock: Clock;
  readonly walSenderTimeoutMs: number;
}

/** One connection while it streams: bytes in to the log, statuses out to the server. */
class Stream {
  readonly #connection: ReplicationConnection;
  readonly #intake: Intake;
  readonly #clock: Clock;
  readonly #walSenderTimeoutMs: number;
  readonly #ended: PromiseWithResolvers<never> = Promise.withResolvers();
  #confirmedLsn: Lsn = 0n;
  #receivedAtMs: number;
  #statusAtMs = 0;
  #cancelTimer: Cancel | null = null;

  constructor({ connection, log, sink, clock, walSenderTimeoutMs }: StreamOptions) {
    this.#connection = connection;
    this.#clock = clock;
    this.#walSenderTimeoutMs = walSenderTimeoutMs;
    this.#receivedAtMs = clock.monotonicMs();
    this.#intake = new Intake({
      log,
      sink,
      clock,
      onFailure: (error) => this.#ended.reject(error),
      onDurable: () => this.#statusAfterCommit(),
    });
    // Rejected before `run` waits for it, it must not count as unhandled.
    this.#ended.promise.catch(() => undefined);
  }

  get counts(): IntakeCounts {
    return this.#intake.counts;
  }

  get receivedLsn(): Lsn {
    return this.#intake.receivedLsn;
  }

  get confirmedLsn(): Lsn {
    return this.#confirmedLsn;
  }

  get upstreamLsn(): Lsn {
    return this.#intake.keepaliveLsn;
  }

  receive(bytes: Buffer): void {
    this.#receivedAtMs = this.#clock.monotonicMs();
    this.#intake.receive(bytes);
    if (this.#intake.takeAnswerWanted()) this.#sendStatus(false);
  }

  closed(error: Error): void {
    this.#ended.reject(error);
  }

  /** Rejects when the connection ends; resolves when the signal aborts, after a last flush and status. */
  async run(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = (): void => aborted.resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.#sendStatus(false);
      this.#startTimer();
      if (signal.aborted) onAbort();
      await Promise.race([this.#ended.promise, aborted.promise]);
      this.#intake.flush();
      await this.#finish();
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #finish(): Promise<void> {
    const cancel = this.#clock.after(FINISH_TIMEOUT_MS, () => this.#connection.close());
    await this.#connection.finish(this.#statusFrame(false));
    cancel();
  }

  close(): void {
    this.#cancelTimer?.();
    this.#intake.close();
  }

  #startTimer(): void {
    const intervalMs = statusIntervalMs(this.#walSenderTimeoutMs);
    const dueMs = this.#clock.monotonicMs() + intervalMs;
    this.#cancelTimer = this.#clock.after(intervalMs, () => {
      try {
        this.#onTimer(this.#clock.monotonicMs() - dueMs);
        this.#startTimer();
      } catch (error) {
        this.#ended.reject(error as Error);
      }
    });
  }

  #onTimer(latenessMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const state = liveness({
      walSenderTimeoutMs: this.#walSenderTimeoutMs,
      sinceReceivedMs: nowMs - this.#receivedAtMs,
      latenessMs,
    });
    if (state === 'dead') throw new CaptureFault('silent', 'the server has fallen silent', null);
    if (state === 'reset') this.#receivedAtMs = nowMs;
    this.#sendStatus(state === 'ask');
  }

  #statusAfterCommit(): void {
    if (this.#clock.monotonicMs() - this.#statusAtMs >= STATUS_AFTER_COMMIT_MS) this.#sendStatus(false);
  }

  #sendStatus(wantsAnswer: boolean): void {
    this.#connection.send(this.#statusFrame(wantsAnswer));
    this.#statusAtMs = this.#clock.monotonicMs();
  }

  #statusFrame(wantsAnswer: boolean): Buffer {
    const intake = this.#intake;
    const lsn = confirmableLsn({
      durableLsn: intake.durableLsn,
      serverLsn: intake.keepaliveLsn,
      pendingBytes: intake.pendingBytes,
      isTransactionOpen: intake.isTransactionOpen,
    });
    // Written down first: a slot that is found ahead of the log has been moved by somebody else.
    if (lsn > intake.durableLsn) intake.confirm(lsn);
    this.#confirmedLsn = lsn;
    const receivedLsn = intake.receivedLsn > lsn ? intake.receivedLsn : lsn;
    return standbyStatusFrame({ receivedLsn, confirmedLsn: lsn, nowMs: this.#clock.now(), wantsAnswer });
  }
}
