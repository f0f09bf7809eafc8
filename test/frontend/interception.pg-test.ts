import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { connect } from '../support/test-database.ts';
import { RawClient, reportsOf, rowsOf, say, statusOf, tagsOf, textRowsOf, typesOf } from '../support/raw-client.ts';
import { startPair } from './proxy.ts';

// Law: a statement of ours is answered as the server would answer one of its own: in its turn, with its errors' effect on
// the group and on the transaction, and with a ReadyForQuery that tells the truth.

const { server, proxy } = await startPair();
const admin = await connect(server.url());
await admin.query(`
  create table orders (id int, region int, body text, primary key (region, id));
  create table log_entries (id int);
`);
const { streams } = proxy;
const CREATE = `CREATE CHANGE DATA CAPTURE ON orders TO WEBHOOK 'https://example.com/hook?key=secret' AS 's1'`;

beforeEach(() => streams.clear());

async function session(parameters: Record<string, string> = {}): Promise<RawClient> {
  return RawClient.start(proxy.address, parameters);
}

async function withStream(): Promise<RawClient> {
  const client = await session();
  assert.deepEqual(tagsOf(await client.query(CREATE)), ['CREATE CDC STREAM']);
  return client;
}

test('CREATE resolves the table on the session and answers with its tag', async () => {
  const client = await session();
  const answer = await client.query(CREATE);
  assert.equal(typesOf(answer), 'CZ');
  const [request] = streams.created;
  assert.deepEqual(
    {
      ...request,
      tables: request!.tables.map(({ oid, ...rest }) => ({ ...rest, hasOid: oid > 16_383 })),
      options: null,
    },
    {
      name: 's1',
      ifNotExists: false,
      database: 'postgres',
      tables: [
        { schema: 'public', name: 'orders', keyColumns: ['region', 'id'], columns: null, where: null, hasOid: true },
      ],
      scope: { kind: 'tables' },
      format: 'json',
      envelope: 'native',
      operations: null,
      when: null,
      transform: null,
      orderingKey: null,
      comment: null,
      givenOptions: [],
      destination: { kind: 'webhook', url: 'https://example.com/hook?key=secret' },
      options: null,
      owner: 'postgres',
    },
  );
  client.close();
});

test('a notice comes before the tag', async () => {
  const client = await session();
  const answer = await client.query(`CREATE CDC STREAM ON orders TO WEBHOOK 'https://example.com/'`);
  assert.equal(typesOf(answer), 'NCZ');
  assert.equal(reportsOf(answer, 'N')[0]!['M'], 'stream name "orders_cdc_stream" was generated');
  client.close();
});

test('SHOW CREATE CDC STREAM gives a statement that makes the stream, with credentials taken out', async () => {
  const client = await withStream();
  const answer = await client.query('SHOW CREATE CDC STREAM s1');
  assert.equal(typesOf(answer), 'NTDCZ');
  assert.deepEqual(textRowsOf(answer), [
    [
      's1',
      `CREATE CDC STREAM s1 ON public.orders TO WEBHOOK 'https://example.com/hook?key=***' FORMAT JSON ENVELOPE NATIVE`,
    ],
  ]);
  client.close();
});

test('SHOW CDC STREAMS LIKE shows the streams whose names match', async () => {
  const client = await withStream();
  for (const [pattern, types] of [
    ['s%', 'TDCZ'],
    ['S%', 'TCZ'],
  ] as const) {
    assert.equal(typesOf(await client.query(`SHOW CDC STREAMS LIKE '${pattern}'`)), types);
  }
  const [report] = reportsOf(await client.query(String.raw`SHOW CDC STREAMS LIKE 'x\'`), 'E');
  assert.equal(report!['C'], '22025');
  client.close();
});

