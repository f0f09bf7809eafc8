import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { addressKey, AddressRate } from '../../src/base/address-rate.ts';
import { Frontend } from '../../src/frontend/frontend.ts';
import { encodeCancelRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { RawClient, reportsOf, say, typesOf } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { plainUpstream } from '../support/upstreams.ts';
import { waitFor } from '../support/wait-for.ts';
import { FakeStreams } from './fake-streams.ts';
import { fakeUpstream } from './fake-upstream.ts';
import { startProxy, TEST_INFO } from './proxy.ts';

// Law: at a limit the client is told which it is; what is below it goes on as if there were none.

const STARTUP = encodeStartupMessage({ user: 'postgres' });
const READY = '5a0000000549';
const IN_BLOCK = '5a0000000554';

/** Answers each Query as a session that is idle (or in a block after BEGIN), and Parse and the like not at all. */
const upstream = await fakeUpstream((socket) => {
  socket.on('data', (chunk) => {
    const text = chunk.toString('latin1');
    if (chunk[0] === 'Q'.charCodeAt(0)) socket.write(Buffer.from(text.includes('begin') ? IN_BLOCK : READY, 'hex'));
    else if (chunk[0] === 'P'.charCodeAt(0)) socket.write(Buffer.from('3100000004', 'hex'));
  });
  socket.on('end', () => socket.end());
});

test('beyond the most clients there are, one is refused, and let in when another has gone', async () => {
  const { address, frontend } = await startProxy(upstream, { limits: { maxClients: 2 } });
  const clients = await Promise.all([RawClient.start(address), RawClient.start(address)]);
  const third = await RawClient.open(address);
  third.send(STARTUP);
  const [report] = reportsOf(await third.closed());
  assert.deepEqual([report?.['S'], report?.['C']], ['FATAL', '53300']);
  assert.ok(report?.['D']?.includes('--max-clients'));
  clients[0]!.close();
  await waitFor('the first to have gone', () => frontend.stats().connectionsOpen === 1);
  const next = await RawClient.start(address);
  assert.equal(frontend.stats().connectionsRefused.get('max_clients'), 1);
  for (const client of [...clients, next]) client.close();
});

test('a cancel request gets through when all places are taken', async () => {
  const packets: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (packet) => {
      packets.push(packet);
      socket.write(Buffer.from('520000000800000000' + READY, 'hex'));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { address } = await startProxy({ host: '127.0.0.1', port }, { limits: { maxClients: 1 } });
  const only = await RawClient.start(address);
  const packet = encodeCancelRequest(Buffer.from('0102030405060708', 'hex'));
  const cancel = await RawClient.open(address);
  cancel.send(packet);
  await waitFor('the cancel request', () => packets.length === 2);
  assert.deepEqual(packets[1], packet);
  only.close();
});

test('connections that say nothing are bounded too', async () => {
  const { address, frontend } = await startProxy(upstream, { limits: { maxClients: 1 } });
  const silent = await Promise.all(Array.from({ length: 100 }, () => RawClient.open(address)));
  await waitFor('all to be there', () => frontend.stats().connectionsOpen === 100);
  const last = await RawClient.open(address);
  assert.equal(reportsOf(await last.closed())[0]?.['C'], '53300');
  for (const client of silent) client.close();
});

test('an address that connects too often is refused for a while; a unix socket is not', async () => {
  const clock = new VirtualClock();
  const path = join(temporaryFolder(), 'socket');
  const { address, frontend } = await startProxy(upstream, {
    clock,
    listen: [{ host: '127.0.0.1', port: 0 }, { path }],
    limits: { connectionRate: { perSecond: 1, burst: 3 } },
  });
  const connect = async (): Promise<string> => {
    const client = await RawClient.open(address);
    client.send(STARTUP);
    const came = await client.until('Z');
    client.close();
    return reportsOf(came)[0]?.['C'] ?? 'in';
  };
  assert.deepEqual([await connect(), await connect(), await connect(), await connect()], ['in', 'in', 'in', '53300']);
  await clock.advance(2_000);
  assert.deepEqual([await connect(), await connect(), await connect()], ['in', 'in', '53300']);
  assert.equal(frontend.stats().connectionsRefused.get('connection_rate'), 2);
  for (let i = 0; i < 10; i++) (await RawClient.start({ path })).close();
  // The sessions wait for a clock that no longer moves.
  await waitFor('all to be gone', () => frontend.stats().connectionsOpen === 0);
});

test('the memory of addresses is bounded, and who has not come for longest is forgotten', () => {
  const rate = new AddressRate({ perSecond: 1, burst: 1 }, 3);
  for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) assert.ok(rate.admits(address, 0));
  assert.equal(rate.admits('10.0.0.1', 0), false);
  assert.ok(rate.admits('10.0.0.4', 0));
  assert.equal(rate.size, 3);
  assert.equal(rate.admits('10.0.0.1', 0), false);
  assert.ok(rate.admits('10.0.0.2', 0), 'forgotten');
});

test('a bucket fills at the rate, and no higher than the burst', () => {
  const rate = new AddressRate({ perSecond: 2, burst: 4 });
  const admitted = (nowMs: number): number =>
    Array.from({ length: 10 }, () => rate.admits('x', nowMs)).filter(Boolean).length;
  assert.deepEqual([0, 0, 499, 500, 1_500, 60_000].map(admitted), [4, 0, 0, 1, 2, 4]);
});

const keys: [string, string][] = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::9', '2001:db8:1:2'],
  ['2001:0db8:0001:0002::', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['', ''],
];
for (const [address, key] of keys) {
  test(`the address "${address}" counts as "${key}"`, () => assert.equal(addressKey(address), key));
}

test('an idle session is ended, one with something going on is not', async () => {
  const clock = new VirtualClock();
  const { address, frontend } = await startProxy(upstream, { clock, limits: { clientIdleTimeoutMs: 10_000 } });
  const idle = await RawClient.start(address);
  const inBlock = await RawClient.start(address);
  await inBlock.query('begin');
  const running = await RawClient.start(address);
  running.send(say.copyData('answered by nothing'), say.sync());
  const inGroup = await RawClient.start(address);
  inGroup.send(say.parse('', 'select 1'));
  await inGroup.until('1');
  const replication = await RawClient.start(address, { replication: 'true' });
  await clock.advance(9_000);
  const busy = await RawClient.start(address);
  await busy.query('select 1');
  await idle.query('select 1');
  await clock.advance(9_000);
  await busy.query('select 1');
  assert.equal(idle.isClosed, false);
  await clock.advance(2_500);
  const [report] = reportsOf(await idle.closed());
  assert.deepEqual([report?.['S'], report?.['C']], ['FATAL', '57P05']);
  assert.equal(frontend.stats().connectionsOpen, 5);
  await busy.query('select 1');
  await inBlock.query('commit');
  await clock.advance(11_000);
  assert.equal(reportsOf(await inBlock.closed())[0]?.['C'], '57P05');
  assert.equal(reportsOf(await busy.closed())[0]?.['C'], '57P05');
  for (const client of [running, inGroup, replication]) {
    assert.equal(client.isClosed, false);
    client.close();
  }
});

test('a replication session outlives the time for authentication', async () => {
  const clock = new VirtualClock();
  const { address } = await startProxy(upstream, { clock, limits: { authenticationTimeoutMs: 1_000 } });
  const client = await RawClient.start(address, { replication: 'database' });
  await clock.advance(5_000);
  client.send(say.query('IDENTIFY_SYSTEM'));
  assert.equal(typesOf(await client.ready()), 'Z');
  client.close();
});

test('it listens at all addresses, sockets open to all who reach the folder, and tidies up', async () => {
  const path = join(temporaryFolder(), 'socket');
  const ports = [{ host: '127.0.0.1', port: 0 }, { path }, { host: '127.0.0.1', port: 0 }];
  const proxy = await startProxy(upstream, { listen: ports });
  const addresses = await proxy.frontend.addresses;
  assert.equal(addresses.length, 3);
  for (const address of addresses) (await RawClient.start(address)).close();
  assert.equal(statSync(path).mode & 0o666, 0o666);
  await proxy.stop();
  assert.equal(existsSync(path), false);
});

/** A frontend that is not expected to come up. */
function refuses(path: string): Promise<void> {
  const frontend = new Frontend({
    listen: [{ host: '127.0.0.1', port: 0 }, { path }],
    upstream: plainUpstream(upstream),
    control: new FakeStreams(),
    info: TEST_INFO,
    clock: systemClock,
    logger: silentLogger,
  });
  return frontend.run(AbortSignal.timeout(20_000));
}

test('the socket of a process that was killed is replaced; one in use, or another file, is not', async () => {
  const path = join(temporaryFolder(), 'socket');
  const child = spawn(process.execPath, [
    '-e',
    'require("net").createServer().listen(process.argv[1], () => console.log())',
    path,
  ]);
  await once(child.stdout, 'data');
  await assert.rejects(refuses(path), { code: 'EADDRINUSE' });
  child.kill('SIGKILL');
  await once(child, 'close');
  assert.ok(existsSync(path));
  const proxy = await startProxy(upstream, { listen: [{ path }] });
  (await RawClient.start({ path })).close();
  await assert.rejects(refuses(path), { code: 'EADDRINUSE' });
  (await RawClient.start({ path })).close();
  await proxy.stop();
  writeFileSync(path, 'precious');
  await assert.rejects(refuses(path), { code: 'EADDRINUSE' });
  assert.equal(statSync(path).size, 8);
});
