import type { StreamDefinition } from '../../src/model/stream.ts';
import { DEFAULT_STREAM_OPTIONS } from '../../src/model/stream-options.ts';

/** What a stream is that nothing special is said of. */
export const PLAIN_STREAM = {
  scope: { kind: 'tables' },
  format: 'json',
  envelope: 'native',
  operations: null,
  when: null,
  transform: null,
  orderingKey: null,
  comment: null,
  options: DEFAULT_STREAM_OPTIONS,
  givenOptions: [],
} as const;

/** A definition with everything in it, apart from what the test gives. */
export function exampleStream(given: Partial<StreamDefinition>): StreamDefinition {
  return {
    id: '0d7fb1c0-0000-4000-8000-000000000001',
    name: 'orders_cdc_stream',
    database: 'postgres',
    source: { systemId: '7300000000000000001', databaseOid: 5 },
    ...PLAIN_STREAM,
    tables: [{ oid: 16_384, schema: 'public', name: 'orders', keyColumns: ['id'], columns: null, where: null }],
    destination: { kind: 'webhook', url: 'http://127.0.0.1:9/hook' },
    desiredState: 'running',
    startLsn: 0n,
    owner: 'postgres',
    createdAtMs: 1_790_000_000_000,
    pausedAtMs: null,
    heldGap: null,
    ...given,
  };
}