test('a statement that nothing executes yet is refused, and never reaches the upstream', async () => {
  const client = await session();
  for (const statement of [`CREATE CDC STREAM s1 ON orders TO KINESIS 'hunter2'`]) {
    const [report] = reportsOf(await client.query(statement), 'E');
    assert.equal(report!['C'], '0A000');
    assert.doesNotMatch(JSON.stringify(report), /hunter2/);
  }
  client.close();
});

test('SHOW CDC STREAMS has its columns in order, typed, with the URL redacted', async () => {
  const client = await withStream();
  const answer = await client.query('show /* a */ cdc streams;');
  assert.equal(typesOf(answer), 'TDCZ');
  assert.deepEqual(tagsOf(answer), ['SHOW']);
  const columns = answer[0]!.body.toString('latin1');
  assert.ok(columns.includes('stream_name\0') && columns.endsWith('database\0' + columns.slice(-18)));
  assert.equal(answer[0]!.body.readInt16BE(0), 20);
  assert.deepEqual(textRowsOf(answer)[0], [
    's1',
    'public.orders',
    'webhook',
    'https://example.com/hook?key=***',
    'json',
    'native',
    'running',
    null,
    '0.25',
    '400',
    '4',
    '5',
    '1',
    '0',
    'closed',
    'HTTP 500',
    '2026-01-05 10:00:59.5+00',
    '2026-01-05 10:00:00.123+00',
    'postgres',
    'postgres',
  ]);
  client.close();
});

test('SHOW CDC STREAM STATUS has a row for each property', async () => {
  const client = await withStream();
  const rows = textRowsOf(await client.query('SHOW CDC STREAM STATUS s1'));
  assert.equal(rows.length, 44);
  assert.deepEqual(rows.slice(17, 22), [
    ['created_at', '2026-01-05 10:00:00.123+00'],
    ['owner', 'postgres'],
    ['started_at', null],
    ['paused_at', null],
    ['last_event_at', '2026-01-05 10:01:00+00'],
  ]);
  assert.deepEqual(rows.slice(-2), [
    ['last_filter_doubt', null],
    ['database', 'postgres'],
  ]);
  client.close();
});

test('ALTER and DROP act on the stream in the name of the role', async () => {
  const client = await withStream();
  assert.deepEqual(tagsOf(await client.query('ALTER CDC STREAM s1 PAUSE')), ['ALTER CDC STREAM']);
  assert.deepEqual(tagsOf(await client.query('ALTER CDC STREAM s1 RESUME')), ['ALTER CDC STREAM']);
  const dropped = await client.query('DROP CDC STREAM IF EXISTS s1, s2');
  assert.equal(typesOf(dropped), 'NCZ');
  assert.deepEqual([streams.names, streams.actors], [[], ['postgres', 'postgres', 'postgres']]);
  client.close();
});

// What CREATE refuses, with the place in the statement where that helps.
await admin.query(`
  create view a_view as select 1 as id;
  create materialized view a_matview as select 1 as id;
  create unlogged table an_unlogged (id int primary key);
  create sequence a_sequence;
  create table a_parent (id int primary key) partition by range (id);
  create table a_partition partition of a_parent for values from (0) to (10);
  create table "Größe ""x""" (id int primary key);
  create table identity_full (id int); alter table identity_full replica identity full;
  create table identity_nothing (id int primary key); alter table identity_nothing replica identity nothing;
  create table identity_index (id int not null, other int not null);
  create unique index identity_unique on identity_index (other);
  alter table identity_index replica identity using index identity_unique;
  create table identity_gone (id int not null);
  create unique index gone on identity_gone (id);
  alter table identity_gone replica identity using index gone;
  drop index gone;
`);
const REFUSED: ReadonlyArray<[table: string, code: string, hint?: RegExp]> = [
  ['no_such', '42P01'],
  ['no_such.orders', '42P01'],
  ['a_view', '42809'],
  ['a_matview', '42809'],
  ['a_sequence', '42809'],
  ['orders_pkey', '42809'],
  ['a_partition', '42809', /partitioned table/],
  ['an_unlogged', '42809', /ALTER TABLE public\.an_unlogged SET LOGGED/],
  ['pg_catalog.pg_class', '42809'],
  ['log_entries', '55000', /ALTER TABLE public\.log_entries REPLICA IDENTITY FULL/],
  ['identity_nothing', '55000', /REPLICA IDENTITY DEFAULT/],
  ['identity_gone', '55000', /REPLICA IDENTITY FULL/],
];
for (const [table, code, hint] of REFUSED) {
  test(`CREATE on ${table} is ${code} at the name`, async () => {
    const client = await session();
    const answer = await client.query(
      `/* ü😀 */ CREATE CHANGE DATA CAPTURE ON ${table} TO WEBHOOK 'https://example.com/'`,
    );
    assert.equal(typesOf(answer), 'EZ');
    const [error] = reportsOf(answer);
    assert.equal(error!['C'], code);
    assert.equal(error!['P'], '40');
    if (hint) assert.match(error!['H']!, hint);
    if (code === '42P01') assert.equal(error!['M'], `relation "${table}" does not exist`);
    client.close();
  });
}

