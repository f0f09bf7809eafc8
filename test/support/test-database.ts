import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { LocalPostgres, type LocalPostgresOptions } from '../../src/cli/local-postgres.ts';
import { chosenBinDir } from './postgres-versions.ts';

/** A folder that goes when the file's tests are done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'walhook-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * A PostgreSQL server for this test file, stopped when its tests are done. The time zone is odd on purpose. The
 * version is the newest, or that of `TEST_POSTGRES`. A server that does not start fails the tests.
 */
export async function startPostgres(options: Partial<LocalPostgresOptions> = {}): Promise<LocalPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'walhook-pg-'));
  chmodSync(folder, 0o711);
  const binDir = options.binDir ?? (await chosenBinDir());
  const server = await LocalPostgres.start({
    dataDir: join(folder, 'data'),
    ...(binDir === undefined ? {} : { binDir }),
    ...options,
    settings: { fsync: 'off', timezone: 'Asia/Kathmandu', max_replication_slots: '20', ...options.settings },
  });
  after(async () => {
    await server.stop('immediate');
    rmSync(folder, { recursive: true, force: true });
  });
  return server;
}

/** A connected client that is closed when the file's tests are done. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  after(() => client.end().catch(() => undefined));
  return client;
}

/** The server's `server_version_num`: 180000 and more for 18. */
export async function serverVersion(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    `SELECT current_setting('server_version_num')::int AS version`,
  );
  return rows[0]!.version;
}
