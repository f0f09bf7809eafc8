import { assert } from '../base/assert.ts';
import type { LoadedProgress, PositionRange, StoredCircuit, StoredRetry } from '../log/delivery-store.ts';
import { comparePositions, type Position } from '../model/change.ts';
import type { ResolvedStream } from '../model/resolved-stream.ts';
import type { StreamOptions } from '../model/stream-options.ts';
import { MAX_RETRY_AFTER_MS } from '../sinks/sink.ts';
import { acknowledgedRanges, rangesOf } from './acknowledged-ranges.ts';
import type { Batch } from './batch.ts';
import { CLOSED_CIRCUIT, MAX_OPEN_MS } from './circuit-breaker.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import type { RequestShape } from './request-builder.ts';
import { REJECTED_RETRY_MS } from './retry-policy.ts';
import { Routes } from './routes.ts';
import type { SchedulerOptions } from './scheduler.ts';

/** The one that comes later. */
export function later(a: Position | null, b: Position): Position {
  return a === null || comparePositions(a, b) < 0 ? b : a;
}

/** A stream's options, as its scheduler knows them. */
export function schedulerOptions(options: StreamOptions): SchedulerOptions {
  return {
    batchMaxEvents: options.batchMaxEvents,
    batchMaxBytes: options.batchMaxBytes,
    batchMaxDelayMs: options.batchMaxDelayMs,
    maxInFlight: options.maxInFlight,
    maxRequestsPerSecond: options.maxRequestsPerSecond,
    maxBytesPerSecond: options.maxBytesPerSecond,
    circuitBreaker: options.circuitBreaker,
    maxRetries: options.maxRetries,
    maxRetryDurationMs: options.maxRetryDurationMs,
    onExhausted: options.onExhausted,
    onDeadLetter: options.onDeadLetter,
    backoff: { initialMs: options.initialBackoffMs, maxMs: options.maxBackoffMs },
  };
}

/** How a stream's requests are made. */
export function requestShape(stream: ResolvedStream, takesRecords: boolean): RequestShape {
  const { envelope, format, options, orderingKey } = stream;
  const { batchMaxEvents, batchMaxBytes, maxEventBytes, onOversize, ordering } = options;
  return {
    envelope,
    array: batchMaxEvents > 1 && !takesRecords,
    maxBytes: batchMaxBytes,
    maxEventBytes,
    onOversize,
    routes: new Routes(stream),
    records: takesRecords ? { envelope, format, ordering, hasOwnKey: orderingKey !== null } : null,
  };
}

/** What a circuit is of: null where the destination has none. */
export function originOf({ destination }: ResolvedStream): string {
  if (destination.kind === 'kafka') return destination.brokers;
  assert(destination.kind === 'webhook', 'endpoints are resolved before');
  return new URL(destination.url).origin;
}

/** The longest that anything waits before it is tried again, by the stream's options. */
function longestWaitMs({ maxBackoffMs }: StreamOptions): number {
  return Math.max(maxBackoffMs * 1.2, MAX_RETRY_AFTER_MS, ...REJECTED_RETRY_MS, MAX_OPEN_MS * 1.2);
}

/**
 * What an earlier life has stored of waits, `origin` being what it is of now. A time that nothing could wait for tells of a
 * clock that was wrong.
 */
export function storedWaits(
  { progress, retries }: Pick<LoadedProgress, 'progress' | 'retries'>,
  origin: string,
  options: StreamOptions,
  nowMs: number,
): { readonly circuit: StoredCircuit; readonly throttledUntilMs: number; readonly retries: readonly StoredRetry[] } {
  const latestMs = nowMs + longestWaitMs(options);
  const { circuit, throttledUntilMs } = progress;
  const isSame = progress.circuitOrigin === origin;
  const nextProbeAtMs = circuit.nextProbeAtMs === null ? null : Math.min(circuit.nextProbeAtMs, latestMs);
  return {
    circuit: isSame ? { ...circuit, nextProbeAtMs } : CLOSED_CIRCUIT,
    throttledUntilMs: isSame ? Math.min(throttledUntilMs, latestMs) : 0,
    retries: retries.map((retry) => ({
      ...retry,
      firstAttemptMs: Math.min(retry.firstAttemptMs, nowMs),
      dueAtMs: Math.min(retry.dueAtMs, latestMs),
    })),
  };
}

/** What an earlier life has finished beyond its cursor, as far as it came to tell. */
export function storedRanges(loaded: LoadedProgress | null): readonly PositionRange[] {
  if (loaded === null) return [];
  const { finished, retries, progress } = loaded;
  const open = retries.flatMap(({ members }) => members);
  return acknowledgedRanges(progress.acknowledged, rangesOf(finished, open), progress.cursor);
}

/** A batch, as the store keeps it. */
export function storedRetry(batch: Batch<DeliveryEvent>, firstAttemptMs: number): StoredRetry {
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