for (const [table, keyColumns] of [
  ['a_parent', ['id']],
  ['"Größe ""x"""', ['id']],
  ['identity_full', []],
  ['identity_index', []],
] as const) {
  test(`CREATE on ${table} takes it`, async () => {
    const client = await session();
    const answer = await client.query(`CREATE CDC STREAM s ON ${table} TO WEBHOOK 'https://example.com/'`);
    assert.deepEqual(tagsOf(answer), ['CREATE CDC STREAM'], JSON.stringify(reportsOf(answer)));
    assert.deepEqual(streams.created[0]!.tables[0]!.keyColumns, keyColumns);
    client.close();
  });
}

test('names are resolved by the search path, temporary tables first', async () => {
  const client = await session();
  await client.query('create schema if not exists other; create table if not exists other.orders (id int primary key)');
  await client.query('set search_path = other, public');
  await client.query(CREATE);
  assert.equal(streams.created[0]!.tables[0]!.schema, 'other');
  await client.query('create temporary table orders (id int primary key)');
  const [error] = reportsOf(await client.query(CREATE));
  assert.deepEqual(
    [error!['C'], error!['D']],
    ['42809', 'It is a temporary table, not a table whose changes are logged.'],
  );
  client.close();
});

test('the search path cannot change what the questions about privileges mean', async () => {
  await admin.query(`
    do $$ begin create role mallory login; create role owner_role; exception when duplicate_object then null; end $$;
    create table if not exists guarded (id int primary key); alter table guarded owner to owner_role;
    create schema if not exists authorization mallory;
  `);
  const client = await session();
  await client.query('set role mallory');
  await client.query(`set search_path = mallory, pg_catalog, public;
    create or replace function mallory.pg_has_role(oid, text) returns boolean language sql as 'select true';
    create or replace function mallory.has_table_privilege(oid, text) returns boolean language sql as 'select true';
    create or replace function mallory.yes(name, name) returns boolean language sql as 'select true';
    create operator mallory.= (leftarg = name, rightarg = name, function = mallory.yes);`);
  const statement = `CREATE CDC STREAM s ON guarded TO WEBHOOK 'https://example.com/'`;
  assert.equal(reportsOf(await client.query(statement))[0]!['M'], 'permission denied for table guarded');
  await admin.query('grant select on guarded to mallory');
  assert.equal(reportsOf(await client.query(statement))[0]!['M'], 'must be owner of table guarded');
  await admin.query('create role cdc_admin; grant cdc_admin to mallory');
  assert.deepEqual(tagsOf(await client.query(statement)), ['CREATE CDC STREAM']);
  assert.equal(streams.created[0]!.owner, 'mallory');
  await admin.query('revoke cdc_admin from mallory; drop role cdc_admin');
  client.close();
});

