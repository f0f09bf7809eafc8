import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { asksForReplication, StartupReader } from '../../src/frontend/startup-reader.ts';
import {
  encodeCancelRequest,
  encodeGssencRequest,
  encodeSslRequest,
  encodeStartupMessage,
} from '../../src/wire/startup.ts';
import { RawClient, say, typesOf } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { fakeUpstream } from './fake-upstream.ts';
import { startProxy } from './proxy.ts';

const STARTUP = encodeStartupMessage({ user: 'me', database: 'mine' });

test('a startup packet cut at each byte is read whole, with what follows it', () => {
  const bytes = Buffer.concat([STARTUP, Buffer.from('more')]);
  for (let cut = 0; cut <= STARTUP.length; cut++) {
    const reader = new StartupReader(false);
    let step = reader.read(bytes.subarray(0, cut));
    if (cut < STARTUP.length) {
      assert.equal(step.kind, 'wait');
      step = reader.read(bytes.subarray(cut));
    }
    assert.equal(step.kind, 'start');
    assert.deepEqual(step.kind === 'start' && [step.packet.equals(STARTUP), step.parameters.get('database')], [
      true,
      'mine',
    ]);
    assert.equal(step.kind === 'start' && cut < STARTUP.length && step.rest.toString(), cut < STARTUP.length && 'more');
  }
});

test('each encryption request is refused once, in either order', () => {
  const reader = new StartupReader(false);
  assert.equal(reader.read(encodeGssencRequest()).kind, 'refuse-encryption');
  assert.equal(reader.read(encodeSslRequest()).kind, 'refuse-encryption');
  assert.throws(() => reader.read(encodeSslRequest()), { code: '0A000' });
});

test('a cancel request has its key', () => {
  const step = new StartupReader(false).read(encodeCancelRequest(Buffer.from('01020304', 'hex')));
  assert.equal(step.kind === 'cancel' && step.key.toString('hex'), '01020304');
});

test('what cannot be a startup packet is refused', () => {
  for (const hex of ['00000007', '00002711', 'ffffffff', '160301020001', '0000000d0003000075736572']) {
    assert.throws(
      () => {
        const { kind } = new StartupReader(false).read(Buffer.from(`${hex}00`, 'hex'));
        assert.notEqual(kind, 'start');
        if (kind === 'wait') throw Object.assign(new Error(), { code: '08P01' });
      },
      { code: '08P01' },
      hex,
    );
  }
});

test('replication is asked for by any value that is not false', () => {
  const asks = (value: string): boolean => asksForReplication(new Map([['replication', value]]));
  assert.deepEqual(['database', 'true', 'on', '1', 'yes'].filter(asks).length, 5);
  assert.deepEqual(['false', 'off', 'no', '0', 'F', ''].filter(asks), []);
  assert.equal(asksForReplication(new Map()), false);
});

test('whatever a client sends before and after its startup packet, the frontend lives', async () => {
  const proxy = await startProxy(await fakeUpstream((socket) => void socket.on('data', () => socket.end())));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.boolean(), async (garbage, started) => {
      const client = await RawClient.open(proxy.address);
      if (started) client.send(STARTUP, Buffer.from(garbage));
      else client.send(Buffer.from(garbage));
      client.socket.end();
      await client.closed();
    }),
    { numRuns: 300 },
  );
  await waitFor('all sessions to end', () => proxy.frontend.stats().connectionsOpen === 0);
});

test('whatever an upstream sends, the client gets it and the frontend lives', async () => {
  let speech: Buffer = Buffer.alloc(0);
  const proxy = await startProxy(await fakeUpstream((socket) => socket.end(speech)));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (garbage) => {
      speech = Buffer.from(garbage);
      const client = await RawClient.open(proxy.address);
      let received = Buffer.alloc(0);
      client.socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
      client.send(STARTUP, say.query('SHOW CDC STREAMS'));
      await client.closed();
      const expected = Buffer.concat([Buffer.from('5200000008000000005a0000000549', 'hex'), speech]);
      assert.deepEqual(received.subarray(0, expected.length), expected);
    }),
    { numRuns: 300 },
  );
  await waitFor('all sessions to end', () => proxy.frontend.stats().connectionsOpen === 0);
});

