import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { startReceiver, type Answer } from '../support/json-receiver.ts';
import { streamStatus } from '../support/stream-status.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: nothing is lost, whatever the endpoint or the upstream does; and `running` is not shown meanwhile.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
let client = await openClient();
after(() => client.end().catch(() => undefined));
let tables = 0;

/** Closed with the file, not with the test that opens it. */
async function openClient(): Promise<pg.Client> {
  const opened = new pg.Client({ connectionString: walhook.sqlUrl() });
  opened.on('error', () => undefined);
  await opened.connect();
  return opened;
}

async function createStream(
  url = receiver.url,
  options = '',
): Promise<{ table: string; stream: string; path: string }> {
  const table = `faults_${tables++}`;
  await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, note text)`);
  await client.query(
    `CREATE CDC STREAM ${table}_stream ON ${table} TO WEBHOOK '${url}/${table}'
     WITH (initial_backoff = '50ms', max_backoff = '100ms', request_timeout = '300ms', circuit_breaker = off ${options})`,
  );
  return { table, stream: `${table}_stream`, path: `/${table}` };
}

async function property(stream: string, name: string): Promise<string | null> {
  return (await streamStatus(client, stream)).get(name) ?? null;
}

const faults: [string, Answer][] = [
  ['answers 500', 500],
  ['answers 503', 503],
  ['answers 404', 404],
  ['answers 302', 302],
  ['hangs', 'hang'],
  ['resets the connection', 'reset'],
];

for (const [what, fault] of faults) {
  test(`an endpoint that ${what} is tried again until it is well, with the same id`, async () => {
    let isWell = false;
    receiver.answer = () => (isWell ? 204 : fault);
    const { table, stream, path } = await createStream();
    await client.query(`INSERT INTO ${table} VALUES (1, 'a'), (2, 'b')`);
    await waitFor('three attempts', () => receiver.to(path).length >= 3);
    await waitFor('the truth in the status', async () => (await property(stream, 'status')) === 'retrying');
    assert.equal(await property(stream, 'events_delivered'), '0');
    assert.equal(await property(stream, 'pending_events'), '2');
    isWell = true;
    await waitFor('the delivery', async () => (await property(stream, 'events_delivered')) === '2');
    await waitFor('the truth in the status', async () => (await property(stream, 'status')) === 'running');
    const ids = new Map<unknown, Set<unknown>>();
    for (const { body, headers } of receiver.to(path)) {
      const key = (body.key as { id: number }).id;
      ids.set(key, (ids.get(key) ?? new Set()).add(body.id));
      assert.equal(headers['idempotency-key'], body.id);
    }
    assert.deepEqual(
      [...ids.values()].map((set) => set.size),
      [1, 1],
    );
    await client.query(`DROP CDC STREAM ${stream}`);
  });
}

test('a dead endpoint is waited for, and does not hold up another stream', async () => {
  receiver.answer = () => 204;
  const gone = await startReceiver();
  await gone.close();
  const dead = await createStream(gone.url);
  const healthy = await createStream();
  await client.query(`INSERT INTO ${dead.table} VALUES (1, 'x')`);
  await client.query(`INSERT INTO ${healthy.table} VALUES (1, 'y')`);
  await waitFor('the healthy one', () => receiver.to(healthy.path)[0]);
  await waitFor('the failure to be seen', async () => (await property(dead.stream, 'last_error')) !== null);
  assert.equal(await property(dead.stream, 'status'), 'retrying');
  const back = await startReceiver(gone.port);
  await waitFor('the event', () => back.to(dead.path)[0]);
  await client.query(`DROP CDC STREAM ${dead.stream}, ${healthy.stream}`);
});

test('a failing key holds up itself only', async () => {
  receiver.answer = ({ body }) => ((body.key as { id: number }).id === 1 ? 500 : 204);
  const { table, stream, path } = await createStream();
  await client.query(`INSERT INTO ${table} SELECT i, 'n' FROM generate_series(1, 50) AS i`);
  await client.query(`UPDATE ${table} SET note = 'm'`);
  await waitFor('all others', async () => (await property(stream, 'events_delivered')) === '98');
  assert.ok(receiver.to(path).every(({ body }) => (body.key as { id: number }).id !== 1 || body.op === 'insert'));
  receiver.answer = () => 204;
  await waitFor('the last', async () => (await property(stream, 'events_delivered')) === '100');
  await client.query(`DROP CDC STREAM ${stream}`);
});

test('410 pauses the stream with its reason and keeps its events', async () => {
  receiver.answer = () => 410;
  const { table, stream } = await createStream();
  await client.query(`INSERT INTO ${table} VALUES (1, 'a')`);
  await waitFor('the pause', async () => (await property(stream, 'status')) === 'paused');
  assert.match((await property(stream, 'status_reason')) ?? '', /410/);
  receiver.answer = () => 204;
  await client.query(`ALTER CDC STREAM ${stream} RESUME`);
  await waitFor('the delivery', async () => (await property(stream, 'events_delivered')) === '1');
  await client.query(`DROP CDC STREAM ${stream}`);
});

test('a backlog far beyond the window waits in the log, not in memory, and arrives', async () => {
  receiver.answer = () => 'hang';
  const { table, stream } = await createStream(receiver.url, ', batch_max_events = 1000');
  await client.query(`INSERT INTO ${table} SELECT i, repeat('x', 500) FROM generate_series(1, 200000) AS i`);
  await waitFor('the capture', async () => (await property(stream, 'pending_events')) === '200000', 60_000);
  const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${walhook.pid}/status`, 'utf8'))?.[1]) / 1024;
  assert.ok(peak < 350, `${peak} MB resident`);
  await waitFor('the truth in the status', async () => (await property(stream, 'status')) === 'retrying');
  assert.match((await property(stream, 'status_reason')) ?? '', /timed out|not answered/);
  receiver.answer = () => 204;
  await waitFor('the delivery', async () => (await property(stream, 'events_delivered')) === '200000', 120_000);
  await client.query(`DROP CDC STREAM ${stream}`);
});

