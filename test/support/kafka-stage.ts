import { join } from 'node:path';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { connect, startPostgres, temporaryFolder } from './test-database.ts';
import { WalhookProcess } from './walhook-process.ts';

/** Runs statements one after the other on a connection of their own; gives the last one's rows, as arrays. */
export type RunSql = (...statements: readonly string[]) => Promise<readonly (readonly unknown[])[]>;

export interface KafkaStage {
  readonly server: LocalPostgres;
  readonly walhook: WalhookProcess;
  readonly sql: RunSql;
}

/** A PostgreSQL and a walhook before it that asks its destinations whether they would take events, for tests of brokers. */
export async function startKafkaStage(): Promise<KafkaStage> {
  const server = await startPostgres();
  const walhook = await new WalhookProcess({
    upstreamUrl: server.url(),
    dataDir: join(temporaryFolder(), 'data'),
    environment: { WALHOOK_VALIDATE: 'on' },
  }).start();
  const sql: RunSql = async (...statements) => {
    const client = await connect(walhook.sqlUrl());
    try {
      let rows: readonly (readonly unknown[])[] = [];
      for (const text of statements) rows = (await client.query({ text, rowMode: 'array' })).rows as unknown[][];
      return rows;
    } finally {
      await client.end();
    }
  };
  return { server, walhook, sql };
}
