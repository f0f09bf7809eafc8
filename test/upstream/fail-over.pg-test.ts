import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { withAdmin } from '../../src/upstream/connect.ts';
import { encodeCancelRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { startProxy, type Proxy } from '../frontend/proxy.ts';
import { RawClient, reportsOf, say, textRowsOf } from '../support/raw-client.ts';
import { startStandby } from '../support/standby.ts';
import { connect, startPostgres } from '../support/test-database.ts';
import { sessionUpstreamOf, upstreamOf } from '../support/upstreams.ts';
import { waitFor } from '../support/wait-for.ts';

// Two servers, one of which streams from the other and then takes its place. Tests run in order.

const primary = await startPostgres();
const hba = join(primary.dataDir, 'pg_hba.conf');
writeFileSync(hba, `host all postgres 127.0.0.1/32 trust\n${readFileSync(hba, 'utf8')}`);
const standby = await startStandby(primary);

const DEAD = '127.0.0.1:1';
const PRIMARY = `127.0.0.1:${primary.port}`;
const STANDBY = `127.0.0.1:${standby.port}`;
const url = (hosts: readonly string[], attrs: string): string =>
  `postgres://postgres:walhook@${hosts.join(',')}/postgres?target_session_attrs=${attrs}`;
const proxyTo = (hosts: readonly string[], attrs: string): Promise<Proxy> =>
  startProxy(sessionUpstreamOf(url(hosts, attrs)));

/** The port of the server that a session gets to. */
async function reached(proxy: Proxy): Promise<string> {
  const client = await RawClient.start(proxy.address);
  const [row] = textRowsOf(await client.query('SHOW port'));
  client.close();
  return `127.0.0.1:${row?.[0]}`;
}

/** What a client that is not let in is told. */
async function refusal(proxy: Proxy): Promise<Record<string, string>> {
  const client = await RawClient.open(proxy.address);
  client.send(encodeStartupMessage({ user: 'postgres', database: 'postgres' }));
  return reportsOf(await client.closed())[0]!;
}

suite('a session gets to the kind of server that is wanted, wherever it is in the list', () => {
  const cases: [attrs: string, expected: string][] = [
    ['read-write', PRIMARY],
    ['primary', PRIMARY],
    ['read-only', STANDBY],
    ['standby', STANDBY],
    ['prefer-standby', STANDBY],
  ];
  for (const [attrs, expected] of cases) {
    for (const hosts of [
      [PRIMARY, STANDBY],
      [STANDBY, PRIMARY],
      [DEAD, STANDBY, PRIMARY],
    ]) {
      test(`${attrs} of ${hosts.map((host) => ({ [DEAD]: 'dead', [PRIMARY]: 'primary' })[host] ?? 'standby').join(', ')}`, async () => {
        const proxy = await proxyTo(hosts, attrs);
        assert.equal(await reached(proxy), expected);
        assert.equal(await reached(proxy), expected);
        await proxy.stop();
      });
    }
  }
});

test('any is the first that answers, and the dead one costs the next session nothing', async () => {
  const proxy = await proxyTo([DEAD, STANDBY, PRIMARY], 'any');
  assert.equal(await reached(proxy), STANDBY);
  assert.equal(await reached(proxy), STANDBY);
  assert.equal(proxy.frontend.stats().upstreamConnects, 2);
  await proxy.stop();
});

test('with no standby a primary will do for prefer-standby, and for nothing else', async () => {
  const lenient = await proxyTo([PRIMARY, DEAD], 'prefer-standby');
  assert.equal(await reached(lenient), PRIMARY);
  const strict = await proxyTo([PRIMARY, DEAD], 'standby');
  const { C: code, M: message } = await refusal(strict);
  assert.equal(code, '08006');
  assert.equal(
    message,
    `could not connect to the upstream server at ${PRIMARY}: server is not in hot standby mode; ` +
      `at ${DEAD}: connection refused`,
  );
  await lenient.stop();
  await strict.stop();
});

test('our own connections get to the one that takes writes', async () => {
  const upstream = upstreamOf(url([DEAD, STANDBY, PRIMARY], 'standby'));
  const port = await withAdmin(upstream, async (admin) => (await admin.query('SHOW port')).rows[0].port as string);
  assert.equal(port, String(primary.port));
});

test('a cancel request reaches the server of its session', async () => {
  const proxy = await proxyTo([PRIMARY, STANDBY], 'standby');
  const client = await RawClient.open(proxy.address);
  client.send(encodeStartupMessage({ user: 'postgres', database: 'postgres' }));
  const key = (await client.ready()).find(({ type }) => type === 'K')!.body;
  client.send(say.query('SELECT pg_sleep(100)'));
  const admin = await connect(standby.url());
  await waitFor('the query to run', async () => {
    const { rows } = await admin.query(`SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(100)'`);
    return rows.length === 1;
  });
  const canceller = await RawClient.open(proxy.address);
  canceller.send(encodeCancelRequest(key));
  await canceller.closed();
  assert.equal(reportsOf(await client.ready())[0]!['C'], '57014');
  client.close();
  await admin.end();
  await proxy.stop();
});

test('when the standby takes the place of the primary, sessions follow', async () => {
  const writers = await proxyTo([PRIMARY, STANDBY], 'read-write');
  const readers = await proxyTo([PRIMARY, STANDBY], 'standby');
  const own = upstreamOf(url([PRIMARY, STANDBY], 'any'));
  assert.equal(await reached(writers), PRIMARY);
  assert.equal(await reached(readers), STANDBY);
  const open = await RawClient.start(writers.address);
  await primary.stop();
  assert.equal(reportsOf(await open.closed())[0]!['C'], '57P01', 'as the server ends it');
  assert.equal(
    (await refusal(writers))['M'],
    `could not connect to the upstream server at ${PRIMARY}: connection refused; at ${STANDBY}: session is read-only`,
  );
  await assert.rejects(
    withAdmin(own, async () => undefined),
    /session is read-only/,
  );

  const admin = await connect(standby.url());
  await admin.query('SELECT pg_promote()');
  await waitFor('the promoted server to take writes', async () => {
    const { rows } = await admin.query('SELECT pg_is_in_recovery() AS is_standby');
    return !rows[0].is_standby;
  });
  assert.equal(await reached(writers), STANDBY);
  await withAdmin(own, (client) => client.query('CREATE TABLE public.written (id int)'));

  // What was believed of it is seen to be wrong by the session itself, and by those after it at once.
  const { C: code, M: message } = await refusal(readers);
  assert.equal(code, '57P03');
  assert.match(message!, /at 127\.0\.0\.1:\d+ is not what is wanted: server is not in hot standby mode/);
  assert.match((await refusal(readers))['M']!, /could not connect .*: server is not in hot standby mode/);
  await admin.end();
});
