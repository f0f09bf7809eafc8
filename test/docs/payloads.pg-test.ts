import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { documentExample } from '../support/documentation.ts';
import { type JsonRequest, startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// Law: the requests of docs/payloads.md are those that walhook sends: the same headers, and bodies with the same members in the
// same order, of the same types. `RECORD=1` prints what came.

const receiver = await startReceiver();
const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
await (await connect(server.url())).query('CREATE DATABASE shop');
const client = await connect(walhook.sqlUrl('shop'));
await client.query('CREATE TABLE orders (id bigint PRIMARY KEY, status text, total numeric(10, 2))');
await client.query('CREATE TABLE users (id int PRIMARY KEY, name text)');

/** The requests that a stream sends for what the statements do. */
async function sent(definition: string, statements: readonly string[], count: number): Promise<readonly JsonRequest[]> {
  const path = `/hooks/orders?${receiver.requests.length}`;
  await client.query(`CREATE CHANGE DATA CAPTURE ON ${definition.replace('URL', `'${receiver.url}${path}'`)}`);
  for (const statement of statements) await client.query(statement);
  const requests = await waitFor('the webhooks', () => {
    const found = receiver.to(path);
    return found.length >= count && found;
  });
  const { rows } = await client.query<{ stream_name: string }>('SHOW CDC STREAMS');
  for (const { stream_name: name } of rows) await client.query(`DROP CDC STREAM ${name}`);
  if (process.env['RECORD']) for (const { headers, body } of requests) console.log(headers, JSON.stringify(body));
  return requests;
}

/** Members with their order and their types: what a reader relies on. Of lists, each element. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return Object.entries(value).map(([name, member]) => [name, shapeOf(member)]);
}

function assertShown(name: string, body: unknown): void {
  assert.deepEqual(shapeOf(body), shapeOf(JSON.parse(documentExample(name))), JSON.stringify(body));
}

const UPDATE = [
  `INSERT INTO orders VALUES (42, 'open', 19.5)`,
  `UPDATE orders SET status = 'paid' WHERE id = 42`,
  'DELETE FROM orders',
];

test('NATIVE: headers and event', async () => {
  const [, update] = await sent('orders (id, status) TO WEBHOOK URL', UPDATE, 3);
  assertShown('native.json', update!.body);
  const [first, ...lines] = documentExample('request.http').trimEnd().split('\n');
  assert.equal(first, 'POST /hooks/orders HTTP/1.1');
  const shown = lines.map((line) => line.split(':')[0]!.toLowerCase());
  const ofHttp = ['host', 'connection', 'content-length'];
  assert.deepEqual(
    Object.keys(update!.headers)
      .filter((name) => !ofHttp.includes(name))
      .toSorted(),
    shown.toSorted(),
  );
  assert.equal(update!.headers['webhook-id'], (update!.body as { id: string }).id);
});

test('a change of columns', async () => {
  const statements = [
    `INSERT INTO orders VALUES (42, 'open', 19.5)`,
    'ALTER TABLE orders ADD COLUMN note text',
    `UPDATE orders SET status = 'paid' WHERE id = 42`,
  ];
  const [, change] = await sent('orders TO WEBHOOK URL WITH (schema_change_policy = emit)', statements, 3);
  assertShown('schema-change.json', change!.body);
  await client.query('DELETE FROM orders; ALTER TABLE orders DROP COLUMN note');
});

test('DEBEZIUM', async () => {
  const [, update] = await sent('orders TO WEBHOOK URL ENVELOPE DEBEZIUM', UPDATE, 3);
  assertShown('debezium.json', update!.body);
});

test('FLAT', async () => {
  const statements = [`INSERT INTO users VALUES (1, 'Alice'), (2, 'Bob'); DELETE FROM users WHERE id = 2`];
  const definition = `users TO WEBHOOK URL ENVELOPE FLAT OPERATIONS (INSERT, DELETE) WHEN (NEW.id = 1 OR OLD.id = 2)`;
  const [batch] = await sent(`${definition} WITH (batch_max_events = 10, batch_max_delay = '2s')`, statements, 1);
  assertShown('flat.json', batch!.body);
});

test('CLOUDEVENTS', async () => {
  const [, update] = await sent('orders TO WEBHOOK URL ENVELOPE CLOUDEVENTS', UPDATE, 3);
  assertShown('cloudevents.json', update!.body);
});
