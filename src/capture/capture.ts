import { AssertionError } from '../base/assert.ts';
import type { Cancel, Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Service } from '../base/service.ts';
import type { ChangeLog } from '../log/change-log.ts';
import type { CommitMark } from '../log/chunk.ts';
import type { CaptureStatus } from '../model/status.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import { withAdmin } from '../upstream/connect.ts';
import { askServer } from '../upstream/questions.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Backfiller } from './backfiller.ts';
import type { BuilderEvents } from './chunk-builder.ts';
import { confirmableLsn } from './confirm.ts';
import { CaptureFault, faultOf } from './fault.ts';
import { checkBeforeStreaming, type TimelineFacts } from './guards.ts';
import { Heartbeat, HEARTBEAT_PREFIX, OVERDUE_MS, type TableCare } from './heartbeat.ts';
import { Intake, type ChunkSink, type IntakeCounts, type IntakeOptions } from './intake.ts';
import { liveness, statusIntervalMs } from './liveness.ts';
import { hasPublication, insertsOf } from './publication.ts';
import { ReplicationConnection } from './replication-connection.ts';
import { findSlot, type SlotState } from './slot.ts';
import { standbyStatusFrame } from './standby-status.ts';

/** From the first packet to the server's answer that the stream begins. */
const START_TIMEOUT_MS = 30_000;
/** For the last status to leave when capture stops. */
const FINISH_TIMEOUT_MS = 1_000;
/** With nothing pending, the slot is behind the server by little more than this. */
const STATUS_AFTER_BYTES = 1n * 1024n * 1024n;
/** How often the log's size is compared with its budget; what comes in between is what it may be over. */
const BUDGET_CHECK_MS = 100;
const LOOK_LIMITS = { statementTimeoutMs: 5_000, lockTimeoutMs: 5_000 };
const RESUME_SHARE = 0.9;
/** After a commit, a status goes out unless one did so this recently. */
const STATUS_AFTER_COMMIT_MS = 1_000;

