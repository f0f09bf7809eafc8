import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { StreamDefinition } from '../../src/model/stream.ts';
import { connect } from '../support/test-database.ts';
import { RawClient, reportsOf, say, statusOf, tagsOf, textRowsOf, typesOf } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPair } from './proxy.ts';

// Law: what a transaction of the client's has changed of the catalog is there when, and only when, the server says that it
// has committed, savepoint by savepoint; and the client does not see COMMIT succeed before.

const { server, proxy } = await startPair({ settings: { max_prepared_transactions: '2' } });
const admin = await connect(server.url());
await admin.query(
  'create table orders (id int primary key); create table deferred (id int unique deferrable initially deferred)',
);
await admin.query('create role heir');
const { streams } = proxy;

beforeEach(async () => {
  streams.clear();
  await admin.query('truncate deferred');
});

const create = (name: string, table = 'orders'): string =>
  `CREATE CDC STREAM ${name} ON ${table} TO WEBHOOK 'https://example.com/'`;

async function session(): Promise<RawClient> {
  return RawClient.start(proxy.address, {});
}

async function play(client: RawClient, ...queries: readonly string[]): Promise<string | undefined> {
  let status: string | undefined;
  for (const sql of queries) status = statusOf(await client.query(sql));
  return status;
}

const ENDINGS: ReadonlyArray<[what: string, queries: readonly string[], streams: readonly string[]]> = [
  ['COMMIT', ['begin', create('a'), 'commit'], ['a']],
  ['END in capitals', ['BEGIN', create('a'), 'END;'], ['a']],
  ['ROLLBACK', ['begin', create('a'), 'rollback'], []],
  ['COMMIT AND CHAIN', ['begin', create('a'), 'commit and chain', create('b'), 'rollback'], ['a']],
  ['ROLLBACK AND CHAIN', ['begin', create('a'), 'rollback and chain', create('b'), 'commit'], ['b']],
  ['ROLLBACK AND CHAIN, and nothing else', ['begin', create('a'), 'rollback and chain', 'commit'], []],
  ['COMMIT of a failed block', ['begin', create('a'), 'select 1/0', 'commit'], []],
  ['an error of ours', ['begin', create('a'), create('a'), 'commit'], []],
  ['a savepoint rolled back', ['begin', create('a'), 'savepoint s', create('b'), 'rollback to s', 'commit'], ['a']],
  ['a savepoint rolled back before all', ['begin', 'savepoint s', create('a'), 'rollback to s', 'commit'], []],
  ['a savepoint released', ['begin', 'savepoint s', create('a'), 'release s', create('b'), 'commit'], ['a', 'b']],
  [
    'savepoints in each other',
    [
      'begin',
      'savepoint s',
      create('a'),
      'savepoint t',
      create('b'),
      'release t',
      'rollback to s',
      create('c'),
      'commit',
    ],
    ['c'],
  ],
  [
    'an error that a savepoint takes back',
    ['begin', create('a'), 'savepoint s', create('b'), 'select 1/0', 'rollback to s', create('b'), 'commit'],
    ['a', 'b'],
  ],
  [
    'one message that rolls back to a savepoint and commits',
    ['begin', create('a'), 'savepoint s', create('b'), 'rollback to s; commit; select 1'],
    ['a'],
  ],
  ['RESET ALL', ['begin', create('a'), 'reset all', 'commit'], ['a']],
  ['a drop of what was made', ['begin', create('a'), 'DROP CDC STREAM a', 'commit'], []],
  ['a message of several', [`${create('a')}; ${create('b')}`], ['a', 'b']],
  ['a message of several with an error', [`${create('a')}; select 1/0`], []],
  ['a message of several with an error of ours', [`${create('a')}; ${create('a')}`], []],
  ['a message that fails when it commits', [`${create('a')}; insert into deferred values (1), (1)`], []],
  ['a COMMIT that fails', ['begin', create('a'), 'insert into deferred values (1), (1)', 'commit'], []],
];
for (const [what, queries, names] of ENDINGS) {
  test(`${what}: ${names.join(', ') || 'nothing'}`, async () => {
    const client = await session();
    assert.equal(await play(client, ...queries), 'I');
    assert.deepEqual([streams.names, streams.staged], [names, []]);
    assert.equal(typesOf(await client.query('select 1')), 'TDCZ');
    client.close();
  });

  test(`in one go, ${what}: ${names.join(', ') || 'nothing'}`, async () => {
    const client = await session();
    client.send(...queries.map((sql) => say.query(sql)), say.query('select 1'));
    const answer = await client.ready(queries.length + 1);
    assert.equal(statusOf(answer), 'I');
    assert.deepEqual([streams.names, streams.staged], [names, []]);
    client.close();
  });
}