test('an upstream that restarts is come back to, and nothing is missing', async () => {
  receiver.answer = () => 204;
  const { table, stream, path } = await createStream();
  await client.query(`INSERT INTO ${table} VALUES (1, 'sekret-row')`);
  await waitFor('the first', () => receiver.to(path).length === 1);
  await server.stop('immediate');
  await waitFor('readiness to say so', async () => (await fetch(walhook.httpUrl('/readyz'))).status === 503);
  await server.restart();
  client = await openClient();
  await client.query(`INSERT INTO ${table} VALUES (2, 'sekret-row')`);
  await waitFor('the second', () => receiver.to(path).some(({ body }) => (body.key as { id: number }).id === 2));
  await waitFor('readiness to say so', async () => (await fetch(walhook.httpUrl('/readyz'))).status === 200);
  await client.query(`DROP CDC STREAM ${stream}`);
});

test('with the last stream gone, nothing of walhook is left upstream', async () => {
  const { stream } = await createStream();
  const direct = await connect(server.url());
  const left = async (): Promise<number[]> => {
    const { rows } = await direct.query<{ slots: number; publications: number }>(
      'SELECT (SELECT count(*)::int FROM pg_replication_slots) AS slots, (SELECT count(*)::int FROM pg_publication) AS publications',
    );
    return [rows[0]!.slots, rows[0]!.publications];
  };
  // One publication of tables, and one of those that give their inserts alone.
  assert.deepEqual(await left(), [1, 2]);
  await client.query(`DROP CDC STREAM ${stream}`);
  assert.deepEqual(await left(), [0, 0]);
});

test('no log line shows a row value, a body or a password', () => {
  const log = walhook.logLines.join('\n');
  assert.ok(walhook.logLines.length > 0, 'there are log lines');
  for (const secret of ['sekret-row', 'xxxxxxxx', `:${new URL(server.url()).password}@`])
    assert.ok(!log.includes(secret), secret);
});