test('only the owner may alter or drop, and see', async () => {
  const client = await withStream();
  await admin.query('create role guest');
  await client.query('set role guest');
  for (const statement of ['ALTER CDC STREAM s1 PAUSE', 'DROP CDC STREAM IF EXISTS s1']) {
    assert.equal(reportsOf(await client.query(statement))[0]!['C'], '42501', statement);
  }
  assert.equal(typesOf(await client.query('SHOW CDC STREAMS')), 'TCZ');
  assert.equal(reportsOf(await client.query('SHOW CDC STREAM STATUS s1'))[0]!['C'], '42501');
  assert.deepEqual(streams.names, ['s1']);
  client.close();
});

test('in a read-only transaction nothing is changed', async () => {
  const client = await withStream();
  await client.query('set default_transaction_read_only = on');
  for (const statement of [CREATE, 'ALTER CDC STREAM s1 PAUSE', 'DROP CDC STREAM s1']) {
    assert.equal(reportsOf(await client.query(statement))[0]!['C'], '25006', statement);
  }
  assert.equal(typesOf(await client.query('SHOW CDC STREAMS')), 'TDCZ');
  assert.match(typesOf(await client.query(`EXPLAIN ${CREATE.replace("'s1'", "'s2'")}`)), /^TD+CZ$/);
  assert.deepEqual(streams.names, ['s1']);
  client.close();
});

test('an error in a block aborts the block, and the upstream knows', async () => {
  const client = await withStream();
  await client.query('begin');
  assert.equal(statusOf(await client.query('SHOW CDC STREAMS')), 'T');
  const failed = await client.query('ALTER CDC STREAM s1 PAUSE');
  assert.deepEqual([typesOf(failed), reportsOf(failed)[0]!['C'], statusOf(failed)], ['EZ', '25001', 'E']);
  for (const statement of ['select 1', 'SHOW CDC STREAMS', 'SELECT 1; SHOW CDC STREAMS']) {
    const answer = await client.query(statement);
    assert.deepEqual([typesOf(answer), reportsOf(answer)[0]!['C'], statusOf(answer)], ['EZ', '25P02', 'E'], statement);
  }
  const committed = await client.query('commit');
  assert.deepEqual([tagsOf(committed), statusOf(committed)], [['ROLLBACK'], 'I']);
  client.close();
});

test('several statements of ours in one message run one after another up to an error', async () => {
  const client = await withStream();
  const answer = await client.query(
    'ALTER CDC STREAM s1 PAUSE; SHOW CDC STREAMS; ALTER CDC STREAM s9 PAUSE; ALTER CDC STREAM s1 RESUME',
  );
  assert.deepEqual([typesOf(answer), tagsOf(answer)], ['CTDCEZ', ['ALTER CDC STREAM', 'SHOW']]);
  assert.deepEqual(streams.names, ['s1']);
  client.close();
});

test('an error of syntax anywhere keeps the whole message from running, and is placed in it', async () => {
  const client = await withStream();
  const answer = await client.query('DROP CDC STREAM s1; ALTER CDC STREAM s1 PAUZE');
  assert.equal(typesOf(answer), 'EZ');
  assert.deepEqual([reportsOf(answer)[0]!['C'], reportsOf(answer)[0]!['P']], ['42601', '41']);
  assert.deepEqual(streams.names, ['s1']);
  client.close();
});

test('SHOW among other statements is one transaction with them', async () => {
  const client = await withStream();
  await client.query('create table if not exists mixed (id int); truncate mixed');
  const good = await client.query(
    `insert into mixed values (1); SHOW CDC STREAMS; select txid_current() = txid_current_if_assigned()`,
  );
  assert.deepEqual([typesOf(good), statusOf(good)], ['CTDCTDCZ', 'I']);
  assert.deepEqual(textRowsOf(good).at(-1), ['t']);
  const failed = await client.query(
    `insert into mixed values (2); SHOW CDC STREAM STATUS s9; insert into mixed values (3)`,
  );
  assert.deepEqual([typesOf(failed), statusOf(failed)], ['CEZ', 'I']);
  const theirs = await client.query(`SHOW CDC STREAMS; select 1/0; insert into mixed values (4)`);
  assert.deepEqual([typesOf(theirs), reportsOf(theirs)[0]!['C'], statusOf(theirs)], ['TDCEZ', '22012', 'I']);
  assert.deepEqual(textRowsOf(await client.query('select id from mixed')), [['1']]);
  client.close();
});

