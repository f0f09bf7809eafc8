import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { startReceiver } from '../support/json-receiver.ts';
import { streamStatus } from '../support/stream-status.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: BACKFILL is a statement as any other, and what a backfill gives of a row is what its change gave, byte for byte.

const server = await startPostgres();
const direct = await connect(server.url());
// A role whose settings change how nearly every type is written.
await direct.query(`ALTER ROLE postgres SET datestyle = 'German, DMY'; ALTER ROLE postgres SET intervalstyle = 'sql_standard';
  ALTER ROLE postgres SET extra_float_digits = -5; ALTER ROLE postgres SET bytea_output = 'escape';
  ALTER ROLE postgres SET timezone = 'Pacific/Chatham'; ALTER ROLE postgres SET xmlbinary = 'hex';
  ALTER ROLE postgres SET search_path = 'pg_temp'`);
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
const client = await openClient();

async function openClient(of = walhook): Promise<pg.Client> {
  const opened = new pg.Client({ connectionString: of.sqlUrl() });
  opened.on('error', () => undefined);
  await opened.connect();
  after(() => opened.end().catch(() => undefined));
  await opened.query('SET search_path = public');
  return opened;
}

async function property(stream: string, name: string, on = client): Promise<string | null> {
  return (await streamStatus(on, stream)).get(name) ?? null;
}

/** Types with values at their edges, as SQL. */
const VALUES: readonly (readonly [type: string, value: string])[] = [
  ['bool', 'true'],
  ['int2', '-32768'],
  ['int8', '9223372036854775807'],
  ['numeric', `'NaN'`],
  ['numeric', `'-Infinity'`],
  ['numeric(38,10)', '-1234567890.0123456789'],
  ['float4', '1.17549435e-38'],
  ['float8', '0.1::float8 + 0.2::float8'],
  ['float8', `'-Infinity'`],
  ['money', `'-12.34'`],
  ['text', `E'\\t\\n"\\\\\\u00e9\\U0001F600'`],
  ['varchar(5)', `'a  '`],
  ['char(5)', `'a'`],
  ['"char"', `'x'`],
  ['name', `'n'`],
  ['bytea', `'\\x00ff41'`],
  ['date', `'0044-03-15 BC'`],
  ['date', `'infinity'`],
  ['date', `'5874897-12-31'`],
  ['time', `'24:00:00'`],
  ['timetz', `'23:59:59.999999+15:59'`],
  ['timestamp', `'4713-01-01 00:00:00 BC'`],
  ['timestamptz', `'294276-12-31 23:59:59.999999+00'`],
  ['timestamptz', `'-infinity'`],
  ['interval', `'-1 year 2 mons -3 days 04:05:06.789'`],
  ['uuid', `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`],
  ['json', `'{"b": 1, "a": [1.0, null]}'`],
  ['jsonb', `'{"b": 1, "a": [1.0, 1e400]}'`],
  ['jsonpath', `'$.a[*] ? (@ > 1)'`],
  ['xml', `'<a b="c">d</a>'`],
  ['inet', `'::ffff:1.2.3.4/128'`],
  ['cidr', `'10.0.0.0/8'`],
  ['macaddr', `'08:00:2b:01:02:03'`],
  ['macaddr8', `'08:00:2b:01:02:03:04:05'`],
  ['bit(3)', `B'101'`],
  ['varbit', `B''`],
  ['point', `'(0.1,-1e300)'`],
  ['line', `'{1,2,3}'`],
  ['lseg', `'[(0,0),(1,1)]'`],
  ['box', `'(1,1),(0,0)'`],
  ['path', `'((0,0),(1,1))'`],
  ['polygon', `'((0,0),(1,1),(1,0))'`],
  ['circle', `'<(0.1,0.2),0.3>'`],
  ['tsvector', `'a:1A b:2'::tsvector`],
  ['tsquery', `'a & !b'::tsquery`],
  ['int4range', `'[1,5)'`],
  ['tstzrange', `'["2020-01-01 00:00:00+00",infinity)'`],
  ['datemultirange', `'{[2020-01-01,2020-02-01)}'`],
  ['int4[]', `'{{1,2},{3,NULL}}'`],
  ['text[]', `ARRAY['', 'NULL', NULL, '"']`],
  ['timestamptz[]', `ARRAY['2020-01-01 00:00:00+00'::timestamptz]`],
  ['interval[]', `ARRAY['1 day -2 hours'::interval]`],
  ['bytea[]', `ARRAY['\\x00ff'::bytea]`],
  ['float8[]', `ARRAY[0.1::float8 + 0.2::float8]`],
  ['public.mood', `'sad'`],
  ['public.positive', '7'],
  ['public.pair', `ROW(1, '2020-01-01'::date)::public.pair`],
  ['oid', '4294967295'],
  ['pg_lsn', `'FFFFFFFF/FFFFFFFF'`],
  ['xid8', `'18446744073709551615'`],
  ['pg_snapshot', `'10:20:10,14,15'`],
  ['tid', `'(1,2)'`],
  ['regclass', `'pg_catalog.pg_class'`],
  ['regtype', `'integer'`],
  ['regproc', `'now'`],
  ['int4', 'NULL'],
];

