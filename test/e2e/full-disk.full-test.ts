import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { type Answer, startReceiver } from '../support/json-receiver.ts';
import { succeed } from '../support/programs.ts';
import { streamStatus } from '../support/stream-status.ts';
import { startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// A disk that is full while acknowledgements are stored: nothing is lost, the process lives, the status says it, and once there
// is room it goes on. The disk is a limit of the process's file sizes (prlimit), which every write of SQLite's then meets.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
const client = await connect();

async function connect(): Promise<pg.Client> {
  const opened = new pg.Client({ connectionString: walhook.sqlUrl() });
  opened.on('error', () => undefined);
  await opened.connect();
  after(() => opened.end().catch(() => undefined));
  return opened;
}

async function limitFiles(bytes: number | 'unlimited'): Promise<void> {
  await succeed('prlimit', ['--pid', String(walhook.pid), `--fsize=${bytes}:unlimited`]);
}

const property = async (on: pg.Client, name: string): Promise<string | null> =>
  (await streamStatus(on, 'full_stream')).get(name) ?? null;

/** Rows that arrived, by the id of their event: each has one. */
function arrivedIds(): ReadonlyMap<unknown, unknown> {
  const ids = new Map<unknown, unknown>();
  for (const { body } of receiver.to('/full')) {
    const { id } = body.key as { id: number };
    assert.equal(ids.get(id) ?? body.id, body.id, 'an event came again under another id');
    ids.set(id, body.id);
  }
  return ids;
}

/** Fills the disk with requests under way, which are then acknowledged. */
async function fillWhileAcknowledging(on: pg.Client, from: number): Promise<void> {
  let answer: Answer = 'hang';
  receiver.answer = () => answer;
  const before = receiver.to('/full').length;
  await on.query(`INSERT INTO full_table SELECT i, 'n' FROM generate_series(${from}, ${from + 99}) AS i`);
  await waitFor('requests under way', () => receiver.to('/full').length >= before + 10);
  await waitFor('the capture', async () => (await property(on, 'pending_events')) === '100');
  await limitFiles(1);
  answer = 204;
  await waitFor('the truth in the status', async () => (await property(on, 'status')) === 'failed');
  assert.match((await property(on, 'status_reason')) ?? '', /^delivery progress cannot be stored: /);
  await on.query(`INSERT INTO full_table VALUES (${from + 100}, 'written while the disk is full')`);
}

await client.query('CREATE TABLE full_table (id int PRIMARY KEY, note text)');
await client.query(
  `CREATE CDC STREAM full_stream ON full_table TO WEBHOOK '${receiver.url}/full'
   WITH (initial_backoff = '50ms', max_backoff = '100ms', request_timeout = '2s', circuit_breaker = off)`,
);

test('acknowledgements that cannot be stored stop the sending, not the process; with room again everything arrives', async () => {
  await fillWhileAcknowledging(client, 1);
  await limitFiles('unlimited');
  await waitFor('the rest', () => arrivedIds().size === 101, 60_000);
  await waitFor('the truth in the status', async () => (await property(client, 'status')) === 'running');
  assert.equal(await property(client, 'pending_events'), '0');
});

test('killed with its disk full, walhook sends again what it could not store, under the same ids', async () => {
  await fillWhileAcknowledging(client, 1_001);
  await walhook.kill();
  await walhook.start();
  await waitFor('the rest', () => arrivedIds().size === 202, 60_000);
  const again = await connect();
  await waitFor('the truth in the status', async () => (await property(again, 'status')) === 'running');
  assert.equal(await property(again, 'pending_events'), '0');
});
