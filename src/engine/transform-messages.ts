import type { StreamTransform } from '../model/stream.ts';

export interface ToTransformProcess {
  readonly transform: StreamTransform;
  readonly body: Uint8Array;
  readonly maxEventBytes: number;
}

export type FromTransformProcess =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly body: Uint8Array }
  | { readonly kind: 'fault'; readonly fault: string; readonly offset: number | null; readonly isSyntax: boolean };
