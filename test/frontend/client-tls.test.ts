import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { silentLogger } from '../../src/base/logger.ts';
import { checkIdentity, RELOAD_INTERVAL_MS, type ClientTlsMode } from '../../src/frontend/client-tls.ts';
import {
  encodeCancelRequest,
  encodeGssencRequest,
  encodeSslRequest,
  encodeStartupMessage,
} from '../../src/wire/startup.ts';
import { CLIENT, OTHER_CLIENT, RENEWED, STRANGER, type CertificateAndKey } from '../support/certificates.ts';
import { RawClient, reportsOf, say, typesOf } from '../support/raw-client.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { waitFor } from '../support/wait-for.ts';
import { fakeUpstream } from './fake-upstream.ts';
import { startProxy, type Proxy, type TcpAddress } from './proxy.ts';
import { clientTls, putCertificate, tlsFiles } from './tls-files.ts';

// Law: inside TLS a session is what it is outside; nothing is answered, kept or left open for who does not get that far.

const STARTUP = encodeStartupMessage({ user: 'postgres', database: 'mine' });

/** Says all back that it is sent. */
const echo = await fakeUpstream((socket) => {
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('end', () => socket.end());
});
const proxy = await startProxy(echo, { tls: clientTls('allow') });

async function nothingIsLeft({ frontend }: Proxy): Promise<void> {
  await waitFor('all sessions to end', () => frontend.stats().connectionsOpen === 0);
  assert.equal(frontend.stats().tlsConnectionsOpen, 0);
}

/** The bytes with which a client begins. */
async function clientHello(options: ConnectionOptions = {}): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const wire = new Duplex({ read: () => undefined, write: (chunk: Buffer) => resolve(chunk) });
  connectTls({ socket: wire, ALPNProtocols: ['postgresql'], ...options }).on('error', () => undefined);
  return promise;
}

/** Connected, with SSLRequest answered. */
async function offered(address: TcpAddress): Promise<Socket> {
  const socket = connect(address);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(encodeSslRequest());
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.equal(answer.toString(), 'S');
  socket.resume();
  return socket;
}

/** Resolves when the socket has closed, for whatever reason. */
function closed(socket: Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

for (const [how, isDirect, options] of [
  ['after SSLRequest', false, {}],
  ['after SSLRequest, without ALPN', false, { ALPNProtocols: [] }],
  ['after SSLRequest, TLS 1.2', false, { maxVersion: 'TLSv1.2' }],
  ['at once', true, {}],
  ['at once, TLS 1.2', true, { maxVersion: 'TLSv1.2' }],
] as const) {
  test(`TLS ${how}: messages of all sizes go and come`, async () => {
    const client = await RawClient.secure(proxy.address, options as ConnectionOptions, isDirect);
    client.send(STARTUP);
    await client.ready();
    const texts = [0, 1, 2_047, 16_384, 65_536, 300_000].map((length) => 'x'.repeat(length));
    client.send(...texts.map((text) => say.copyData(text)));
    const came = await client.until('d', texts.length);
    assert.deepEqual(
      came.map(({ body }) => body.toString()),
      texts,
    );
    assert.equal(proxy.frontend.stats().tlsConnectionsOpen, 1);
    // What was sent before the half-close still counts.
    client.send(say.copyData('last'));
    client.socket.end();
    assert.equal(typesOf(await client.closed()), 'd');
    await nothingIsLeft(proxy);
  });
}

test('GSSENCRequest, SSLRequest and the startup packet follow each other', async () => {
  const socket = connect(proxy.address);
  socket.write(encodeGssencRequest());
  assert.deepEqual(await once(socket, 'data'), [Buffer.from('N')]);
  socket.write(encodeSslRequest());
  assert.deepEqual(await once(socket, 'data'), [Buffer.from('S')]);
  const secured = connectTls({ socket, rejectUnauthorized: false });
  secured.write(STARTUP);
  const [answer] = (await once(secured, 'data')) as [Buffer];
  assert.equal(answer[0], 'R'.charCodeAt(0));
  secured.destroy();
  await nothingIsLeft(proxy);
});

for (const [what, packet] of [
  ['SSLRequest', encodeSslRequest()],
  ['GSSENCRequest', encodeGssencRequest()],
] as const) {
  test(`a ${what} inside TLS is refused`, async () => {
    const client = await RawClient.secure(proxy.address);
    client.send(packet);
    assert.equal(reportsOf(await client.closed())[0]?.['C'], '0A000');
  });
}

test('bytes that came unencrypted behind an SSLRequest are refused', async () => {
  const client = await RawClient.open(proxy.address);
  client.send(encodeSslRequest(), await clientHello());
  const [report] = reportsOf(await client.closed());
  assert.equal(report?.['M'], 'received unencrypted data after SSL request');
});

for (const [how, end] of [
  ['half-closed', (socket: Socket) => socket.end()],
  ['reset', (socket: Socket) => socket.resetAndDestroy()],
] as const) {
  test(`a handshake cut at each byte and ${how} leaves nothing`, async () => {
    const hello = await clientHello();
    for (let cut = 0; cut < hello.length; cut++) {
      const socket = await offered(proxy.address);
      if (cut > 0) socket.write(hello.subarray(0, cut));
      end(socket);
      await closed(socket);
      if (cut === 0) continue;
      const direct = connect(proxy.address).on('error', () => undefined);
      await once(direct, 'connect');
      direct.resume().write(hello.subarray(0, cut), () => end(direct));
      await closed(direct);
    }
    await nothingIsLeft(proxy);
  });
}

test('a handshake that comes byte by byte succeeds', async () => {
  const socket = await offered(proxy.address);
  socket.pause();
  socket.setNoDelay(true);
  const wire: Duplex = new Duplex({
    read: () => socket.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      for (const byte of chunk) socket.write(Buffer.of(byte));
      socket.write('', () => done());
    },
  });
  socket.on('data', (chunk) => wire.push(chunk));
  const secured = connectTls({ socket: wire, rejectUnauthorized: false });
  secured.write(STARTUP);
  const [answer] = (await once(secured, 'data')) as [Buffer];
  assert.equal(answer[0], 'R'.charCodeAt(0));
  socket.destroy();
  await nothingIsLeft(proxy);
});

