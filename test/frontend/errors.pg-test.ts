import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { SQLSTATE } from '../../src/postgres/sqlstate.ts';
import { RawClient, reportsOf, say, statusOf } from '../support/raw-client.ts';
import { connect } from '../support/test-database.ts';
import { startPair } from './proxy.ts';

// Law: what a statement of ours does wrong has the SQLSTATE that Postgres would give it, at the place in the text where it
// is wrong, with what would be right; the same in both protocols.

const { server, proxy } = await startPair();
const admin = await connect(server.url());
await admin.query(`
  create table orders (id int primary key, status text, total numeric, doc json);
  create table keyless (id int);
  create table foreign_keyed (id int primary key);
  create view orders_view as select * from orders;
  create materialized view orders_snapshot as select * from orders;
  create unlogged table scratch (id int primary key);
  create table parted (id int primary key) partition by range (id);
  create table parted_1 partition of parted for values from (0) to (10);
  create extension if not exists file_fdw;
  create server files foreign data wrapper file_fdw;
  create foreign table remote (id int) server files options (filename '/dev/null');
  create sequence counter;
  create role nobody_special;
`);
const { streams } = proxy;
const client = await RawClient.start(proxy.address, {});
after(() => client.close());

const HOOK = `TO WEBHOOK 'https://example.com/'`;
const LONG = 'n'.repeat(64);

interface Row {
  readonly code: string;
  readonly what: string;
  readonly sql: string;
  /** Where it is placed: what stands there. Null: nowhere. */
  readonly at: string | null;
  readonly hint?: RegExp;
  readonly detail?: RegExp;
  /** Statements before it; the session is reset afterwards. */
  readonly before?: readonly string[];
}

