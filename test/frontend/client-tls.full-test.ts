import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chownSync, statSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { encodeSslRequest } from '../../src/wire/startup.ts';
import { CLIENT, OTHER_CLIENT, RENEWED, type CertificateAndKey } from '../support/certificates.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { startProxy, type TcpAddress } from './proxy.ts';
import { clientTls, putCertificate, tlsFiles } from './tls-files.ts';

// Law: libpq connects with each of its settings that can work, and is told why with each that cannot.

const server = await startPostgres();
const admin = await connect(server.url());
const direct = { host: '127.0.0.1', port: server.port };
const folder = temporaryFolder();
const rootFile = file('root.crt', SELF_SIGNED.cert);

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** libpq's settings that show a certificate. */
function shows({ cert, key }: CertificateAndKey, name: string): string {
  return `sslcert=${file(`${name}.crt`, cert)} sslkey=${file(`${name}.key`, key)}`;
}

interface Output {
  readonly out: string;
  readonly err: string;
}

/** What psql prints; it authenticates by SCRAM. */
async function psql({ host, port }: TcpAddress, settings: string, sql = 'select 1 + 1'): Promise<Output> {
  const where = `host=localhost hostaddr=${host} port=${port} user=postgres dbname=postgres password=walhook`;
  const child = spawn('psql', ['-XAt', '-c', sql, `${where} ${settings}`], { env: { PATH: process.env['PATH'] } });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const done = Promise.withResolvers<void>();
  child.once('error', done.reject).once('close', () => done.resolve());
  await done.promise;
  return { out, err };
}

const WORKS: RegExp | null = null;
const withTls = await startProxy(direct, { tls: clientTls('require') });
const withCertificates = await startProxy(direct, { tls: clientTls('verify-full') });
const withoutTls = await startProxy(direct);

const cases: [string, TcpAddress, string, RegExp | null][] = [
  ['sslmode=require', withTls.address, 'sslmode=require', WORKS],
  ['sslmode=prefer', withTls.address, 'sslmode=prefer', WORKS],
  ['sslmode=verify-full', withTls.address, `sslmode=verify-full sslrootcert=${rootFile}`, WORKS],
  [
    'sslmode=verify-full, another root',
    withTls.address,
    `sslmode=verify-full sslrootcert=${file('other.crt', RENEWED.cert)}`,
    /certificate verify failed/,
  ],
  ['sslmode=disable where TLS is required', withTls.address, 'sslmode=disable', /no encryption/],
  ['sslmode=require where there is none', withoutTls.address, 'sslmode=require', /server does not support SSL/],
  ['channel_binding=disable', withTls.address, 'sslmode=require channel_binding=disable', WORKS],
  [
    'channel_binding=require',
    withTls.address,
    'sslmode=require channel_binding=require',
    /channel binding is required, but server did not offer an authentication method that supports channel binding/,
  ],
  ['a certificate of the user', withCertificates.address, `sslmode=require ${shows(CLIENT, 'mine')}`, WORKS],
  [
    'a certificate of another',
    withCertificates.address,
    `sslmode=require ${shows(OTHER_CLIENT, 'other')}`,
    /certificate authentication failed for user "postgres"/,
  ],
  ['no certificate', withCertificates.address, 'sslmode=require', /connection requires a valid client certificate/],
];
for (const [name, address, settings, expected] of cases) {
  test(`psql: ${name}`, async () => {
    const { out, err } = await psql(address, settings);
    if (expected) assert.match(err, expected);
    else assert.deepEqual({ out, err }, { out: '2\n', err: '' });
  });
}

