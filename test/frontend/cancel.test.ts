import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { encodeCancelRequest } from '../../src/wire/startup.ts';
import { RawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { startProxy } from './proxy.ts';

// Law: a client whose cancel request is over knows that the server has dealt with it, so that what it sends next is not
// what is cancelled.

const KEY = Buffer.from([0, 0, 0, 1, 1, 2, 3, 4]);

test('the connection of a cancel request is open until the server has closed its own', async () => {
  const requests: { socket: Socket; bytes: Buffer }[] = [];
  const upstream = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (bytes: Buffer) => requests.push({ socket, bytes }));
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  after(() => upstream.close());
  const proxy = await startProxy({ host: '127.0.0.1', port: (upstream.address() as AddressInfo).port });

  const client = await RawClient.open(proxy.address);
  // What comes behind the request is ignored: a second one would be another connection.
  client.send(encodeCancelRequest(KEY), encodeCancelRequest(KEY));
  await waitFor('the request', () => requests.length === 1);
  client.send(encodeCancelRequest(KEY));
  const { connectionsOpen } = proxy.frontend.stats();
  const other = await RawClient.open(proxy.address);
  other.send(encodeCancelRequest(KEY));
  // By the time that another's request has made the whole way, this one would have been closed.
  await waitFor('the other request', () => requests.length === 2);
  assert.deepEqual([connectionsOpen, proxy.frontend.stats().connectionsOpen, client.isClosed], [1, 2, false]);
  for (const { socket, bytes } of requests) {
    assert.ok(bytes.equals(encodeCancelRequest(KEY)));
    socket.end();
  }
  await client.closed();
  await other.closed();
  assert.equal(proxy.frontend.stats().cancelRequests, 2);
});

test('a cancel request ends where the server cannot be reached', async () => {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  const proxy = await startProxy({ host: '127.0.0.1', port });
  const client = await RawClient.open(proxy.address);
  client.send(encodeCancelRequest(KEY));
  assert.deepEqual(await client.closed(), []);
});
