import type { StreamDefinition } from '../model/stream.ts';
import { formatLsn, parseLsn } from '../postgres/lsn.ts';
import { must } from '../base/assert.ts';

/** A definition as the catalog stores it: JSON, its LSN in text. */
export function encodeDefinition(definition: StreamDefinition): string {
  return JSON.stringify({ ...definition, startLsn: formatLsn(definition.startLsn) });
}

export function decodeDefinition(json: string): StreamDefinition {
  const stored = JSON.parse(json) as Omit<StreamDefinition, 'startLsn'> & { startLsn: string };
  return { ...stored, startLsn: must(parseLsn(stored.startLsn), 'a stored LSN parses') };
}
