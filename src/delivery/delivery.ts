import { AssertionError, must } from '../base/assert.ts';
import type { ReplayRange } from '../model/replay.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { rewind } from './rewind.ts';
import type { Cancel, Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { untilAborted, type Service } from '../base/service.ts';
import type { Tracer } from '../base/tracing.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import type { DeadLetter } from '../log/dead-letters.ts';
import type { DeliveryStore } from '../log/delivery-store.ts';
import type { DeadLetterRecord, DeliveryAnswer, DeliveryRequest, SkipResult } from '../model/delivery-control.ts';
import type { DeliveryStatus } from '../model/status.ts';
import type { ResolvedStream } from '../model/resolved-stream.ts';
import type { StreamDefinition } from '../model/stream.ts';
import type { Sink } from '../sinks/sink.ts';
import { ChunkFeed } from './chunk-feed.ts';
import type { ChunkSource } from './chunk-source.ts';
import { Deque } from './deque.ts';
import { MemoryBudget } from './memory-budget.ts';
import type { WindowLimits } from './scheduler.ts';
import { RequestBuilder } from './request-builder.ts';
import { type StreamContext, StreamDelivery } from './stream-delivery.ts';
import type { Transformer } from './transformer.ts';
import type { ValueFetcher } from './unchanged-values.ts';

/** Acknowledgements of this time are stored together: what a crash repeats at most. */
export const SAVE_EVERY_MS = 50;
/** After a failed save, the next. Nothing new is sent until one succeeds. */
const SAVE_AGAIN_MS = 1_000;
/** Idle streams' cursors follow the tail this often. */
const IDLE_SAVE_MS = 10_000;
/** Streams take their turns for so long before the event loop has its own. */
const TURN_MS = 4;
/** What is in flight when delivery is told to stop has this long to be answered. */
const STOP_GRACE_MS = 3_000;
const HEADERS_PER_READ = 256;

export interface DeliveryParts {
  readonly source: ChunkSource;
  readonly store: DeliveryStore;
  readonly createSink: (stream: ResolvedStream) => Sink;
  /** Absent: no stream has a transform. */
  readonly transformer?: Transformer;
  readonly values?: ValueFetcher;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Absent or null: nobody collects traces. */
  readonly tracer?: Tracer | null;
  /** What is held in memory; by default one of its own. */
  readonly budget?: MemoryBudget;
  /** Of each stream's window. */
  readonly limits?: WindowLimits;
}

type SkipRequest = Extract<DeliveryRequest, { kind: 'skip-event' }>;
/** What is answered at once. */
type ControlRequest = Exclude<DeliveryRequest, SkipRequest>;

/**
 * All streams of one log. Streams take turns on one thread; what they acknowledge is stored in one transaction for all. An
 * event is sent again after a crash unless its acknowledgement was stored; one that was is never sent again.
 */
export class Delivery implements Service {
  readonly #parts: DeliveryParts;
  readonly #feed: ChunkFeed;
  readonly #context: StreamContext;
  readonly #streams = new Map<string, StreamDelivery>();
  readonly #byTable = new Map<number, Set<StreamDelivery>>();
  readonly #queue = new Deque<StreamDelivery>();
  readonly #dirty = new Set<StreamDelivery>();
  /** They have batches that go out once their members are written down. */
  readonly #unsent = new Set<StreamDelivery>();
  #state: 'idle' | 'running' | 'stopping' | 'stopped' = 'idle';
  #turnAsked = false;
  #saving: Cancel | null = null;
  /** Why progress cannot be stored, which stops the sending; or null. */
  #saveFailure: string | null = null;
  #fail: ((error: unknown) => void) | null = null;
  #drained: (() => void) | null = null;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
    this.#feed = new ChunkFeed(parts.source);
    this.#context = {
      ...parts,
      transformer: parts.transformer ?? null,
      values: parts.values ?? null,
      tracer: parts.tracer ?? null,
      feed: this.#feed,
      builder: new RequestBuilder(),
      budget: parts.budget ?? new MemoryBudget(),
      wake: (stream) => this.#wake(stream),
      dirty: (stream) => this.#markDirty(stream),
      saveNow: (stream) => {
        this.#markDirty(stream);
        this.#trySave();
      },
      unsent: (stream) => this.#unsent.add(stream),
    };
  }

  /**
   * Makes the streams equal to `definitions`: new ones start, changed ones take their options from the next batch on, those
   * with other tables, another name or envelope begin again where they were, ones that are gone are removed with their state.
   */
  configure(definitions: readonly ResolvedStream[]): void {
    const wanted = new Set(definitions.map(({ id }) => id));
    for (const [id, stream] of this.#streams) if (!wanted.has(id)) this.#remove(id, stream);
    const added: StreamDelivery[] = [];
    for (const definition of definitions) {
      const stream = this.#streams.get(definition.id);
      if (stream === undefined) added.push(this.#add(definition));
      else if (readsAlike(stream.definition, definition)) stream.configure(definition);
      else added.push(this.#replace(stream, definition));
    }
    this.#countUnread(added);
    for (const stream of added) this.#wake(stream);
  }

  /** What sinks are made of has changed: each stream has another. */
  reconnect(): void {
    for (const stream of this.#streams.values()) stream.reconnect();
  }

  /** A chunk is appended, maybe not durable yet. Without its data it is read from the log once it is. */
  chunkAppended(header: ChunkHeader, data: Buffer | null, relationMessages: ReadonlyMap<number, Buffer> | null): void {
    // Told late of what the log had when this began, and what is counted and read from there.
    if (header.id <= this.#feed.lastId) return;
    const interested = new Set<StreamDelivery>();
    for (const { oid } of header.relations) {
      for (const stream of this.#byTable.get(oid) ?? []) interested.add(stream);
    }
    this.#feed.append(header, data, relationMessages, interested.size > 0);
    for (const stream of interested) stream.appended(header);
  }

  /** All chunks up to `lastChunkId` are durable, and the source shows them. */
  durable(lastChunkId: number): void {
    this.#feed.durable(lastChunkId);
    for (const stream of this.#streams.values()) if (stream.waitsForLog) this.#wake(stream);
  }

  status(): DeliveryStatus[] {
    const statuses = [...this.#streams.values()].map((stream) => stream.status());
    const failure = this.#saveFailure;
    if (failure === null) return statuses;
    return statuses.map((status) => ({ ...status, blockedReason: status.blockedReason ?? failure }));
  }

  /** What operators see and do. Nothing is asked of a stream that is not there. */
  control(request: ControlRequest): DeliveryAnswer {
    return this.#said(() => {
      // What is shown and changed on disk is complete.
      if (request.kind !== 'peek' && request.kind !== 'deliveries') this.#save();
      return this.#answer(request);
    });
  }

  /** Of an event that is under way it is answered when its answer has come. What was done is durable then. */
  async skip({ streamId, id }: SkipRequest): Promise<DeliveryAnswer> {
    const told = (result: SkipResult): DeliveryAnswer =>
      this.#said(() => {
        this.#save();
        return { kind: 'skipped', result };
      });
    const before = told('unknown');
    if (before.kind === 'failed') return before;
    return told((await this.#streams.get(streamId)?.skipEvent(id)) ?? 'unknown');
  }

  #said(answer: () => DeliveryAnswer): DeliveryAnswer {
    try {
      return answer();
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
  }

  #answer(request: ControlRequest): DeliveryAnswer {
    switch (request.kind) {
      case 'deliveries': {
        const found = this.#those(request.streamIds).flatMap((stream) => stream.deliveries(request.limit));
        const deliveries = found.toSorted((a, b) => b.startedAtMs - a.startedAtMs).slice(0, request.limit);
        return { kind: 'deliveries', deliveries };
      }
      case 'dead-letters': {
        const deadLetters = request.streamIds.flatMap((id) => {
          return this.#parts.store.deadLetters.list(id, request.limit).map((letter) => deadLetterRecord(id, letter));
        });
        return { kind: 'dead-letters', deadLetters: deadLetters.slice(0, request.limit) };
      }
      case 'peek':
        return { kind: 'peek', requests: this.#streams.get(request.streamId)?.peek(request.limit) ?? [] };
      case 'retry-dead-letters':
      case 'discard-dead-letters':
      case 'keep-event':
      case 'restart':
      case 'reset-circuit':
        return { kind: 'count', count: this.#act(request) };
    }
  }

  #act(request: Exclude<ControlRequest, { kind: 'deliveries' | 'dead-letters' | 'peek' }>): number {
    const stream = this.#streams.get(request.streamId);
    if (stream === undefined) return 0;
    switch (request.kind) {
      case 'retry-dead-letters':
        return stream.settleDeadLetters('retry', request.id);
      case 'discard-dead-letters':
        return stream.settleDeadLetters('discard', request.id);
      case 'keep-event':
        return stream.keepEvent(request.id);
      case 'restart':
        stream.restart();
        return 1;
      case 'reset-circuit':
        stream.resetCircuit();
        return 1;
    }
  }

  #those(ids: readonly string[]): readonly StreamDelivery[] {
    return ids.flatMap((id) => this.#streams.get(id) ?? []);
  }

  /** Chunks below this one no stream needs again, not even after a crash. */
  lowestNeededChunk(): number {
    let lowest = Math.min(this.#feed.lastId + 1, this.#retained());
    for (const stream of this.#streams.values()) lowest = Math.min(lowest, stream.storedNeed);
    return lowest;
  }

  /** From which commit LSN on the log has everything whole; null where there is nothing, or nothing was ever trimmed. */
  retainedFrom(): Lsn | null {
    return this.#retainedFrom()?.lsn ?? null;
  }

  /** The same with the commit time of the oldest change that is there. */
  #retainedFrom(): { readonly lsn: Lsn; readonly micros: bigint } | null {
    const [first] = this.#parts.source.headersFrom(0, 1);
    if (first === undefined || first.id === 1) return null;
    // Of a transaction that is there in part the beginning is gone.
    if (first.open !== null) return { lsn: first.open.commitLsn + 1n, micros: first.open.commitTimeMicros };
    const chunk = this.#feed.read(first.id);
    const oldest = typeof chunk === 'string' ? undefined : chunk.transactions[0];
    return oldest === undefined ? null : { lsn: oldest.commitLsn, micros: oldest.commitTimeMicros };
  }

  /**
   * Sends the stream's events of the range again, in order with what comes after them; returns how many. 55000 where the
   * log does not have them any more. Rejects as saving does.
   */
  replay(streamId: string, range: ReplayRange): number {
    const stream = must(this.#streams.get(streamId), 'the stream is armed');
    const from = range.kind === 'lsn' ? range.from : this.#commitAt(range.micros);
    if (from === null) return 0;
    const retained = this.#retainedFrom();
    const { startLsn } = stream.definition;
    if (retained !== null && startLsn < retained.lsn) {
      // What committed at the time of the oldest that is there, or before it, may have been among what is gone.
      const isGone = range.kind === 'since' ? range.micros <= retained.micros : range.from < retained.lsn;
      if (isGone) throw goneError(retained.lsn);
    }
    const change = stream.unsaved();
    this.#parts.store.save([change]);
    stream.saved();
    const { cursor, acknowledged } = change.progress;
    const until = acknowledged.at(-1)?.last ?? cursor;
    const rewound = rewind(change.progress, from, range.kind === 'lsn' ? range.to : null);
    if (rewound === null || until === null) return 0;
    const before = stream.status().pendingEvents;
    this.#parts.store.rewind(streamId, rewound, until);
    this.#close(streamId, stream);
    const again = this.#add(stream.definition);
    this.#countUnread([again]);
    this.#wake(again);
    return Math.max(0, again.status().pendingEvents - before);
  }

  /** The first chunk that some stream's `retention` keeps. */
  #retained(): number {
    let longestMs = 0;
    for (const { definition } of this.#streams.values())
      longestMs = Math.max(longestMs, definition.options.retentionMs);
    if (longestMs === 0) return Infinity;
    const since = BigInt(Math.floor(this.#parts.clock.now() - longestMs)) * 1_000n;
    const first = this.#parts.source.firstChunkAt(since);
    // The one before it may end with what is to be kept.
    return first === null ? this.#feed.lastId : first - 1;
  }

  /** The first commit at or after `micros`; null where the log ends before. */
  #commitAt(micros: bigint): Lsn | null {
    const first = this.#parts.source.firstChunkAt(micros);
    const [begin] = this.#parts.source.headersFrom(0, 1);
    if (begin === undefined) return null;
    // What committed after it may stand at the end of the chunk before.
    for (let id = Math.max(begin.id, (first ?? this.#feed.durableId + 1) - 1); id <= this.#feed.durableId; id++) {
      const chunk = this.#feed.read(id);
      if (typeof chunk === 'string') continue;
      const found = chunk.transactions.find(({ commitTimeMicros }) => commitTimeMicros >= micros);
      if (found !== undefined) return found.commitLsn;
    }
    return null;
  }

  /** Called once. Delivers until `signal` aborts; then waits a little for what is in flight, and stores what was acknowledged. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    this.#state = 'running';
    const failed = new Promise<never>((_, reject) => (this.#fail = reject));
    const stopped = untilAborted(signal);
    const stopIdleSaves = this.#saveIdleStreams();
    this.#askTurn();
    try {
      await Promise.race([stopped, failed]);
      this.#state = 'stopping';
      let endGrace: Cancel = () => undefined;
      const graceOver = new Promise<void>((resolve) => (endGrace = clock.after(STOP_GRACE_MS, resolve)));
      await Promise.race([this.#drain(), graceOver, failed]);
      endGrace();
    } finally {
      this.#state = 'stopped';
      stopIdleSaves();
      this.#saving?.();
      await Promise.all([...this.#streams.values()].map((stream) => stream.close()));
    }
    try {
      this.#save();
    } catch (err) {
      // As after a crash: what could not be stored is sent again, with the ids it had.
      this.#parts.logger.error({ err }, 'the last delivery progress could not be stored');
    }
  }

  #add(definition: ResolvedStream): StreamDelivery {
    const stream = new StreamDelivery(this.#context, definition, this.#parts.store.load(definition.id));
    this.#streams.set(definition.id, stream);
    for (const oid of stream.oids) {
      let streams = this.#byTable.get(oid);
      if (!streams) this.#byTable.set(oid, (streams = new Set()));
      streams.add(stream);
    }
    return stream;
  }

  /** As after a restart: what was in flight is sent again, with the ids it had. */
  #replace(stream: StreamDelivery, definition: ResolvedStream): StreamDelivery {
    try {
      this.#parts.store.save([stream.unsaved()]);
    } catch (err) {
      this.#parts.logger.warn({ err, streamId: definition.id }, 'delivery progress could not be stored');
    }
    this.#close(definition.id, stream);
    return this.#add(definition);
  }

  #remove(id: string, stream: StreamDelivery): void {
    this.#close(id, stream);
    try {
      this.#parts.store.remove(id);
    } catch (err) {
      this.#parts.logger.warn({ err, streamId: id }, 'the state of a dropped stream could not be removed');
    }
  }

  #close(id: string, stream: StreamDelivery): void {
    this.#streams.delete(id);
    this.#dirty.delete(stream);
    this.#unsent.delete(stream);
    for (const oid of stream.oids) {
      const streams = this.#byTable.get(oid);
      streams?.delete(stream);
      if (streams?.size === 0) this.#byTable.delete(oid);
    }
    void stream.close().catch((err: unknown) => this.#parts.logger.warn({ err }, 'closing a stream failed'));
  }

  /** One pass over the log's headers for all new streams. */
  #countUnread(streams: readonly StreamDelivery[]): void {
    const from = streams.flatMap((stream) => stream.firstUnread ?? []);
    if (from.length === 0) return;
    let next = from.reduce((lowest, id) => Math.min(lowest, id));
    while (next <= this.#feed.lastId) {
      const headers = this.#feed.headersFrom(next, HEADERS_PER_READ);
      const last = headers.at(-1);
      if (last === undefined) return;
      for (const header of headers) {
        for (const stream of streams) {
          if (stream.firstUnread !== null && stream.firstUnread <= header.id) stream.countUnread(header);
        }
      }
      next = last.id + 1;
    }
  }

  #wake(stream: StreamDelivery): void {
    if (stream.queued) return;
    stream.queued = true;
    this.#queue.push(stream);
    this.#askTurn();
  }

  /** Turns run once the event loop has handed out what came in, so that one turn takes many answers together. */
  #askTurn(): void {
    if (this.#turnAsked || this.#state !== 'running' || this.#saveFailure !== null || this.#queue.length === 0) return;
    this.#turnAsked = true;
    setImmediate(() => {
      this.#turnAsked = false;
      try {
        this.#takeTurns();
      } catch (error) {
        this.#fail?.(error);
      }
    });
  }

  #takeTurns(): void {
    if (this.#state !== 'running' || this.#saveFailure !== null) return;
    const { clock } = this.#parts;
    const untilMs = clock.monotonicMs() + TURN_MS;
    for (let stream = this.#queue.shift(); stream !== undefined; stream = this.#queue.shift()) {
      stream.queued = false;
      if (stream.turn()) this.#wake(stream);
      if (this.#saveFailure !== null || clock.monotonicMs() >= untilMs) break;
    }
    if (this.#unsent.size > 0 && this.#saveFailure === null) this.#trySend();
    this.#askTurn();
  }

  /** Batches are sent once it is durable what they consist of: after a crash they go again with the ids they had. */
  #trySend(): void {
    try {
      this.#sendUnsent();
    } catch (err) {
      this.#storeFailed(err);
    }
  }

  #sendUnsent(): void {
    const streams = [...this.#unsent];
    const whole = streams.filter((stream) => stream.needsSave);
    this.#parts.store.save(
      whole.map((stream) => stream.unsaved()),
      streams.map((stream) => stream.unsentBatches()),
    );
    for (const stream of whole) {
      stream.saved();
      this.#dirty.delete(stream);
    }
    this.#unsent.clear();
    for (const stream of streams) stream.sendUnsent();
  }

  #markDirty(stream: StreamDelivery): void {
    this.#dirty.add(stream);
    if (stream.inFlight === 0) this.#drainedOne();
    this.#saving ??= this.#parts.clock.after(SAVE_EVERY_MS, () => {
      this.#saving = null;
      this.#trySave();
    });
  }

  /** A disk that is full stops the sending, not the process: what is acknowledged stays within what was in flight. */
  #trySave(): void {
    try {
      this.#save();
      if (this.#saveFailure !== null) {
        if (this.#unsent.size > 0) this.#sendUnsent();
        this.#parts.logger.info({}, 'delivery progress is stored again');
      }
      this.#saveFailure = null;
      this.#askTurn();
    } catch (err) {
      this.#storeFailed(err);
    }
  }

  #storeFailed(err: unknown): void {
    this.#saveFailure = `delivery progress cannot be stored: ${err instanceof Error ? err.message : String(err)}`;
    this.#parts.logger.error({ err, retryInMs: SAVE_AGAIN_MS }, 'delivery progress cannot be stored');
    this.#saving?.();
    this.#saving = this.#parts.clock.after(SAVE_AGAIN_MS, () => {
      this.#saving = null;
      this.#trySave();
    });
  }

  #save(): void {
    if (this.#dirty.size === 0) return;
    const streams = [...this.#dirty];
    this.#parts.store.save(streams.map((stream) => stream.unsaved()));
    for (const stream of streams) stream.saved();
    this.#dirty.clear();
  }

  #saveIdleStreams(): Cancel {
    let stop: Cancel = () => undefined;
    const again = (): void => {
      stop = this.#parts.clock.after(IDLE_SAVE_MS, () => {
        for (const stream of this.#streams.values()) if (stream.isBehindIdle) this.#markDirty(stream);
        again();
      });
    };
    again();
    return () => stop();
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#drainedOne();
    });
  }

  #drainedOne(): void {
    if (this.#drained === null) return;
    for (const stream of this.#streams.values()) if (stream.inFlight > 0) return;
    this.#drained();
  }
}