test('the place of another statement’s error is that in the whole message', async () => {
  const client = await withStream();
  const [error] = reportsOf(await client.query(`SHOW CDC STREAMS; select 'ü', bogus`));
  assert.deepEqual([error!['C'], error!['P']], ['42703', '31']);
  client.close();
});

test('a mixed message inside a block leaves the block open, or failed', async () => {
  const client = await withStream();
  await client.query('begin');
  assert.equal(statusOf(await client.query('select 1; SHOW CDC STREAMS; select 2')), 'T');
  const failed = await client.query('select 1; SHOW CDC STREAMS; select bogus');
  assert.deepEqual([typesOf(failed), statusOf(failed)], ['TDCTDCEZ', 'E']);
  await client.query('rollback; begin');
  const ours = await client.query('select 1; SHOW CDC STREAM STATUS s9; select bogus');
  assert.deepEqual([typesOf(ours), statusOf(ours)], ['TDCEZ', 'E']);
  assert.equal(statusOf(await client.query('rollback')), 'I');
  client.close();
});

for (const statement of [
  `${CREATE}; ALTER CDC STREAM s1 PAUSE`,
  'select 1; ALTER CDC STREAM s1 PAUSE',
  'SHOW CDC STREAMS; begin',
  'commit; SHOW CDC STREAMS',
  `SHOW CDC STREAMS; prepare transaction 'x'`,
  'SHOW CDC STREAMS; vacuum',
]) {
  test(`25001, and nothing done: ${statement.slice(0, 60)}`, async () => {
    const client = await session();
    const answer = await client.query(statement);
    assert.deepEqual([reportsOf(answer)[0]!['C'], statusOf(answer)], ['25001', 'I']);
    assert.deepEqual(streams.names, []);
    assert.equal(typesOf(await client.query('select 1')), 'TDCZ');
    client.close();
  });
}

test('COPY FROM STDIN in a mixed message fails without losing the protocol', async () => {
  const client = await session();
  client.send(say.query('SHOW CDC STREAMS; copy log_entries from stdin'));
  await client.until('G');
  client.send(say.copyData('1\n'), say.copyDone());
  const answer = await client.ready();
  assert.deepEqual([reportsOf(answer)[0]!['C'], statusOf(answer)], ['57014', 'I']);
  assert.equal(typesOf(await client.query('select 1')), 'TDCZ');
  client.close();
});

// The extended protocol.

test('Parse, Describe, Bind, Describe, Execute of a SHOW', async () => {
  const client = await withStream();
  client.send(
    say.parse('q', 'SHOW CDC STREAMS'),
    say.describe('statement', 'q'),
    say.bind('p', 'q'),
    say.describe('portal', 'p'),
    say.execute('p'),
    say.sync(),
  );
  const answer = await client.ready();
  assert.equal(typesOf(answer), '1tT2TDCZ');
  assert.equal(answer[1]!.body.readInt16BE(0), 0);
  client.send(say.bind('', 'q'), say.execute(''), say.close('statement', 'q'), say.bind('', 'q'), say.sync());
  const again = await client.ready();
  assert.deepEqual([typesOf(again), reportsOf(again)[0]!['C']], ['2DC3EZ', '26000']);
  client.close();
});

