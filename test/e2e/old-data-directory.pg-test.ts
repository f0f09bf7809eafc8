import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import pg from 'pg';
import { onlySlotNameOf } from '../../src/catalog/slot-name.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { openTestCatalog, TEST_KEY } from '../support/test-catalog.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: what a version wrote that captured one database, with its files in the data directory itself, is gone on with.

/** Makes the catalog one of the third version, that has something upstream. Returns the name of its slot. */
function goBack(path: string): string {
  const { catalog } = openTestCatalog({}, path);
  const slotName = onlySlotNameOf(catalog.instanceId());
  catalog.close();
  const db = new Database(path);
  db.exec(`DROP TABLE captured_database; PRAGMA user_version = 3;
    INSERT INTO instance VALUES ('armed', 'yes'), ('open_gap', '')`);
  db.close();
  return slotName;
}

test('a data directory of one database opens: its slot and its log are gone on with, and go with the last stream', async () => {
  const server = await startPostgres();
  const admin = await connect(server.url());
  const receiver = await startReceiver();
  const dataDir = join(temporaryFolder(), 'data');
  mkdirSync(dataDir);
  const catalogFile = join(dataDir, 'catalog.db');
  const slotName = goBack(catalogFile);
  const walhook = new WalhookProcess({
    upstreamUrl: server.url(),
    dataDir,
    environment: { WALHOOK_SECRET_KEY: TEST_KEY.toString('base64') },
  });
  const start = async (): Promise<pg.Client> => {
    await walhook.start();
    const client = new pg.Client({ connectionString: walhook.sqlUrl() });
    client.on('error', () => undefined);
    await client.connect();
    after(() => client.end().catch(() => undefined));
    return client;
  };
  const first = await start();
  await first.query('CREATE TABLE t (id int PRIMARY KEY)');
  await first.query(`CREATE CDC STREAM s ON t TO WEBHOOK '${receiver.url}/s' WITH (circuit_breaker = off)`);
  receiver.answer = () => 503;
  await first.query('INSERT INTO t VALUES (1)');
  await waitFor('an attempt', () => receiver.to('/s').length > 0);
  await walhook.kill();
  assert.equal(goBack(catalogFile), slotName);
  for (const name of readdirSync(join(dataDir, slotName))) {
    renameSync(join(dataDir, slotName, name), join(dataDir, name));
  }
  rmdirSync(join(dataDir, slotName));
  await admin.query('INSERT INTO t VALUES (2)');

  const acknowledged = new Set<unknown>();
  receiver.answer = ({ body }) => (acknowledged.add((body.key as { id: unknown }).id), 204);
  const client = await start();
  await waitFor('both rows', () => acknowledged.size === 2);
  assert.deepEqual(
    (await client.query('SHOW CDC SLOTS')).rows.map((row: { slot_name: string }) => row.slot_name),
    [slotName],
  );
  assert.ok(!existsSync(join(dataDir, 'log.db')) && existsSync(join(dataDir, slotName, 'log.db')));
  await client.query('DROP CDC STREAM s');
  assert.equal((await admin.query('SELECT FROM pg_replication_slots')).rowCount, 0);
  assert.ok(!existsSync(join(dataDir, slotName)));
});

test('what such a version left upstream without a stream is taken away', async () => {
  const server = await startPostgres();
  const admin = await connect(server.url());
  const dataDir = join(temporaryFolder(), 'data');
  mkdirSync(dataDir);
  const slotName = goBack(join(dataDir, 'catalog.db'));
  await admin.query('CREATE PUBLICATION walhook');
  await admin.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [slotName]);
  const environment = { WALHOOK_SECRET_KEY: TEST_KEY.toString('base64') };
  await new WalhookProcess({ upstreamUrl: server.url(), dataDir, environment }).start();
  await waitFor('slot and publication to go', async () => {
    const left = 'SELECT FROM pg_replication_slots UNION ALL SELECT FROM pg_publication';
    return (await admin.query(left)).rowCount === 0;
  });
});
