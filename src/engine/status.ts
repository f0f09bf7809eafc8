import type { CaptureStatus, DeliveryStatus, StreamReport } from '../model/status.ts';
import type { StreamDefinition } from '../model/stream.ts';

/** Pending events with no acknowledgement for this long: the stream is not running, whatever the cause. */
export const STALLED_MS = 5_000;

/** What a stream shows before delivery has said anything of it. */
export function emptyDeliveryStatus(streamId: string): DeliveryStatus {
  return {
    streamId,
    eventsCaptured: 0,
    eventsDelivered: 0,
    eventsFailed: 0,
    eventsRetried: 0,
    deadLetters: 0,
    pendingEvents: 0,
    pendingBytes: 0,
    inFlight: 0,
    oldestPendingCommitMs: null,
    lastEventAtMs: null,
    lastDeliveryAtMs: null,
    lastHttpStatus: null,
    lastError: null,
    lastErrorAtMs: null,
    nextRetryAtMs: null,
    haltedReason: null,
    deliveryP50Ms: null,
    deliveryP99Ms: null,
    acknowledgedLsn: null,
  };
}

/** What capture shows while there is no stream to capture for. */
export const IDLE_CAPTURE: CaptureStatus = {
  state: 'idle',
  error: null,
  slotName: null,
  receivedLsn: null,
  confirmedLsn: null,
  upstreamLsn: null,
  changesCaptured: 0,
  transactionsCaptured: 0,
  logBytes: 0,
  logChunks: 0,
};

/**
 * The truth about one stream. **Invariant**: `running` is never shown while events are pending and nothing is being
 * acknowledged, nor while its changes cannot be captured.
 */
export function reportStream(
  definition: StreamDefinition,
  delivery: DeliveryStatus,
  capture: CaptureStatus,
  nowMs: number,
): StreamReport {
  const oldest = delivery.oldestPendingCommitMs;
  return {
    definition,
    ...nameStatus(definition, delivery, capture, nowMs),
    delivery,
    capture,
    lagSeconds: oldest === null ? 0 : Math.max(0, nowMs - oldest) / 1000,
    lagBytes: delivery.pendingBytes,
  };
}

type Named = Pick<StreamReport, 'status' | 'statusReason'>;

function nameStatus(
  definition: StreamDefinition,
  delivery: DeliveryStatus,
  capture: CaptureStatus,
  nowMs: number,
): Named {
  if (definition.desiredState === 'paused') return { status: 'paused', statusReason: null };
  if (delivery.haltedReason !== null) return { status: 'paused', statusReason: delivery.haltedReason };
  if (capture.state === 'failed') return { status: 'failed', statusReason: capture.error };
  if (capture.state !== 'streaming') return { status: 'starting', statusReason: capture.error };
  if (delivery.pendingEvents === 0) return { status: 'running', statusReason: null };
  const lastProgressMs = Math.max(delivery.lastDeliveryAtMs ?? 0, delivery.oldestPendingCommitMs ?? 0);
  if (nowMs - lastProgressMs < STALLED_MS && !failedSinceDelivery(delivery)) {
    return { status: 'running', statusReason: null };
  }
  return { status: 'retrying', statusReason: delivery.lastError ?? 'the endpoint has not answered yet' };
}

function failedSinceDelivery(delivery: DeliveryStatus): boolean {
  return delivery.lastErrorAtMs !== null && delivery.lastErrorAtMs >= (delivery.lastDeliveryAtMs ?? 0);
}
