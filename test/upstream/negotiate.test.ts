import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after, suite, test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { BACKEND } from '../../src/wire/message-type.ts';
import { writeReport } from '../../src/wire/backend-messages.ts';
import { encodeSslRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { Writer } from '../../src/wire/writer.ts';
import { startProxy } from '../frontend/proxy.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { RawClient, reportsOf, typesOf, type Received } from '../support/raw-client.ts';
import { sessionUpstreamOf } from '../support/upstreams.ts';

// What a session becomes when the server behaves in each odd way while the connection is made.

const STARTUP = encodeStartupMessage({ user: 'me', database: 'mine' });
const AUTHENTICATION_OK = Buffer.from('520000000800000000', 'hex');
const READY = Buffer.from('5a0000000549', 'hex');
const LET_IN = Buffer.concat([AUTHENTICATION_OK, READY]);

function refusal(code: string, message: string): Buffer {
  const writer = new Writer();
  const fields = { S: 'FATAL', V: 'FATAL', C: code, M: message };
  writeReport(writer, BACKEND.errorResponse, new Map(Object.entries(fields).map(([k, v]) => [k, Buffer.from(v)])));
  return writer.finish();
}

/** What a server does with one packet of a connection. */
type Turn = (socket: Socket, packet: Buffer) => void;

const says =
  (bytes: Buffer | string): Turn =>
  (socket) =>
    void socket.write(bytes);
const hangsUp: Turn = (socket) => socket.end();
const refuses = (code: string, message = 'go away'): Turn => {
  return (socket) => socket.end(refusal(code, message));
};
const isSilent: Turn = () => undefined;
/** Accepts TLS, and then says this to the startup packet. */
const encrypts =
  (turn: Turn): Turn =>
  (socket) => {
    socket.removeAllListeners('data');
    socket.write('S');
    const secure = new TLSSocket(socket, { isServer: true, ...CERTIFICATES.localhost, ALPNProtocols: ['postgresql'] });
    secure.on('error', () => undefined);
    secure.on('data', (packet: Buffer) => turn(secure, packet));
  };

interface FakeServer {
  readonly port: number;
  /** What each connection began with: `ssl` or `startup`, in the order of the packets. */
  readonly packets: string[];
}

/** Serves its connections one after the other by these scripts; the last serves all that follow. */
async function fakeServer(...connections: readonly Turn[][]): Promise<FakeServer> {
  const packets: string[] = [];
  let count = 0;
  const server = createServer((socket) => {
    const turns = connections[Math.min(count++, connections.length - 1)]!;
    let next = 0;
    socket.on('error', () => undefined);
    socket.on('data', (packet) => {
      packets.push(packet.equals(encodeSslRequest()) ? 'ssl' : packet.equals(STARTUP) ? 'startup' : 'other');
      turns[next++]?.(socket, packet);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => server.close());
  return { port: (server.address() as AddressInfo).port, packets };
}

/** What a client gets from its startup packet to ReadyForQuery or the end. */
async function session(hosts: readonly FakeServer[], query: string): Promise<Received[]> {
  const list = hosts.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const proxy = await startProxy(sessionUpstreamOf(`postgres://u@${list}/d?${query}`));
  const client = await RawClient.open(proxy.address);
  client.send(STARTUP);
  const received = await client.ready();
  client.close();
  await proxy.stop();
  return received;
}

suite('one server', () => {
  interface Case {
    readonly what: string;
    readonly mode: string;
    readonly connections: readonly Turn[][];
    /** The types of what the client gets, or the error's code and message. */
    readonly expected: string | readonly [code: string, message: RegExp];
    readonly packets: string;
  }
  const lateFirst: Turn = (socket) => {
    for (const [index, byte] of [...refusal('28000', 'one by one')].entries()) {
      setTimeout(() => socket.write(Buffer.from([byte])), index);
    }
  };
  const negotiated = Buffer.concat([Buffer.from('760000000c0000000000000000', 'hex'), LET_IN]);
  const cases: Case[] = [
    { what: 'lets in', mode: 'disable', connections: [[says(LET_IN)]], expected: 'RZ', packets: 'startup' },
    {
      what: 'has no TLS',
      mode: 'prefer',
      connections: [[says('N'), says(LET_IN)]],
      expected: 'RZ',
      packets: 'ssl startup',
    },
    {
      what: 'has no TLS',
      mode: 'require',
      connections: [[says('N')]],
      expected: ['08006', /does not support TLS/],
      packets: 'ssl',
    },
    { what: 'has TLS', mode: 'require', connections: [[encrypts(says(LET_IN))]], expected: 'RZ', packets: 'ssl' },
    { what: 'has TLS', mode: 'allow', connections: [[says(LET_IN)]], expected: 'RZ', packets: 'startup' },
    {
      what: 'refuses plain text',
      mode: 'allow',
      connections: [[refuses('28000')], [encrypts(says(LET_IN))]],
      expected: 'RZ',
      packets: 'startup ssl',
    },
    {
      what: 'refuses plain text byte by byte',
      mode: 'allow',
      connections: [[lateFirst], [encrypts(says(LET_IN))]],
      expected: 'RZ',
      packets: 'startup ssl',
    },
    {
      what: 'refuses plain text and has no TLS',
      mode: 'allow',
      connections: [[refuses('28000', 'not in plain text')], [says('N')]],
      expected: ['28000', /^not in plain text$/],
      packets: 'startup ssl',
    },
    {
      what: 'refuses both ways',
      mode: 'allow',
      connections: [[refuses('28000', 'first')], [encrypts(refuses('28000', 'second'))]],
      expected: ['28000', /^second$/],
      packets: 'startup ssl',
    },
    {
      what: 'refuses for another reason',
      mode: 'allow',
      connections: [[refuses('53300', 'too many')], [encrypts(says(LET_IN))]],
      expected: ['53300', /^too many$/],
      packets: 'startup',
    },
    {
      what: 'refuses TLS',
      mode: 'prefer',
      connections: [[encrypts(refuses('28000'))], [says(LET_IN)]],
      expected: 'RZ',
      packets: 'ssl startup',
    },
    {
      what: 'refuses, having no TLS',
      mode: 'prefer',
      connections: [[says('N'), refuses('28000', 'nobody')], [says(LET_IN)]],
      expected: ['28000', /^nobody$/],
      packets: 'ssl startup',
    },
    {
      what: 'says more than S',
      mode: 'require',
      connections: [[says('SE')]],
      expected: ['08006', /received unencrypted data after/],
      packets: 'ssl',
    },
    {
      what: 'says more than N',
      mode: 'require',
      connections: [[says(Buffer.concat([Buffer.from('N'), LET_IN]))]],
      expected: ['08006', /received unencrypted data after/],
      packets: 'ssl',
    },
    {
      what: 'answers the SSL request with an error',
      mode: 'require',
      connections: [[refuses('53300', 'do as I say')]],
      expected: ['08006', /answered the SSL request with an error$/],
      packets: 'ssl',
    },
    {
      what: 'answers the SSL request with an error',
      mode: 'prefer',
      connections: [[refuses('53300', 'too many')]],
      expected: ['53300', /^too many$/],
      packets: 'ssl startup',
    },
    {
      what: 'is no PostgreSQL',
      mode: 'require',
      connections: [[says('HTTP/1.1 400 Bad Request\r\n\r\n')]],
      expected: ['08006', /did not answer the SSL request as PostgreSQL does/],
      packets: 'ssl',
    },
    {
      what: 'hangs up',
      mode: 'require',
      connections: [[hangsUp]],
      expected: ['08006', /the server closed the connection/],
      packets: 'ssl',
    },
    {
      what: 'has no TLS behind its S',
      mode: 'require',
      connections: [[says('S'), says('no handshake')]],
      expected: ['08006', /TLS: /],
      packets: 'ssl other',
    },
    {
      what: 'hangs up under TLS',
      mode: 'require',
      connections: [[encrypts(hangsUp)]],
      expected: ['08006', /the server closed the connection/],
      packets: 'ssl',
    },
    {
      what: 'has an older protocol',
      mode: 'require',
      connections: [[encrypts(says(negotiated))]],
      expected: 'vRZ',
      packets: 'ssl',
    },
    {
      what: 'never answers',
      mode: 'require&connect_timeout=1',
      connections: [[isSilent]],
      expected: ['08006', /connection timed out/],
      packets: 'ssl',
    },
    {
      what: 'never answers under TLS',
      mode: 'prefer&connect_timeout=1',
      connections: [[encrypts(isSilent)]],
      expected: ['08006', /connection timed out/],
      packets: 'ssl',
    },
  ];
  for (const { what, mode, connections, expected, packets } of cases) {
    test(`${what}, ${mode}`, async () => {
      const server = await fakeServer(...connections);
      const received = await session([server], `sslmode=${mode}`);
      if (typeof expected === 'string') assert.equal(typesOf(received), expected);
      else {
        const [error] = reportsOf(received);
        assert.deepEqual([typesOf(received), error!['V'], error!['C']], ['E', 'FATAL', expected[0]]);
        assert.match(error!['M']!, expected[1]);
      }
      assert.equal(server.packets.join(' '), packets);
    });
  }
});

suite('several servers', () => {
  test('one that is not ready gives way to the next, and one that refuses does not', async () => {
    const starting = await fakeServer([refuses('57P03', 'the database system is starting up')]);
    const refusing = await fakeServer([refuses('28000', 'no entry')]);
    const ready = await fakeServer([says(LET_IN)]);
    assert.equal(typesOf(await session([starting, ready], 'sslmode=disable')), 'RZ');
    assert.equal(reportsOf(await session([refusing, ready], 'sslmode=disable'))[0]!['C'], '28000');
  });

  test('one that hangs up, is silent or has no TLS gives way to the next; all of them are named', async () => {
    const leaving = await fakeServer([hangsUp]);
    const silent = await fakeServer([isSilent]);
    const bare = await fakeServer([says('N')]);
    const ready = await fakeServer([encrypts(says(LET_IN))]);
    const query = 'sslmode=require&connect_timeout=3';
    assert.equal(typesOf(await session([leaving, silent, bare, ready], query)), 'RZ');
    assert.equal(
      reportsOf(await session([leaving, silent, bare], query))[0]!['M'],
      `could not connect to the upstream server at 127.0.0.1:${leaving.port}: the server closed the connection; ` +
        `at 127.0.0.1:${silent.port}: connection timed out; at 127.0.0.1:${bare.port}: the server does not support TLS`,
    );
  });

  test('a name that is not known gives way to the next', async () => {
    const ready = await fakeServer([says(LET_IN)]);
    const proxy = await startProxy(
      sessionUpstreamOf(`postgres://u@unknown.invalid,127.0.0.1:${ready.port}/d?sslmode=disable`),
    );
    const client = await RawClient.open(proxy.address);
    client.send(STARTUP);
    assert.equal(typesOf(await client.ready()), 'RZ');
    client.close();
  });
});

test('all of a large first answer arrives, though it came while the connection was still being made', async () => {
  const row = Buffer.alloc(70_000, 'x');
  row.write('D', 0);
  row.writeInt32BE(row.length - 1, 1);
  const server = await fakeServer([encrypts(says(Buffer.concat([AUTHENTICATION_OK, row, row, READY])))]);
  const received = await session([server], 'sslmode=require');
  assert.equal(typesOf(received), 'RDDZ');
  assert.ok(received[2]!.body.equals(row.subarray(5)));
});

suite('channel binding is not offered to a client that is not on that channel', () => {
  const offer = (...names: string[]): Buffer => {
    const writer = new Writer();
    writer.begin(BACKEND.authentication).int32(10);
    for (const name of names) writer.cstring(name);
    writer.uint8(0).end();
    return writer.finish();
  };
  test('in a session', async () => {
    const turn = says(Buffer.concat([offer('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'), READY]));
    const [sasl] = await session([await fakeServer([encrypts(turn)])], 'sslmode=require');
    assert.equal(sasl!.body.toString('latin1', 4), 'SCRAM-SHA-256\0\0');
  });
});
