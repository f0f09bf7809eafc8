import type { Cancel, Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { untilAborted, type Service } from '../base/service.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import type { DeliveryStore } from '../log/delivery-store.ts';
import type { DeliveryStatus } from '../model/status.ts';
import type { StreamDefinition } from '../model/stream.ts';
import type { Sink } from '../sinks/sink.ts';
import { ChunkFeed } from './chunk-feed.ts';
import type { ChunkSource } from './chunk-source.ts';
import { Deque } from './deque.ts';
import { MemoryBudget } from './memory-budget.ts';
import { RequestBuilder } from './request-builder.ts';
import { type StreamContext, StreamDelivery } from './stream-delivery.ts';

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
  readonly createSink: (definition: StreamDefinition) => Sink;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

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
  #state: 'idle' | 'running' | 'stopping' | 'stopped' = 'idle';
  #turnAsked = false;
  #saving: Cancel | null = null;
  #saveFailed = false;
  #fail: ((error: unknown) => void) | null = null;
  #drained: (() => void) | null = null;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
    this.#feed = new ChunkFeed(parts.source);
    this.#context = {
      ...parts,
      feed: this.#feed,
      builder: new RequestBuilder(),
      budget: new MemoryBudget(),
      wake: (stream) => this.#wake(stream),
      dirty: (stream) => this.#markDirty(stream),
    };
  }

  /**
   * Makes the streams equal to `definitions`: new ones start, changed ones take their options from the next batch on, ones
   * that are gone are removed with their state.
   */
  configure(definitions: readonly StreamDefinition[]): void {
    const wanted = new Set(definitions.map(({ id }) => id));
    for (const [id, stream] of this.#streams) if (!wanted.has(id)) this.#remove(id, stream);
    const added: StreamDelivery[] = [];
    for (const definition of definitions) {
      const stream = this.#streams.get(definition.id);
      if (stream) stream.configure(definition);
      else added.push(this.#add(definition));
    }
    this.#countUnread(added);
    for (const stream of added) this.#wake(stream);
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
    return [...this.#streams.values()].map((stream) => stream.status());
  }

  /** Chunks below this one no stream needs again, not even after a crash. */
  lowestNeededChunk(): number {
    let lowest = this.#feed.lastId + 1;
    for (const stream of this.#streams.values()) lowest = Math.min(lowest, stream.storedNeed);
    return lowest;
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

  #add(definition: StreamDefinition): StreamDelivery {
    const stream = new StreamDelivery(this.#context, definition, this.#parts.store.load(definition.id));
    this.#streams.set(definition.id, stream);
    for (const oid of stream.oids) {
      let streams = this.#byTable.get(oid);
      if (!streams) this.#byTable.set(oid, (streams = new Set()));
      streams.add(stream);
    }
    return stream;
  }

  #remove(id: string, stream: StreamDelivery): void {
    this.#streams.delete(id);
    this.#dirty.delete(stream);
    for (const oid of stream.oids) {
      const streams = this.#byTable.get(oid);
      streams?.delete(stream);
      if (streams?.size === 0) this.#byTable.delete(oid);
    }
    void stream.close().catch((err: unknown) => this.#parts.logger.warn({ err }, 'closing a stream failed'));
    try {
      this.#parts.store.remove(id);
    } catch (err) {
      this.#parts.logger.warn({ err, streamId: id }, 'the state of a dropped stream could not be removed');
    }
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
    if (this.#turnAsked || this.#state !== 'running' || this.#saveFailed || this.#queue.length === 0) return;
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
    if (this.#state !== 'running' || this.#saveFailed) return;
    const { clock } = this.#parts;
    const untilMs = clock.monotonicMs() + TURN_MS;
    for (let stream = this.#queue.shift(); stream !== undefined; stream = this.#queue.shift()) {
      stream.queued = false;
      if (stream.turn()) this.#wake(stream);
      if (clock.monotonicMs() >= untilMs) break;
    }
    this.#askTurn();
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
      if (this.#saveFailed) this.#parts.logger.info({}, 'delivery progress is stored again');
      this.#saveFailed = false;
      this.#askTurn();
    } catch (err) {
      this.#saveFailed = true;
      this.#parts.logger.error({ err, retryInMs: SAVE_AGAIN_MS }, 'delivery progress cannot be stored');
      this.#saving = this.#parts.clock.after(SAVE_AGAIN_MS, () => {
        this.#saving = null;
        this.#trySave();
      });
    }
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
