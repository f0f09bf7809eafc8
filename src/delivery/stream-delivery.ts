import type { Cancel } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import type {
  BatchChange,
  DeliveryStore,
  LoadedProgress,
  PositionRange,
  ProgressChange,
  StoredRetry,
} from '../log/delivery-store.ts';
import { comparePositions, type Position } from '../model/change.ts';
import type { DeliveryRecord, PeekedRequest, SkipResult } from '../model/delivery-control.ts';
import type { CircuitStateName, DeliveryStatus } from '../model/status.ts';
import { type ResolvedStream, secretTexts } from '../model/resolved-stream.ts';
import { formatLsn } from '../postgres/lsn.ts';
import { PgoutputError } from '../postgres/pgoutput.ts';
import type { Outcome, SinkBatch } from '../sinks/sink.ts';
import type { Batch, Member } from './batch.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import type { ChangeEvent } from './change-event.ts';
import type { ChunkFeed } from './chunk-feed.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { Parking, type ReadParked } from './parking.ts';
import { StoredEvent } from './stored-event.ts';
import { failedMembers } from './request-builder.ts';
import { AttemptLog } from './attempt-log.ts';
import { type CauseOfDeath, causeOfDeath, Graveyard } from './graveyard.ts';
import { peekRequest } from './peek.ts';
import { acknowledgedRanges } from './acknowledged-ranges.ts';
import { ResumePoint } from './resume-point.ts';
import { Scheduler, type Settlement, type WindowLimits } from './scheduler.ts';
import { type Dispatch, Outbox, type OutboxContext } from './outbox.ts';
import { later, originOf, schedulerOptions, storedRanges, storedRetry, storedWaits } from './stream-settings.ts';
import { type ReaderTarget, StreamReader } from './stream-reader.ts';
import { TableShapes } from './table-shapes.ts';
import { StreamStatistics } from './stream-statistics.ts';
import { WallClockWatch } from './wall-clock-watch.ts';

/** Changes that a stream reads in one turn, before the others have theirs. */
const READ_PER_TURN = 2_048;
/** Requests that a stream starts in one turn. */
const SEND_PER_TURN = 64;
/** The wall clock may be set while a timer runs: it is asked again at least this often. */
const MAX_TIMER_MS = 60_000;

const SKIPPED: CauseOfDeath = { reason: 'skipped by an operator', status: null, excerpt: null };

/** What streams share. */
export interface StreamContext extends OutboxContext {
  readonly feed: ChunkFeed;
  readonly budget: MemoryBudget;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: WindowLimits | undefined;
  readonly store: Pick<DeliveryStore, 'readParked' | 'oldestParkedMs' | 'deadLetters' | 'failedAttempts'>;
  /** Asks for a turn. */
  readonly wake: (stream: StreamDelivery) => void;
  /** Tells that there is something to store. */
  readonly dirty: (stream: StreamDelivery) => void;
  /** Stores at once, before anybody's next turn. */
  readonly saveNow: (stream: StreamDelivery) => void;
  /** Tells that it has batches whose members are to be stored before they are sent. */
  readonly unsent: (stream: StreamDelivery) => void;
}

/**
 * One stream: reads its changes, sends what the scheduler gives out, and knows what is to be stored. It does something only
 * in its turn, or when an outcome comes.
 */
