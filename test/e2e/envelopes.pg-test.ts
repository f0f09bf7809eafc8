import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { type ReceivedRequest, WebhookReceiver } from '../support/webhook-receiver.ts';

// Each envelope from the statement to the receiver, with what a real server sends.

const receiver = await WebhookReceiver.start();
after(() => receiver.stop());
const server = await startPostgres();
const dataDir = join(temporaryFolder(), 'data');
const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start();
const client = await connect(walhook.sqlUrl());

async function arrived(path: string, count: number): Promise<readonly ReceivedRequest[]> {
  const there = (): ReceivedRequest[] => receiver.requests.filter((request) => request.path === path);
  await waitFor(`${count} requests at ${path}`, () => there().length >= count);
  return there();
}

const bodyOf = ({ body }: ReceivedRequest): unknown => JSON.parse(body.toString('utf8'));

interface DebeziumRecord {
  readonly op: string;
  readonly before: Record<string, unknown> | null;
  readonly after: Record<string, unknown> | null;
  readonly source: Record<string, unknown>;
}

test('DEBEZIUM: a change of the key is an array of two, everything else an object; the id is the event’s', async () => {
  await client.query('CREATE TABLE customers (id int PRIMARY KEY, name text, balance numeric(10,2))');
  await client.query(
    `CREATE CDC STREAM inventory ON customers TO WEBHOOK '${receiver.url('/debezium')}' ENVELOPE DEBEZIUM`,
  );
  await client.query(`INSERT INTO customers VALUES (1, 'Anne', 12.30)`);
  await client.query('UPDATE customers SET id = 2 WHERE id = 1');
  await client.query('DELETE FROM customers WHERE id = 2');
  await client.query('TRUNCATE customers');
  const requests = await arrived('/debezium', 4);
  const records = requests.map(bodyOf) as (DebeziumRecord | DebeziumRecord[])[];
  assert.deepEqual(
    records.map((record) => (Array.isArray(record) ? record.map(({ op }) => op) : record.op)),
    ['c', ['d', 'c'], 'd', 't'],
  );
  const created = records[0] as DebeziumRecord;
  assert.deepEqual(created.after, { id: 1, name: 'Anne', balance: 'BM4=' });
  const { version, connector, name, db, schema, table, xmin, snapshot } = created.source;
  assert.deepEqual(
    [version, connector, name, db, schema, table, xmin, snapshot],
    ['3.0.8.Final', 'postgresql', 'inventory', 'postgres', 'public', 'customers', null, 'false'],
  );
  const [removed, moved] = records[1] as DebeziumRecord[];
  assert.deepEqual([removed!.before, removed!.after], [{ id: 1, name: null, balance: null }, null]);
  assert.deepEqual([moved!.before, moved!.after], [null, { id: 2, name: 'Anne', balance: 'BM4=' }]);
  assert.deepEqual(removed!.source, moved!.source);
  const ids = requests.map(({ headers }) => headers['webhook-id']);
  assert.equal(new Set(ids).size, 4);
  assert.ok(requests.every(({ headers }) => headers['content-type'] === 'application/json'));
});

test('DEBEZIUM: a consumer of its documentation reads the server’s own types', async () => {
  await client.query(`CREATE TYPE mood AS ENUM ('sad', 'happy')`);
  await client.query(`CREATE TABLE typed (id bigint PRIMARY KEY, amount numeric(12,3), free numeric, born date, at3 timestamp(3),
    at6 timestamp, zoned timestamptz(3), t3 time(3), t6 time, took interval, flag bit(1), flags bit(11), raw bytea,
    doc jsonb, feeling mood, ratio double precision, list int[], prices numeric(8,2)[], place point)`);
  await client.query(`CREATE CDC STREAM typed ON typed TO WEBHOOK '${receiver.url('/typed')}' ENVELOPE DEBEZIUM`);
  await client.query(`INSERT INTO typed VALUES (9007199254740993, -1234.5, 0.0010, '1969-07-20', '2026-01-05 10:00:00.123',
    '1969-07-20 20:17:40.000001', '2026-01-05 10:00:00.5+02', '10:00:00.123', '23:59:59.999999', '1 mon 2 days 03:04:05.5',
    B'1', B'10000000001', '\\x00ff', '{"a": 1}', 'happy', 1e21, '{1,NULL,3}', '{1.5,-2}', '(1.5,-2)')`);
  const text = (await arrived('/typed', 1))[0]!.body.toString('utf8');
  assert.ok(text.startsWith('{"before":null,"after":{"id":9007199254740993,'), 'digits that a double does not hold');
  const row = (JSON.parse(text) as DebeziumRecord).after!;
  const { rows } = await client.query<Record<string, string>>(
    `SELECT born - date '1970-01-01' AS born, trunc(extract(epoch FROM at3) * 1000)::text AS at3,
       trunc(extract(epoch FROM at6) * 1000000)::text AS at6, trunc(extract(epoch FROM t3) * 1000)::text AS t3,
       trunc(extract(epoch FROM t6) * 1000000)::text AS t6 FROM typed`,
  );
  const expected = rows[0]!;
  for (const column of ['born', 'at3', 'at6', 't3', 't6'])
    assert.equal(String(row[column]), String(expected[column]), column);
  assert.deepEqual(
    [
      row.amount,
      row.free,
      row.zoned,
      row.took,
      row.flag,
      row.flags,
      row.raw,
      row.doc,
      row.feeling,
      row.list,
      row.prices,
    ],
    [
      Buffer.from([0xed, 0x29, 0xbc]).toString('base64'),
      { scale: 3, value: 'AQ==' },
      '2026-01-05T08:00:00.500Z',
      Math.trunc(((30.4375 + 2) * 86_400 + 3 * 3600 + 4 * 60 + 5.5) * 1e6),
      true,
      Buffer.from([0x01, 0x04]).toString('base64'),
      'AP8=',
      '{"a": 1}',
      'happy',
      [1, null, 3],
      ['AJY=', '/zg='],
    ],
  );
  assert.match(text, /"ratio":1\.0E21,/);
  assert.deepEqual((row.place as { x: number; y: number }).x, 1.5);
});

