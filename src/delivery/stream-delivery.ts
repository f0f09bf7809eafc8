import type { Cancel, Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import type { DeadLetter, LoadedProgress, ProgressChange, StoredRetry, PositionRange } from '../log/delivery-store.ts';
import { comparePositions, type Position } from '../model/change.ts';
import type { DeliveryStatus } from '../model/status.ts';
import type { StreamDefinition, StreamOptions } from '../model/stream.ts';
import { formatLsn } from '../postgres/lsn.ts';
import { PgoutputError } from '../postgres/pgoutput.ts';
import type { Outcome, Sink } from '../sinks/sink.ts';
import type { Batch } from './batch.ts';
import type { ChangeEvent } from './change-event.ts';
import type { ChunkFeed } from './chunk-feed.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { failedMembers, type RequestBuilder } from './request-builder.ts';
import { acknowledgedRanges } from './acknowledged-ranges.ts';
import { ResumePoint } from './resume-point.ts';
import { Scheduler, type SchedulerOptions, type Settlement } from './scheduler.ts';
import { SinkSlot } from './sink-slot.ts';
import { type ReaderTarget, StreamReader } from './stream-reader.ts';
import { StreamStatistics } from './stream-statistics.ts';

/** Changes that a stream reads in one turn, before the others have theirs. */
const READ_PER_TURN = 2_048;
/** Requests that a stream starts in one turn. */
const SEND_PER_TURN = 64;
/** The wall clock may be set while a timer runs: it is asked again at least this often. */
const MAX_TIMER_MS = 60_000;

/** What streams share. */
export interface StreamContext {
  readonly feed: ChunkFeed;
  readonly builder: RequestBuilder;
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly createSink: (definition: StreamDefinition) => Sink;
  /** Asks for a turn. */
  readonly wake: (stream: StreamDelivery) => void;
  /** Tells that there is something to store. */
  readonly dirty: (stream: StreamDelivery) => void;
}

/**
 * One stream: reads its changes, sends what the scheduler gives out, and knows what is to be stored. It does something only
 * in its turn, or when an outcome comes.
 */
export class StreamDelivery implements ReaderTarget {
  readonly #context: StreamContext;
  readonly #scheduler: Scheduler<ChangeEvent>;
  readonly #reader: StreamReader;
  readonly #statistics: StreamStatistics;
  readonly #sink: SinkSlot;
  readonly #abort = new AbortController();
  readonly #deadLetters: DeadLetter[] = [];
  #definition: StreamDefinition;
  #haltedReason: string | null;
  /** What an earlier life acknowledged beyond its cursor. */
  readonly #storedRanges: readonly PositionRange[];
  #cursor: Position | null;
  #stopTimer: Cancel | null = null;
  #timerAtMs = Infinity;
  #removed = false;
  #storedNeed: number;
  #savedTail = 0;
  /** It has asked for a turn. */
  queued = false;
  /** It waits for the next chunk to become durable. */
  waitsForLog = false;

  constructor(context: StreamContext, definition: StreamDefinition, loaded: LoadedProgress | null) {
    const progress = loaded?.progress ?? null;
    this.#context = context;
    this.#definition = definition;
    this.#sink = new SinkSlot(context.createSink(definition));
    this.#cursor = progress?.cursor ?? null;
    this.#haltedReason = progress?.haltedReason ?? null;
    this.#statistics = new StreamStatistics(progress?.counters ?? null);
    this.#scheduler = new Scheduler(schedulerOptions(definition.options), context.random, progress?.lastBatchId);
    if (this.#haltedReason !== null) this.#scheduler.halt();
    const retries = (loaded?.retries ?? []).map((stored) => ({ stored, batch: this.#restore(stored) }));
    this.#storedRanges = progress?.acknowledged ?? [];
    const resume = new ResumePoint(definition.startLsn, this.#cursor, this.#storedRanges, retries);
    const first = context.feed.firstChunkEndingAfter(this.#cursor, definition.startLsn);
    this.#reader = new StreamReader(context.feed, definition, resume, first);
    this.#reader.countPartial();
    this.#storedNeed = this.#neededChunk();
  }

  get definition(): StreamDefinition {
    return this.#definition;
  }

  get oids(): Iterable<number> {
    return this.#reader.oids;
  }

  get inFlight(): number {
    return this.#scheduler.inFlight;
  }

  /** The first chunk that has not been read, for counting what is there at the start; null where nothing is. */
  get firstUnread(): number | null {
    return this.#reader.nextChunk;
  }

  /** The lowest chunk that a restart would read. */
  get storedNeed(): number {
    return this.#storedNeed;
  }

  countUnread(header: ChunkHeader): void {
    this.#reader.countUnread(header);
  }

  appended(header: ChunkHeader): void {
    this.#reader.appended(header);
    if (this.#running) this.#context.wake(this);
  }

  /** Takes a changed definition. RESUME of a stream that its endpoint halted starts it again. */
  configure(definition: StreamDefinition): void {
    const before = this.#definition;
    this.#definition = definition;
    this.#scheduler.configure(schedulerOptions(definition.options));
    if (sinkKey(before) !== sinkKey(definition)) void this.#sink.replace(this.#context.createSink(definition));
    const resumed = before.desiredState === 'paused' && definition.desiredState === 'running';
    if (resumed && this.#haltedReason !== null) {
      this.#haltedReason = null;
      this.#scheduler.resume();
      this.#context.dirty(this);
    }
    if (this.#running) this.#context.wake(this);
  }

  /** One turn: reads, sends. True where it would go on at once. */
  turn(): boolean {
    if (!this.#running) return false;
    try {
      const result = this.#reader.read(this, READ_PER_TURN);
      this.waitsForLog = result === 'later';
      if (result === 'gone') this.#lost();
      // Members that are not among what may be held will not come while the batch holds the rest back.
      if (result === 'full') this.#scheduler.dissolveIncomplete();
      const more = this.#sendReady();
      return more || result === 'more';
    } catch (error) {
      if (!(error instanceof PgoutputError)) throw error;
      this.#fault(`the log cannot be decoded: ${error.message}`);
      return false;
    }
  }

  // What the reader asks of its target.

  hasRoom(): boolean {
    return this.#scheduler.hasRoom && this.#context.budget.allows(this.#scheduler.window.bytes);
  }

  add(event: ChangeEvent, member: Batch<ChangeEvent> | null): void {
    this.#context.budget.change(event.bytes);
    this.#statistics.lastEventAtMs = event.transaction.commitMs;
    if (member === null) this.#scheduler.add(event);
    else this.#scheduler.addMember(member, event);
  }

  resumed(): void {
    this.#scheduler.dissolveIncomplete();
  }

  /** What is to be stored now. `saved` tells that it was. */
  unsaved(): ProgressChange {
    const { window } = this.#scheduler;
    const retries: StoredRetry[] = [];
    const endedRetries: number[] = [];
    for (const batch of this.#scheduler.changed) {
      if (batch.state === 'finished' || batch.firstAttemptMs === null) endedRetries.push(batch.id);
      else retries.push(storedRetry(batch, batch.firstAttemptMs));
    }
    this.#moveCursor();
    return {
      streamId: this.#definition.id,
      progress: {
        cursor: this.#cursor,
        acknowledged: acknowledgedRanges(
          this.#storedRanges,
          [...window.finishedRuns()].map(([first, last]) => ({ first: first.position, last: last.position })),
          this.#cursor,
        ),
        lastBatchId: this.#scheduler.lastBatchId,
        haltedReason: this.#haltedReason,
        counters: this.#statistics.counters(),
      },
      retries,
      endedRetries,
      deadLetters: [...this.#deadLetters],
    };
  }

  /** Everything that the last `unsaved` gave is durable. */
  saved(): void {
    this.#scheduler.clearChanged();
    this.#deadLetters.length = 0;
    this.#storedNeed = this.#neededChunk();
    this.#savedTail = this.#context.feed.durableId;
  }

  /** The log has moved past an idle stream, whose stored cursor would keep it from being trimmed. */
  get isBehindIdle(): boolean {
    return this.#isIdle && this.#context.feed.durableId > this.#savedTail;
  }

  status(): DeliveryStatus {
    const { window } = this.#scheduler;
    return {
      streamId: this.#definition.id,
      pendingEvents: window.pending + this.#reader.unread,
      pendingBytes: window.bytes + this.#reader.unreadBytes,
      inFlight: this.#scheduler.inFlight,
      oldestPendingCommitMs: window.oldest?.transaction.commitMs ?? this.#reader.oldestUnreadMs,
      nextRetryAtMs: this.#scheduler.nextRetryMs,
      haltedReason: this.#haltedReason,
      acknowledgedLsn: this.#acknowledgedLsn(),
      ...this.#statistics.report(window.pending + this.#reader.unread),
    };
  }

  /** Ends what is in flight, without waiting for its answers. */
  async close(): Promise<void> {
    this.#removed = true;
    this.#stopTimer?.();
    this.#context.budget.change(-this.#scheduler.window.bytes);
    this.#abort.abort();
    await this.#sink.close();
  }

  get #running(): boolean {
    return !this.#removed && this.#definition.desiredState === 'running' && this.#haltedReason === null;
  }

  get #isIdle(): boolean {
    return this.#scheduler.window.pending === 0 && this.#reader.nextChunk === null;
  }

  #sendReady(): boolean {
    const nowMs = this.#context.clock.now();
    for (let sent = 0; sent < SEND_PER_TURN; sent++) {
      if (!this.#sendNext(nowMs)) {
        this.#armTimer(nowMs);
        return false;
      }
    }
    return true;
  }

  #sendNext(nowMs: number): boolean {
    const { builder } = this.#context;
    const { options, name } = this.#definition;
    builder.begin(options.batchMaxEvents > 1, options.batchMaxBytes);
    const batch = this.#scheduler.next(nowMs, (event) => builder.append(event));
    if (batch === null) return false;
    if (batch.entries.length !== builder.count) {
      // A batch that was sent before: the same members, whatever the limits are now.
      builder.begin(options.batchMaxEvents > 1 || batch.entries.length > 1, Infinity);
      for (const { event } of batch.entries) builder.append(event);
    }
    const { request, ids } = builder.finish(name, batch.attempts + 1);
    const startedMs = this.#context.clock.monotonicMs();
    void this.#sink.send(request, this.#abort.signal).then((outcome) => {
      this.#settle(batch, outcome, ids, this.#context.clock.monotonicMs() - startedMs);
    });
    return true;
  }

  #settle(batch: Batch<ChangeEvent>, outcome: Outcome, ids: Buffer, tookMs: number): void {
    if (this.#removed) return;
    const nowMs = this.#context.clock.now();
    const failed = outcome.class === 'ok' && outcome.failed.length > 0 ? failedMembers(ids, outcome.failed) : undefined;
    const bytesBefore = this.#scheduler.window.bytes;
    const settlement = this.#scheduler.settle(batch, outcome, nowMs, failed);
    this.#context.budget.change(this.#scheduler.window.bytes - bytesBefore);
    this.#statistics.attempt(outcome, settlement, nowMs, tookMs);
    if (outcome.class === 'gone') this.#halt(outcome.reason);
    if (settlement.dead.length > 0) this.#bury(batch, settlement, outcome, nowMs);
    this.#context.dirty(this);
    this.#context.wake(this);
  }

  #bury(batch: Batch<ChangeEvent>, { dead, attempts }: Settlement<ChangeEvent>, outcome: Outcome, nowMs: number): void {
    const failure = outcome.class === 'ok' || outcome.class === 'cancelled' ? null : outcome;
    for (const event of dead) {
      const { eventId, body, key } = this.#context.builder.single(event);
      this.#deadLetters.push({
        eventId,
        position: event.position,
        schema: event.source.table.schema,
        table: event.source.table.name,
        key,
        payload: body,
        reason: failure?.reason ?? 'listed as failed by the receiver',
        attempts,
        lastStatus: failure?.status ?? null,
        firstAttemptMs: batch.firstAttemptMs,
        diedAtMs: nowMs,
      });
    }
    this.#context.logger.warn(
      { stream: this.#definition.name, events: dead.length, attempts, code: failure?.code },
      'events dead-lettered',
    );
  }

  #halt(reason: string): void {
    this.#haltedReason = `${reason}: the endpoint wants no more events`;
    this.#context.logger.warn({ stream: this.#definition.name, reason: this.#haltedReason }, 'stream halted');
  }

  #fault(reason: string): void {
    this.#haltedReason = reason;
    this.#scheduler.halt();
    this.#statistics.fault(reason, this.#context.clock.now());
    this.#context.logger.error({ stream: this.#definition.name, reason }, 'stream halted');
  }

  #lost(): void {
    const reason = 'changes were trimmed from the log before they were delivered';
    this.#statistics.fault(reason, this.#context.clock.now());
    this.#context.logger.error({ stream: this.#definition.name }, reason);
    this.#context.wake(this);
  }

  #armTimer(nowMs: number): void {
    const dueMs = this.#scheduler.nextDueMs(nowMs);
    if (dueMs === this.#timerAtMs || (dueMs === null && this.#stopTimer === null)) return;
    this.#stopTimer?.();
    this.#stopTimer = null;
    this.#timerAtMs = dueMs ?? Infinity;
    if (dueMs === null) return;
    this.#stopTimer = this.#context.clock.after(Math.min(dueMs - nowMs, MAX_TIMER_MS), () => {
      this.#stopTimer = null;
      this.#timerAtMs = Infinity;
      this.#context.wake(this);
    });
  }

  #restore(stored: StoredRetry): Batch<ChangeEvent> {
    return this.#scheduler.restore(stored.batchId, { ...stored, members: stored.members.length });
  }

  /** Past everything finished; an idle stream's moves with the tail. */
  #moveCursor(): void {
    const passed = this.#scheduler.window.passed;
    if (passed !== null) this.#cursor = later(this.#cursor, passed.position);
    const tail = this.#context.feed.durableEnd;
    if (this.#isIdle && tail !== null) this.#cursor = later(this.#cursor, tail);
  }

  #neededChunk(): number {
    const { feed } = this.#context;
    return this.#scheduler.window.oldest?.chunkId ?? this.#reader.nextChunk ?? feed.lastId + 1;
  }

  #acknowledgedLsn(): string | null {
    const passed = this.#scheduler.window.passed;
    const at = passed === null ? this.#cursor : later(this.#cursor, passed.position);
    return at === null ? null : formatLsn(at.commitLsn);
  }
}

function later(a: Position | null, b: Position): Position {
  return a === null || comparePositions(a, b) < 0 ? b : a;
}

function schedulerOptions(options: StreamOptions): SchedulerOptions {
  return {
    batchMaxEvents: options.batchMaxEvents,
    maxInFlight: options.maxInFlight,
    maxRetries: options.maxRetries,
    backoff: { initialMs: options.initialBackoffMs, maxMs: options.maxBackoffMs },
  };
}

/** Equal for definitions that one sink serves. */
function sinkKey({ destination, options }: StreamDefinition): string {
  return JSON.stringify([destination, options.headers, options.requestTimeoutMs]);
}

function storedRetry(batch: Batch<ChangeEvent>, firstAttemptMs: number): StoredRetry {
  return {
    batchId: batch.id,
    attempts: batch.attempts,
    transientFailures: batch.transientFailures,
    rejections: batch.rejections,
    firstAttemptMs,
    dueAtMs: batch.dueAtMs,
    members: batch.entries.map(({ event }) => event.position),
  };
}
