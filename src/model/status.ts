import type { HistogramCounts } from '../base/histogram.ts';
import type { BackfillStatus } from './backfill.ts';
import type { StreamDefinition } from './stream.ts';

export const STREAM_STATUSES = [
  'starting',
  'backfilling',
  'running',
  'retrying',
  'circuit_open',
  'paused',
  'failed',
] as const;
export type StreamStatusName = (typeof STREAM_STATUSES)[number];

export const CIRCUIT_STATES = ['closed', 'open', 'half_open'] as const;
export type CircuitStateName = (typeof CIRCUIT_STATES)[number];

/** Attempts that ended alike. */
export interface AttemptCount {
  readonly outcomeClass: string;
  /** `2xx` to `5xx`, `429`, or `none` where no answer came. */
  readonly code: string;
  readonly count: number;
}

/** What is counted since the process began. */
export interface DeliveryMeasures {
  readonly attempts: readonly AttemptCount[];
  readonly attemptSeconds: HistogramCounts;
  /** From the commit to the acknowledgement. */
  readonly endToEndSeconds: HistogramCounts;
  /** Of request bodies. */
  readonly bytesSent: number;
}

/** What delivery knows of one stream at one moment. Times in ms since 1970, counts since the stream was created. */
export interface DeliveryStatus {
  readonly streamId: string;
  /** Since when it sends: it was created, resumed, or walhook started; null while it does not. */
  readonly startedAtMs: number | null;
  readonly eventsCaptured: number;
  readonly eventsDelivered: number;
  /** Events of attempts that failed: one that is retried counts each time. */
  readonly eventsFailed: number;
  readonly eventsRetried: number;
  readonly deadLetters: number;
  /** Dead letters that were discarded. */
  readonly eventsDiscarded: number;
  /** Changes that the stream's filters dropped. */
  readonly eventsFiltered: number;
  /** Events that were sent because a filter could not tell, and why the last of them. */
  readonly filterDoubts: number;
  readonly lastFilterDoubt: string | null;
  /** Captured, and neither acknowledged nor dead-lettered. */
  readonly pendingEvents: number;
  readonly pendingBytes: number;
  /** Pending events that wait on disk for their keys' turn. */
  readonly parkedEvents: number;
  readonly inFlight: number;
  /** Commit time of the oldest pending event. */
  readonly oldestPendingCommitMs: number | null;
  readonly lastEventAtMs: number | null;
  readonly lastDeliveryAtMs: number | null;
  readonly lastHttpStatus: number | null;
  readonly lastError: string | null;
  readonly lastErrorAtMs: number | null;
  /** When the earliest waiting retry is made, not before the circuit's next probe; null where none waits. */
  readonly nextRetryAtMs: number | null;
  readonly circuitState: CircuitStateName;
  /** Both null while the circuit is closed. */
  readonly circuitOpenedAtMs: number | null;
  readonly circuitNextProbeAtMs: number | null;
  /** Keys that wait for what becomes of a dead letter (`on_dead_letter = block_key`). */
  readonly blockedKeys: number;
  /** Why the stream stopped by itself (410, or retries that are exhausted), or null. */
  readonly haltedReason: string | null;
  /**
   * Why nothing can be sent now although the endpoint has done nothing: a secret that cannot be had, a disk that is full. Or
   * null.
   */
  readonly blockedReason: string | null;
  /** Of the last 1,000 attempts; null before the first. */
  readonly deliveryP50Ms: number | null;
  readonly deliveryP99Ms: number | null;
  /** The position up to which everything is acknowledged, as an LSN in text. */
  readonly acknowledgedLsn: string | null;
  /** Null: delivery has not begun. */
  readonly measures: DeliveryMeasures | null;
}

/** `pg_replication_slots.wal_status`. */
export const SLOT_WAL_STATUSES = ['reserved', 'extended', 'unreserved', 'lost'] as const;

/** What capture knows of its source at one moment. */
export interface CaptureStatus {
  readonly state: 'idle' | 'connecting' | 'streaming' | 'failed';
  /** The fault that keeps it from streaming, with its remedy; or, while it streams, why nothing may come. */
  readonly error: string | null;
  readonly slotName: string | null;
  /** `pg_replication_slots.wal_status` as last seen: reserved, extended, unreserved or lost. */
  readonly slotWalStatus: string | null;
  /** Since a heartbeat last came back by the slot; 0 where none has. */
  readonly heartbeatAgeMs: number;
  /** The newest of each stream that ever had one. */
  readonly backfills: readonly BackfillStatus[];
  readonly receivedLsn: string | null;
  readonly confirmedLsn: string | null;
  /** The server's end of WAL as last heard. */
  readonly upstreamLsn: string | null;
  readonly changesCaptured: number;
  readonly transactionsCaptured: number;
  readonly logBytes: number;
  readonly logChunks: number;
}

/** One stream as SHOW and the admin server present it: what was asked for, what is, and why. */
export interface StreamReport {
  readonly definition: StreamDefinition;
  readonly status: StreamStatusName;
  /** Why the status is what it is, where that needs a word; otherwise null. */
  readonly statusReason: string | null;
  readonly delivery: DeliveryStatus;
  readonly capture: CaptureStatus;
  /** The stream's newest; null where it never had one. */
  readonly backfill: BackfillStatus | null;
  /** Age of the oldest pending event; 0 where nothing is pending. */
  readonly lagSeconds: number;
  /** Log bytes that hold pending events. */
  readonly lagBytes: number;
}
