import type { Catalog } from '../../src/catalog/catalog.ts';
import type { CreateStreamRequest } from '../../src/model/stream-control.ts';
import type { StagedChange } from '../../src/model/staged-change.ts';
import type { PgNotice } from '../../src/postgres/sqlstate.ts';
import { PLAIN_STREAM } from '../support/example-stream.ts';

export const ORDERS = {
  oid: 16_384,
  schema: 'public',
  name: 'orders',
  keyColumns: ['id'],
  columns: null,
  where: null,
} as const;
export const ITEMS = {
  oid: 16_390,
  schema: 'public',
  name: 'items',
  keyColumns: ['id'],
  columns: null,
  where: null,
} as const;

export function createStream(name: string | null, given: Partial<CreateStreamRequest> = {}, orReplace = false) {
  return {
    kind: 'create-stream',
    orReplace,
    request: {
      name,
      ifNotExists: false,
      database: 'postgres',
      tables: [ORDERS],
      destination: { kind: 'webhook', url: 'http://127.0.0.1:9/hook?token=planted-in-url' },
      ...PLAIN_STREAM,
      owner: 'alice',
      ...given,
    },
  } as const satisfies StagedChange;
}

export function createEndpoint(name: string, given: Partial<Extract<StagedChange, { kind: 'create-endpoint' }>> = {}) {
  const url = 'https://hooks.example.com/in';
  const shared = { owner: 'alice', ifNotExists: false, orReplace: false };
  return { kind: 'create-endpoint', name, url, options: {}, ...shared, ...given } satisfies StagedChange;
}

/** A change outside of a transaction, as the engine applies it, without anything upstream. */
export function change(catalog: Catalog, wanted: StagedChange, actor = 'alice'): readonly PgNotice[] {
  const holder = catalog.begin();
  try {
    const plan = catalog.plan(holder, wanted, actor);
    catalog.apply(plan);
    return plan.notices;
  } finally {
    catalog.end(holder);
  }
}