test('what is no handshake ends the connection, before and after it', async () => {
  const before = proxy.frontend.stats().connectionsRefused.get('tls_handshake') ?? 0;
  const garbage = [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(20_000, 0x16), Buffer.alloc(5_000, 0xff)];
  for (const bytes of garbage) {
    const socket = await offered(proxy.address);
    socket.write(bytes);
    await closed(socket);
  }
  const direct = connect(proxy.address).on('error', () => undefined);
  direct.resume().write(Buffer.alloc(1_000, 0x16));
  await closed(direct);
  await nothingIsLeft(proxy);
  assert.equal(proxy.frontend.stats().connectionsRefused.get('tls_handshake'), before + 4);

  const socket = await offered(proxy.address);
  const secured = connectTls({ socket, rejectUnauthorized: false }).on('error', () => undefined);
  secured.write(STARTUP);
  await once(secured, 'data');
  // Application data that nobody has encrypted.
  socket.write(Buffer.from(`1703030020${'00'.repeat(32)}`, 'hex'));
  await closed(secured);
  await nothingIsLeft(proxy);
});

test('a ClientHello without end is refused long before its end', async () => {
  const socket = await offered(proxy.address);
  // Records of 16 kB of one handshake message that says to be 16 MB long.
  const record = Buffer.concat([Buffer.from('1603014000', 'hex'), Buffer.alloc(16_384)]);
  Buffer.from('01ffffff', 'hex').copy(record, 5);
  let left = 1_000;
  const write = (): void => {
    while (left-- > 0 && socket.write(record));
  };
  socket.on('drain', write);
  write();
  await closed(socket);
  assert.ok(left > 0);
  await nothingIsLeft(proxy);
});

test('a client that is gone without a word leaves nothing', async () => {
  const socket = await offered(proxy.address);
  const secured = connectTls({ socket, rejectUnauthorized: false }).on('error', () => undefined);
  secured.write(STARTUP);
  await once(secured, 'data');
  socket.resetAndDestroy();
  await nothingIsLeft(proxy);
});

test('TLS 1.1 is refused', async () => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  await assert.rejects(RawClient.secure(proxy.address, old), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
  await nothingIsLeft(proxy);
});

test('TLS at once needs ALPN, and ALPN the name of the protocol', async () => {
  const direct = await RawClient.secure(proxy.address, { ALPNProtocols: [] }, true);
  direct.send(STARTUP);
  assert.equal(typesOf(await direct.closed()), '');
  for (const isDirect of [false, true]) {
    await assert.rejects(RawClient.secure(proxy.address, { ALPNProtocols: ['http/1.1'] }, isDirect));
  }
  await nothingIsLeft(proxy);
});

