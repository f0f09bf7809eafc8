import type { Destination, StreamOptions } from '../model/stream.ts';

/** A name as the statement has it, not yet looked up. */
export interface QualifiedName {
  /** Null: the search path decides. */
  readonly schema: string | null;
  readonly name: string;
  /** Where it stands in the statement: characters, from 1. */
  readonly position: number;
}

/** What a statement of ours asks for, with every option typed and every default filled in. */
export type Command =
  | {
      readonly kind: 'create-stream';
      readonly name: string | null;
      readonly ifNotExists: boolean;
      readonly table: QualifiedName;
      readonly destination: Destination;
      readonly options: StreamOptions;
    }
  | { readonly kind: 'alter-stream'; readonly name: string; readonly action: 'pause' | 'resume' }
  | { readonly kind: 'drop-stream'; readonly names: readonly string[]; readonly ifExists: boolean }
  | { readonly kind: 'show-streams' }
  | { readonly kind: 'show-stream-status'; readonly name: string };
