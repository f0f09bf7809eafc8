import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeStartupMessage } from '../../src/wire/startup.ts';
import { waitFor } from '../support/wait-for.ts';
import { fakeUpstream } from './fake-upstream.ts';
import { startProxy, type Proxy } from './proxy.ts';

const LIMITS = { lingerMs: 200, drainTimeoutMs: 200 };

function message(type: string, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body);
  const header = Buffer.alloc(5);
  header.write(type);
  header.writeInt32BE(4 + bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

const QUERY = message('Q', 'select 1\0');
const ROW = message('D', Buffer.alloc(60_000));

/** Answers the first Query with rows for ever, and like a server reads nothing meanwhile. */
function answersForEver(socket: Socket): void {
  socket.once('data', () => {
    socket.pause();
    const write = (): void => {
      while (!socket.destroyed && socket.write(ROW));
    };
    socket.on('drain', write);
    write();
  });
}

async function ready(proxy: Proxy): Promise<Socket> {
  const client = connect({ ...proxy.address, allowHalfOpen: true });
  client.on('error', () => undefined);
  client.write(encodeStartupMessage({ user: 'u' }));
  await once(client, 'data');
  return client;
}

test('a client that dies with much on its way to a server that writes leaves no connection behind', async () => {
  const upstreams: Socket[] = [];
  const address = await fakeUpstream((socket) => {
    upstreams.push(socket);
    answersForEver(socket);
  });
  const proxy = await startProxy(address, { limits: LIMITS });
  const client = await ready(proxy);
  client.pause();
  const long = message('Q', `select '${'x'.repeat(60_000)}'\0`);
  for (let i = 0; i < 300; i++) client.write(long);
  await waitFor('all buffers to be full', async () => {
    const { bytesToUpstream } = proxy.frontend.stats();
    await new Promise((resolve) => setImmediate(resolve));
    return bytesToUpstream > 1_000_000 && proxy.frontend.stats().bytesToUpstream === bytesToUpstream;
  });
  client.resetAndDestroy();
  await waitFor('the upstream to be closed', () => upstreams.every((socket) => socket.destroyed));
});

test('a client that has half-closed and never reads does not hold up the end', async () => {
  const proxy = await startProxy(await fakeUpstream(answersForEver), { limits: LIMITS });
  const client = await ready(proxy);
  client.pause();
  client.end(QUERY);
  await waitFor('the answer', () => proxy.frontend.stats().bytesToClients > 100_000);
  await proxy.stop();
  assert.equal(proxy.frontend.stats().connectionsOpen, 0);
  client.destroy();
});

test('nothing is said in the middle of a message of the upstream’s', async () => {
  const half = message('d', 'a'.repeat(100)).subarray(0, 60);
  const address = await fakeUpstream((socket) => {
    socket.once('data', () => socket.write(Buffer.concat([message('H', Buffer.from([0, 0, 0])), half])));
  });
  const proxy = await startProxy(address, { limits: LIMITS });
  const client = await ready(proxy);
  const received: Buffer[] = [];
  client.on('data', (chunk: Buffer) => received.push(chunk));
  client.write(QUERY);
  await waitFor('half a message', () => Buffer.concat(received).includes('aaaa'));
  const closed = once(client, 'end');
  const stopped = proxy.stop();
  await closed;
  client.destroy();
  await stopped;
  assert.equal(Buffer.concat(received).subarray(-half.length).equals(half), true);
});

test('the last words of a server that is gone when the client writes reach the client', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'walhook-test-')), 'socket');
  const fatal = message('E', 'SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0');
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(Buffer.from('520000000800000000' + '5a0000000549', 'hex')));
  }).listen(path);
  after(() => server.close());
  await once(server, 'listening');
  const proxy = await startProxy({ path }, { limits: LIMITS });
  const client = await ready(proxy);
  const received: Buffer[] = [];
  client.on('data', (chunk: Buffer) => received.push(chunk));
  // In this order both are there when walhook looks: it reads the client's first, and writes to a socket that is closed.
  client.write(QUERY);
  sockets[0]!.write(fatal);
  (sockets[0] as unknown as { _handle: { close(): void } })._handle.close();
  await once(client, 'end');
  client.destroy();
  assert.equal(Buffer.concat(received).equals(fatal), true);
});