const one = (sql: string): Buffer => Buffer.concat([say.parse('', sql), say.bind('', ''), say.execute('')]);
const PIPELINES: ReadonlyArray<[what: string, groups: ReadonlyArray<readonly string[]>, streams: readonly string[]]> = [
  ['a block in a group', [['begin', create('a'), 'commit']], ['a']],
  ['a block in a group, rolled back', [['begin', create('a'), 'rollback']], []],
  ['a savepoint in a group', [['begin', create('a'), 'savepoint s', create('b'), 'rollback to s', 'commit']], ['a']],
  ['a block over groups', [['begin'], [create('a')], ['savepoint s', create('b')], ['rollback to s', 'commit']], ['a']],
  ['a group', [['select 1', create('a'), create('b')]], ['a', 'b']],
  ['a group that fails', [['select 1', create('a'), 'select 1/0']], []],
  ['a group that fails by ours', [['select 1', create('a'), create('a')]], []],
  ['a group that fails at its end', [['select 1', create('a'), 'insert into deferred values (1), (1)']], []],
  ['a group and another', [['select 1', create('a')], ['select 1/0', create('b')], [create('c')]], ['a', 'c']],
  ['a block that is ended and a group', [['begin', create('a'), 'commit', 'select 1']], ['a']],
];
for (const [what, groups, names] of PIPELINES) {
  test(`pipeline, ${what}: ${names.join(', ') || 'nothing'}`, async () => {
    const client = await session();
    client.send(...groups.flatMap((group) => [...group.map(one), say.sync()]));
    assert.equal(statusOf(await client.ready(groups.length)), 'I');
    assert.deepEqual([streams.names, streams.staged], [names, []]);
    client.close();
  });
}

test('table and stream of one transaction come and go together', async () => {
  const client = await session();
  await play(client, 'begin', 'create table made (id int primary key)', create('s', 'made'), 'rollback');
  assert.deepEqual(textRowsOf(await client.query(`select to_regclass('made') is null`)), [['t']]);
  assert.deepEqual(streams.names, []);
  await play(client, 'begin', 'create table made (id int primary key)', create('s', 'made'), 'commit');
  assert.deepEqual(textRowsOf(await client.query(`select to_regclass('made') is null`)), [['f']]);
  assert.deepEqual(streams.names, ['s']);
  client.close();
});

const ALTERATIONS: ReadonlyArray<[statement: string, seen: (stream: StreamDefinition) => unknown, value: unknown]> = [
  ['ALTER CDC STREAM a SET (max_in_flight = 3)', ({ options }) => options.maxInFlight, 3],
  ['ALTER CDC STREAM a RESET (max_retries)', ({ givenOptions }) => givenOptions, []],
  ['ALTER CDC STREAM a OWNER TO heir', ({ owner }) => owner, 'heir'],
  [`COMMENT ON CDC STREAM a IS 'new'`, ({ comment }) => comment, 'new'],
  [`${create('a').replace('CREATE', 'CREATE OR REPLACE')} COMMENT 'other'`, ({ comment }) => comment, 'other'],
];
for (const [statement, seen, value] of ALTERATIONS) {
  test(`in and outside of a transaction: ${statement}`, async () => {
    const client = await session();
    const now = (): unknown => seen(streams.definition('a', null)!);
    const make = `${create('a')} WITH (max_retries = 9)`;
    await play(client, make);
    const before = now();
    assert.notDeepEqual(before, value);
    await play(client, 'begin', statement, 'rollback');
    assert.deepEqual(now(), before);
    await play(client, 'begin', statement);
    assert.deepEqual(now(), before);
    await play(client, 'commit');
    assert.deepEqual(now(), value);
    await play(client, 'DROP CDC STREAM a', make, statement);
    assert.deepEqual(now(), value);
    client.close();
  });
}

