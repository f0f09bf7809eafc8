import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import pg from 'pg';
import { openAdmin } from '../../src/upstream/connect.ts';
import { LOCAL_PASSWORD, LOCAL_USER } from '../../src/cli/local-postgres.ts';
import { startProxy } from '../frontend/proxy.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { serverVersion, temporaryFolder } from '../support/test-database.ts';
import { configureTls, isEncrypted, startTlsPostgres } from '../support/tls-server.ts';
import { sessionUpstreamOf, upstreamOf } from '../support/upstreams.ts';

// Each sslmode against each way in which a server may be set up, for a client's session and for a connection of our own.

const server = await startTlsPostgres();
const folder = temporaryFolder();
const file = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const ROOT = file('root.crt', CERTIFICATES.root);
const OTHER_ROOT = file('other.crt', CERTIFICATES.otherRoot);
const CLIENT = `sslcert=${file('client.crt', CERTIFICATES.client.cert)}&sslkey=${file('client.key', CERTIFICATES.client.key)}`;

const url = (query: string, host = 'localhost', port = server.port): string =>
  `postgres://${LOCAL_USER}:${LOCAL_PASSWORD}@${host}:${port}/postgres?${query}`;

type Outcome = 'tls' | 'plain' | RegExp;

/** What becomes of a connection: how it is secured, or why there is none. */
async function outcomeOf(connect: () => Promise<pg.Client>): Promise<string> {
  let client: pg.Client;
  try {
    client = await connect();
  } catch (error) {
    return (error as Error).message;
  }
  try {
    return (await isEncrypted(client)) ? 'tls' : 'plain';
  } finally {
    await client.end();
  }
}

async function throughRelay(upstreamUrl: string): Promise<string> {
  const proxy = await startProxy(sessionUpstreamOf(upstreamUrl));
  const { port } = proxy.address;
  try {
    return await outcomeOf(async () => {
      const client = new pg.Client({
        host: '127.0.0.1',
        port,
        user: LOCAL_USER,
        password: LOCAL_PASSWORD,
        database: 'postgres',
      });
      client.on('error', () => undefined);
      await client.connect();
      return client;
    });
  } finally {
    await proxy.stop();
  }
}

const viaBoth = async (upstreamUrl: string): Promise<Record<string, string>> => ({
  relay: await throughRelay(upstreamUrl),
  own: await outcomeOf(() => openAdmin(upstreamOf(upstreamUrl))),
});

async function expectBoth(upstreamUrl: string, expected: Outcome): Promise<void> {
  for (const [how, outcome] of Object.entries(await viaBoth(upstreamUrl))) {
    if (typeof expected === 'string') assert.equal(outcome, expected, how);
    else assert.match(outcome, expected, how);
  }
}

const NO_TLS = /localhost:\d+: the server does not support TLS/;
/** What a server that takes a ClientHello for a startup packet comes to. */
const NOT_DIRECT = /localhost:\d+: /;
const REFUSED = /no pg_hba\.conf entry|pg_hba\.conf rejects/;
const VERIFIED = `&sslrootcert=${ROOT}`;

interface Setting {
  readonly what: string;
  readonly ssl: boolean;
  readonly hba: readonly string[];
  readonly outcomes: readonly [mode: string, outcome: Outcome][];
}

const SETTINGS: readonly Setting[] = [
  {
    what: 'ssl off',
    ssl: false,
    hba: ['host all all all scram-sha-256'],
    outcomes: [
      ['disable', 'plain'],
      ['allow', 'plain'],
      ['prefer', 'plain'],
      ['require', NO_TLS],
      [`verify-ca${VERIFIED}`, NO_TLS],
      [`verify-full${VERIFIED}`, NO_TLS],
      ['require&sslnegotiation=direct', /at localhost:\d+: /],
    ],
  },
  {
    what: 'ssl on, both ways let in',
    ssl: true,
    hba: ['host all all all scram-sha-256'],
    outcomes: [
      ['disable', 'plain'],
      ['allow', 'plain'],
      ['prefer', 'tls'],
      ['require', 'tls'],
      [`verify-ca${VERIFIED}`, 'tls'],
      [`verify-full${VERIFIED}`, 'tls'],
      ['require&sslnegotiation=direct', 'tls'],
      [`verify-full${VERIFIED}&sslnegotiation=direct`, 'tls'],
    ],
  },
  {
    what: 'ssl on, hostssl alone',
    ssl: true,
    hba: ['hostssl all all all scram-sha-256'],
    outcomes: [
      ['disable', REFUSED],
      ['allow', 'tls'],
      ['prefer', 'tls'],
      ['require', 'tls'],
      [`verify-ca${VERIFIED}`, 'tls'],
      [`verify-full${VERIFIED}`, 'tls'],
      ['require&sslnegotiation=direct', 'tls'],
    ],
  },
  {
    what: 'ssl on, hostnossl alone',
    ssl: true,
    hba: ['hostnossl all all all scram-sha-256'],
    outcomes: [
      ['disable', 'plain'],
      ['allow', 'plain'],
      ['prefer', 'plain'],
      ['require', REFUSED],
      [`verify-ca${VERIFIED}`, REFUSED],
      [`verify-full${VERIFIED}`, REFUSED],
      ['require&sslnegotiation=direct', REFUSED],
    ],
  },
  {
    what: 'ssl on, nobody let in',
    ssl: true,
    hba: ['host all nobody_else all scram-sha-256'],
    outcomes: [
      ['disable', REFUSED],
      ['allow', REFUSED],
      ['prefer', REFUSED],
      ['require', REFUSED],
    ],
  },
  {
    what: 'a client certificate asked for',
    ssl: true,
    hba: ['hostssl all all all scram-sha-256 clientcert=verify-ca'],
    outcomes: [
      ['require', /certificate/],
      [`require&${CLIENT}`, 'tls'],
      [`verify-full${VERIFIED}&${CLIENT}`, 'tls'],
    ],
  },
];