test('every type reads as it was when it changed, whatever the role’s settings are', async () => {
  await direct.query(`CREATE TYPE public.mood AS ENUM ('happy', 'sad'); CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
    CREATE TYPE public.pair AS (a int, b date)`);
  const columns = VALUES.map(([type], i) => `c${i} ${type}`).join(', ');
  await client.query(
    `CREATE TABLE types (id int PRIMARY KEY, ${columns}, twice int GENERATED ALWAYS AS (id * 2) STORED)`,
  );
  await client.query(`CREATE CDC STREAM types_stream ON types TO WEBHOOK '${receiver.url}/types'`);
  const names = VALUES.map((_, i) => `c${i}`).join(', ');
  await client.query(`INSERT INTO types (id, ${names}) VALUES (1, ${VALUES.map(([, value]) => value).join(', ')})`);
  await waitFor('the change', () => receiver.to('/types').length === 1);
  const { command } = await client.query('BACKFILL CDC STREAM types_stream');
  assert.equal(command, 'BACKFILL');
  await waitFor('the row', () => receiver.to('/types').length === 2);
  const bodies = receiver.to('/types').map(({ body }) => body);
  assert.deepEqual(
    bodies.map(({ op }) => op),
    ['insert', 'read'],
  );
  const [change, read] = bodies.map(({ after: row }) => row as Record<string, unknown>) as [
    Record<string, unknown>,
    Record<string, unknown>,
  ];
  for (const [i, [type, value]] of VALUES.entries()) {
    assert.deepEqual(read[`c${i}`], change[`c${i}`], `${type} ${value}`);
    assert.equal(change[`c${i}`] === null, value === 'NULL', `${type} ${value} is there`);
  }
  assert.equal(JSON.stringify(read), JSON.stringify(change));
  await client.query('DROP CDC STREAM types_stream');
});

