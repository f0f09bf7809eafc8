import { join } from 'node:path';
import type pg from 'pg';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { secretSources } from '../../src/catalog/secrets.ts';
import { Engine } from '../../src/engine/engine.ts';
import { UpstreamServer, UpstreamSource } from '../../src/engine/upstream-source.ts';
import type { StagedChange } from '../../src/model/staged-change.ts';
import type { StreamTable } from '../../src/model/stream.ts';
import { DEFAULT_STREAM_OPTIONS } from '../../src/model/stream-options.ts';
import { PLAIN_STREAM } from '../support/example-stream.ts';
import { upstreamOf } from '../support/upstreams.ts';

const TEST_KEY = Buffer.alloc(32, 7);

export interface RunningEngine {
  readonly engine: Engine;
  readonly catalog: Catalog;
  readonly slotName: string;
  stop(): Promise<void>;
}

/** An engine with its threads on `dataDir`, running until it is stopped. */
export function startEngine(
  upstreamUrl: string,
  dataDir: string,
  activationTimeoutMs?: number,
  clock: Clock = systemClock,
): RunningEngine {
  const catalog = Catalog.open(join(dataDir, 'catalog.db'), {
    clock: systemClock,
    random: systemRandom,
    secretKey: () => TEST_KEY,
    secretSources: secretSources({}, dataDir),
  });
  const engine = new Engine({
    catalog,
    server: new UpstreamServer(upstreamOf(upstreamUrl)),
    sourceOf: (database, slotName) => new UpstreamSource(upstreamOf(upstreamUrl, database), slotName),
    pipeline: {
      dataDir,
      upstreamUrl,
      userAgent: 'walhook/test',
      settings: () => ({
        egressAllow: ['127.0.0.0/8'],
        logLevel: 'silent',
        maxLogBytes: 0,
        backfillMaxRowsPerSecond: 0,
      }),
      logFormat: 'json',
    },
    clock,
    random: systemRandom,
    logger: silentLogger,
    ...(activationTimeoutMs === undefined ? {} : { activationTimeoutMs }),
  });
  const stopping = new AbortController();
  const done = engine.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await done;
    catalog.close();
  };
  return { engine, catalog, slotName: catalog.inDatabase('postgres').slotName, stop };
}

/** What CREATE asks the engine for. */
export function createStream(name: string, tables: readonly StreamTable[], url: string): StagedChange {
  return {
    kind: 'create-stream',
    orReplace: false,
    request: {
      name,
      ifNotExists: false,
      database: 'postgres',
      tables,
      destination: { kind: 'webhook', url },
      ...PLAIN_STREAM,
      options: { ...DEFAULT_STREAM_OPTIONS, initialBackoffMs: 20, maxBackoffMs: 200 },
      owner: 'postgres',
    },
  };
}

/** The session's transaction, as the frontend asks for it. */
export async function transactionOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ xid: string }>('SELECT pg_catalog.pg_current_xact_id()::text AS xid');
  return rows[0]!.xid;
}

/** A table as the session resolves it, also one that it has just made. */
export async function tableOf(client: pg.Client, name: string): Promise<StreamTable> {
  const { rows } = await client.query<{ oid: string }>('SELECT $1::regclass::oid::bigint AS oid', [name]);
  return { oid: Number(rows[0]!.oid), schema: 'public', name, keyColumns: ['id'], columns: null, where: null };
}
