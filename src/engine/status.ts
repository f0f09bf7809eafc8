import type { CaptureStatus, DeliveryStatus, StreamReport } from '../model/status.ts';
import type { BackfillStatus } from '../model/backfill.ts';
import { describeGap, type Gap } from '../model/gap.ts';
import type { StreamDefinition } from '../model/stream.ts';

/** Pending events with no acknowledgement for this long: the stream is not running, whatever the cause. */
export const STALLED_MS = 5_000;

/** What a stream shows before delivery has said anything of it. */
export function emptyDeliveryStatus(streamId: string): DeliveryStatus {
  return {
    streamId,
    startedAtMs: null,
    eventsCaptured: 0,
    eventsDelivered: 0,
    eventsFailed: 0,
    eventsRetried: 0,
    deadLetters: 0,
    eventsDiscarded: 0,
    eventsFiltered: 0,
    filterDoubts: 0,
    lastFilterDoubt: null,
    pendingEvents: 0,
    pendingBytes: 0,
    parkedEvents: 0,
    inFlight: 0,
    oldestPendingCommitMs: null,
    lastEventAtMs: null,
    lastDeliveryAtMs: null,
    lastHttpStatus: null,
    lastError: null,
    lastErrorAtMs: null,
    nextRetryAtMs: null,
    circuitState: 'closed',
    circuitOpenedAtMs: null,
    circuitNextProbeAtMs: null,
    blockedKeys: 0,
    haltedReason: null,
    blockedReason: null,
    deliveryP50Ms: null,
    deliveryP99Ms: null,
    acknowledgedLsn: null,
    measures: null,
  };
}

/** What capture shows while there is no stream to capture for. */
export const IDLE_CAPTURE: CaptureStatus = {
  state: 'idle',
  error: null,
  slotName: null,
  slotWalStatus: null,
  heartbeatAgeMs: 0,
  backfills: [],
  receivedLsn: null,
  confirmedLsn: null,
  upstreamLsn: null,
  changesCaptured: 0,
  transactionsCaptured: 0,
  logBytes: 0,
  logChunks: 0,
};

/** Whether all of a stream's tables are captured, and what keeps them from it. */
export interface Arming {
  readonly isDone: boolean;
  readonly problem: string | null;
}

const ARMED: Arming = { isDone: true, problem: null };

/**
 * The truth about one stream. **Invariant**: `running` is never shown while events are pending and nothing is being
 * acknowledged, nor while its changes cannot be captured.
 */
export function reportStream(
  definition: StreamDefinition,
  delivery: DeliveryStatus,
  capture: CaptureStatus,
  nowMs: number,
  arming: Arming = ARMED,
): StreamReport {
  const oldest = delivery.oldestPendingCommitMs;
  return {
    definition,
    ...nameStatus(definition, delivery, capture, nowMs, arming),
    delivery,
    capture,
    backfill: backfillOf(definition, capture),
    lagSeconds: oldest === null ? 0 : Math.max(0, nowMs - oldest) / 1000,
    lagBytes: delivery.pendingBytes,
  };
}

function backfillOf({ id }: StreamDefinition, { backfills }: CaptureStatus): BackfillStatus | null {
  return backfills.find(({ streamId }) => streamId === id) ?? null;
}

const UNRESERVED =
  'the server may take the slot away, and changes with it: it needs more WAL than max_slot_wal_keep_size keeps';

type Named = Pick<StreamReport, 'status' | 'statusReason'>;

function nameStatus(
  definition: StreamDefinition,
  delivery: DeliveryStatus,
  capture: CaptureStatus,
  nowMs: number,
  arming: Arming,
): Named {
  if (definition.desiredState === 'paused') return { status: 'paused', statusReason: null };
  if (definition.heldGap !== null) return { status: 'paused', statusReason: heldReason(definition.heldGap) };
  if (!arming.isDone) return { status: arming.problem === null ? 'starting' : 'failed', statusReason: arming.problem };
  if (delivery.haltedReason !== null) return { status: 'paused', statusReason: delivery.haltedReason };
  if (capture.state === 'failed') return { status: 'failed', statusReason: capture.error };
  if (capture.state !== 'streaming') return { status: 'starting', statusReason: capture.error };
  if (delivery.blockedReason !== null) return { status: 'failed', statusReason: delivery.blockedReason };
  if (capture.error !== null) return { status: 'failed', statusReason: capture.error };
  // Half-open, it is being tried: the probes say by themselves whether the stream gets on.
  if (delivery.circuitState === 'open') {
    return { status: 'circuit_open', statusReason: delivery.lastError ?? 'the endpoint has failed repeatedly' };
  }
  const backfill = backfillOf(definition, capture);
  if (backfill?.state === 'running') return { status: 'backfilling', statusReason: backfill.problem };
  const running: Named = {
    status: 'running',
    statusReason: capture.slotWalStatus === 'unreserved' ? UNRESERVED : null,
  };
  if (delivery.pendingEvents === 0) return running;
  if (failedSinceDelivery(delivery)) return { status: 'retrying', statusReason: delivery.lastError };
  const lastProgressMs = Math.max(delivery.lastDeliveryAtMs ?? 0, delivery.oldestPendingCommitMs ?? 0);
  if (nowMs - lastProgressMs < STALLED_MS) return running;
  return { status: 'retrying', statusReason: whyStalled(definition, delivery) };
}

/** What events wait for although nothing has failed. */
function whyStalled(
  { options }: StreamDefinition,
  { inFlight, blockedKeys, nextRetryAtMs, lastError }: DeliveryStatus,
): string {
  if (inFlight > 0) return 'the endpoint has not answered yet';
  if (nextRetryAtMs !== null && lastError !== null) return lastError;
  if (blockedKeys > 0) return `keys that wait for what becomes of their dead letters (on_dead_letter): ${blockedKeys}`;
  if (options.batchMaxDelayMs > STALLED_MS) return 'a fuller batch is waited for (batch_max_delay)';
  if (options.maxRequestsPerSecond > 0 || options.maxBytesPerSecond > 0) {
    return 'the stream sends no more in this time (max_requests_per_second, max_bytes_per_second)';
  }
  return 'nothing has been sent yet';
}

function heldReason(gap: Gap): string {
  return `${describeGap(gap)}. ALTER CDC STREAM … RESUME goes on behind the gap`;
}

function failedSinceDelivery(delivery: DeliveryStatus): boolean {
  return delivery.lastErrorAtMs !== null && delivery.lastErrorAtMs >= (delivery.lastDeliveryAtMs ?? 0);
}