test('binary results, for all columns or each', async () => {
  const client = await withStream();
  client.send(
    say.parse('', 'SHOW CDC STREAMS'),
    say.bind('', '', [], { resultFormats: [1] }),
    say.execute(''),
    say.sync(),
  );
  const [row] = rowsOf(await client.ready());
  assert.equal(row![0]!.toString(), 's1');
  assert.equal(row![8]!.readDoubleBE(), 0.25);
  assert.equal(row![9]!.readBigInt64BE(), 400n);
  assert.equal(row![17]!.readBigInt64BE(), BigInt(Date.UTC(2026, 0, 5, 10, 0, 0, 123) - Date.UTC(2000, 0, 1)) * 1000n);
  const formats = Array.from({ length: 20 }, (_, i) => (i === 9 ? 1 : 0));
  client.send(
    say.bind('', '', [], { resultFormats: formats }),
    say.describe('portal', ''),
    say.execute(''),
    say.sync(),
  );
  const [each] = rowsOf(await client.ready());
  assert.deepEqual([each![8]!.toString(), each![9]!.readBigInt64BE()], ['0.25', 400n]);
  client.send(say.bind('', '', [], { resultFormats: [0, 1] }), say.sync());
  assert.equal(reportsOf(await client.ready())[0]!['C'], '08P01');
  client.close();
});

test('a row limit suspends the portal, which goes on where it was', async () => {
  const client = await withStream();
  client.send(say.query('begin'), say.parse('', 'SHOW CDC STREAM STATUS s1'), say.bind('', ''), say.sync());
  await client.ready(2);
  client.send(say.execute('', 20), say.execute('', 20), say.execute('', 20), say.execute('', 20), say.sync());
  const types = typesOf(await client.ready());
  assert.equal(types, `${'D'.repeat(20)}s${'D'.repeat(20)}sDDDDCCZ`);
  client.send(say.query('commit'), say.execute(''), say.sync());
  const after = await client.ready(2);
  assert.equal(reportsOf(after)[0]!['C'], '34000');
  client.close();
});

test('the URL may be a parameter, of text or binary format', async () => {
  const client = await session();
  const sql = `CREATE CDC STREAM s1 ON orders TO WEBHOOK $1`;
  client.send(say.parse('c', sql), say.describe('statement', 'c'), say.sync());
  const described = await client.ready();
  assert.equal(typesOf(described), '1tnZ');
  assert.deepEqual([described[1]!.body.readInt16BE(0), described[1]!.body.readInt32BE(2)], [1, 25]);
  client.send(say.bind('', 'c', ['https://example.com/ü'], { parameterFormats: [1] }), say.execute(''), say.sync());
  assert.equal(typesOf(await client.ready()), '2CZ');
  assert.deepEqual(streams.created[0]!.destination, { kind: 'webhook', url: 'https://example.com/ü' });
  client.send(say.bind('', 'c', ['nonsense']), say.sync());
  const wrong = await client.ready();
  assert.deepEqual([typesOf(wrong), reportsOf(wrong)[0]!['C'], reportsOf(wrong)[0]!['P']], ['EZ', '22023', '43']);
  client.send(say.bind('', 'c', []), say.sync());
  assert.equal(reportsOf(await client.ready())[0]!['C'], '08P01');
  client.close();
});

