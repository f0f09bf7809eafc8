import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { connect } from '../support/test-database.ts';
import { RawClient, reportsOf, say, statusOf, tagsOf, typesOf } from '../support/raw-client.ts';
import { resetStreams } from './matrix-kinds.ts';
import { startPair } from './proxy.ts';

// Law: a prepared statement or a portal of ours ends when one of the server's would.

const { server, proxy } = await startPair();
const admin = await connect(server.url());
await admin.query('create table item (id int)');
const SHOW = 'SHOW CDC STREAMS';

beforeEach(() => resetStreams(proxy.streams));

/** A session with the statements of ours `q`, `Größe "x"` and `prepare`, and `theirs` of the server's. */
async function prepared(parameters: Record<string, string> = {}): Promise<RawClient> {
  const client = await RawClient.start(proxy.address, parameters);
  const name = Buffer.from('Größe "x"', parameters['client_encoding'] === 'LATIN1' ? 'latin1' : 'utf8');
  for (const each of ['q', name.toString('latin1'), 'prepare']) client.send(say.parse(each, SHOW));
  client.send(say.parse('theirs', 'select 1'), say.sync());
  assert.equal(typesOf(await client.ready()), '1111Z');
  return client;
}

/** Whether there is a statement of ours of the name. */
async function has(client: RawClient, name: string): Promise<boolean> {
  client.send(say.describe('statement', name), say.sync());
  const answer = await client.ready();
  assert.match(typesOf(answer), /^(tT|E)Z$/);
  return typesOf(answer) === 'tTZ';
}

for (const [sql, name] of [
  ['deallocate q', 'q'],
  ['DEALLOCATE PREPARE Q;', 'q'],
  ['/* a */ Deallocate "q" -- b', 'q'],
  ['deallocate prepare', 'prepare'],
  ['deallocate prepare prepare', 'prepare'],
  [`deallocate "Größe ""x"""`, Buffer.from('Größe "x"').toString('latin1')],
] as const) {
  test(`${sql} ends a statement of ours, in either protocol`, async () => {
    const client = await prepared();
    const answer = await client.query(sql);
    assert.deepEqual([typesOf(answer), tagsOf(answer), statusOf(answer)], ['CZ', ['DEALLOCATE'], 'I']);
    assert.equal(await has(client, name), false);
    client.send(say.parse(name, SHOW), say.run(sql), say.sync());
    const extended = await client.ready();
    assert.deepEqual([typesOf(extended), tagsOf(extended)], ['112nCZ', ['DEALLOCATE']]);
    assert.equal(await has(client, name), false);
    assert.equal(proxy.frontend.stats().statementsIntercepted, 0, 'not counted as a statement of ours');
    client.close();
  });
}

test('DEALLOCATE of a name in another encoding', async () => {
  const client = await prepared({ client_encoding: 'LATIN1' });
  client.send(say.query(Buffer.from('deallocate "Größe ""x"""', 'latin1')));
  assert.deepEqual(tagsOf(await client.ready()), ['DEALLOCATE']);
  assert.equal(await has(client, 'Größe "x"'), false);
  client.close();
});

test('DEALLOCATE of the server’s statements, and of none, is the server’s', async () => {
  const client = await prepared();
  assert.deepEqual(tagsOf(await client.query('deallocate theirs')), ['DEALLOCATE']);
  assert.equal(reportsOf(await client.query('deallocate theirs'))[0]!['C'], '26000');
  assert.equal(reportsOf(await client.query('deallocate "Q"'))[0]!['C'], '26000');
  assert.equal(reportsOf(await client.query('deallocate q q'))[0]!['C'], '42601');
  assert.equal(await has(client, 'q'), true);
  client.close();
});

