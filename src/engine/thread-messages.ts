import type { MessagePort } from 'node:worker_threads';
import type { LogLevel } from '../base/logger.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import type { CaptureStatus, DeliveryStatus } from '../model/status.ts';
import type { StreamDefinition } from '../model/stream.ts';

/*
  What the threads say to one another. Capture and delivery talk over a port of their own, so that the main thread is
  not on the way of the rows.

    main     -> capture    status, stop
    main     -> delivery   configure, status, stop
    capture  -> delivery   chunk (before its fsync), durable (after)
    delivery -> capture    consumed (bytes handed over and let go of), trim
*/

/** Delivery's own state, in the data directory. */
export const DELIVERY_FILE = 'delivery.db';

interface ThreadData {
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  readonly logFormat: 'json' | 'pretty';
  /** The two data-plane threads' own channel. */
  readonly peer: MessagePort;
}

export interface CaptureThreadData extends ThreadData {
  readonly upstreamUrl: string;
  readonly slotName: string;
}

export interface DeliveryThreadData extends ThreadData {
  readonly egressAllow: readonly string[];
  readonly userAgent: string;
  readonly definitions: readonly StreamDefinition[];
}

export type ToCaptureThread = { readonly kind: 'status'; readonly id: number } | { readonly kind: 'stop' };

export type FromCaptureThread =
  | { readonly kind: 'ready' }
  | { readonly kind: 'status'; readonly id: number; readonly status: CaptureStatus };

export type ToDeliveryThread =
  | { readonly kind: 'configure'; readonly definitions: readonly StreamDefinition[]; readonly id: number }
  | { readonly kind: 'status'; readonly id: number }
  | { readonly kind: 'stop' };

export type FromDeliveryThread =
  | { readonly kind: 'ready' }
  | { readonly kind: 'configured'; readonly id: number }
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
export const MAX_HANDED_OVER_BYTES = 4 * 1024 * 1024;