test('BACKFILL and CANCEL BACKFILL say what is wrong, and where', async () => {
  await client.query('CREATE TABLE one (id int PRIMARY KEY, note text); CREATE TABLE two (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM one_stream ON one TO WEBHOOK '${receiver.url}/one'`);
  const cases: [sql: string, code: string, position?: string][] = [
    ['BACKFILL CDC STREAM nothing', '42704'],
    ['BACKFILL CDC STREAM one_stream TABLE two', '42704', '38'],
    ['BACKFILL CDC STREAM one_stream TABLE three', '42P01', '38'],
    ['BACKFILL CDC STREAM one_stream WHERE (missing = 1)', '42703', '39'],
    ['BACKFILL CDC STREAM one_stream WHERE (random() < 1)', '42P17', '39'],
    ['BACKFILL CDC STREAM one_stream WHERE (id = 1) OR (true)', '42601'],
    ['CANCEL BACKFILL CDC STREAM nothing', '42704'],
  ];
  for (const [sql, code, position] of cases) {
    const error = await client.query(sql).then(
      () => null,
      (failure: unknown) => failure as pg.DatabaseError,
    );
    assert.equal(error?.code, code, sql);
    if (position !== undefined) assert.equal(error?.position, position, sql);
  }
  await client.query('BEGIN');
  await assert.rejects(client.query('BACKFILL CDC STREAM one_stream'), { code: '25001' });
  await client.query('ROLLBACK');
  await client.query(`INSERT INTO one SELECT i, 'n' FROM generate_series(1, 10) i`);
  await waitFor('the changes', () => receiver.to('/one').length === 10);
  await client.query('BACKFILL CDC STREAM one_stream TABLE one WHERE (id > 7)');
  await waitFor('three rows', () => receiver.to('/one').length === 13);
  await waitFor('the truth', async () => (await property('one_stream', 'synced')) === 't');
  assert.equal(await property('one_stream', 'backfill_rows_done'), '3');
  assert.equal((await client.query('CANCEL BACKFILL CDC STREAM one_stream')).command, 'CANCEL');
  await client.query('DROP CDC STREAM one_stream');
});

test('a backfill that is killed goes on where it was: every row comes, with one id', async () => {
  await direct.query(`CREATE TABLE public.much (id int PRIMARY KEY, body text);
    INSERT INTO public.much SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i`);
  await client.query(`CREATE CDC STREAM much_stream ON much TO WEBHOOK '${receiver.url}/much'
    WITH (initial_scan = yes, batch_max_events = 1)`);
  const ids = new Map<unknown, unknown>();
  for (const kills of [1, 2, 3]) {
    await waitFor('some rows', () => receiver.to('/much').length > kills * 1_500);
    await walhook.kill();
    await walhook.start();
  }
  const again = await openClient();
  await waitFor(
    'all rows',
    async () => {
      for (const { body } of receiver.to('/much')) ids.set(JSON.stringify(body.key), body.id);
      return ids.size === 40_000 && (await property('much_stream', 'status', again)) === 'running';
    },
    120_000,
  );
  for (const { body } of receiver.to('/much')) assert.equal(ids.get(JSON.stringify(body.key)), body.id);
  await again.query('DROP CDC STREAM much_stream');
});

test('a backfill under way is cancelled: no row is read after it, changes go on, and it may be asked for again', async () => {
  const slow = await new WalhookProcess({
    upstreamUrl: server.url(),
    dataDir: join(temporaryFolder(), 'slow'),
    environment: { WALHOOK_BACKFILL_MAX_ROWS_PER_SECOND: '500' },
  }).start();
  const on = await openClient(slow);
  await direct.query(`CREATE TABLE public.long (id int PRIMARY KEY);
    INSERT INTO public.long SELECT i FROM generate_series(1, 20000) i`);
  await on.query(`CREATE CDC STREAM long_stream ON long TO WEBHOOK '${receiver.url}/long'`);
  await on.query('BACKFILL CDC STREAM long_stream');
  const done = async (): Promise<number> => Number(await property('long_stream', 'backfill_rows_done', on));
  await waitFor('some rows', async () => (await done()) > 0);
  await on.query('CANCEL BACKFILL CDC STREAM long_stream');
  const rowsDone = await done();
  assert.ok(rowsDone > 0 && rowsDone < 20_000, `${rowsDone} rows`);
  const history = await on.query<{ action: string }>('SHOW CDC STREAM HISTORY long_stream');
  assert.deepEqual(
    history.rows.map(({ action }) => action),
    ['cancel backfill', 'backfill', 'create'],
  );
  const count = (): number => receiver.to('/long').length;
  await waitFor('what was read', () => count() === rowsDone);
  await direct.query('INSERT INTO public.long VALUES (0)');
  await waitFor('the change', () => count() === rowsDone + 1);
  assert.equal(await done(), rowsDone);
  const notices: (string | undefined)[] = [];
  on.on('notice', ({ message }) => notices.push(message));
  await on.query('CANCEL BACKFILL CDC STREAM long_stream');
  assert.deepEqual(notices, ['CDC stream "long_stream" has no backfill under way']);
  await on.query('BACKFILL CDC STREAM long_stream WHERE (id <= 3)');
  await waitFor('rows again', () => count() === rowsDone + 1 + 4);
  await on.query('DROP CDC STREAM long_stream');
  await slow.stop();
});
