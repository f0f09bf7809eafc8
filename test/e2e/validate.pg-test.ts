import assert from 'node:assert/strict';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import pg from 'pg';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// Law: a stream is made, or given another destination, only if the endpoint takes a test event, sent as the stream's events
// will be; unless its statement or the server says that it is not to be asked.

const server = await startPostgres();
const admin = await connect(server.url());
await admin.query('CREATE TABLE orders (id int PRIMARY KEY)');
const receiver = await startReceiver();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
  environment: { WALHOOK_VALIDATE: 'on' },
}).start();
const client = await connect(walhook.sqlUrl());

beforeEach(async () => {
  receiver.answer = () => 204;
  const { rows } = await client.query<{ stream_name: string }>('SHOW CDC STREAMS');
  for (const { stream_name: name } of rows) await client.query(`DROP CDC STREAM ${name}`);
});

async function codeOf(sql: string): Promise<string> {
  try {
    await client.query(sql);
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof pg.DatabaseError, String(error));
    assert.match(`${error.hint}`, /validate = false/);
    return error.code ?? '';
  }
}

async function names(): Promise<string[]> {
  const { rows } = await client.query<{ stream_name: string }>('SHOW CDC STREAMS');
  return rows.map(({ stream_name: name }) => name);
}

const tests = () => receiver.requests.filter(({ body }) => body['type'] === 'cdc.test');
const TO = `TO WEBHOOK '${receiver.url}'`;
const TO_NOBODY = `TO WEBHOOK 'http://127.0.0.1:9/'`;

test('an endpoint that takes the test event has its stream, and the event came as the stream’s will', async () => {
  const before = tests().length;
  assert.equal(
    await codeOf(`CREATE CDC STREAM s ON orders ${TO} WITH (bearer_token = 'hunter2-token', batch_max_events = 1)`),
    'ok',
  );
  const [request, ...more] = tests().slice(before);
  assert.deepEqual([request!.headers.authorization, request!.body['stream'], more], ['Bearer hunter2-token', 's', []]);
  assert.equal(await codeOf(`CREATE CDC STREAM IF NOT EXISTS s ON orders ${TO}`), 'ok');
  assert.equal(tests().length, before + 1);
});

test('one that cannot be reached is HV00N, one that answers something else HV000, and nothing is made', async () => {
  assert.equal(await codeOf(`CREATE CDC STREAM s ON orders ${TO_NOBODY}`), 'HV00N');
  receiver.answer = () => 500;
  assert.equal(await codeOf(`CREATE CDC STREAM s ON orders ${TO}`), 'HV000');
  assert.deepEqual(await names(), []);
  assert.equal(await codeOf(`CREATE CDC STREAM s ON orders ${TO} WITH (validate = false)`), 'ok');
  assert.equal(await codeOf(`ALTER CDC STREAM s SET ${TO_NOBODY}`), 'ok');
  assert.equal(await codeOf(`ALTER CDC STREAM s SET (validate = true)`), 'ok');
  assert.equal(await codeOf(`ALTER CDC STREAM s SET ${TO}`), 'HV000');
  receiver.answer = () => 200;
  assert.equal(await codeOf(`ALTER CDC STREAM s SET ${TO}`), 'ok');
});

test('where the address may not be called, the option that would allow it is named', async () => {
  const blocked = /the address 10\.255\.255\.1 is not public; to allow it, add it to --egress-allow/;
  for (const to of [`WEBHOOK 'http://10.255.255.1/'`, `KAFKA '10.255.255.1:9092' TOPIC 't'`]) {
    await assert.rejects(client.query(`CREATE CDC STREAM s ON orders TO ${to}`), {
      code: 'HV00N',
      message: blocked,
      hint: /^Whoever runs walhook says with --egress-allow \(WALHOOK_EGRESS_ALLOW\)/,
    });
  }
  assert.deepEqual(await names(), []);
});

test('in a transaction the endpoint and the secret are those of the transaction; a refusal fails it', async () => {
  const before = tests().length;
  await client.query('BEGIN');
  await client.query(`CREATE CDC SECRET staged AS 'staged-token'`);
  await client.query(`CREATE CDC ENDPOINT staged AS '${receiver.url}' WITH (bearer_token = SECRET staged)`);
  await client.query('CREATE CDC STREAM s ON orders TO ENDPOINT staged');
  await client.query('COMMIT');
  assert.equal(tests()[before]!.headers.authorization, 'Bearer staged-token');
  assert.deepEqual(await names(), ['s']);
  receiver.answer = () => 410;
  await client.query('BEGIN');
  assert.equal(await codeOf(`CREATE OR REPLACE CDC STREAM s ON orders ${TO}`), 'HV000');
  assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
});

test('what else is wrong is told before anything is sent', async () => {
  const before = receiver.requests.length;
  for (const [sql, code] of [
    [`CREATE CDC STREAM s ON nowhere ${TO}`, '42P01'],
    ['CREATE CDC STREAM s ON orders TO ENDPOINT nobody', '42704'],
    [`ALTER CDC STREAM nobody SET ${TO}`, '42704'],
  ] as const) {
    await assert.rejects(client.query(sql), { code });
  }
  assert.equal(receiver.requests.length, before);
});
