import type { StreamDefinition, StreamOptions } from '../../src/model/stream.ts';

export const DEFAULT_OPTIONS: StreamOptions = {
  batchMaxEvents: 1,
  batchMaxBytes: 1_048_576,
  maxInFlight: 16,
  requestTimeoutMs: 30_000,
  maxRetries: 0,
  initialBackoffMs: 1_000,
  maxBackoffMs: 300_000,
  headers: {},
};

/** A definition with everything in it, apart from what the test gives. */
export function exampleStream(given: Partial<StreamDefinition>): StreamDefinition {
  return {
    id: '0d7fb1c0-0000-4000-8000-000000000001',
    name: 'orders_cdc_stream',
    database: 'postgres',
    source: { systemId: '7300000000000000001', databaseOid: 5 },
    tables: [{ oid: 16_384, schema: 'public', name: 'orders', keyColumns: ['id'] }],
    destination: { kind: 'webhook', url: 'http://127.0.0.1:9/hook' },
    format: 'json',
    envelope: 'native',
    options: DEFAULT_OPTIONS,
    desiredState: 'running',
    startLsn: 0n,
    owner: 'postgres',
    createdAtMs: 1_790_000_000_000,
    pausedAtMs: null,
    ...given,
  };
}
