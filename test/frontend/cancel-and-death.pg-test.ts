import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { encodeCancelRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { connect } from '../support/test-database.ts';
import { RawClient, reportsOf, say, statusOf, typesOf } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { prepareServer, resetStreams } from './matrix-kinds.ts';
import { startPair } from './proxy.ts';

// Law: a statement of ours that runs can be cancelled in each protocol, and of a session that dies in the middle of one
// nothing is left.

const { server, proxy } = await startPair();
const admin = await connect(server.url());
await prepareServer(admin);
const CREATE = `CREATE CDC STREAM made ON orders TO WEBHOOK 'https://example.com/'`;

beforeEach(() => resetStreams(proxy.streams));

const RUN = [say.bind('', 'c'), say.execute('')];
const WAYS: ReadonlyArray<[what: string, messages: Buffer[], types: string]> = [
  ['a Query', [say.query(CREATE)], 'EZ'],
  ['a Query behind another', [say.query('select 1'), say.query(CREATE)], 'TDCZEZ'],
  ['a group', [say.parse('', CREATE), say.bind('', ''), say.execute(''), say.sync()], '12EZ'],
  ['a named statement', [say.parse('c', CREATE), ...RUN, say.sync()], '12EZ'],
  ['a group with more behind it', [say.parse('c', CREATE), ...RUN, ...RUN, say.run('select 1'), say.sync()], '12EZ'],
];
for (const [what, messages, types] of WAYS) {
  test(`a cancel request ends ${what} of ours with 57014, and the session goes on`, async () => {
    const client = await RawClient.open(proxy.address);
    client.send(encodeStartupMessage({ user: 'postgres', database: 'postgres' }));
    const key = (await client.ready()).find(({ type }) => type === 'K')!.body;
    const held = proxy.streams.hold();
    client.send(...messages);
    await held;
    const request = await RawClient.open(proxy.address);
    request.send(encodeCancelRequest(key));
    await request.closed();
    const answer = await client.ready(types.split('Z').length - 1);
    assert.deepEqual([typesOf(answer), reportsOf(answer)[0]!['C'], statusOf(answer)], [types, '57014', 'I']);
    proxy.streams.release();
    assert.ok(!proxy.streams.names.includes('made'));
    assert.equal(typesOf(await client.query('select 1; SHOW CDC STREAMS')), 'TDCTDDDCZ');
    client.send(say.run(CREATE), say.sync());
    assert.equal(typesOf(await client.ready()), '12nCZ');
    client.close();
  });
}

const MANY = Array.from({ length: 20_000 }, () => say.query('select 1'));
const STATES: Readonly<Record<string, (client: RawClient) => Promise<unknown>>> = {
  'a question of ours is asked': async (client) => {
    await admin.query('begin; lock table pg_catalog.pg_class in access exclusive mode');
    client.send(say.query(CREATE));
    await waitFor('the question to wait', async () => {
      const { rows } = await admin.query(`select 1 from pg_locks where not granted`);
      return rows.length > 0;
    });
  },
  'a portal of ours is suspended': async (client) => {
    client.send(
      say.query('begin'),
      say.parse('', 'SHOW CDC STREAMS'),
      say.bind('', ''),
      say.execute('', 1),
      say.flush(),
    );
    await client.until('s');
  },
  'a mixed message has failed in part': async (client) => {
    client.send(say.query('begin'), say.query('select 1; SHOW CDC STREAM STATUS s9; select 2'));
    await client.ready(2);
  },
  'the backlog behind a statement of ours is full': async (client) => {
    const held = proxy.streams.hold();
    client.send(say.query(CREATE), ...MANY);
    await held;
  },
};
for (const [state, reach] of Object.entries(STATES)) {
  for (const end of ['the client closes', 'the client resets', 'the server ends the session'] as const) {
    test(`${end} while ${state}`, async () => {
      const client = await RawClient.start(proxy.address);
      await reach(client);
      if (end === 'the client closes') client.close();
      else if (end === 'the client resets') client.socket.resetAndDestroy();
      else {
        await admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
        );
        assert.equal(reportsOf(await client.closed()).at(-1)?.['C'], '57P01');
      }
      await admin.query('rollback');
      proxy.streams.release();
      await waitFor('the session to end', () => proxy.frontend.stats().connectionsOpen === 0);
      const other = await RawClient.start(proxy.address);
      assert.match(typesOf(await other.query('SHOW CDC STREAM STATUS s1')), /^TD+CZ$/);
      other.close();
    });
  }
}
