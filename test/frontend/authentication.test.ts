import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Socket, type AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { AuthenticationGate } from '../../src/frontend/authentication.ts';
import { PgError } from '../../src/postgres/sqlstate.ts';
import { encodeSaslMechanisms } from '../../src/wire/sasl.ts';
import { RENEWED, type CertificateAndKey } from '../support/certificates.ts';
import { saslInitialResponse } from '../support/sasl.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';

// Law: what works passes byte for byte, and what cannot work is not offered, or is refused with the reason.

/** Both ends of a channel on which the certificate is shown. */
async function channel(certificate: CertificateAndKey): Promise<{ server: TLSSocket; client: TLSSocket }> {
  const listener = createServer(certificate).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
  const client = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  await once(client, 'secureConnect');
  const [server] = await accepted;
  after(() => {
    client.destroy();
    server.destroy();
    listener.close();
  });
  return { server, client };
}

const { server: encrypted, client: toSame } = await channel(SELF_SIGNED);
const { client: toOther } = await channel(RENEWED);
const plain = new Socket();

const BOTH = encodeSaslMechanisms(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']);
const WITHOUT = encodeSaslMechanisms(['SCRAM-SHA-256']);
const OK = Buffer.from('520000000800000000', 'hex');
const READY = Buffer.from('5a0000000549', 'hex');

interface Seen {
  readonly gate: AuthenticationGate;
  toClient: Buffer;
  toUpstream: Buffer;
  authenticated: number;
  failed: number;
}

function openGate(client: Socket, upstream: Socket): Seen {
  const gate = new AuthenticationGate(client, upstream, {
    toClient: (bytes, length) => (seen.toClient = Buffer.concat([seen.toClient, bytes.subarray(0, length)])),
    toUpstream: (bytes, length) => (seen.toUpstream = Buffer.concat([seen.toUpstream, bytes.subarray(0, length)])),
    authenticated: () => seen.authenticated++,
    failed: () => seen.failed++,
  });
  const seen: Seen = { gate, toClient: Buffer.alloc(0), toUpstream: Buffer.alloc(0), authenticated: 0, failed: 0 };
  return seen;
}

type Channels = readonly [name: string, client: Socket, upstream: Socket];
const SAME: Channels = ['both encrypted, with the same certificate', encrypted, toSame];
const DIFFERENT: Channels = ['both encrypted, with different certificates', encrypted, toOther];
const UPSTREAM_ONLY: Channels = ['the upstream encrypted alone', plain, toSame];
const CLIENT_ONLY: Channels = ['the client encrypted alone', encrypted, plain];
const NEITHER: Channels = ['neither encrypted', plain, plain];

const offers: [Channels, Buffer, Buffer][] = [
  [SAME, BOTH, BOTH],
  [DIFFERENT, BOTH, WITHOUT],
  [UPSTREAM_ONLY, BOTH, WITHOUT],
  [CLIENT_ONLY, BOTH, WITHOUT],
  [NEITHER, BOTH, WITHOUT],
  [CLIENT_ONLY, WITHOUT, WITHOUT],
  [NEITHER, WITHOUT, WITHOUT],
];
for (const [[name, client, upstream], offered, expected] of offers) {
  test(`${name}: ${offered === BOTH ? 'both mechanisms are' : 'one mechanism is'} offered, cut anywhere`, () => {
    const notice = Buffer.from('4e0000000500', 'hex');
    const bytes = Buffer.concat([notice, offered, notice]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const seen = openGate(client, upstream);
      seen.gate.upstreamBytes(bytes.subarray(0, cut), cut);
      seen.gate.upstreamBytes(bytes.subarray(cut), bytes.length - cut);
      assert.deepEqual(seen.toClient, Buffer.concat([notice, expected, notice]));
      assert.equal(seen.gate.isOver, false);
    }
  });
}

const PLUS = saslInitialResponse('SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,n=,r=x');
const P = saslInitialResponse('SCRAM-SHA-256', 'p=tls-server-end-point,,n=,r=x');
const Y = saslInitialResponse('SCRAM-SHA-256', 'y,,n=,r=x');
const N = saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=x');
const BARE = saslInitialResponse('SCRAM-SHA-256', null);

/** The choices that pass, by channels and offer; the others are refused. */
const choices: [Channels, Buffer, passing: Buffer[], refused: Buffer[]][] = [
  [SAME, BOTH, [PLUS, P, Y, N, BARE], []],
  [DIFFERENT, BOTH, [N, BARE], [PLUS, P, Y]],
  [UPSTREAM_ONLY, BOTH, [N, BARE], [PLUS, P, Y]],
  [CLIENT_ONLY, WITHOUT, [Y, N, BARE], [PLUS, P]],
  [NEITHER, WITHOUT, [Y, N, BARE], [PLUS, P]],
];
for (const [[name, client, upstream], offered, passing, refused] of choices) {
  test(`${name}: the client's choice passes, or is refused with the reason, cut anywhere`, () => {
    for (const message of [...passing, ...refused]) {
      for (let cut = 0; cut <= message.length; cut++) {
        const seen = openGate(client, upstream);
        seen.gate.upstreamBytes(offered, offered.length);
        const send = (): void => {
          seen.gate.clientBytes(message.subarray(0, cut), cut);
          seen.gate.clientBytes(message.subarray(cut), message.length - cut);
        };
        if (passing.includes(message)) {
          send();
          assert.deepEqual(seen.toUpstream, message);
          continue;
        }
        assert.throws(send, (error: unknown) => {
          assert.ok(error instanceof PgError);
          assert.deepEqual([error.code, error.severity], ['28000', 'FATAL']);
          assert.ok(error.detail && error.hint?.includes('channel_binding=disable'));
          return true;
        });
        assert.equal(seen.toUpstream.length, 0);
      }
    }
  });
}

test('an upstream that offers nothing but what cannot work is a FATAL error', () => {
  const only = encodeSaslMechanisms(['SCRAM-SHA-256-PLUS']);
  const seen = openGate(plain, toSame);
  assert.throws(() => seen.gate.upstreamBytes(only, only.length), { code: '28000', severity: 'FATAL' });
  assert.equal(seen.toClient.length, 0);
});

test('of a password nothing is looked at, and after AuthenticationOk everything passes', () => {
  const seen = openGate(encrypted, toOther);
  const password = Buffer.concat([Buffer.from('70000000', 'hex'), Buffer.from('\x08p=x\0', 'latin1')]);
  const askPassword = Buffer.from('520000000800000003', 'hex');
  seen.gate.upstreamBytes(askPassword, askPassword.length);
  seen.gate.clientBytes(password, password.length);
  assert.deepEqual(seen.toUpstream, password);
  const end = Buffer.concat([OK, BOTH, READY]);
  seen.gate.upstreamBytes(end, end.length);
  assert.deepEqual(seen.toClient, Buffer.concat([askPassword, end]));
  assert.deepEqual([seen.authenticated, seen.failed, seen.gate.isOver], [1, 0, true]);
});

test('the gate stays while a message of the client is held', () => {
  const seen = openGate(plain, plain);
  seen.gate.clientBytes(N.subarray(0, 9), 9);
  seen.gate.upstreamBytes(OK, OK.length);
  assert.equal(seen.gate.isOver, false);
  seen.gate.clientBytes(N.subarray(9), N.length - 9);
  assert.equal(seen.gate.isOver, true);
  assert.deepEqual(seen.toUpstream, N);
});

test('an error of the upstream before AuthenticationOk is a failed authentication', () => {
  const seen = openGate(plain, plain);
  const refusal = Buffer.from('450000000500', 'hex');
  seen.gate.upstreamBytes(refusal, refusal.length);
  assert.deepEqual([seen.failed, seen.toClient], [1, refusal]);
});
