import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { startReceiver } from '../support/json-receiver.ts';
import { streamStatus } from '../support/stream-status.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: the log grows no further than it may, says so while it waits, and nothing is lost by it; what is retained can be
// begun with later.

const LIMIT = 4 * 1024 * 1024;
const server = await startPostgres();
const direct = await connect(server.url());
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
  environment: { WALHOOK_LOG_MAX_BYTES: '4MB' },
}).start();
const receiver = await startReceiver();
const client = new pg.Client({ connectionString: walhook.sqlUrl() });
client.on('error', () => undefined);
await client.connect();
after(() => client.end().catch(() => undefined));

async function property(stream: string, name: string): Promise<string | null> {
  return (await streamStatus(client, stream)).get(name) ?? null;
}

async function logBytes(): Promise<number> {
  const text = await (await fetch(walhook.httpUrl('/metrics'))).text();
  return Number(/^walhook_log_bytes{database="postgres"} (\d+)/m.exec(text)?.[1]);
}

test('a log that is full waits for deliveries, visibly, and goes on by itself', async () => {
  await client.query('CREATE TABLE full_of (id int PRIMARY KEY, body text)');
  await client.query(`CREATE CDC STREAM full_stream ON full_of TO WEBHOOK '${receiver.url}/full'
    WITH (batch_max_events = 500, circuit_breaker = false, request_timeout = '2s', initial_backoff = '50ms', max_backoff = '100ms')`);
  receiver.answer = () => 503;
  for (let from = 0; from < 20; from++) {
    await direct.query(
      `INSERT INTO full_of SELECT ${from} * 1000 + i, repeat('x', 1500) FROM generate_series(1, 1000) i`,
    );
  }
  await waitFor('the truth', async () => /budget/.test((await property('full_stream', 'status_reason')) ?? ''));
  assert.equal(await property('full_stream', 'status'), 'failed');
  assert.equal((await fetch(walhook.httpUrl('/readyz'))).status, 503);
  const bytes = await logBytes();
  assert.ok(bytes > LIMIT && bytes < 5 * LIMIT, `${bytes} bytes in the log, 30 MB written`);
  receiver.answer = () => 204;
  await waitFor('every row', async () => (await property('full_stream', 'events_delivered')) === '20000', 60_000);
  await waitFor('the truth', async () => (await property('full_stream', 'status')) === 'running');
  await client.query('DROP CDC STREAM full_stream');
});

test('start_lsn begins in the retained log, and nowhere else', async () => {
  await client.query('CREATE TABLE kept (id int PRIMARY KEY); CREATE TABLE never (id int PRIMARY KEY)');
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  await client.query(`CREATE CDC STREAM kept_stream ON kept TO WEBHOOK '${receiver.url}/kept' WITH (retention = '1h')`);
  await client.query('INSERT INTO kept VALUES (1)');
  const { rows: second } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  await client.query('INSERT INTO kept VALUES (2)');
  await waitFor('both', () => receiver.to('/kept').length === 2);
  const create = (name: string, table: string, lsn: string): Promise<unknown> =>
    client.query(
      `CREATE CDC STREAM ${name} ON ${table} TO WEBHOOK '${receiver.url}/${name}' WITH (start_lsn = '${lsn}')`,
    );
  await create('from_second', 'kept', second[0]!.lsn);
  await waitFor('the second row', () => receiver.to('/from_second').length === 1);
  const first = receiver.to('/from_second')[0]?.body;
  assert.deepEqual(first?.key, { id: 2 });
  assert.equal(first?.id, receiver.to('/kept')[1]?.body.id);
  await assert.rejects(create('too_early', 'kept', rows[0]!.lsn), { code: '55000' });
  await assert.rejects(create('not_captured', 'never', second[0]!.lsn), { code: '55000' });
  await assert.rejects(create('ahead', 'kept', 'FF/0'), { code: '55000' });
  // In a transaction at once, too, and not behind its COMMIT.
  for (const [name, table, lsn] of [
    ['too_early', 'kept', rows[0]!.lsn],
    ['not_captured', 'never', second[0]!.lsn],
  ] as const) {
    await client.query('BEGIN');
    await assert.rejects(create(name, table, lsn), { code: '55000' });
    await client.query('ROLLBACK');
  }
  await client.query('BEGIN');
  await create('in_transaction', 'kept', second[0]!.lsn);
  await client.query('COMMIT');
  await waitFor('the second row again', () => receiver.to('/in_transaction').length === 1);
  await client.query('DROP CDC STREAM from_second, in_transaction, kept_stream');
});
