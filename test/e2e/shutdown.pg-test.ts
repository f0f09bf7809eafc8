import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startProxy } from '../capture/cutting-proxy.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: told to stop, walhook stops, whoever does not answer it any more.

const server = await startPostgres();
const direct = await connect(server.url());

test('a server that has fallen silent does not keep walhook from stopping', async () => {
  const proxy = await startProxy(server.port);
  const receiver = await startReceiver();
  const walhook = await new WalhookProcess({
    upstreamUrl: server.url().replace(`:${server.port}/`, `:${proxy.port}/`),
    dataDir: join(temporaryFolder(), 'data'),
  }).start();
  const client = await connect(walhook.sqlUrl());
  await client.query('CREATE TABLE silent (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM silent ON silent TO WEBHOOK '${receiver.url}'`);
  await direct.query('INSERT INTO silent VALUES (1)');
  await waitFor('the event', () => receiver.requests.length === 1);
  await client.end();
  // A heartbeat has its connection by then.
  await waitFor('a heartbeat', async () => {
    const sql = `SELECT FROM pg_stat_activity WHERE application_name = 'walhook' AND query LIKE '%heartbeat%'`;
    return (await direct.query(sql)).rowCount! > 0;
  });
  proxy.silence();
  assert.equal(await walhook.stop(), 0);
});