const admin = await openAdmin(upstreamOf(url('sslmode=prefer')));
const knowsDirectTls = (await serverVersion(admin)) >= 170_000;
await admin.end();

for (const { what, ssl, hba, outcomes } of SETTINGS) {
  suite(what, () => {
    for (const [mode, expected] of outcomes) {
      const outcome = mode.endsWith('negotiation=direct') && !knowsDirectTls ? NOT_DIRECT : expected;
      test(`sslmode=${mode.replaceAll(/=[^=&]*\//g, '=')}: ${String(outcome)}`, async () => {
        await configureTls(server, { ssl, hba });
        await expectBoth(url(`sslmode=${mode}`), outcome);
      });
    }
  });
}

suite('the certificate', () => {
  const OPEN = ['host all all all scram-sha-256'];
  const cases: [what: string, keyof typeof CERTIFICATES, query: string, host: string, outcome: Outcome][] = [
    ['of an address', 'localhost', `verify-full${VERIFIED}`, '127.0.0.1', 'tls'],
    ['for another host', 'elsewhere', `verify-full${VERIFIED}`, 'localhost', /localhost:\d+: .*for another host name/],
    ['for another host, by address', 'elsewhere', `verify-full${VERIFIED}`, '127.0.0.1', /for another host name/],
    ['for another host, which is not looked at', 'elsewhere', `verify-ca${VERIFIED}`, 'localhost', 'tls'],
    ['expired', 'expired', `verify-full${VERIFIED}`, 'localhost', /localhost:\d+: .*has expired/],
    ['expired, which is not looked at', 'expired', 'require', 'localhost', 'tls'],
    ['of an unknown root', 'localhost', `verify-ca&sslrootcert=${OTHER_ROOT}`, 'localhost', /root that is not trusted/],
    ['of a root that the system does not know', 'localhost', 'verify-full', 'localhost', /root that is not trusted/],
    ['of an unknown root, with require', 'localhost', `require&sslrootcert=${OTHER_ROOT}`, 'localhost', /not trusted/],
    [
      'of an unknown root, where plain text will do',
      'localhost',
      `prefer&sslrootcert=${OTHER_ROOT}`,
      'localhost',
      'plain',
    ],
  ];
  for (const [what, name, query, host, outcome] of cases) {
    test(`${what}: ${String(outcome)}`, async () => {
      const certificate = CERTIFICATES[name];
      assert.ok(typeof certificate !== 'string');
      await configureTls(server, { ssl: true, certificate, hba: OPEN });
      await expectBoth(url(`sslmode=${query}`, host), outcome);
    });
  }
});

test('a wrong password is refused as the server refuses it, whatever the mode', async () => {
  await configureTls(server, {
    ssl: true,
    certificate: CERTIFICATES.localhost,
    hba: ['host all all all scram-sha-256'],
  });
  for (const mode of ['disable', 'allow', 'prefer', 'require']) {
    const upstream = upstreamOf(url(`sslmode=${mode}`).replace(LOCAL_PASSWORD, 'wrong'));
    await assert.rejects(openAdmin(upstream), { code: '28P01' }, mode);
  }
});

test('a unix socket is never encrypted, whatever the mode', async () => {
  const sockets = temporaryFolder();
  const forwarder = createServer().listen(join(sockets, '.s.PGSQL.5432'));
  const first = new Promise<Buffer>((resolve) => {
    forwarder.on('connection', (socket) => {
      socket.once('data', (bytes) => {
        resolve(bytes);
        socket.destroy();
      });
    });
  });
  after(() => forwarder.close());
  await new Promise((resolve) => forwarder.once('listening', resolve));
  const upstream = upstreamOf(`postgres:///d?user=u&host=${encodeURIComponent(sockets)}&sslmode=prefer`);
  await assert.rejects(openAdmin(upstream), /\.s\.PGSQL\.5432: /);
  assert.equal((await first).readUInt16BE(4), 3, 'a startup packet of protocol 3');
  assert.equal((forwarder.address() as unknown as AddressInfo | string) !== null, true);
});
