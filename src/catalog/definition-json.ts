import type { StreamDefinition, StreamTable } from '../model/stream.ts';
import { DEFAULT_STREAM_OPTIONS, type OptionKey, type StreamOptions } from '../model/stream-options.ts';
import { formatLsn, parseLsn } from '../postgres/lsn.ts';
import { must } from '../base/assert.ts';

/** A definition as the catalog stores it: JSON, its LSN in text. */
export function encodeDefinition(definition: StreamDefinition): string {
  return JSON.stringify({ ...definition, startLsn: formatLsn(definition.startLsn) });
}

type Stored = Omit<StreamDefinition, 'startLsn' | 'options' | 'tables' | 'givenOptions'> & {
  readonly startLsn: string;
  readonly options: Partial<StreamOptions>;
  readonly givenOptions?: readonly OptionKey[];
  readonly tables: ReadonlyArray<Partial<StreamTable>>;
};

/** What a definition of an earlier version does not say is the default. */
export function decodeDefinition(json: string): StreamDefinition {
  const stored = JSON.parse(json) as Stored;
  const options: StreamOptions = { ...DEFAULT_STREAM_OPTIONS, ...stored.options };
  return {
    ...UNSAID,
    givenOptions: changedKeys(options),
    ...stored,
    options,
    tables: stored.tables.map((table) => ({ columns: null, where: null, ...table }) as StreamTable),
    startLsn: must(parseLsn(stored.startLsn), 'a stored LSN parses'),
  };
}

const UNSAID = {
  scope: { kind: 'tables' },
  operations: null,
  when: null,
  transform: null,
  orderingKey: null,
  comment: null,
  heldGap: null,
} as const;

function changedKeys(options: StreamOptions): readonly OptionKey[] {
  const keys = Object.keys(DEFAULT_STREAM_OPTIONS) as OptionKey[];
  return keys.filter((key) => JSON.stringify(options[key]) !== JSON.stringify(DEFAULT_STREAM_OPTIONS[key]));
}