// One of the three positions of ours in a group, and an error before, in and after it.
const OURS = [say.parse('o', 'SHOW CDC STREAMS'), say.bind('', 'o'), say.execute('')];
const OUR_ERROR = [say.parse('e', 'SHOW CDC STREAM STATUS s9'), say.bind('', 'e'), say.execute('')];
const THEIRS = [say.parse('', 'insert into counted values (1)'), say.bind('', ''), say.execute('')];
const THEIR_ERROR = [say.parse('', 'select 1/count(*) from counted where false'), say.bind('', ''), say.execute('')];
const GROUPS: ReadonlyArray<[name: string, messages: Buffer[][], types: string, inserted: number]> = [
  ['ours alone', [OURS], '12DCZ', 0],
  ['ours first', [OURS, THEIRS], '12DC12CZ', 1],
  ['ours last', [THEIRS, OURS], '12C12DCZ', 1],
  ['ours between', [THEIRS, OURS, THEIRS], '12C12DC12CZ', 2],
  ['an error before ours', [THEIRS, THEIR_ERROR, OURS, THEIRS], '12C12EZ', 0],
  ['an error of ours first', [OUR_ERROR, THEIRS, OURS], '12EZ', 0],
  ['an error of ours between', [THEIRS, OUR_ERROR, THEIRS, OURS], '12C12EZ', 0],
  ['an error after ours', [THEIRS, OURS, THEIR_ERROR, THEIRS], '12C12DC12EZ', 0],
  ['an error of ours after ours', [OURS, OUR_ERROR, THEIRS], '12DC12EZ', 0],
];
for (const [name, messages, types, inserted] of GROUPS) {
  test(`in a pipeline: ${name}`, async () => {
    const client = await withStream();
    await client.query('create table if not exists counted (id int); truncate counted');
    client.send(...messages.flat(), say.sync(), say.sync(), say.query('select count(*) from counted'));
    const answer = await client.ready(3);
    assert.equal(typesOf(answer), `${types}ZTDCZ`);
    assert.equal(
      answer.filter(({ type }) => type === 'Z').every(({ body }) => body.toString() === 'I'),
      true,
    );
    assert.deepEqual(textRowsOf(answer).at(-1), [String(inserted)]);
    client.close();
  });
}

test('an error of ours in a block of the extended protocol fails the block', async () => {
  const client = await withStream();
  client.send(say.query('begin'), ...OUR_ERROR, ...THEIRS, say.sync(), ...OURS, say.sync(), say.query('commit'));
  const answer = await client.ready(4);
  assert.equal(typesOf(answer), 'CZ12EZEZCZ');
  assert.deepEqual(
    reportsOf(answer).map((each) => each['C']),
    ['42704', '25P02'],
  );
  assert.deepEqual(tagsOf(answer), ['BEGIN', 'ROLLBACK']);
  client.close();
});

test('a pause in a group that has executed something is 25001, and rolls it back', async () => {
  const client = await withStream();
  await client.query('create table if not exists counted (id int); truncate counted');
  client.send(...THEIRS, say.parse('', 'ALTER CDC STREAM s1 PAUSE'), say.bind('', ''), say.execute(''), say.sync());
  const answer = await client.ready();
  assert.deepEqual([typesOf(answer), reportsOf(answer)[0]!['C']], ['12C12EZ', '25001']);
  assert.deepEqual([streams.names, textRowsOf(await client.query('select count(*) from counted'))], [['s1'], [['0']]]);
  client.close();
});

test('a change in a group of its own is done, with questions between its messages', async () => {
  const client = await session();
  client.send(say.parse('', CREATE), say.bind('', ''), say.describe('portal', ''), say.execute(''), say.sync());
  assert.equal(typesOf(await client.ready()), '12nCZ');
  client.send(
    say.parse('', 'DROP CDC STREAM s1'),
    say.bind('', ''),
    say.execute(''),
    ...THEIRS.slice(0, 0),
    say.sync(),
  );
  assert.equal(typesOf(await client.ready()), '12CZ');
  client.close();
});

test('Flush is enough to get ours', async () => {
  const client = await withStream();
  client.send(say.run('select 1'), ...OURS, say.flush());
  assert.equal(typesOf(await client.until('C', 2)), '12TDC12DC');
  client.send(say.sync());
  assert.equal(typesOf(await client.ready()), 'Z');
  client.close();
});

