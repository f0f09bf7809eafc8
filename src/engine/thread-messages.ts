import type { MessagePort } from 'node:worker_threads';
import type { LogLevel } from '../base/logger.ts';
import type { Backfill } from '../model/backfill.ts';
import type { Gap, GapReason, GapTable } from '../model/gap.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import type { DeliveryAnswer, DeliveryRequest } from '../model/delivery-control.ts';
import type { ReplayRange } from '../model/replay.ts';
import type { CaptureStatus, DeliveryStatus } from '../model/status.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { StreamMessage } from './stream-message.ts';

/*
  What the threads say to one another. Capture and delivery talk over a port of their own, so that the main thread is
  not on the way of the rows.

    main     -> capture    status, behind-gap, table-gap, gap-settled, streams, backfill, cancel-backfill, settings, stop
    capture  -> main       gap (streaming on would hide that changes are lost), gap-placed, streaming
    main     -> delivery   configure, status, control (what operators see and do), replay, retained, settings, stop
    delivery -> main       refused, besides answers
    capture  -> delivery   chunk (before its fsync), durable (after)
    delivery -> capture    consumed (bytes handed over and let go of), trim
*/

/** Options that may change while threads run. */
export interface ThreadSettings {
  readonly logLevel: LogLevel;
  /** Of each database's log. 0: unlimited. */
  readonly maxLogBytes: number;
  /** Of each database's backfills. 0: unlimited. */
  readonly backfillMaxRowsPerSecond: number;
  readonly egressAllow: readonly string[];
}

interface ThreadData {
  /** Of the database's files. */
  readonly folder: string;
  readonly database: string;
  readonly settings: ThreadSettings;
  readonly logFormat: 'json' | 'pretty';
  /** The two data-plane threads' own channel. */
  readonly peer: MessagePort;
}

export interface CaptureThreadData extends ThreadData {
  readonly upstreamUrl: string;
  readonly slotName: string;
}

export interface DeliveryThreadData extends ThreadData {
  readonly upstreamUrl: string;
  readonly userAgent: string;
  readonly streams: readonly StreamMessage[];
}

export type ToCaptureThread =
  | { readonly kind: 'status'; readonly id: number }
  /** Writes the gap into the log, which goes on behind it, and connects at once. */
  | { readonly kind: 'behind-gap'; readonly gap: Gap; readonly id: number }
  /** The gap's tables are published again: it is to have its place in the log, which `gap-placed` tells. */
  | { readonly kind: 'table-gap'; readonly gap: Gap; readonly id: number }
  | { readonly kind: 'gap-settled'; readonly gapId: string; readonly id: number }
  /** The streams that there are: backfills of others are forgotten. `published`: the tables that are to be, as OIDs. */
  | {
      readonly kind: 'streams';
      readonly ids: readonly string[];
      readonly published: readonly number[];
      /** Of these, the ones whose streams take inserts only. */
      readonly insertsOnly: readonly number[];
      readonly id: number;
    }
  | { readonly kind: 'backfill'; readonly backfill: Backfill; readonly id: number }
  | { readonly kind: 'cancel-backfill'; readonly streamId: string; readonly id: number }
  | { readonly kind: 'settings'; readonly settings: ThreadSettings; readonly id: number }
  | { readonly kind: 'stop' };

/** What capture has found that it cannot go on from. */
export interface GapReport {
  readonly reason: GapReason;
  readonly message: string;
  /** Where the log ends: what the slot has from there on can be gone on with. */
  readonly logLsn: Lsn;
  /** Up to where nothing is missing: no further. */
  readonly fromLsn: Lsn;
  /** Of which tables it is not; absent: of any, and nothing streams. */
  readonly tables?: readonly GapTable[];
  /** The publication of these tables has lost options as well. */
  readonly hasLostOptions?: boolean;
}

/** A gap of some tables has its place in the log. */
export interface PlacedGap {
  readonly gapId: string;
  /** Of the commit behind which it stands. */
  readonly lsn: Lsn;
}

export type FromCaptureThread =
  | { readonly kind: 'status'; readonly id: number; readonly status: CaptureStatus }
  | { readonly kind: 'done'; readonly id: number }
  /** Whether there was one. */
  | { readonly kind: 'cancelled'; readonly wasRunning: boolean; readonly id: number }
  | { readonly kind: 'gap'; readonly report: GapReport }
  /** Said again until `gap-settled`. */
  | { readonly kind: 'gap-placed'; readonly placed: PlacedGap }
  | { readonly kind: 'streaming' };

export type ToDeliveryThread =
  | { readonly kind: 'control'; readonly request: DeliveryRequest; readonly id: number }
  | { readonly kind: 'configure'; readonly streams: readonly StreamMessage[]; readonly id: number }
  | { readonly kind: 'status'; readonly id: number }
  | { readonly kind: 'replay'; readonly streamId: string; readonly range: ReplayRange; readonly id: number }
  | { readonly kind: 'retained'; readonly id: number }
  | { readonly kind: 'settings'; readonly settings: ThreadSettings; readonly id: number }
  | { readonly kind: 'stop' };

/** Of an error of 55000. */
export interface Refusal {
  readonly message: string;
  readonly detail: string | null;
  readonly hint: string | null;
}

export type FromDeliveryThread =
  | { readonly kind: 'control'; readonly id: number; readonly answer: DeliveryAnswer }
  | { readonly kind: 'configured'; readonly id: number }
  /** How many events; or why not, as a `PgError`'s fields. */
  | { readonly kind: 'replayed'; readonly id: number; readonly events: number; readonly refusal: Refusal | null }
  /** Null: the log has everything since it began. */
  | { readonly kind: 'retained'; readonly id: number; readonly from: Lsn | null }
  /** An endpoint has refused its credentials, or could not show its own: a secret may have changed. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'status'; readonly id: number; readonly status: readonly DeliveryStatus[] };

export type CaptureToDelivery =
  | {
      readonly kind: 'chunk';
      readonly header: ChunkHeader;
      /** Null: the receiver is behind and reads the log once the chunk is durable. */
      readonly data: Uint8Array | null;
      readonly relationMessages: ReadonlyMap<number, Uint8Array> | null;
    }
  | { readonly kind: 'durable'; readonly lastChunkId: number }
  /** The log failed: this chunk and those after it did not become durable, and their ids will name others. */
  | { readonly kind: 'discarded'; readonly firstChunkId: number };

export type DeliveryToCapture =
  | { readonly kind: 'consumed'; readonly bytes: number }
  | { readonly kind: 'trim'; readonly before: number };

/** Bytes of chunks handed over and not yet let go of; beyond it chunks are announced without their data. */
export const MAX_HANDED_OVER_BYTES = 2 * 1024 * 1024;
