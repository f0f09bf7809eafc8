import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import type { Tracer } from '../base/tracing.ts';
import type { BatchChange } from '../log/delivery-store.ts';
import { requestKey, type ResolvedStream } from '../model/resolved-stream.ts';
import type { HeaderPair, Outcome, Sink, SinkBatch } from '../sinks/sink.ts';
import type { Batch } from './batch.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import { fillRequest } from './fill-request.ts';
import { transformRecords } from './record-list.ts';
import { type RequestBuilder, type RequestShape, unlimited } from './request-builder.ts';
import type { Scheduler } from './scheduler.ts';
import { SinkSlot } from './sink-slot.ts';
import { requestShape, storedRetry } from './stream-settings.ts';
import { attemptSpan, endAttempt } from './traced-attempt.ts';
import { maxTransformedBytes, type Transformer } from './transformer.ts';
import type { ValueFetcher } from './unchanged-values.ts';

/** What a transform makes is JSON, whatever the envelope was. */
const TRANSFORMED_TYPE = 'application/json';

/** What streams share of it. */
export interface OutboxContext {
  readonly builder: RequestBuilder;
  readonly clock: Clock;
  readonly createSink: (stream: ResolvedStream) => Sink;
  /** Null: no stream has a transform. */
  readonly transformer: Transformer | null;
  /** Null: unchanged values stay unchanged. */
  readonly values: ValueFetcher | null;
  /** Null: nobody collects traces. */
  readonly tracer: Tracer | null;
}

/** A batch on its way: what was sent, and the ids of its events, 16 bytes each. */
export interface Dispatch {
  readonly batch: Batch<DeliveryEvent>;
  readonly request: SinkBatch;
  readonly ids: Buffer;
  /** Why it cannot be sent, whoever is asked to take it; or null. */
  readonly fault: string | null;
  /** Of the outbox when the request was made. */
  readonly madeFor: ResolvedStream;
}

export interface OutboxEvents {
  /** There are batches whose members are to be stored before they are sent. */
  readonly unsent: () => void;
  /** A batch has one event, which is too large for any request. */
  readonly oversize: (batch: Batch<DeliveryEvent>, maxBytes: number, nowMs: number) => void;
  readonly settled: (dispatch: Dispatch, outcome: Outcome, tookMs: number) => void;
}

/** What the scheduler gives out becomes requests here, which go out once their members are written down. */
export class Outbox {
  readonly #context: OutboxContext;
  readonly #scheduler: Scheduler<DeliveryEvent>;
  readonly #events: OutboxEvents;
  readonly #sink: SinkSlot;
  readonly #abort = new AbortController();
  #definition: ResolvedStream;
  /** The one since which requests are made as they are now. */
  #requested: ResolvedStream;
  #shape: RequestShape;
  #unsent: Dispatch[] = [];

  constructor(
    context: OutboxContext,
    scheduler: Scheduler<DeliveryEvent>,
    definition: ResolvedStream,
    events: OutboxEvents,
  ) {
    this.#context = context;
    this.#scheduler = scheduler;
    this.#events = events;
    this.#definition = definition;
    this.#requested = definition;
    this.#sink = new SinkSlot(context.createSink(definition));
    this.#shape = requestShape(definition, this.#sink.takesRecords);
  }

  /** Why nothing can be sent, or null. */
  get problem(): string | null {
    return this.#sink.problem;
  }

  get shape(): RequestShape {
    return this.#shape;
  }

  /** As `Sink.shownHead`; null: the stream's requests have none. */
  shownHead(request: SinkBatch): readonly HeaderPair[] | null {
    const { transform } = this.#definition;
    return this.#sink.shownHead(transform === null ? request : { ...request, contentType: TRANSFORMED_TYPE });
  }

  /** Whether requests are made or sent in another way from now on. */
  configure(definition: ResolvedStream): boolean {
    const before = this.#definition;
    this.#definition = definition;
    const isOther = requestKey(before) !== requestKey(definition);
    if (isOther) {
      this.#requested = definition;
      void this.#sink.replace(this.#context.createSink(definition));
    }
    this.#shape = requestShape(definition, this.#sink.takesRecords);
    return isOther;
  }

  /** Sends what it sends from now on on connections of its own: where one may connect to has changed. */
  renewSink(): void {
    void this.#sink.replace(this.#context.createSink(this.#definition));
  }