const ROWS: readonly Row[] = [
  { code: '42601', what: 'syntax', sql: 'ALTER CDC STREAM s1 PAUZE', at: 'PAUZE', hint: /did you mean "PAUSE"/ },
  {
    code: '42601',
    what: 'an unknown option',
    sql: `CREATE CDC STREAM s ON orders ${HOOK} WITH (batch_max_event = 1)`,
    at: 'batch_max_event',
    hint: /batch_max_events/,
  },
  {
    code: '42601',
    what: 'an option twice',
    sql: `CREATE CDC STREAM s ON orders ${HOOK} WITH (batch_size = 1, batch_max_events = 2)`,
    at: 'batch_max_events = 2',
  },
  {
    code: '42601',
    what: 'a clause twice',
    sql: `CREATE CDC STREAM s ON orders ${HOOK} FORMAT JSON FORMAT JSON`,
    at: 'FORMAT JSON',
  },
  { code: '42601', what: 'two names', sql: `CREATE CDC STREAM s ON orders ${HOOK} AS 't'`, at: `'t'` },
  {
    code: '42601',
    what: 'several tables without a name',
    sql: `CREATE CDC STREAM ON orders, keyless ${HOOK}`,
    at: 'keyless',
  },
  {
    code: '22023',
    what: 'a value of a wrong type',
    sql: `CREATE CDC STREAM s ON orders ${HOOK} WITH (batch_max_events = 'many')`,
    at: `'many'`,
    detail: /whole numbers/,
  },
  {
    code: '22023',
    what: 'a value out of range',
    sql: `CREATE CDC STREAM s ON orders ${HOOK} WITH (max_in_flight = 0)`,
    at: '0)',
    detail: /from 1 to 10000/,
  },
  {
    code: '22023',
    what: 'no value of the enum',
    sql: `CREATE CDC STREAM s ON orders ${HOOK} WITH (ordering = rows)`,
    at: 'rows',
    detail: /key, table, stream, none/,
  },
  {
    code: '22023',
    what: 'a bad URL',
    sql: `CREATE CDC STREAM s ON orders TO WEBHOOK 'ftp://example.com/'`,
    at: `'ftp`,
  },
  {
    code: '22023',
    what: 'options that exclude each other',
    sql: `ALTER CDC STREAM s1 SET (initial_backoff = '2min', max_backoff = '1min')`,
    at: null,
    detail: /120000 ms/,
  },
  {
    code: '22023',
    what: 'an option that is fixed',
    sql: `ALTER CDC STREAM s1 SET (initial_scan = no)`,
    at: 'initial_scan',
  },
  {
    code: '42704',
    what: 'a stream that does not exist',
    sql: 'DROP CDC STREAM s2',
    at: null,
    hint: /did you mean "s1"/,
  },
  {
    code: '42704',
    what: 'an endpoint that does not exist',
    sql: 'DROP CDC ENDPOINT f',
    at: null,
    hint: /SHOW CDC ENDPOINTS|did you mean/,
  },
  {
    code: '42704',
    what: 'a secret that does not exist',
    sql: `ALTER CDC SECRET k2 AS 'v'`,
    at: null,
    hint: /SHOW CDC SECRETS|did you mean/,
  },
  { code: '42704', what: 'a role that does not exist', sql: 'ALTER CDC STREAM s1 OWNER TO nobody', at: null },
  { code: '42710', what: 'a stream that exists', sql: `CREATE CDC STREAM s1 ON orders ${HOOK}`, at: null },
  { code: '42710', what: 'an endpoint that exists', sql: `CREATE CDC ENDPOINT e AS 'https://h/'`, at: null },
  {
    code: '42P01',
    what: 'an unknown table',
    sql: `CREATE CDC STREAM s ON order_s ${HOOK}`,
    at: 'order_s',
    hint: /"orders"/,
  },
  {
    code: '42703',
    what: 'an unknown column',
    sql: `CREATE CDC STREAM s ON orders WHERE (statu = 'x') ${HOOK} OPERATIONS (INSERT)`,
    at: 'statu',
    hint: /"status"/,
  },
  {
    code: '42883',
    what: 'an unknown function',
    sql: `CREATE CDC STREAM s ON orders WHERE (lowr(status) = 'x') ${HOOK} OPERATIONS (INSERT)`,
    at: 'lowr',
  },
  {
    code: '42883',
    what: 'an operator that there is not',
    sql: `CREATE CDC STREAM s ON orders WHERE (id = status) ${HOOK} OPERATIONS (INSERT)`,
    at: '= status',
  },
  {
    code: '42P17',
    what: 'a volatile function',
    sql: `CREATE CDC STREAM s ON orders WHERE (random() < 1) ${HOOK}`,
    at: 'random',
  },
  {
    code: '42P17',
    what: 'a sub-query',
    sql: `CREATE CDC STREAM s ON orders WHERE (id IN (SELECT 1)) ${HOOK}`,
    at: 'IN (SELECT',
  },
  { code: '42P17', what: 'an aggregate', sql: `CREATE CDC STREAM s ON orders WHERE (max(id) > 1) ${HOOK}`, at: 'max' },
  {
    code: '3F000',
    what: 'an unknown schema',
    sql: `CREATE CDC STREAM s ON TABLES IN SCHEMA publik ${HOOK}`,
    at: 'publik',
    hint: /"public"/,
  },
  {
    code: '42809',
    what: 'a view',
    sql: `CREATE CDC STREAM s ON orders_view ${HOOK}`,
    at: 'orders_view',
    detail: /a view/,
  },
  {
    code: '42809',
    what: 'a materialized view',
    sql: `CREATE CDC STREAM s ON orders_snapshot ${HOOK}`,
    at: 'orders_snapshot',
    detail: /materialized view/,
  },
  {
    code: '42809',
    what: 'a foreign table',
    sql: `CREATE CDC STREAM s ON remote ${HOOK}`,
    at: 'remote',
    detail: /a foreign table/,
  },
  {
    code: '42809',
    what: 'a temporary table',
    sql: `CREATE CDC STREAM s ON passing ${HOOK}`,
    at: 'passing',
    detail: /temporary/,
    before: ['create temporary table passing (id int primary key)'],
  },
  {
    code: '42809',
    what: 'an unlogged table',
    sql: `CREATE CDC STREAM s ON scratch ${HOOK}`,
    at: 'scratch',
    detail: /unlogged/,
    hint: /SET LOGGED/,
  },
  {
    code: '42809',
    what: 'a partition',
    sql: `CREATE CDC STREAM s ON parted_1 ${HOOK}`,
    at: 'parted_1',
    detail: /a partition/,
    hint: /partitioned table/,
  },
  {
    code: '42809',
    what: 'a sequence',
    sql: `CREATE CDC STREAM s ON counter ${HOOK}`,
    at: 'counter',
    detail: /a sequence/,
  },
  {
    code: '42501',
    what: 'no SELECT on the table',
    sql: `CREATE CDC STREAM s ON orders ${HOOK}`,
    at: null,
    before: ['set role nobody_special'],
  },
  {
    code: '42501',
    what: 'a stream of somebody else’s',
    sql: 'ALTER CDC STREAM s1 PAUSE',
    at: null,
    hint: /cdc_admin/,
    before: ['set role nobody_special'],
  },
  { code: '42622', what: 'a name too long', sql: `CREATE CDC STREAM ${LONG} ON orders ${HOOK}`, at: LONG },
  {
    code: '2BP01',
    what: 'an endpoint in use',
    sql: 'DROP CDC ENDPOINT e',
    at: null,
    detail: /CDC stream s1 depends on CDC endpoint e/,
  },
  {
    code: '2BP01',
    what: 'a secret in use',
    sql: 'DROP CDC SECRET k',
    at: null,
    detail: /CDC endpoint e depends on CDC secret k/,
  },
  { code: '0A000', what: 'KINESIS', sql: `CREATE CDC STREAM s ON orders TO KINESIS 'x'`, at: 'KINESIS' },
  { code: '25001', what: 'PAUSE in a block', sql: 'ALTER CDC STREAM s1 PAUSE', at: null, before: ['begin'] },
  { code: '25001', what: 'RESUME in a block', sql: 'RESUME CDC STREAM s1', at: null, before: ['begin'] },
  { code: '25006', what: 'a read-only transaction', sql: 'DROP CDC STREAM s1', at: null, before: ['begin read only'] },
  { code: '25P02', what: 'an aborted transaction', sql: 'SHOW CDC STREAMS', at: null, before: ['begin', 'select 1/0'] },
  {
    code: '55000',
    what: 'no replica identity',
    sql: `CREATE CDC STREAM s ON keyless ${HOOK}`,
    at: 'keyless',
    hint: /REPLICA IDENTITY FULL/,
  },
  {
    code: '55000',
    what: 'a filter on an old value that is not sent',
    sql: `CREATE CDC STREAM s ON orders WHERE (status = 'x') ${HOOK}`,
    at: `status = 'x'`,
    hint: /OPERATIONS \(INSERT\)/,
  },
  {
    code: '55000',
    what: 'the last table',
    sql: 'ALTER CDC STREAM s1 DROP TABLE orders',
    at: null,
    hint: /DROP CDC STREAM/,
  },
  { code: '42710', what: 'a table twice', sql: `CREATE CDC STREAM s ON orders, orders ${HOOK}`, at: `orders ${HOOK}` },
  { code: '42701', what: 'a column twice', sql: `CREATE CDC STREAM s ON orders (id, id) ${HOOK}`, at: 'id) ' },
  {
    code: '42P17',
    what: 'a column list without the key',
    sql: `CREATE CDC STREAM s ON orders (status) ${HOOK}`,
    at: 'status)',
    detail: /Missing: id/,
  },
];

