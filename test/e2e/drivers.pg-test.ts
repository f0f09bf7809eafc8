import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import type pg from 'pg';
import postgres from 'postgres';
import { assertCarriedOut, everyStatement, keepLog, literally, outcomeOf } from '../drivers/every-statement.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { startReceiver } from '../support/json-receiver.ts';

// A user's whole way, with both of npm's drivers and in both protocols, against the program as it is started by a user.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
await keepLog(await connect(walhook.sqlUrl()), `${receiver.url}/kept`);

interface Driver {
  readonly name: string;
  /** Runs one statement; resolves to the names of its columns. */
  columns(sql: string, parameters: readonly string[]): Promise<readonly string[]>;
  /** Runs one statement; resolves to rows as objects with text values. */
  run(sql: string, parameters?: readonly string[]): Promise<readonly Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** `pg`: without parameters the simple protocol, with a name the extended one. */
async function pgDriver(extended: boolean): Promise<Driver> {
  const client = await connect(walhook.sqlUrl());
  let statement = 0;
  return {
    name: extended ? 'pg, extended' : 'pg, simple',
    run: async (sql, parameters) => {
      const query = extended
        ? { name: `s${statement++}`, text: sql, values: [...(parameters ?? [])] }
        : { text: sql, ...(parameters ? { values: [...parameters] } : {}) };
      return (await client.query<Record<string, unknown>>(query)).rows;
    },
    columns: async (sql, parameters) => {
      const { fields } = await client.query(
        extended ? { name: `s${statement++}`, text: sql, values: [...parameters] } : sql,
      );
      return fields.map(({ name }) => name);
    },
    close: () => client.end(),
  };
}

async function postgresDriver(extended: boolean): Promise<Driver> {
  const sql = postgres(walhook.sqlUrl(), { max: 1, prepare: extended, onnotice: () => undefined, fetch_types: false });
  after(() => sql.end());
  return {
    name: extended ? 'postgres, extended' : 'postgres, simple',
    run: async (text, parameters) => {
      const query = sql.unsafe(text, [...(parameters ?? [])], { prepare: extended });
      return [...(await (extended || parameters ? query : query.simple()))];
    },
    columns: async (text, parameters) => {
      const query = sql.unsafe(text, [...parameters], { prepare: extended });
      const { columns } = await (extended ? query : query.simple());
      // Of what returns no rows there are none, whatever the types say.
      return ((columns as { name: string }[] | undefined) ?? []).map(({ name }) => name);
    },
    close: () => sql.end(),
  };
}

const drivers: [string, () => Promise<Driver>][] = [
  ['pg, simple', () => pgDriver(false)],
  ['pg, extended', () => pgDriver(true)],
  ['postgres, simple', () => postgresDriver(false)],
  ['postgres, extended', () => postgresDriver(true)],
];

for (const [index, [name, open]] of drivers.entries()) {
  test(`${name}: create, change, watch, pause, resume, drop`, async () => {
    const driver = await open();
    const table = `drivers_${index}`;
    const stream = `${table}_cdc_stream`;
    await driver.run(`CREATE TABLE ${table} (id int PRIMARY KEY, note text)`);
    await driver.run(`CREATE CHANGE DATA CAPTURE ON ${table} TO WEBHOOK '${receiver.url}/${table}' FORMAT JSON`);
    await driver.run(`INSERT INTO ${table} VALUES (1, 'one')`);
    const inserted = await waitFor('the insert', () => receiver.to(`/${table}`)[0]);
    assert.deepEqual([inserted.body.op, inserted.body.after], ['insert', { id: 1, note: 'one' }]);

    const streams = await driver.run('SHOW CDC STREAMS');
    const shown = streams.find((row) => row.stream_name === stream);
    assert.equal(shown?.source, `public.${table}`);
    assert.equal(shown?.destination, `${receiver.url}/${table}`);
    assert.equal(shown?.status, 'running');
    const status = await driver.run(`SHOW CDC STREAM STATUS ${stream}`);
    assert.deepEqual(Object.keys(status[0]!), ['property', 'value']);
    assert.equal(status.find((row) => row.property === 'stream_name')?.value, stream);

    await driver.run(`ALTER CDC STREAM ${stream} PAUSE`);
    await driver.run(`UPDATE ${table} SET note = 'two' WHERE id = 1`);
    await driver.run(`DELETE FROM ${table}`);
    assert.equal(
      (await driver.run(`SHOW CDC STREAM STATUS ${stream}`)).find((row) => row.property === 'status')?.value,
      'paused',
    );
    await driver.run(`ALTER CDC STREAM ${stream} RESUME`);
    await waitFor('the changes of the pause', () => receiver.to(`/${table}`).length === 3);
    assert.deepEqual(
      receiver.to(`/${table}`).map(({ body }) => body.op),
      ['insert', 'update', 'delete'],
    );

    await driver.run(`DROP CDC STREAM ${stream}`);
    await driver.run(`DROP CDC STREAM IF EXISTS ${stream}`);
    await assert.rejects(driver.run(`SHOW CDC STREAM STATUS ${stream}`), { code: '42704' });
    await assert.rejects(driver.run(`ALTER CDC STREAM ${stream} PAUSE`), { code: '42704' });
    await driver.close();
  });
}

test('every statement of ours comes to the same in each', async () => {
  const admin = await connect(walhook.sqlUrl());
  await admin.query('CREATE TABLE people (id int PRIMARY KEY, name text); CREATE TABLE extra (id int PRIMARY KEY)');
  const statements = everyStatement(`${receiver.url}/every`);
  const seen: Record<string, readonly string[]> = {};
  for (const [name, open] of drivers) {
    const driver = await open();
    const outcomes: string[] = [];
    for (const one of statements) {
      const [sql, values] = name.endsWith('simple') ? [literally(one), []] : [one.sql, one.values];
      outcomes.push(await outcomeOf(() => driver.columns(sql, values)));
    }
    seen[name] = outcomes;
    await driver.close();
  }
  const [first, ...others] = Object.values(seen);
  for (const other of others) assert.deepEqual(other, first);
  assertCarriedOut(statements, first!);
});

test('the URL may be a bind parameter', async () => {
  const driver = await pgDriver(true);
  await driver.run('CREATE TABLE bound (id int PRIMARY KEY)');
  await driver.run('CREATE CDC STREAM bound_stream ON bound TO WEBHOOK $1', [`${receiver.url}/bound`]);
  await driver.run('INSERT INTO bound VALUES (7)');
  const { body } = await waitFor('the insert', () => receiver.to('/bound')[0]);
  assert.deepEqual(body.key, { id: 7 });
  await driver.run('DROP CDC STREAM bound_stream');
});

suite('mistakes', () => {
  const cases: [string, string, { code: string; position?: string; hint?: RegExp }][] = [
    ['a malformed statement', 'ALTER CDC STREAM s PAUZE', { code: '42601', position: '20', hint: /PAUSE/ }],
    [
      'an unknown option',
      "CREATE CDC STREAM s ON pg_class TO WEBHOOK 'http://h/' WITH (batch_max = 1)",
      { code: '42601', position: '62' },
    ],
    ['an unknown table', "CREATE CDC STREAM s ON nowhere TO WEBHOOK 'http://h/'", { code: '42P01', position: '24' }],
    [
      'a value out of range',
      "CREATE CDC STREAM s ON x TO WEBHOOK 'http://h/' WITH (max_in_flight = 0)",
      { code: '22023' },
    ],
    ['Kinesis', "CREATE CHANGE DATA CAPTURE ON users TO KINESIS 'users-stream' REGION 'us-east-1'", { code: '0A000' }],
    ['a stream that does not exist', 'SHOW CDC STREAM STATUS nobody', { code: '42704' }],
  ];
  for (const [what, sql, expected] of cases) {
    for (const protocol of ['simple', 'extended'] as const) {
      test(`${what} is an error with its place, ${protocol}, and the session goes on`, async () => {
        const client = await connect(walhook.sqlUrl());
        const error = await client.query(protocol === 'simple' ? sql : { name: 'bad', text: sql }).then(
          () => assert.fail('it succeeded'),
          (thrown: unknown) => thrown as pg.DatabaseError,
        );
        assert.equal(error.code, expected.code, error.message);
        if (expected.position) assert.equal(error.position, expected.position);
        if (expected.hint) assert.match(error.hint ?? '', expected.hint);
        assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
        await client.end();
      });
    }
  }
});

test('a table without replica identity is refused before it can break the application', async () => {
  const client = await connect(walhook.sqlUrl());
  await client.query('CREATE TABLE keyless (a int)');
  await assert.rejects(
    client.query(`CREATE CDC STREAM k ON keyless TO WEBHOOK '${receiver.url}/k'`),
    (error: pg.DatabaseError) => {
      assert.equal(error.code, '55000');
      assert.match(error.hint ?? '', /REPLICA IDENTITY FULL/);
      return true;
    },
  );
  await client.query('INSERT INTO keyless VALUES (1)');
  await client.query('UPDATE keyless SET a = 2');
});

test('metrics and health answer on the admin port', async () => {
  const health = await fetch(walhook.httpUrl('/healthz'));
  assert.equal(health.status, 200);
  const ready = await fetch(walhook.httpUrl('/readyz'));
  assert.equal(ready.status, 200, await ready.text());
  const metrics = await (await fetch(walhook.httpUrl('/metrics'))).text();
  assert.match(metrics, /^walhook_proxy_connections \d+$/m);
});

test('a second walhook on the same data directory is refused with a clear message', async () => {
  const dataDir = join(temporaryFolder(), 'data');
  const first = await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start();
  const second = new WalhookProcess({ upstreamUrl: server.url(), dataDir });
  await assert.rejects(second.start(), /data directory .* is in use by another walhook \(process \d+\)/);
  assert.equal(await first.stop(), 0);
});