  /** Makes the next request, and sends it where nothing is to be stored before. False where none may go out now. */
  next(nowMs: number): boolean {
    const { builder } = this.#context;
    builder.begin(this.#shape);
    const batch = this.#scheduler.next(nowMs, (event) => builder.append(event));
    if (batch === null) return false;
    if (batch.entries.length !== builder.count && !this.#rebuild(batch)) {
      this.#scheduler.divide(batch, nowMs);
      return true;
    }
    if (builder.isOversize) {
      this.#events.oversize(batch, this.#shape.maxEventBytes, nowMs);
      return true;
    }
    const { gap } = batch.entries[0]!;
    const { fault } = builder;
    const { request, ids } = builder.finish(this.#definition.name, batch.attempts + 1, gap);
    this.#scheduler.charge(request.body.length, nowMs);
    // One event alone is what it is where there are no others to be joined with after a crash; and so is each record.
    const isAlone = this.#shape.records !== null || (batch.entries.length === 1 && !this.#shape.array);
    if (isAlone || batch.isStored) this.#send({ batch, request, ids, fault, madeFor: this.#requested });
    else {
      this.#unsent.push({ batch, request, ids, fault, madeFor: this.#requested });
      this.#events.unsent();
    }
    return true;
  }

  /** What is to be durable before the batches that are made are sent. `sendUnsent` tells that it is. */
  unsentBatches(nowMs: number): BatchChange {
    return {
      streamId: this.#definition.id,
      batches: this.#unsent.map(({ batch }) => storedRetry(batch, batch.firstAttemptMs ?? nowMs)),
      finished: this.#scheduler.takeFinished(),
    };
  }

  sendUnsent(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    if (this.#abort.signal.aborted) return;
    for (const dispatch of unsent) {
      dispatch.batch.isStored = true;
      this.#send(dispatch);
    }
  }

  /** Ends what is under way, without waiting for its answers; nobody is told of it. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#sink.close();
  }

  #send(made: Dispatch): void {
    const { clock, tracer } = this.#context;
    const startedMs = clock.monotonicMs();
    const span = attemptSpan(tracer, this.#definition, made.request);
    const dispatch = span === null ? made : { ...made, request: { ...made.request, traceparent: span.traceparent } };
    void this.#attempt(dispatch).then((outcome) => {
      if (span !== null) endAttempt(span, outcome);
      if (!this.#abort.signal.aborted) this.#events.settled(dispatch, outcome, clock.monotonicMs() - startedMs);
    });
  }

  /** Fills and transforms the body where the stream wants it, and sends it. What cannot be transformed is rejected before that. */
  async #attempt(dispatch: Dispatch): Promise<Outcome> {
    const { batch, request: made, fault, madeFor } = dispatch;
    if (fault !== null && !this.#cannotSend(madeFor)) return rejection('route', fault);
    const { signal } = this.#abort;
    const { id, transform, options } = this.#definition;
    const request = await this.#filled(batch, made);
    if (this.#cannotSend(madeFor)) return { class: 'cancelled' };
    if (transform === null) return this.#sink.send(request, signal);
    const transformer = must(this.#context.transformer, 'transforms have somewhere to run');
    const transformed =
      request.records === undefined
        ? await transformer.transform(id, transform, request.body, maxTransformedBytes(options))
        : await transformRecords(this.#definition, transformer, request);
    if (this.#cannotSend(madeFor)) return { class: 'cancelled' };
    if (!('fault' in transformed)) {
      return this.#sink.send({ ...request, ...transformed, contentType: TRANSFORMED_TYPE }, signal);
    }
    return rejection('transform', `the transform failed: ${transformed.fault}`);
  }

  /** While something was waited for, the stream may have ended, or come to make its requests in another way. */
  #cannotSend(madeFor: ResolvedStream): boolean {
    return this.#abort.signal.aborted || this.#sink.problem !== null || madeFor !== this.#requested;
  }

  #filled({ entries }: Batch<DeliveryEvent>, made: SinkBatch): SinkBatch | Promise<SinkBatch> {
    const { values, builder } = this.#context;
    if (values === null || this.#definition.options.unchangedToast !== 'fetch') return made;
    const events = entries.map(({ event }) => event);
    return fillRequest(made, events, { values, builder, shape: this.#shape, signal: this.#abort.signal });
  }

  /**
   * Makes the request of a batch that was sent before: the same members, whatever the limits are now. False where they do
   * not belong into one request any more, as `path_template`, `headers` or `on_oversize` has changed.
   */
  #rebuild({ entries }: Batch<DeliveryEvent>): boolean {
    const { builder } = this.#context;
    builder.begin(unlimited(this.#shape, entries.length));
    return entries.every(({ event }) => builder.append(event));
  }
}

/** As if the endpoint had refused the payload. */
function rejection(code: string, reason: string): Outcome {
  return { class: 'rejected', status: null, code, reason, retryAfterMs: null };
}