export interface CaptureOptions {
  readonly upstream: Upstream;
  readonly slotName: string;
  readonly publicationName: string;
  readonly log: ChangeLog;
  readonly sink: ChunkSink;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly heartbeatMs?: number;
  readonly backfiller?: Backfiller;
  readonly tables?: TableCare;
  /** With more than this in the log nothing is read until some of it is gone; 0: no limit. `setBudget` changes it. */
  readonly maxLogBytes?: number;
  /** The guards have passed and the stream has begun. */
  readonly onStreaming?: () => void;
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
  #heartbeat: Heartbeat | null = null;
  #slot: SlotState | null = null;
  #completeLsn: Lsn = 0n;
  #lastConfirmedLsn: Lsn = 0n;
  #lastReceivedLsn: Lsn = 0n;
  #upstreamLsn: Lsn = 0n;
  #changes = 0;
  #transactions = 0;
  #maxLogBytes: number;

  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#maxLogBytes = options.maxLogBytes ?? 0;
  }

  async run(signal: AbortSignal): Promise<void> {
    // What an operator has to mend stays in sight while it is tried again.
    if (this.#state !== 'failed') this.#state = 'connecting';
    try {
      await this.#connectAndStream(signal);
      this.#state = 'idle';
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      this.#fault = faultOf(error);
      this.#state = this.#fault.kind === 'reconnect' ? 'connecting' : 'failed';
      if (!signal.aborted && this.#fault.kind === 'gap') this.#completeLsn = await this.#lookForGap(this.#fault);
      if (signal.aborted) {
        this.#state = 'idle';
        return;
      }
      throw this.#fault;
    }
  }

  /** Up to where nothing was lost, where `run` has rejected with a gap. */
  get completeLsn(): Lsn {
    return this.#completeLsn;
  }

  /** As `maxLogBytes`, from now on. */
  setBudget(maxLogBytes: number): void {
    this.#maxLogBytes = maxLogBytes;
    this.#stream?.setBudget(maxLogBytes);
  }

  /** What beats with the heart is done at once, where it streams. */
  beatNow(): void {
    this.#heartbeat?.beatNow();
  }

  /** The counts are since this object was made. Asks the log for its size, so it belongs on the log's thread. */
  status(): CaptureStatus {
    const counts = this.#stream?.counts ?? { changes: 0, transactions: 0 };
    const size = this.#options.log.size();
    const lsn = (value: Lsn): string | null => (value === 0n ? null : formatLsn(value));
    this.#noteStream();
    return {
      state: this.#state,
      error: this.#fault === null ? this.#overdue() : describe(this.#fault),
      slotName: this.#options.slotName,
      slotWalStatus: (this.#heartbeat?.slot ?? this.#slot)?.walStatus ?? null,
      backfills: this.#options.backfiller?.statuses() ?? [],
      heartbeatAgeMs: this.#heartbeat?.ageMs() ?? 0,
      receivedLsn: lsn(this.#lastReceivedLsn),
      confirmedLsn: lsn(this.#lastConfirmedLsn),
      upstreamLsn: lsn(this.#upstreamLsn),
      changesCaptured: this.#changes + counts.changes,
      transactionsCaptured: this.#transactions + counts.transactions,
      logBytes: size.bytes,
      logChunks: size.chunks,
    };
  }

  /** Slot and publication are going to be made anew, and with that is gone what tells of a table that was taken out. */
  async #lookForGap({ reason }: CaptureFault): Promise<Lsn> {
    const { upstream, log, tables } = this.#options;
    if (tables === undefined) return log.end().confirmLsn;
    const { membership } = tables;
    return membership.completeLsn(async () => {
      // Of another history nothing can be asked of the server.
      if (reason === 'other-history') throw new Error('the server is not where it was');
      return withAdmin(upstream, (admin) => membership.look(admin), LOOK_LIMITS);
    });
  }

  async #connectAndStream(signal: AbortSignal): Promise<void> {
    const { upstream, slotName, log, sink, clock, backfiller, tables } = this.#options;
    const connection = ReplicationConnection.to(upstream);
    try {
      const stream = await this.#inTime(connection, signal, async () => {
        await connection.open();
        const { walSenderTimeoutMs, marks, publications } = await this.#prepare(connection);
        const next = new Stream({
          connection,
          log,
          sink,
          clock,
          walSenderTimeoutMs,
          marks,
          maxLogBytes: this.#maxLogBytes,
          events: {
            onMessage: (prefix, content) => this.#onMessage(prefix, content),
            onVerified: () => this.#onVerified(),
            ...(backfiller && { watch: backfiller.watch, recent: backfiller.recent }),
          },
          atMark: (mark) => tables?.gaps.atMark(mark) ?? backfiller?.atMark(mark) ?? null,
        });
        this.#stream = next;
        // From where the slot is: what is sent again is compared with what the log has.
        await connection.start(slotName, publications, 0n, next);
        return next;
      });
      await this.#streamWithHeartbeat(stream, signal);
    } finally {
      connection.close();
      this.#endStream();
    }
  }

  async #streamWithHeartbeat(stream: Stream, signal: AbortSignal): Promise<void> {
    const { upstream, slotName, publicationName, clock, logger, heartbeatMs, tables } = this.#options;
    const ended = new AbortController();
    const heartbeat = new Heartbeat({
      upstream,
      slotName,
      publicationName,
      clock,
      logger,
      onFault: (fault) => stream.closed(fault),
      ...(heartbeatMs === undefined ? {} : { everyMs: heartbeatMs }),
      ...(tables && { tables }),
    });
    this.#heartbeat = heartbeat;
    tables?.gaps.begin();
    const either = AbortSignal.any([signal, ended.signal]);
    const besides = [heartbeat.run(either), this.#options.backfiller?.run(either) ?? Promise.resolve()];
    try {
      await stream.run(signal);
    } finally {
      ended.abort();
      await Promise.all(besides);
      this.#slot = heartbeat.slot;
      this.#heartbeat = null;
    }
  }

  #onVerified(): void {
    const { slotName, log, logger, onStreaming } = this.#options;
    this.#state = 'streaming';
    this.#fault = null;
    logger.info({ slot: slotName, from: formatLsn(log.end().confirmLsn) }, 'streaming');
    onStreaming?.();
  }

  #onMessage(prefix: string, content: string): void {
    if (prefix === HEARTBEAT_PREFIX) this.#heartbeat?.came(content);
  }

  /** Why what streams may bring nothing; null where all is well. */
  #overdue(): string | null {
    const { log } = this.#options;
    if (this.#stream?.isPaused === true) {
      return `the log has ${log.size().bytes} bytes, and its budget is ${this.#maxLogBytes}: nothing is read until some of it is delivered`;
    }
    const waitingMs = this.#heartbeat?.waitingMs() ?? 0;
    // Whoever has a large transaction to send sends what comes after it later.
    if (waitingMs < OVERDUE_MS || (this.#stream?.sinceReceivedMs ?? 0) < OVERDUE_MS) return null;
    return `no heartbeat has come back through the slot for ${Math.floor(waitingMs / 1000)} s`;
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

  /** Asks and checks what has to be known before the stream begins. */
  async #prepare(connection: ReplicationConnection): Promise<{
    readonly walSenderTimeoutMs: number;
    readonly marks: readonly CommitMark[] | null;
    readonly publications: readonly string[];
  }> {
    const { upstream, slotName, publicationName, log } = this.#options;
    const system = await connection.identifySystem();
    const facts = await askServer(connection.session);
    const slot = await findSlot(connection.session, slotName);
    this.#slot = slot;
    const reached = { systemId: system.systemId, databaseOid: facts.databaseOid };
    const logged = log.source();
    const fault = checkBeforeStreaming({
      reached,
      databaseName: upstream.config.database,
      walLevel: facts.walLevel,
      flushLsn: system.flushLsn,
      timeline: await this.#timeline(connection, system.timeline),
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
    log.setTimeline(system.timeline);
    this.#options.tables?.membership.begin();
    this.#upstreamLsn = system.flushLsn;
    const marks = log.commitMarks(slot?.confirmedLsn ?? 0n, log.end().confirmLsn);
    // Made with the slot, if at all: where it is not there it never was.
    const inserts = insertsOf(publicationName);
    const hasInserts = await hasPublication(connection.session, inserts);
    const publications = hasInserts ? [publicationName, inserts] : [publicationName];
    return { walSenderTimeoutMs: facts.walSenderTimeoutMs, marks, publications };
  }

  async #timeline(connection: ReplicationConnection, reached: number): Promise<TimelineFacts> {
    const logged = this.#options.log.timeline();
    if (logged === null || logged === reached) return { reached, logged, leftLsn: null };
    // The first timeline has no history.
    const history = reached === 1 ? new Map<number, Lsn>() : await connection.timelineHistory(reached);
    return { reached, logged, leftLsn: history.get(logged) ?? null };
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
  readonly marks: readonly CommitMark[] | null;
  readonly maxLogBytes: number;
  readonly events: BuilderEvents;
  readonly atMark: NonNullable<IntakeOptions['atMark']>;
}

/** One connection while it streams: bytes in to the log, statuses out to the server. */
class Stream {
  readonly #connection: ReplicationConnection;
  readonly #log: ChangeLog;
  #maxLogBytes: number;
  readonly #intake: Intake;
  readonly #clock: Clock;
  readonly #walSenderTimeoutMs: number;
  readonly #ended: PromiseWithResolvers<never> = Promise.withResolvers();
  #confirmedLsn: Lsn = 0n;
  #receivedAtMs: number;
  #dataAtMs: number;
  #statusAtMs = 0;
  #cancelTimer: Cancel | null = null;
  #cancelBudgetTimer: Cancel | null = null;
  #isPaused = false;
  #isRunning = false;

  constructor(options: StreamOptions) {
    const { connection, log, sink, clock, walSenderTimeoutMs, marks, maxLogBytes, events, atMark } = options;
    this.#log = log;
    this.#maxLogBytes = maxLogBytes;
    this.#connection = connection;
    this.#clock = clock;
    this.#walSenderTimeoutMs = walSenderTimeoutMs;
    this.#receivedAtMs = this.#dataAtMs = clock.monotonicMs();
    this.#intake = new Intake({
      log,
      sink,
      clock,
      marks,
      events,
      atMark,
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

  get sinceReceivedMs(): number {
    return this.#clock.monotonicMs() - this.#dataAtMs;
  }

  receive(bytes: Buffer): void {
    this.#receivedAtMs = this.#clock.monotonicMs();
    this.#intake.receive(bytes);
    // Keepalives leave nothing behind.
    if (this.#intake.pendingBytes > 0) this.#dataAtMs = this.#receivedAtMs;
    if (this.#intake.takeAnswerWanted() || this.#isFarBehind()) this.#sendStatus(false);
  }

  /** Nothing for us has come for long, while the server has written much. */
  #isFarBehind(): boolean {
    const { keepaliveLsn, isVerified } = this.#intake;
    return isVerified && keepaliveLsn - this.#confirmedLsn >= STATUS_AFTER_BYTES && !this.#intake.isPending;
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
      // The answer tells that all that is sent again has been.
      this.#sendStatus(true);
      this.#startTimer();
      this.#isRunning = true;
      this.#watchBudget();
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
    this.#isRunning = false;
    this.#cancelTimer?.();
    this.#cancelBudgetTimer?.();
    this.#intake.close();
  }

  /** The log is full: the server keeps what it has. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  setBudget(maxLogBytes: number): void {
    this.#maxLogBytes = maxLogBytes;
    if (!this.#isRunning) return;
    this.#cancelBudgetTimer?.();
    this.#watchBudget();
  }

  /** Stops reading above the budget, and goes on once a little is gone. */
  #watchBudget(): void {
    const budget = this.#maxLogBytes === 0 ? Infinity : this.#maxLogBytes;
    const { bytes } = this.#log.size();
    if (!this.#isPaused && bytes > budget) {
      this.#isPaused = true;
      this.#connection.pause();
    } else if (this.#isPaused && bytes < budget * RESUME_SHARE) {
      this.#isPaused = false;
      this.#receivedAtMs = this.#clock.monotonicMs();
      this.#connection.resume();
    }
    if (budget === Infinity) return;
    this.#cancelBudgetTimer = this.#clock.after(BUDGET_CHECK_MS, () => this.#watchBudget());
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
    // Whoever does not listen hears nothing.
    if (this.#isPaused) this.#receivedAtMs = nowMs;
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
    // 0 confirms nothing: a slot of another history must not be moved over what would tell it apart.
    if (!intake.isVerified) {
      return standbyStatusFrame({ receivedLsn: 0n, confirmedLsn: 0n, nowMs: this.#clock.now(), wantsAnswer });
    }
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