test('a name is of one side at a time', async () => {
  const client = await withStream();
  client.send(say.parse('a', 'select 1'), say.parse('b', 'SHOW CDC STREAMS'), say.sync());
  assert.equal(typesOf(await client.ready()), '11Z');
  for (const [name, sql] of [
    ['a', 'SHOW CDC STREAMS'],
    ['b', 'SHOW CDC STREAMS'],
    ['b', 'select 1'],
  ]) {
    client.send(say.parse(name!, sql!), say.sync());
    assert.equal(reportsOf(await client.ready())[0]?.['C'], '42P05', `${name} ${sql}`);
  }
  client.send(say.bind('p', 'b'), say.bind('p', 'a'), say.sync());
  assert.equal(reportsOf(await client.ready())[0]!['C'], '42P03');
  client.send(say.bind('p', 'a'), say.bind('p', 'b'), say.sync());
  assert.equal(reportsOf(await client.ready())[0]!['C'], '42P03');
  // The unnamed ones are replaced by either side.
  client.send(
    say.parse('', 'SHOW CDC STREAMS'),
    say.parse('', 'select 7'),
    say.bind('', ''),
    say.execute(''),
    say.sync(),
  );
  assert.deepEqual(textRowsOf(await client.ready()), [['7']]);
  client.send(
    say.parse('', 'select 7'),
    say.parse('', 'SHOW CDC STREAMS'),
    say.bind('', ''),
    say.execute(''),
    say.sync(),
  );
  assert.equal(textRowsOf(await client.ready())[0]![0], 's1');
  client.send(say.close('statement', 'b'), say.parse('b', 'select 8'), say.bind('', 'b'), say.execute(''), say.sync());
  assert.deepEqual(textRowsOf(await client.ready()), [['8']]);
  client.send(say.parse('d', 'SHOW CDC STREAMS'), say.query('deallocate all'), say.bind('', 'd'), say.sync());
  assert.equal(reportsOf(await client.ready(2))[0]!['C'], '26000');
  client.close();
});

test('what the text means is decided by the settings at its turn', async () => {
  const client = await withStream();
  client.send(
    say.query('set standard_conforming_strings = off'),
    say.query(`select 'a\\';SHOW CDC STREAMS;'`),
    say.query('set standard_conforming_strings = on'),
    say.query(`select 'a\\';SHOW CDC STREAMS`),
  );
  const answer = await client.ready(4);
  assert.equal(typesOf(answer).replaceAll('N', '').replaceAll('S', ''), 'CZTDCZCZTDCTDCZ');
  client.close();
});

test('statements in another client encoding', async () => {
  const client = await session({ client_encoding: 'LATIN1' });
  const sql = Buffer.from(`CREATE CDC STREAM "größe" ON "Größe ""x""" TO WEBHOOK 'https://example.com/'`, 'latin1');
  client.send(say.query(sql));
  assert.deepEqual(tagsOf(await client.ready()), ['CREATE CDC STREAM']);
  assert.deepEqual(streams.names, ['größe']);
  client.send(say.query(Buffer.from(`select 'ü'; SHOW CDC STREAMS; select 'ö'`, 'latin1')));
  const rows = rowsOf(await client.ready());
  assert.deepEqual(
    [rows[0]![0], rows[1]![0], rows[2]![0]].map((value) => value!.toString('latin1')),
    ['ü', 'größe', 'ö'],
  );
  client.close();
});

test('NOTIFY that comes in the middle of ours reaches the client', async () => {
  const client = await session();
  await client.query('listen news');
  const held = streams.hold();
  client.send(say.query(CREATE));
  await held;
  await admin.query(`notify news, 'hello'`);
  assert.equal(typesOf(await client.until('A')), 'A');
  streams.release();
  assert.equal(typesOf(await client.ready()), 'CZ');
  client.close();
});

test('what is sent while ours runs waits for its turn', async () => {
  const client = await session();
  const held = streams.hold();
  client.send(say.query(CREATE), say.query('select 1'), say.run('select 2'), say.sync());
  await held;
  assert.equal(typesOf(client.take()), '');
  streams.release();
  assert.equal(typesOf(await client.ready(3)), 'CZTDCZ12TDCZ');
  client.close();
});
