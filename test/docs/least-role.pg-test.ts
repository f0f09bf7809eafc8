import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { must } from '../../src/base/assert.ts';
import { readPage } from '../support/documentation.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { run } from '../support/programs.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// Law: the role that the quick start makes is enough for walhook, and the owner of a table who is nobody else needs no more.

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const ROLE = must(
  readPage('docs/quick-start.md').blocks.find(({ text }) => text.includes('CREATE ROLE walhook')),
  'the quick start makes a role',
);

test('a table of a role with no rights is captured by the role of the quick start', async () => {
  const server = await startPostgres();
  const direct = await connect(server.url());
  await direct.query(`CREATE ROLE shop LOGIN PASSWORD 'own'`);
  await direct.query('CREATE DATABASE app OWNER shop');
  const inApp = new URL(server.url());
  inApp.pathname = '/app';
  await (await connect(inApp.href)).query(ROLE.text);
  const upstream = new URL(inApp);
  upstream.username = 'walhook';
  upstream.password = 'secret';

  const check = await run(process.execPath, [MAIN, 'check', '--upstream', upstream.href]);
  assert.doesNotMatch(check.stdout.toString('utf8'), /MISSING +role/);

  const receiver = await startReceiver();
  const dataDir = join(temporaryFolder(), 'data');
  const walhook = await new WalhookProcess({ upstreamUrl: upstream.href, dataDir }).start();
  const asShop = new URL(walhook.sqlUrl());
  asShop.username = 'shop';
  asShop.password = 'own';
  const client = await connect(asShop.href);
  await client.query('CREATE TABLE parcels (id int PRIMARY KEY, note text)');
  await client.query(`CREATE CHANGE DATA CAPTURE ON parcels TO WEBHOOK '${receiver.url}/parcels'`);
  await client.query(`INSERT INTO parcels VALUES (1, 'hello')`);
  await waitFor('the webhook', () => receiver.to('/parcels').length === 1);
  await client.query('BACKFILL CDC STREAM parcels_cdc_stream');
  await waitFor('the row', () => receiver.to('/parcels').some(({ body }) => body['op'] === 'read'));
});