function deadLetterRecord(streamId: string, letter: DeadLetter): DeadLetterRecord {
  return {
    streamId,
    eventId: letter.eventId,
    schema: letter.schema,
    table: letter.tableName,
    operation: letter.op,
    key: letter.key,
    reason: letter.reason,
    httpStatus: letter.lastStatus,
    responseExcerpt: letter.lastExcerpt,
    attempts: letter.attempts,
    firstFailedAtMs: letter.firstAttemptMs,
    parkedAtMs: letter.diedAtMs,
    payload: letter.payload.toString('utf8'),
  };
}

function goneError(retained: Lsn): PgError {
  return new PgError('object_not_in_prerequisite_state', 'the log does not go back that far', {
    detail: `It has everything from ${formatLsn(retained)} on.`,
    hint: `What is kept is said by the option retention. REPLAY … FROM LSN '${formatLsn(retained)}' sends all there is.`,
  });
}

/** Whether a stream can go from one definition to the other where it stands. */
function readsAlike(a: StreamDefinition, b: StreamDefinition): boolean {
  const read = ({
    name,
    tables,
    operations,
    source,
    orderingKey,
    envelope,
    format,
    options,
  }: StreamDefinition): string => {
    const { numbers, includeTransaction, gapEvents, ordering, schemaChangePolicy } = options;
    const events = [name, tables, operations, source, orderingKey, ordering];
    return JSON.stringify([...events, envelope, format, numbers, includeTransaction, gapEvents, schemaChangePolicy]);
  };
  return read(a) === read(b);
}