const framed = (types: string): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      fc.constantFrom(...types.split('')),
      fc.oneof(
        fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
        fc
          .constantFrom(
            'SHOW CDC STREAMS',
            '\0SHOW CDC STREAMS\0',
            'SHOW CDC STREAMS\0',
            'p\0s\0',
            '\0\0\0',
            'Ss\0',
            'Pp\0',
            's\0SHOW CDC STREAMS\0\0\0',
            '\0s\0\0\0\0\0\0\0',
          )
          .map((text) => Buffer.from(text, 'latin1')),
      ),
    )
    .map(([type, body]) => {
      const bytes = Buffer.concat([Buffer.from(type), Buffer.alloc(4), body]);
      bytes.writeInt32BE(4 + body.length, 1);
      return bytes;
    });

test('whatever messages a client makes up, the frontend lives', async () => {
  // Enough of everything for each question to be answered.
  const answer = Buffer.from(
    `31000000043200000004${'3300000004'.repeat(3)}7300000004430000000a53484f5700005a0000000549`,
    'hex',
  );
  const proxy = await startProxy(await fakeUpstream((socket) => void socket.on('data', () => socket.write(answer))));
  await fc.assert(
    fc.asyncProperty(fc.array(framed('QPBDECSHFdcf'), { minLength: 1, maxLength: 12 }), async (messages) => {
      const client = await RawClient.open(proxy.address);
      client.send(STARTUP);
      await client.until('Z');
      client.send(...messages, say.sync());
      await client.until('Z');
      client.socket.resetAndDestroy();
    }),
    { numRuns: 500 },
  );
  await waitFor('all sessions to end', () => proxy.frontend.stats().connectionsOpen === 0);
});

test('whatever messages an upstream makes up, in answer or in between, the frontend lives', async () => {
  let speech: Buffer = Buffer.alloc(0);
  const proxy = await startProxy(await fakeUpstream((socket) => void socket.on('data', () => socket.end(speech))));
  await fc.assert(
    fc.asyncProperty(fc.array(framed('ZSKRCEDTnNAtGWH123IsvV'), { maxLength: 8 }), async (messages) => {
      speech = Buffer.concat(messages);
      const client = await RawClient.open(proxy.address);
      client.send(STARTUP);
      await client.until('Z');
      client.send(say.query(`CREATE CDC STREAM s ON t TO WEBHOOK 'https://example.com/'`));
      await client.closed();
    }),
    { numRuns: 500 },
  );
  await waitFor('all sessions to end', () => proxy.frontend.stats().connectionsOpen === 0);
});

test('no statement of ours is answered before the client is authenticated', async () => {
  const refused = createServer((socket) => {
    socket.on('error', () => undefined);
    // Asks for a password, and never gets a right one.
    socket.once('data', () => socket.write(Buffer.from('520000000800000003', 'hex')));
    socket.on('end', () => socket.end());
  });
  await new Promise<void>((resolve) => refused.listen(0, '127.0.0.1', resolve));
  after(() => refused.close());
  const proxy = await startProxy({ host: '127.0.0.1', port: (refused.address() as AddressInfo).port });
  const client = await RawClient.open(proxy.address);
  client.send(STARTUP, say.query('SHOW CDC STREAMS'), say.run('SHOW CDC STREAMS'), say.sync());
  client.socket.end();
  assert.equal(typesOf(await client.until('R')), 'R');
  client.close();
  await waitFor('the session to end', () => proxy.frontend.stats().connectionsOpen === 0);
  assert.equal(proxy.frontend.stats().statementsIntercepted, 0);
});

test('both sides may be unix sockets', async () => {
  const folder = temporaryFolder();
  const upstream = createServer((socket) => {
    socket.once('data', (chunk) => {
      assert.deepEqual(chunk, STARTUP);
      socket.end(Buffer.from('5200000008000000005a0000000549', 'hex'));
    });
  });
  const path = join(folder, 'upstream');
  await new Promise<void>((resolve) => upstream.listen(path, resolve));
  after(() => upstream.close());
  const listen = { path: join(folder, 'frontend') };
  await startProxy({ path }, { listen: [listen] });
  const client = await RawClient.open(listen);
  client.send(STARTUP);
  assert.equal(typesOf(await client.closed()), 'RZ');
});

test('too much before authentication ends the connection', async () => {
  const proxy = await startProxy(await fakeUpstream(() => undefined), { limits: { bytesBeforeAuthentication: 200 } });
  const client = await RawClient.open(proxy.address);
  client.send(STARTUP, Buffer.alloc(300));
  assert.match(typesOf(await client.closed()), /E$/);
});

test('a client that sends no startup packet is let go in time', async () => {
  const proxy = await startProxy(await fakeUpstream(() => undefined), { limits: { authenticationTimeoutMs: 50 } });
  const client = await RawClient.open(proxy.address);
  client.send(STARTUP.subarray(0, 6));
  assert.equal(typesOf(await client.closed()), '');
});