test('a handshake that takes too long is ended', async () => {
  const slow = await startProxy(echo, { tls: clientTls('allow'), limits: { authenticationTimeoutMs: 50 } });
  const hello = await clientHello();
  for (const first of [Buffer.alloc(0), hello.subarray(0, 1), hello.subarray(0, 200)]) {
    const socket = await offered(slow.address);
    socket.write(first);
    await closed(socket);
  }
  const client = await RawClient.secure(slow.address);
  assert.equal(typesOf(await client.closed()), '');
  assert.equal(slow.frontend.stats().authenticationsFailed, 4);
});

test('inside TLS too, no more is read before authentication than its limit', async () => {
  const upstream = await fakeUpstream(() => undefined);
  const limited = await startProxy(upstream, { tls: clientTls('allow'), limits: { bytesBeforeAuthentication: 200 } });
  const client = await RawClient.secure(limited.address);
  client.send(STARTUP, Buffer.alloc(300));
  assert.match(typesOf(await client.closed()), /E$/);
});

test('a cancel request inside TLS reaches the upstream', async () => {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const upstream = createServer((socket) => socket.once('data', resolve).on('error', () => undefined));
  await new Promise<void>((listening) => upstream.listen(0, '127.0.0.1', listening));
  after(() => upstream.close());
  const { port } = upstream.address() as AddressInfo;
  const { address } = await startProxy({ host: '127.0.0.1', port }, { tls: clientTls('require') });
  const packet = encodeCancelRequest(Buffer.from('0102030405060708', 'hex'));
  const client = await RawClient.secure(address);
  client.send(packet);
  assert.deepEqual(await promise, packet);
  assert.equal(typesOf(await client.closed()), '');
});

/** What a client is told that says it is `postgres`; "in" for one that is let in. */
async function outcome(address: TcpAddress, tls: ConnectionOptions | null): Promise<string> {
  const client = tls ? await RawClient.secure(address, tls) : await RawClient.open(address);
  client.send(STARTUP);
  const came = await client.until('Z');
  client.close();
  const [report] = reportsOf(came);
  return report ? `${report['C']} ${report['M']}` : 'in';
}

const WITHOUT = '28000 connection requires a valid client certificate';
const UNTRUSTED = '28000 the client certificate cannot be trusted';
const MISMATCH = '28000 certificate authentication failed for user "postgres"';
const UNENCRYPTED =
  '28000 walhook accepts no unencrypted connection from host "127.0.0.1", user "postgres", database "mine", no encryption';
/** By mode: a plain client, one without a certificate, and those with the given ones. */
const outcomes: [ClientTlsMode, plain: string, none: string, mine: string, other: string, stranger: string][] = [
  ['allow', 'in', 'in', 'in', 'in', UNTRUSTED],
  ['require', UNENCRYPTED, 'in', 'in', 'in', UNTRUSTED],
  ['verify-ca', UNENCRYPTED, WITHOUT, 'in', 'in', UNTRUSTED],
  ['verify-full', UNENCRYPTED, WITHOUT, 'in', MISMATCH, UNTRUSTED],
];
for (const [mode, ...expected] of outcomes) {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`who is let in: ${mode}, ${maxVersion}`, async () => {
      const tls = clientTls(mode, tlsFiles(true));
      const { address, frontend } = await startProxy(echo, { tls });
      const seen = [await outcome(address, null)];
      const certificates: (CertificateAndKey | null)[] = [null, CLIENT, OTHER_CLIENT, STRANGER];
      for (const certificate of certificates) seen.push(await outcome(address, { maxVersion, ...certificate }));
      assert.deepEqual(seen, expected);
      const { connectionsRefused } = frontend.stats();
      const refused = expected.filter((text) => text !== 'in').length;
      assert.equal(
        (connectionsRefused.get('tls_required') ?? 0) + (connectionsRefused.get('client_certificate') ?? 0),
        refused,
      );
    });
  }
}

const names: [string | readonly string[] | null, Buffer, boolean][] = [
  ['postgres', Buffer.from('postgres'), true],
  ['Postgres', Buffer.from('postgres'), false],
  ['jürgen', Buffer.from('jürgen'), true],
  ['\ufffd', Buffer.from('ff', 'hex'), false],
  [['postgres', 'other'], Buffer.from('postgres'), false],
  [null, Buffer.from('postgres'), false],
  ['', Buffer.from('postgres'), false],
  ['x'.repeat(63), Buffer.from('x'.repeat(64)), true],
  ['x'.repeat(64), Buffer.from('x'.repeat(64)), false],
];
for (const [commonName, user, isIn] of names) {
  test(`the name ${JSON.stringify(commonName)} ${isIn ? 'is' : 'is not'} that of ${user.toString('latin1')}`, () => {
    const check = (): void => checkIdentity('verify-full', { commonName, problem: null, hasCertificate: true }, user);
    if (isIn) check();
    else assert.throws(check, { code: '28000', severity: 'FATAL' });
  });
}