async function prepare({ before = [] }: Row): Promise<void> {
  streams.clear();
  for (const sql of [
    `CREATE CDC SECRET k AS 'v'`,
    `CREATE CDC ENDPOINT e AS 'https://h/' WITH (bearer_token = SECRET k)`,
    'CREATE CDC STREAM s1 ON orders TO ENDPOINT e',
    ...before,
  ]) {
    await client.query(sql);
  }
}

function check(row: Row, error: Record<string, string> | undefined): void {
  assert.equal(error?.['C'], row.code, JSON.stringify(error));
  assert.equal(error!['V'], 'ERROR');
  const position = error!['P'];
  if (row.at === null) assert.equal(position, undefined);
  else
    assert.equal(row.sql.slice(Number(position) - 1).startsWith(row.at), true, `${position}: ${JSON.stringify(error)}`);
  if (row.hint) assert.match(error!['H'] ?? '', row.hint);
  if (row.detail) assert.match(error!['D'] ?? '', row.detail);
}

for (const row of ROWS) {
  test(`${row.code}: ${row.what}`, async () => {
    await prepare(row);
    const before = streams.state;
    const simple = await client.query(row.sql);
    check(row, reportsOf(simple)[0]);
    const isIn = row.before?.some((sql) => sql.startsWith('begin')) === true;
    assert.equal(statusOf(simple), isIn ? 'E' : 'I');
    await client.query('rollback; reset role; discard temp');
    await prepare(row);
    client.send(say.parse('', row.sql), say.bind('', ''), say.describe('portal', ''), say.execute(''), say.sync());
    check(row, reportsOf(await client.ready())[0]);
    await client.query('rollback; reset role; discard temp');
    assert.equal(streams.state, before);
  });
}

test('no error of a statement is of a class on which pools give a connection up', () => {
  for (const { code } of ROWS) {
    assert.ok(Object.values<string>(SQLSTATE).includes(code), code);
    assert.doesNotMatch(code, /^(08|57P0[123])/);
  }
});