export class StreamDelivery implements ReaderTarget {
  readonly #context: StreamContext;
  readonly #scheduler: Scheduler<DeliveryEvent>;
  readonly #reader: StreamReader;
  readonly #shapes: TableShapes;
  readonly #statistics: StreamStatistics;
  readonly #outbox: Outbox;
  readonly #graveyard: Graveyard;
  readonly #attempts: AttemptLog;
  readonly #parking: Parking;
  /** What the budget was told of. */
  #budgetedBytes = 0;
  #budgetedEvents = 0;
  #definition: ResolvedStream;
  /** What the circuit is of: null where the destination has none. */
  #origin: string;
  #haltedReason: string | null;
  /** Events up to here have been sent before. */
  readonly #replayUntil: Position | null;
  /** What an earlier life acknowledged beyond its cursor. */
  readonly #storedRanges: readonly PositionRange[];
  /** Of an earlier life, finished: their members are among the ranges. */
  #staleBatches: readonly number[] = [];
  /** The store has it. */
  #isKnown: boolean;
  #cursor: Position | null;
  #stopTimer: Cancel | null = null;
  #timerAtMs = Infinity;
  #removed = false;
  /** Since when it runs; null while it does not. */
  #startedAtMs: number | null = null;
  /** Who waits for events that are under way to be skipped. */
  #skips: {
    readonly id: string;
    readonly batch: Batch<DeliveryEvent>;
    readonly event: DeliveryEvent;
    readonly resolve: (result: SkipResult) => void;
  }[] = [];
  #storedNeed: number;
  #savedTail = 0;
  /** Wall time at the beginning of the turn. */
  #turnMs = 0;
  readonly #wallClock: WallClockWatch;
  /** It has asked for a turn. */
  queued = false;
  /** It waits for the next chunk to become durable. */
  waitsForLog = false;

  constructor(context: StreamContext, definition: ResolvedStream, loaded: LoadedProgress | null) {
    const progress = loaded?.progress ?? null;
    this.#context = context;
    this.#wallClock = new WallClockWatch(context.clock);
    this.#definition = definition;
    this.#cursor = progress?.cursor ?? null;
    this.#haltedReason = progress?.haltedReason ?? null;
    this.#replayUntil = loaded?.replayUntil ?? null;
    this.#statistics = new StreamStatistics(progress?.counters ?? null);
    this.#origin = originOf(definition);
    const waits = loaded && storedWaits(loaded, this.#origin, definition.options, context.clock.now());
    this.#scheduler = new Scheduler(schedulerOptions(definition.options), context.random, {
      lastBatchId: progress?.lastBatchId,
      circuit: waits?.circuit,
      throttledUntilMs: waits?.throttledUntilMs,
      keyMarks: loaded?.keyMarks,
      limits: context.limits,
    });
    this.#outbox = new Outbox(context, this.#scheduler, definition, {
      unsent: () => context.unsent(this),
      oversize: (batch, maxBytes, nowMs) => this.#buryOversize(batch, maxBytes, nowMs),
      settled: (...settled) => this.#settle(...settled),
    });
    for (const key of loaded?.blockedKeys ?? []) this.#scheduler.block(key, key.eventId);
    if (this.#haltedReason !== null) this.#scheduler.halt();
    const retries = (waits?.retries ?? []).map((stored) => ({ stored, batch: this.#restore(stored) }));
    this.#storedRanges = storedRanges(loaded);
    this.#staleBatches = loaded?.finishedBatches ?? [];
    this.#isKnown = loaded !== null;
    const resume = new ResumePoint(definition.startLsn, this.#cursor, this.#storedRanges, retries);
    const { id } = definition;
    const counts = loaded?.deadLetters ?? { kept: 0, retrying: 0 };
    this.#graveyard = new Graveyard(id, this.#scheduler, context.builder, context.store.deadLetters, counts);
    this.#attempts = new AttemptLog(loaded?.lastAttempt ?? 0);
    const read: ReadParked = (...lane) => context.store.readParked(id, ...lane);
    this.#parking = new Parking(this.#scheduler, context.builder, read, loaded?.parked.lastSeq ?? 0);
    this.#restoreParked(loaded, resume);
    const first = context.feed.firstChunkEndingAfter(this.#cursor, definition.startLsn);
    this.#shapes = new TableShapes(definition.options.schemaChangePolicy, loaded?.shapes ?? []);
    this.#reader = new StreamReader(context.feed, definition, resume, first, this.#shapes);
    this.#reader.countPartial();
    this.#storedNeed = this.#neededChunk();
    this.#noteProblem();
    this.#noteRunning();
  }

  get definition(): ResolvedStream {
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
  configure(definition: ResolvedStream): void {
    const before = this.#definition;
    this.#definition = definition;
    this.#reader.hold(definition);
    this.#scheduler.configure(schedulerOptions(definition.options));
    if (this.#outbox.configure(definition)) {
      this.#scheduler.breaker.probeNow(this.#context.clock.now());
      this.#noteProblem();
    }
    const resumed = before.desiredState === 'paused' && definition.desiredState === 'running';
    if (originOf(definition) !== this.#origin) {
      this.#origin = originOf(definition);
      this.#scheduler.forgetReceiver();
      this.#context.dirty(this);
    }
    if (resumed && this.#haltedReason !== null) {
      this.#haltedReason = null;
      this.#reader.goOn();
      this.#scheduler.resume(this.#context.clock.now());
      this.#context.dirty(this);
    }
    this.#noteRunning();
    if (this.#running) this.#context.wake(this);
  }

  /** Connects anew for what it sends from now on, and tries a receiver that has failed at once. */
  reconnect(): void {
    this.#outbox.renewSink();
    this.#scheduler.breaker.probeNow(this.#context.clock.now());
    this.#noteProblem();
    if (this.#running) this.#context.wake(this);
  }

  /** One turn: reads, sends. True where it would go on at once. */
  turn(): boolean {
    if (!this.#running) return false;
    this.#turnMs = this.#time();
    try {
      this.#parking.unpark(this.#turnMs);
      this.#graveyard.replay(this.#turnMs);
      const result = this.#reader.read(this, READ_PER_TURN);
      this.waitsForLog = result === 'later';
      if (result === 'gone') this.#lost();
      // Members that are not among what may be held will not come while the batch holds the rest back.
      if (result === 'full') this.#scheduler.dissolveIncomplete();
      if (result === 'reshaped' && this.#scheduler.pending === 0) {
        this.#waitForOperator();
        return false;
      }
      const more = this.#sendReady();
      if (result === 'full' && !more && this.#parking.park(this.#turnMs)) {
        this.#account();
        this.#context.saveNow(this);
        return true;
      }
      return more || result === 'more';
    } catch (error) {
      if (!(error instanceof PgoutputError)) throw error;
      this.#fault(`the log cannot be decoded: ${error.message}`);
      return false;
    }
  }

  // What the reader asks of its target.

  hasRoom(): boolean {
    const { hasRoom, bytes, heldEvents, awaitsMembers } = this.#scheduler;
    // What was held before a restart is held again, so that its requests are the same.
    return hasRoom && this.#context.budget.allows(bytes, awaitsMembers ? 0 : heldEvents);
  }

  add(event: ChangeEvent, member: Member<DeliveryEvent> | null): void {
    event.isReplay = this.#replayUntil !== null && comparePositions(event.position, this.#replayUntil) <= 0;
    this.#statistics.lastEventAtMs = event.commitMs;
    if (member === null) this.#scheduler.add(event, this.#turnMs);
    else this.#scheduler.addMember(member, event, this.#turnMs);
    this.#account();
  }

  skip(position: Position, count: number): void {
    this.#statistics.filtered(count);
    this.#scheduler.window.skip({ position });
    this.#context.dirty(this);
  }

  doubt(reason: string): void {
    this.#statistics.doubt(reason);
  }

  resumed(): void {
    this.#scheduler.dissolveIncomplete();
  }

  /** What is to be stored now. `saved` tells that it was. */
  unsaved(): ProgressChange {
    const { window } = this.#scheduler;
    const retries: StoredRetry[] = [];
    const endedRetries: number[] = [...this.#staleBatches];
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
        circuit: this.#scheduler.breaker.stored,
        circuitOrigin: this.#origin,
        throttledUntilMs: this.#scheduler.throttledUntilMs,
        counters: this.#statistics.counters(this.#graveyard.kept),
      },
      retries,
      endedRetries,
      deadLetters: [...this.#graveyard.unsaved],
      endedDeadLetters: [...this.#graveyard.arrived],
      failedAttempts: this.#attempts.unsaved,
      keyMarks: [...this.#scheduler.keyMarks.changed],
      parked: [...this.#parking.unsaved],
      endedParked: [...this.#scheduler.endedParked],
      shapes: this.#shapes.unsaved(this.#cursor),
    };
  }

  /** Everything that the last `unsaved` gave is durable. */
  saved(): void {
    this.#scheduler.clearChanged();
    this.#isKnown = true;
    this.#parking.saved();
    this.#shapes.saved();
    this.#staleBatches = [];
    this.#graveyard.saved();
    this.#attempts.saved();
    this.#storedNeed = this.#neededChunk();
    this.#savedTail = this.#context.feed.durableId;
  }

  /** What is to be durable before the batches that are made are sent. `sendUnsent` tells that it is. */
  unsentBatches(): BatchChange {
    return this.#outbox.unsentBatches(this.#turnMs);
  }

  /** More is to be stored with them than a `BatchChange` can say. */
  get needsSave(): boolean {
    return !this.#isKnown || this.#graveyard.hasUnsaved || this.#scheduler.hasFailures;
  }

  sendUnsent(): void {
    this.#outbox.sendUnsent();
  }

  /** The log has moved past an idle stream, whose stored cursor would keep it from being trimmed. */
  get isBehindIdle(): boolean {
    return this.#isIdle && this.#context.feed.durableId > this.#savedTail;
  }

  status(): DeliveryStatus {
    const { breaker } = this.#scheduler;
    const { state, openedAtMs, nextProbeAtMs } = breaker.stored;
    return {
      streamId: this.#definition.id,
      startedAtMs: this.#running ? this.#startedAtMs : null,
      pendingEvents: this.#pending,
      pendingBytes: this.#scheduler.bytes + this.#reader.unreadBytes,
      parkedEvents: this.#scheduler.parkedEvents,
      inFlight: this.#scheduler.inFlight,
      oldestPendingCommitMs: this.#oldestPendingMs(),
      nextRetryAtMs: this.#scheduler.nextRetryMs,
      circuitState: state,
      circuitOpenedAtMs: openedAtMs,
      circuitNextProbeAtMs: nextProbeAtMs,
      blockedKeys: this.#scheduler.blockedKeys,
      haltedReason: this.#haltedReason,
      blockedReason: this.#outbox.problem,
      acknowledgedLsn: this.#acknowledgedLsn(),
      ...this.#statistics.report(this.#pending, this.#graveyard.kept),
    };
  }

  /** Newest first. */
  deliveries(limit: number): readonly DeliveryRecord[] {
    const stored = this.#context.store.failedAttempts.list(this.#definition.id, limit);
    const all = [...this.#attempts.records(), ...stored];
    return all.toSorted((a, b) => Number(b.id) - Number(a.id)).slice(0, limit);
  }

  /** Sends dead letters again, or forgets them; `id` null: all. Everything is saved before. Gives how many. */
  settleDeadLetters(how: 'retry' | 'discard', id: string | null): number {
    const count = how === 'retry' ? this.#graveyard.retry(id) : this.#graveyard.discard(id);
    if (how === 'discard') this.#statistics.discarded(count);
    this.#changed();
    return count;
  }

  /**
   * Gives up an event that waits to be tried again, is under way, or could go now, and keeps it as a dead letter. Of one that
   * is under way it is told when its answer has come.
   */
  skipEvent(id: string): SkipResult | Promise<SkipResult> {
    this.#look();
    const skipped = this.#scheduler.skip((event) => this.#context.builder.eventId(event) === id);
    if (skipped === null) return 'unknown';
    const { batch, event } = skipped;
    if (batch.state === 'in-flight') {
      return new Promise((resolve) => this.#skips.push({ id, batch, event, resolve }));
    }
    this.#bury(batch, [event], SKIPPED, this.#context.clock.now(), false);
    this.#account();
    this.#changed();
    return 'skipped';
  }

  /** Takes back that an event under way is to be skipped; returns how many waited for that. */
  keepEvent(id: string): number {
    const [kept, others] = [this.#skips.filter((one) => one.id === id), this.#skips.filter((one) => one.id !== id)];
    this.#skips = others;
    for (const one of kept) {
      this.#scheduler.keep(one);
      one.resolve('kept');
    }
    return kept.length;
  }

  /** Tells those who wait for what became of an event. */
  #tellSkips({ skipped, acknowledged }: Settlement<DeliveryEvent>): void {
    if (this.#skips.length === 0) return;
    this.#skips = this.#skips.filter(({ event, resolve }) => {
      const isDone = skipped.includes(event) || acknowledged.includes(event);
      if (isDone) resolve(skipped.includes(event) ? 'skipped' : 'acknowledged');
      return !isDone;
    });
  }

  /** What waits is tried at once, with all of its retries before it; by one request, where the circuit is open. */
  restart(): void {
    this.#noteRunning();
    this.#haltedReason = null;
    this.#noteRunning();
    this.#reader.goOn();
    this.#scheduler.resume(this.#context.clock.now());
    this.#scheduler.breaker.probeNow(this.#context.clock.now());
    this.#changed();
  }

  resetCircuit(): void {
    const before = this.#scheduler.breaker.state;
    this.#scheduler.breaker.reset();
    if (before !== 'closed') this.#tellCircuit(before);
    this.#changed();
  }

  /** The requests that would be sent next: what waits to be tried again, then what is new. */
  peek(limit: number): readonly PeekedRequest[] {
    this.#look();
    const { waiting, next } = this.#scheduler.preview(limit);
    const parts = {
      builder: this.#context.builder,
      shape: this.#outbox.shape,
      stream: this.#definition.name,
      head: (request: SinkBatch) => this.#outbox.shownHead(request),
    };
    const whole = { ...parts, shape: { ...parts.shape, maxBytes: Infinity } };
    const peeked = waiting.map(
      (batch) => peekRequest(whole, batch.entries, batch.attempts, this.#scheduler.triedAtMs(batch))[0],
    );
    for (let rest = next; rest.length > 0 && peeked.length < limit;) {
      const most = rest.slice(0, this.#definition.options.batchMaxEvents);
      const [request, count] = peekRequest(parts, most, 0, null);
      peeked.push(request);
      rest = rest.slice(count);
    }
    return peeked;
  }

  /** A stream that does not run has not read what it would send. */
  #look(): void {
    if (!this.#running && this.#scheduler.window.pending < READ_PER_TURN) this.#reader.read(this, READ_PER_TURN);
  }

  #changed(): void {
    this.#context.dirty(this);
    if (this.#running) this.#context.wake(this);
  }

  /** Ends what is in flight, without waiting for its answers. */
  async close(): Promise<void> {
    this.#removed = true;
    this.#stopTimer?.();
    this.#context.budget.change(-this.#budgetedBytes, -this.#budgetedEvents);
    for (const { resolve } of this.#skips.splice(0)) resolve('unknown');
    await this.#outbox.close();
  }

  /** What is parked is older than what is held, and that than what is unread. */
  #oldestPendingMs(): number | null {
    const { window, pending } = this.#scheduler;
    const parked = pending > window.pending ? this.#context.store.oldestParkedMs(this.#definition.id) : null;
    return parked ?? window.oldest?.commitMs ?? this.#reader.oldestUnreadMs;
  }

  get #pending(): number {
    return this.#scheduler.pending + this.#reader.unread + this.#graveyard.waiting;
  }

  get #running(): boolean {
    return !this.#removed && this.#definition.desiredState === 'running' && this.#haltedReason === null;
  }

  #noteRunning(): void {
    this.#startedAtMs = this.#running ? (this.#startedAtMs ?? this.#context.clock.now()) : null;
  }

  get #isIdle(): boolean {
    return this.#scheduler.window.pending === 0 && this.#reader.nextChunk === null;
  }

  #sendReady(): boolean {
    // Nothing goes out unsigned that should be signed. What waits is sent when the sink is replaced.
    if (this.#outbox.problem !== null) return false;
    const nowMs = this.#context.clock.now();
    for (let sent = 0; sent < SEND_PER_TURN; sent++) {
      if (!this.#outbox.next(nowMs)) {
        this.#armTimer(nowMs);
        return false;
      }
    }
    return true;
  }

  /** Tells the budget what is held now. */
  #account(): void {
    const { bytes, heldEvents } = this.#scheduler;
    this.#context.budget.change(bytes - this.#budgetedBytes, heldEvents - this.#budgetedEvents);
    this.#budgetedBytes = bytes;
    this.#budgetedEvents = heldEvents;
  }

  #buryOversize(batch: Batch<DeliveryEvent>, maxBytes: number, nowMs: number): void {
    const reason = `the event has more than ${maxBytes} bytes (max_event_bytes)`;
    const settlement = this.#scheduler.giveUp(batch, nowMs);
    this.#account();
    this.#statistics.fault(reason, nowMs);
    this.#bury(batch, settlement.dead, { reason, status: null, excerpt: null }, nowMs);
    this.#context.dirty(this);
  }

  /** A sink that cannot send says why, once. */
  #noteProblem(): void {
    const { problem } = this.#outbox;
    if (problem === null) return;
    this.#statistics.fault(problem, this.#context.clock.now());
    this.#context.logger.warn({ stream: this.#definition.name, reason: problem }, 'stream cannot send');
  }

  /** Wall time, once the scheduler knows what was done to it. */
  #time(): number {
    const aheadMs = this.#wallClock.aheadMs();
    if (aheadMs > 0) this.#scheduler.setForward(aheadMs);
    return this.#context.clock.now();
  }

  #settle({ batch, request, ids }: Dispatch, outcome: Outcome, tookMs: number): void {
    const nowMs = this.#time();
    const failed = outcome.class === 'ok' && outcome.failed.length > 0 ? failedMembers(ids, outcome.failed) : undefined;
    const circuitBefore = this.#scheduler.breaker.state;
    const settlement = this.#scheduler.settle(batch, outcome, nowMs, failed);
    this.#account();
    this.#statistics.attempt(outcome, settlement, { nowMs, tookMs, bodyBytes: request.body.length });
    if (outcome.class !== 'cancelled') {
      const nextRetryAtMs = batch.state === 'waiting' ? this.#scheduler.triedAtMs(batch) : null;
      const times = { startedAtMs: nowMs - tookMs, durationMs: tookMs, nextRetryAtMs };
      const { id: streamId } = this.#definition;
      const attempt = { streamId, attempt: request.attempt, ids, outcome, ...times };
      this.#attempts.add(attempt, () => secretTexts(this.#definition));
    }
    if (this.#scheduler.breaker.state !== circuitBefore) this.#tellCircuit(circuitBefore);
    if (settlement.halted && this.#haltedReason === null) this.#halt(outcome);
    this.#graveyard.acknowledged(settlement.acknowledged);
    if (settlement.dead.length > 0) {
      const cause = causeOfDeath(outcome, () => secretTexts(this.#definition));
      this.#bury(batch, settlement.dead, cause, nowMs);
    }
    if (settlement.skipped.length > 0) this.#bury(batch, settlement.skipped, SKIPPED, nowMs, false);
    this.#tellSkips(settlement);
    this.#context.dirty(this);
    this.#context.wake(this);
  }

  #bury(
    batch: Batch<DeliveryEvent>,
    dead: readonly DeliveryEvent[],
    cause: CauseOfDeath,
    nowMs: number,
    mayBlock = this.#definition.options.onDeadLetter === 'block_key',
  ): void {
    this.#graveyard.bury(batch, dead, { ...cause, mayBlock }, nowMs);
    const { name } = this.#definition;
    this.#context.logger.warn({ stream: name, events: dead.length, attempts: batch.attempts }, 'events dead-lettered');
  }

  #halt(outcome: Outcome): void {
    const reason = 'reason' in outcome ? outcome.reason : 'listed as failed by the receiver';
    this.#haltedReason =
      outcome.class === 'gone' ? `${reason}: the endpoint wants no more events` : `retries are exhausted: ${reason}`;
    this.#context.logger.warn({ stream: this.#definition.name, reason: this.#haltedReason }, 'stream halted');
  }

  /** All that is before a change of columns is sent; what is behind it waits for RESUME. */
  #waitForOperator(): void {
    this.#haltedReason = `${this.#reader.waitsAt}; ALTER CDC STREAM … RESUME goes on with the columns that there are now`;
    this.#scheduler.halt();
    this.#context.logger.warn({ stream: this.#definition.name, reason: this.#haltedReason }, 'stream halted');
    this.#context.dirty(this);
  }

  #fault(reason: string): void {
    this.#haltedReason = reason;
    this.#scheduler.halt();
    this.#statistics.fault(reason, this.#context.clock.now());
    this.#context.logger.error({ stream: this.#definition.name, reason }, 'stream halted');
  }

  #tellCircuit(before: CircuitStateName): void {
    const { state, nextProbeAtMs, failedProbes } = this.#scheduler.breaker.stored;
    const line = { stream: this.#definition.name, circuit: state, nextProbeAtMs, failedProbes };
    if (state === 'closed') this.#context.logger.info(line, 'circuit closed');
    else if (before === 'closed') this.#context.logger.warn(line, 'circuit opened');
    else this.#context.logger.debug(line, 'a probe of the endpoint failed');
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

  #restore(stored: StoredRetry): Batch<DeliveryEvent> {
    return this.#scheduler.restore(stored.batchId, { ...stored, members: stored.members.length });
  }

  /** The parked members of batches first: they hold their lanes before what comes after them on disk. */
  #restoreParked(loaded: LoadedProgress | null, resume: ResumePoint): void {
    if (loaded === null) return;
    const nowMs = this.#context.clock.now();
    for (const row of loaded.parked.members) {
      this.#scheduler.addParked(resume.memberOf(row.position), new StoredEvent(row, false), row.seq, nowMs);
    }
    for (const lane of loaded.parked.lanes) this.#scheduler.restoreParked(lane, lane.count, lane.afterSeq);
    this.#account();
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
