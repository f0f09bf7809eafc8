import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startReceiver } from '../support/json-receiver.ts';
import { streamStatus } from '../support/stream-status.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import type { WrittenSpan } from '../support/trace-preload.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: where an SDK is registered, each attempt, backfill and statement is a span, and the receiver gets the attempt's ids; nothing
// of rows, texts and URLs is in any. Without one, requests are as ever.

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const PRELOAD = join(import.meta.dirname, '..', 'support', 'trace-preload.ts');
const server = await startPostgres();
const receiver = await startReceiver();

async function walk(environment: Readonly<Record<string, string>>, path: string): Promise<void> {
  const dataDir = join(temporaryFolder(), 'data');
  const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir, environment }).start();
  const client = await connect(walhook.sqlUrl());
  await client.query(`CREATE TABLE ${path} (id int PRIMARY KEY, body text)`);
  await client.query(`INSERT INTO ${path} VALUES (1, 'a row''s value')`);
  await client.query(`CREATE CDC STREAM s ON ${path} TO WEBHOOK '${receiver.url}/${path}?q=query-of-url'
    WITH (initial_backoff = '50ms', max_backoff = '100ms', signing_secret = '${SECRET}')`);
  await client.query('BACKFILL CDC STREAM s');
  await waitFor('the row', () => receiver.requests.some((request) => request.path.startsWith(`/${path}?`)));
  await waitFor('the end', async () => (await streamStatus(client, 's')).get('synced') === 't');
  receiver.answer = ({ headers }) => (headers['x-cdc-attempt'] === '1' ? 503 : 204);
  await client.query(`INSERT INTO ${path} VALUES (2, 'a row''s value')`);
  await waitFor('both attempts', async () => (await streamStatus(client, 's')).get('events_delivered') === '2');
  await assert.rejects(client.query('DROP CDC STREAM nothing'), { code: '42704' });
  await client.end();
  assert.equal(await walhook.stop(), 0);
  receiver.answer = () => 204;
}

test('attempts, backfills and statements are spans', async () => {
  const file = join(temporaryFolder(), 'traces');
  await walk({ NODE_OPTIONS: `--import=${PRELOAD}`, TRACES_FILE: file }, 'traced');
  const text = readFileSync(file, 'utf8');
  const spans = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as WrittenSpan);
  const attempts = spans.filter(({ name }) => name === 'deliver s');
  const requests = receiver.requests.filter(({ path }) => path.startsWith('/traced?'));
  assert.deepEqual(
    attempts.map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`),
    requests.map(({ headers }) => headers['traceparent']),
  );
  assert.deepEqual(
    attempts.map(({ kind, attributes, status }) => [
      kind,
      attributes['walhook.stream'],
      attributes['walhook.database'],
      attributes['walhook.attempt'],
      attributes['walhook.events'],
      attributes['walhook.outcome'],
      attributes['walhook.status_class'],
      attributes['http.response.status_code'],
      status,
    ]),
    [
      [2, 's', 'postgres', 1, 1, 'ok', '2xx', 204, { code: 0 }],
      [2, 's', 'postgres', 1, 1, 'transient', '5xx', 503, { code: 2, message: 'http_503' }],
      [2, 's', 'postgres', 2, 1, 'ok', '2xx', 204, { code: 0 }],
    ],
  );
  assert.deepEqual(
    attempts.map(({ attributes }) => attributes['walhook.request_id']),
    requests.map(({ headers }) => headers['webhook-id']),
  );
  const [backfill, ...more] = spans.filter(({ name }) => name === 'backfill');
  assert.deepEqual(
    [backfill?.attributes['walhook.state'], backfill?.attributes['walhook.rows'], more],
    ['done', 1, []],
  );
  const statements = spans.filter(({ name }) => name === 'statement');
  const kinds = statements.map(({ attributes }) => attributes['walhook.statement']);
  assert.deepEqual([kinds[0], kinds[1], kinds.at(-1)], ['create-stream', 'backfill-stream', 'drop-streams']);
  const { attributes, status } = statements.at(-1)!;
  assert.deepEqual([attributes['db.response.status_code'], status.code], ['42704', 2]);
  assert.ok(spans.every(({ hasParent }) => !hasParent));
  for (const hidden of [/a row's/, /query-of-url/, /127\.0\.0\.1/, /whsec_/, /SELECT|INSERT|CREATE/]) {
    assert.doesNotMatch(text, hidden);
  }
});

test('without an SDK there is no header of it', async () => {
  await walk({}, 'plain');
  const requests = receiver.requests.filter(({ path }) => path.startsWith('/plain?'));
  assert.equal(requests.length, 3);
  assert.ok(requests.every(({ headers }) => !('traceparent' in headers)));
});