test('FLAT: rows with their version, larger for what comes later, and keys of deletes', async () => {
  await client.query('CREATE TABLE users (id int PRIMARY KEY, name text)');
  await client.query(`CREATE CDC STREAM flat ON users TO WEBHOOK '${receiver.url('/flat')}' ENVELOPE FLAT
    WITH (batch_max_events = 100)`);
  await client.query(`INSERT INTO users VALUES (1, 'Alice')`);
  await client.query(`UPDATE users SET name = 'Bob' WHERE id = 1`);
  await client.query('UPDATE users SET id = 3 WHERE id = 1');
  await client.query('DELETE FROM users WHERE id = 3');
  const rows = (): Record<string, unknown>[] =>
    receiver.requests
      .filter(({ path }) => path === '/flat')
      .flatMap((request) => bodyOf(request) as Record<string, unknown>[]);
  await waitFor('five rows', () => rows().length >= 5);
  const versions = rows().map(({ _sm_version: version }) => Number(version));
  assert.deepEqual(
    versions,
    versions.toSorted((a, b) => a - b),
  );
  assert.equal(new Set(versions).size, 4, 'both rows of the changed key have one version');
  assert.deepEqual(
    rows().map(({ _sm_version: version, ...row }) => (assert.ok(version), row)),
    [
      { id: 1, name: 'Alice', _sm_deleted: false },
      { id: 1, name: 'Bob', _sm_deleted: false },
      { id: 1, _sm_deleted: true },
      { id: 3, name: 'Bob', _sm_deleted: false },
      { id: 3, _sm_deleted: true },
    ],
  );
});

test('CLOUDEVENTS: one event and batches say what they are; the id is the one of the header', async () => {
  await client.query('CREATE TABLE things (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM one ON things TO WEBHOOK '${receiver.url('/ce')}' ENVELOPE CLOUDEVENTS`);
  await client.query(`CREATE CDC STREAM many ON things TO WEBHOOK '${receiver.url('/ce-batch')}' ENVELOPE CLOUDEVENTS
    WITH (batch_max_events = 10)`);
  await client.query('INSERT INTO things VALUES (1)');
  const [single] = await arrived('/ce', 1);
  const [batch] = await arrived('/ce-batch', 1);
  assert.equal(single!.headers['content-type'], 'application/cloudevents+json');
  assert.equal(batch!.headers['content-type'], 'application/cloudevents-batch+json');
  const event = bodyOf(single!) as Record<string, unknown>;
  assert.equal(event.id, single!.headers['webhook-id']);
  assert.deepEqual(
    [event.specversion, event.source, event.type, event.subject],
    ['1.0', 'urn:walhook:postgres:one', 'cdc.insert', 'public.things'],
  );
  const [inBatch] = bodyOf(batch!) as Record<string, unknown>[];
  assert.deepEqual({ ...inBatch, source: null }, { ...event, source: null });
});

test('the envelope is changed while the stream runs, its place kept', async () => {
  await client.query('CREATE TABLE notes (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM notes ON notes TO WEBHOOK '${receiver.url('/notes')}'`);
  await client.query('INSERT INTO notes VALUES (1)');
  await arrived('/notes', 1);
  await client.query('ALTER CDC STREAM notes PAUSE');
  await client.query('INSERT INTO notes VALUES (2)');
  await client.query('ALTER CDC STREAM notes SET ENVELOPE FLAT');
  const { rows } = await client.query<{ create_statement: string }>('SHOW CREATE CDC STREAM notes');
  assert.match(rows[0]!.create_statement, /ENVELOPE FLAT$/);
  await client.query('ALTER CDC STREAM notes RESUME');
  await client.query('INSERT INTO notes VALUES (3)');
  const bodies = (await arrived('/notes', 3)).map(bodyOf) as Record<string, unknown>[];
  assert.deepEqual(
    bodies.map((body) => body.id ?? null),
    [bodies[0]!.id, 2, 3],
  );
  assert.equal(bodies[0]!.op, 'insert');
});
