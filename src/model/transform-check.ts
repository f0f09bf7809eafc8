import type { EnvelopeName, StreamTransform } from './stream.ts';

/** What a transform is tried on: an INSERT into the table. */
export interface TransformSample {
  readonly envelope: EnvelopeName;
  readonly numbers: 'string' | 'number';
  readonly includeTransaction: boolean;
  readonly database: string;
  readonly schema: string;
  readonly table: string;
  readonly keyColumns: readonly string[];
  /** The columns that are sent. */
  readonly columns: readonly { readonly name: string; readonly typeOid: number }[];
}

/** Why a transform will not do. */
export interface TransformFault {
  /** For people. */
  readonly message: string;
  /** It is none at all; otherwise it failed on the sample. */
  readonly isSyntax: boolean;
}

/** Tries transforms. */
export interface TransformCheck {
  /** Null: it is applied to the sample. */
  checkTransform(transform: StreamTransform, sample: TransformSample): Promise<TransformFault | null>;
}