test('DEALLOCATE among other statements, and in a block', async () => {
  const client = await prepared();
  const mixed = await client.query('insert into item values (1); deallocate q; select 1');
  assert.deepEqual([typesOf(mixed), tagsOf(mixed)], ['CCTDCZ', ['INSERT 0 1', 'DEALLOCATE', 'SELECT 1']]);
  const gone = await client.query('deallocate prepare; deallocate prepare prepare');
  assert.deepEqual([typesOf(gone), reportsOf(gone)[0]!['C']], ['CEZ', '26000']);
  await client.query('begin');
  assert.equal(statusOf(await client.query('deallocate "Größe ""x"""')), 'T');
  client.send(say.parse('q', SHOW), say.sync());
  await client.ready();
  await client.query('select bogus');
  assert.equal(reportsOf(await client.query('deallocate q'))[0]!['C'], '25P02');
  await client.query('rollback');
  assert.equal(await has(client, 'q'), true);
  client.close();
});

for (const sql of ['deallocate all', 'discard all', `${SHOW}; deallocate all; select 1`]) {
  test(`${sql} ends all, on both sides`, async () => {
    const client = await prepared();
    await client.query(sql);
    for (const name of ['q', 'prepare', 'theirs']) {
      client.send(say.bind('', name), say.sync());
      assert.equal(reportsOf(await client.ready())[0]?.['C'], '26000', name);
    }
    client.close();
  });
}

/** A block with portals of ours and of the server's open in it, of which a row has been read. */
async function withPortals(): Promise<RawClient> {
  const client = await RawClient.start(proxy.address);
  client.send(
    say.query('begin'),
    say.parse('ours', SHOW),
    say.bind('our portal', 'ours'),
    say.execute('our portal', 1),
    say.parse('theirs', 'select generate_series(1, 3)'),
    say.bind('their portal', 'theirs'),
    say.execute('their portal', 1),
    say.sync(),
  );
  assert.equal(typesOf(await client.ready(2)), 'CZ12Ds12DsZ');
  return client;
}

for (const end of ['commit and chain', 'rollback and chain', 'commit', 'rollback', 'close all']) {
  for (const protocol of ['simple', 'extended', 'in its pipeline']) {
    test(`${end} (${protocol}) ends portals on both sides`, async () => {
      const client = await withPortals();
      if (protocol === 'simple') client.send(say.query(end));
      else client.send(say.run(end), ...(protocol === 'extended' ? [say.sync()] : []));
      client.send(say.execute('our portal'), say.sync(), say.query('rollback; begin'), say.execute('their portal'));
      client.send(say.sync());
      const errors = reportsOf(await client.ready(protocol === 'in its pipeline' ? 3 : 4));
      assert.deepEqual(
        errors.map((error) => error['C']),
        ['34000', '34000'],
      );
      client.close();
    });
  }
}

test('ROLLBACK TO SAVEPOINT ends a portal made after it', async () => {
  const client = await RawClient.start(proxy.address);
  await client.query('begin; savepoint a');
  client.send(say.parse('ours', SHOW), say.bind('p', 'ours'), say.sync(), say.query('rollback to a'));
  client.send(say.execute('p'), say.sync());
  assert.equal(reportsOf(await client.ready(3))[0]!['C'], '34000');
  client.close();
});

test('a portal lives through what does not end its transaction', async () => {
  const client = await withPortals();
  await client.query('savepoint a; release a; select 1');
  client.send(say.execute('our portal'), say.execute('their portal'), say.sync());
  assert.equal(typesOf(await client.ready()), 'DDCDDCZ');
  client.close();
});

test('a Parse that fails leaves no unnamed statement', async () => {
  const client = await RawClient.start(proxy.address);
  client.send(say.parse('', SHOW), say.sync(), say.parse('', 'SHOW CDC NONSENSE HERE'), say.sync());
  client.send(say.bind('', ''), say.sync());
  const errors = reportsOf(await client.ready(3));
  assert.deepEqual(
    errors.map((error) => error['C']),
    ['42601', '26000'],
  );
  client.close();
});