test('RENAME in a transaction, and an owner that cannot be', async () => {
  const client = await session();
  await play(client, create('a'), 'begin', 'ALTER CDC STREAM a RENAME TO b', create('a'), 'commit');
  assert.deepEqual(streams.names, ['a', 'b']);
  assert.equal(reportsOf(await client.query('ALTER CDC STREAM a OWNER TO nobody_there'))[0]!['C'], '42704');
  client.close();
  const other = await RawClient.start(proxy.address, { user: 'postgres', options: '-c role=heir' });
  assert.equal(reportsOf(await other.query('ALTER CDC STREAM a OWNER TO heir'))[0]!['C'], '42501');
  other.close();
});

test('rows of COPY in both directions pass while something is staged', async () => {
  const client = await session();
  await play(client, 'begin', create('a'));
  client.send(say.query('copy deferred from stdin'), say.copyData('1\n2\n'), say.copyDone());
  assert.deepEqual(tagsOf(await client.ready()), ['COPY 2']);
  assert.equal(typesOf(await client.query('copy deferred to stdout')), 'HdddcCZ'.replace('ddd', 'dd'));
  await play(client, 'commit');
  assert.deepEqual(streams.names, ['a']);
  client.close();
});

for (const [what, messages] of [
  ['a Query', [say.query('commit')]],
  ['an Execute', [one('commit'), say.flush()]],
] as const) {
  test(`COMMIT in ${what} is not answered before it is in effect`, async () => {
    const client = await session();
    await play(client, 'begin', create('a'));
    const held = streams.hold();
    client.take();
    client.send(...messages);
    await held;
    assert.doesNotMatch(typesOf(client.received), /[CZ]/);
    streams.release();
    await client.until('C');
    client.close();
  });
}

test('a client that dies while COMMIT is held back has committed', async () => {
  const client = await session();
  await play(client, 'begin', create('a'));
  const held = streams.hold();
  client.send(say.query('commit'));
  await held;
  client.socket.destroy();
  streams.release();
  assert.deepEqual([streams.names, streams.ended.map(([how]) => how)], [['a'], ['commit']]);
});

test('what a client that dies has staged is given up', async () => {
  const client = await session();
  await play(client, 'begin', create('a'));
  client.socket.destroy();
  await waitFor('the end', () => streams.ended.length > 0);
  assert.deepEqual(
    streams.ended.map(([how]) => how),
    ['abandon'],
  );
});

test('a name that another transaction has staged is refused at once', async () => {
  const [first, second] = [await session(), await session()];
  await play(first, 'begin', create('a'));
  assert.equal(reportsOf(await second.query(create('a')))[0]!['C'], '55006');
  await play(first, 'rollback');
  assert.deepEqual(tagsOf(await second.query(create('a'))), ['CREATE CDC STREAM']);
  first.close();
  second.close();
});

test('PREPARE TRANSACTION of staged changes is 0A000 and fails the block', async () => {
  for (const messages of [[say.query(`prepare transaction 'x'`)], [one(`prepare transaction 'x'`), say.sync()]]) {
    const client = await session();
    await play(client, 'begin', create('a'));
    client.send(...messages);
    const answer = await client.ready();
    assert.deepEqual([reportsOf(answer)[0]!['C'], statusOf(answer)], ['0A000', 'E']);
    await play(client, 'rollback');
    assert.deepEqual([streams.names, streams.staged], [[], []]);
    client.close();
  }
});

test('a read-only transaction refuses with 25006', async () => {
  const client = await session();
  await play(client, 'begin read only');
  assert.equal(reportsOf(await client.query(create('a')))[0]!['C'], '25006');
  await play(client, 'rollback');
  client.close();
});

test('PAUSE in a block is 25001 and fails it', async () => {
  const client = await session();
  await play(client, create('a'), 'begin');
  const answer = await client.query('ALTER CDC STREAM a PAUSE');
  assert.deepEqual([reportsOf(answer)[0]!['C'], statusOf(answer)], ['25001', 'E']);
  client.close();
});
