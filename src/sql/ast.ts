import type { QualifiedName } from './command.ts';

/*
  A statement as it was written: plain frozen nodes, nothing looked up, nothing typed, no default filled in. A `position`
  counts characters of the statement, from 1.
*/

export interface Name {
  /** Folded, or as it stood between quotes. */
  readonly text: string;
  readonly position: number;
}

export interface StringConstant {
  readonly kind: 'string';
  readonly value: string;
  readonly position: number;
}

export interface Parameter {
  readonly kind: 'parameter';
  /** From 1, as in `$1`. */
  readonly index: number;
  readonly position: number;
}

export type Literal = StringConstant | Parameter;

export interface NumberConstant {
  readonly kind: 'number';
  /** As written, a plus sign left out. */
  readonly text: string;
  readonly position: number;
}

export interface Word {
  readonly kind: 'word';
  /** Folded. */
  readonly text: string;
  readonly position: number;
}

export type OptionValue = Literal | NumberConstant | Word;

export interface Option {
  readonly name: Name;
  /** Null where the option has a name only. */
  readonly value: OptionValue | null;
}

/** One of a fixed set of words. */
export interface Choice<T extends string> {
  readonly value: T;
  readonly position: number;
}

export type FormatName = 'json' | 'avro';
export type EnvelopeName = 'native' | 'debezium' | 'flat' | 'cloudevents';

export type DestinationNode =
  | { readonly kind: 'webhook'; readonly url: Literal; readonly position: number }
  | { readonly kind: 'kafka'; readonly brokers: Literal; readonly topic: Literal | null; readonly position: number };

export interface CreateStream {
  readonly kind: 'create-stream';
  readonly ifNotExists: boolean;
  readonly name: Name | Parameter | null;
  readonly table: QualifiedName;
  readonly destination: DestinationNode;
  readonly format: Choice<FormatName> | null;
  readonly envelope: Choice<EnvelopeName> | null;
  readonly options: readonly Option[];
}

export interface AlterStream {
  readonly kind: 'alter-stream';
  readonly name: Name;
  readonly action: 'pause' | 'resume';
}

export interface DropStreams {
  readonly kind: 'drop-streams';
  readonly ifExists: boolean;
  readonly names: readonly Name[];
}

export interface ShowStreams {
  readonly kind: 'show-streams';
}

export interface ShowStreamStatus {
  readonly kind: 'show-stream-status';
  readonly name: Name;
}

export type Statement = CreateStream | AlterStream | DropStreams | ShowStreams | ShowStreamStatus;
