import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { encodeStartupMessage } from '../../src/wire/startup.ts';
import { RawClient, say, typesOf } from '../support/raw-client.ts';
import { startProxy } from './proxy.ts';

// Law: a statement of ours that comes with the startup packet is answered in its turn; one that comes in the place of a
// password is given to the server, which ends the session for it.

const STARTUP = encodeStartupMessage({ user: 'me' });
const PASSWORD = Buffer.from('p\0\0\0\x0bsecret\0', 'latin1');
const ASK = Buffer.from('520000000800000003', 'hex');
const CONTINUE = Buffer.from('520000000c0000000b00000000', 'hex');
const WELCOME = Buffer.from('5200000008000000005a0000000549', 'hex');
const READY = Buffer.from('5a0000000549', 'hex');
const REFUSED = Buffer.from('E\0\0\0\x13SFATAL\0C08P01\0\0', 'latin1');

/** A server that asks for so many passwords, and ends the session where something else comes. */
async function upstream(rounds: number): Promise<{ host: string; port: number }> {
  const server = createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    let left = rounds;
    let bytes: Buffer = Buffer.alloc(0);
    const read = (): void => {
      if (bytes.length < 5) return;
      const end = 1 + bytes.readInt32BE(1);
      if (bytes.length < end) return;
      const type = String.fromCharCode(bytes[0]!);
      bytes = bytes.subarray(end);
      if (left > 0 && type !== 'p') return void socket.end(REFUSED);
      if (left > 0) socket.write(--left > 0 ? CONTINUE : WELCOME);
      else if (type === 'S') socket.write(READY);
      read();
    };
    socket.once('data', (first: Buffer) => {
      bytes = first.subarray(STARTUP.length);
      socket.write(ASK);
      socket.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        read();
      });
      read();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

const SHOW = 'SHOW CDC STREAMS';
const OURS: ReadonlyArray<[string, Buffer[], string]> = [
  ['a Query', [say.query(SHOW)], 'TCZ'],
  ['a group', [say.parse('', SHOW), say.bind('', ''), say.execute(''), say.sync()], '12CZ'],
];
for (const [what, ours, answer] of OURS) {
  for (const rounds of [1, 2]) {
    const passwords = Array.from({ length: rounds }, () => PASSWORD);
    const asked = 'R'.repeat(rounds);

    test(`${what} behind ${rounds} passwords, all sent at once, is answered in its turn`, async () => {
      const proxy = await startProxy(await upstream(rounds));
      const client = await RawClient.open(proxy.address);
      client.send(STARTUP, ...passwords, ...ours);
      assert.equal(typesOf(await client.ready(2)), `${asked}RZ${answer}`);
      client.close();
    });

    test(`${what} before the last of ${rounds} passwords is a violation, at once`, async () => {
      const proxy = await startProxy(await upstream(rounds));
      const client = await RawClient.open(proxy.address);
      client.send(STARTUP, ...passwords.slice(1), ...ours, PASSWORD);
      assert.equal(typesOf(await client.closed()), `${asked}E`);
      assert.equal(proxy.frontend.stats().statementsIntercepted, 0);
    });
  }
}