test('psql says that it is encrypted, and our statements work there', async () => {
  const { out } = await psql(withTls.address, 'sslmode=require', '\\conninfo');
  assert.match(out, /SSL connection \(protocol: TLSv1.3/);
  assert.deepEqual(await psql(withTls.address, 'sslmode=require', 'SHOW CDC STREAMS'), { out: '', err: '' });
});

/** Encrypts what comes for the server, which then offers channel binding. */
async function encrypting(): Promise<TcpAddress> {
  const owner = statSync(server.dataDir);
  for (const [name, text] of [
    ['server.crt', SELF_SIGNED.cert],
    ['server.key', SELF_SIGNED.key],
  ] as const) {
    const path = join(server.dataDir, name);
    writeFileSync(path, text, { mode: 0o600 });
    chownSync(path, owner.uid, owner.gid);
  }
  await admin.query('alter system set ssl = on');
  await admin.query('select pg_reload_conf()');
  await waitFor('TLS', async () => (await admin.query('show ssl')).rows[0].ssl === 'on');
  const forwarder = createServer({ pauseOnConnect: true }, (from: Socket) => {
    const plain = connectTcp(direct);
    plain.write(encodeSslRequest());
    plain.once('data', () => {
      const to = connectTls({ socket: plain, rejectUnauthorized: false });
      to.on('error', () => from.destroy());
      from.on('error', () => to.destroy());
      to.once('secureConnect', () => from.pipe(to).pipe(from));
    });
  });
  await new Promise<void>((resolve) => forwarder.listen(0, '127.0.0.1', resolve));
  after(() => forwarder.close());
  return { host: '127.0.0.1', port: (forwarder.address() as AddressInfo).port };
}

const bindings: [string, string, RegExp | null][] = [
  [
    'a client inside TLS',
    'sslmode=require',
    /SCRAM channel binding does not work.*able to use it\nDETAIL: .*\nHINT: .*disable/,
  ],
  ['… that is told not to', 'sslmode=require channel_binding=disable', WORKS],
  [
    '… that insists',
    'sslmode=require channel_binding=require',
    /channel binding is required, but server did not offer/,
  ],
  ['a client without TLS', 'sslmode=disable', WORKS],
];

test('psql before a server that offers channel binding', async () => {
  const { address, frontend } = await startProxy(await encrypting(), { tls: clientTls('allow') });
  const control = await psql(direct, 'sslmode=require channel_binding=require');
  assert.deepEqual(control, { out: '2\n', err: '' });
  for (const [name, settings, expected] of bindings) {
    const { out, err } = await psql(address, settings);
    if (expected) assert.match(err, expected, name);
    else assert.deepEqual({ out, err }, { out: '2\n', err: '' }, name);
  }
  assert.equal(frontend.stats().authenticationsFailed, 1);
});

test('a running walhook takes a new certificate on SIGHUP', async () => {
  const files = tlsFiles(false);
  const walhook = await new WalhookProcess({
    // With TLS on both sides, channel binding would need one certificate on both.
    upstreamUrl: `${server.url()}?sslmode=disable`,
    dataDir: join(folder, 'data'),
    environment: { WALHOOK_TLS_CERT: files.certFile, WALHOOK_TLS_KEY: files.keyFile },
  }).start();
  const address = { host: '127.0.0.1', port: walhook.sqlPort };
  const trusting = (root: string): Promise<Output> => psql(address, `sslmode=verify-full sslrootcert=${root}`);
  assert.deepEqual(await trusting(rootFile), { out: '2\n', err: '' });
  putCertificate(files, RENEWED);
  process.kill(walhook.pid, 'SIGHUP');
  const renewedRoot = file('renewed.crt', RENEWED.cert);
  await waitFor('the new certificate', async () => (await trusting(renewedRoot)).out === '2\n');
  assert.match((await trusting(rootFile)).err, /certificate verify failed/);
  const metrics = await (await fetch(walhook.httpUrl('/metrics'))).text();
  assert.match(metrics, /walhook_proxy_connections_refused_total\{reason="tls_handshake"\} [1-9]/);
  assert.match(metrics, /walhook_proxy_tls_connections \d/);
  assert.equal(await walhook.stop(), 0);
});
