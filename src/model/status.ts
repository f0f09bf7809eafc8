import type { StreamDefinition } from './stream.ts';

export const STREAM_STATUSES = ['starting', 'running', 'retrying', 'paused', 'failed'] as const;
export type StreamStatusName = (typeof STREAM_STATUSES)[number];

/** What delivery knows of one stream at one moment. Times in ms since 1970, counts since the stream was created. */
export interface DeliveryStatus {
  readonly streamId: string;
  readonly eventsCaptured: number;
  readonly eventsDelivered: number;
  /** Attempts that failed. */
  readonly eventsFailed: number;
  readonly eventsRetried: number;
  readonly deadLetters: number;
  /** Captured, and neither acknowledged nor dead-lettered. */
  readonly pendingEvents: number;
  readonly pendingBytes: number;
  readonly inFlight: number;
  /** Commit time of the oldest pending event. */
  readonly oldestPendingCommitMs: number | null;
  readonly lastEventAtMs: number | null;
  readonly lastDeliveryAtMs: number | null;
  readonly lastHttpStatus: number | null;
  readonly lastError: string | null;
  readonly lastErrorAtMs: number | null;
  /** When the earliest waiting retry is due; null where none waits. */
  readonly nextRetryAtMs: number | null;
  /** Why the endpoint stopped the stream by itself (410), or null. */
  readonly haltedReason: string | null;
  /** Of the last 1,000 attempts; null before the first. */
  readonly deliveryP50Ms: number | null;
  readonly deliveryP99Ms: number | null;
  /** The position up to which everything is acknowledged, as an LSN in text. */
  readonly acknowledgedLsn: string | null;
}

/** What capture knows of its source at one moment. */
export interface CaptureStatus {
  readonly state: 'idle' | 'connecting' | 'streaming' | 'failed';
  /** The fault that keeps it from streaming, with its remedy. */
  readonly error: string | null;
  readonly slotName: string | null;
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
  /** Age of the oldest pending event; 0 where nothing is pending. */
  readonly lagSeconds: number;
  /** Log bytes that hold pending events. */
  readonly lagBytes: number;
}
