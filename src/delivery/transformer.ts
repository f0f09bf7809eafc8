import type { StreamOptions } from '../model/stream-options.ts';
import type { StreamTransform } from '../model/stream.ts';

/** What became of a body. A fault is for people, and says nothing of a row. `offset`: in the transform's text, where it is known. */
export type Transformed =
  | { readonly body: Buffer }
  | { readonly fault: string; readonly offset: number | null; readonly isSyntax: boolean };

/** Applies transforms somewhere else, within limits. Never rejects. */
export interface Transformer {
  /** `streamId`: whose time is used. `maxEventBytes`: what one event may become. */
  transform(streamId: string, transform: StreamTransform, body: Buffer, maxEventBytes: number): Promise<Transformed>;
}

/** What a transform may make of one event where the stream sends events of any size. */
export const MAX_TRANSFORMED_BYTES = 16 * 1024 * 1024;

/** What a stream's transform may make of one event. */
export function maxTransformedBytes({
  onOversize,
  maxEventBytes,
}: Pick<StreamOptions, 'onOversize' | 'maxEventBytes'>): number {
  return onOversize === 'send' ? MAX_TRANSFORMED_BYTES : maxEventBytes;
}
