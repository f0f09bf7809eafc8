import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { HAS_DIRECT_WRITE } from '../../src/frontend/direct-write.ts';
import { Outlet, Staging } from '../../src/frontend/outlet.ts';
import { READ_BYTES } from '../../src/frontend/sockets.ts';

const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
await once(server, 'listening');
after(() => server.close());

async function socketPair(): Promise<{ near: Socket; far: Socket }> {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  await once(near, 'connect');
  const [far] = await accepted;
  return { near, far };
}

test('this runtime lets sockets be written to directly', () => {
  assert.equal(HAS_DIRECT_WRITE, true);
});

test('a reader that waits gets every byte in order, and the buffer of others is not touched meanwhile', async () => {
  const { near, far } = await socketPair();
  const staging = new Staging();
  const traffic = { bytes: 0 };
  const outlet = new Outlet(near, staging, traffic, 'ends', () => undefined);
  // Of all sizes, until the kernel takes no more and then some; copied from one buffer that is written over each time.
  const sent: Buffer[] = [];
  const source = Buffer.alloc(READ_BYTES);
  for (let i = 0; sent.length < 2_000 && !outlet.isCongested; i++) {
    const bytes = randomBytes(1 + ((i * 7_919) % READ_BYTES));
    bytes.copy(source);
    outlet.send(source, 0, bytes.length);
    sent.push(bytes);
    source.fill(0);
  }
  assert.equal(outlet.isCongested, true);
  const expected = Buffer.concat(sent);
  assert.equal(traffic.bytes, expected.length);
  near.end();
  const received: Buffer[] = [];
  far.on('data', (chunk: Buffer) => received.push(chunk));
  far.resume();
  await once(far, 'end');
  assert.equal(Buffer.compare(Buffer.concat(received), expected), 0);
  far.destroy();
});

test('bytes of a direct write that is still on its way stand before those of the stream, and before the end', async () => {
  const { near, far } = await socketPair();
  const outlet = new Outlet(near, new Staging(), { bytes: 0 }, 'ends', () => undefined);
  const expected: Buffer[] = [];
  while (near.writableLength === 0) {
    const bytes = randomBytes(READ_BYTES);
    outlet.send(bytes, 0, bytes.length);
    expected.push(bytes);
  }
  outlet.sendOwned(Buffer.from('the last'));
  near.destroySoon();
  const received: Buffer[] = [];
  far.on('data', (chunk: Buffer) => received.push(chunk));
  far.resume();
  await once(far, 'end');
  assert.equal(Buffer.concat(received).equals(Buffer.concat([...expected, Buffer.from('the last')])), true);
  far.destroy();
});

test('a receiver that is gone ends the socket', async () => {
  const { near, far } = await socketPair();
  const outlet = new Outlet(near, new Staging(), { bytes: 0 }, 'ends', () => undefined);
  const closed = new Promise((resolve) => near.once('close', resolve));
  near.on('error', () => undefined);
  far.resetAndDestroy();
  const bytes = Buffer.alloc(1_000);
  while (!near.destroyed) {
    outlet.send(bytes, 0, bytes.length);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
  // Nothing happens, and nothing is thrown.
  outlet.send(bytes, 0, bytes.length);
});