test('a unix socket has no TLS, and needs none', async () => {
  const path = join(temporaryFolder(), 'socket');
  await startProxy(echo, { listen: [{ path }], tls: clientTls('require') });
  const client = await RawClient.open({ path });
  client.socket.write(encodeSslRequest());
  const [answer] = (await once(client.socket, 'data')) as [Buffer];
  assert.equal(answer.toString(), 'N');
  client.close();
  const next = await RawClient.open({ path });
  next.send(STARTUP);
  assert.equal(typesOf(await next.ready()), 'RZ');
  next.close();
});

test('a new certificate is shown to new clients; a broken one to none; sessions go on', async () => {
  const files = tlsFiles(false);
  const clock = new VirtualClock();
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (_fields: unknown, text: string) => void errors.push(text) };
  const renewing = await startProxy(echo, { tls: clientTls('allow', files, clock, logger) });
  const shown = async (): Promise<string> => {
    const client = await RawClient.secure(renewing.address);
    const { fingerprint256 } = (client.socket as TLSSocket).getPeerX509Certificate()!;
    client.close();
    return fingerprint256;
  };
  const [first, second] = [SELF_SIGNED, RENEWED].map(({ cert }) => new X509Certificate(cert).fingerprint256);
  const early = await RawClient.secure(renewing.address);
  early.send(STARTUP);
  await early.ready();
  assert.equal(await shown(), first);

  writeFileSync(files.certFile, RENEWED.cert);
  await clock.advance(RELOAD_INTERVAL_MS);
  assert.equal(await shown(), first);
  assert.equal(errors.length, 1);
  await clock.advance(RELOAD_INTERVAL_MS * 3);
  assert.equal(errors.length, 1, 'the same mistake is told once');

  putCertificate(files, RENEWED);
  await clock.advance(RELOAD_INTERVAL_MS);
  assert.equal(await shown(), second);
  early.send(say.copyData('still here'));
  assert.equal(typesOf(await early.until('d')), 'd');
  early.close();
});

test('on demand the files are read at once', () => {
  const files = tlsFiles(false);
  const loaded: string[] = [];
  const logger = { ...silentLogger, info: (fields: object) => void loaded.push(JSON.stringify(fields)) };
  const tls = clientTls('allow', files, new VirtualClock(), logger);
  putCertificate(files, RENEWED);
  tls.reload();
  assert.ok(loaded[0]?.includes(new X509Certificate(RENEWED.cert).fingerprint256));
});

test('a TLS client that does not read 200 MB holds up the upstream, and nobody else', async () => {
  const chunk = say.copyData('x'.repeat(65_531 - 65));
  const total = Math.ceil(200_000_000 / chunk.length) * chunk.length;
  let isSlow = true;
  const upstream = await fakeUpstream((socket) => {
    if (!isSlow) return void socket.on('data', (bytes) => socket.write(bytes));
    let left = total;
    const write = (): void => {
      while (left > 0 && socket.write(chunk)) left -= chunk.length;
      if (left > 0) left -= chunk.length;
    };
    socket.on('drain', write);
    write();
  });
  const { address, frontend } = await startProxy(upstream, { tls: clientTls('allow') });
  const socket = await offered(address);
  const slow = connectTls({ socket, rejectUnauthorized: false });
  slow.write(STARTUP);
  await once(slow, 'secureConnect');
  await waitFor('the upstream to begin', () => frontend.stats().bytesToClients > chunk.length);
  isSlow = false;
  const other = await RawClient.secure(address);
  other.send(STARTUP);
  await other.ready();
  let before = -1;
  // Long enough for all buffers on the way to be full.
  await waitFor('the slow client to stop the upstream', async () => {
    for (let i = 0; i < 50; i++) {
      other.send(say.copyData('quick'));
      await other.until('d');
    }
    const { bytesToClients } = frontend.stats();
    const isStill = bytesToClients - before === 50 * say.copyData('quick').length;
    before = bytesToClients;
    return isStill;
  });
  assert.ok(before < 40_000_000, `${before} bytes are on their way`);
  let came = 0;
  slow.on('data', (bytes: Buffer) => (came += bytes.length));
  await waitFor('all of it', () => came >= total, 60_000);
  slow.destroy();
  other.close();
});
