import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, test } from 'node:test';
import pg from 'pg';
import postgres from 'postgres';
import { encodeCancelRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { AUTHORITY, CLIENT, OTHER_CLIENT } from '../support/certificates.ts';
import { RawClient, reportsOf, say, typesOf } from '../support/raw-client.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { connect } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPair, startProxy } from './proxy.ts';
import { clientTls } from './tls-files.ts';

// Law: with TLS as without, drivers work, authenticate and see the same bytes.

const { server, direct, proxy } = await startPair({}, { tls: clientTls('require') });
const admin = await connect(server.url());
await admin.query(`create role app login password 'secret'`);
const trusting = { ca: SELF_SIGNED.cert };

/** As `app`, who has to authenticate by SCRAM. */
function appUrl(address = proxy.address): string {
  return `postgres://app:secret@localhost:${address.port}/postgres`;
}

for (const enableChannelBinding of [false, true]) {
  test(`pg authenticates and asks, channel binding ${enableChannelBinding ? 'wanted' : 'not wanted'}`, async () => {
    const client = new pg.Client({ connectionString: appUrl(), ssl: trusting, enableChannelBinding });
    await client.connect();
    assert.deepEqual((await client.query('select $1::int + 1 as n', [1])).rows, [{ n: 2 }]);
    assert.deepEqual((await client.query('SHOW CDC STREAMS')).rows, []);
    await client.end();
  });
}

test('postgres authenticates and asks', async () => {
  const sql = postgres(appUrl(), { ssl: trusting, max: 2 });
  assert.deepEqual([...(await sql`select ${1}::int + 1 as n`)], [{ n: 2 }]);
  assert.deepEqual([...(await sql`SHOW CDC STREAMS`)], []);
  const error = await sql`select 1/0`.catch((err: unknown) => err);
  assert.equal((error as { code?: string }).code, '22012');
  await sql.end();
});

test('without TLS, drivers are told what is missing', async () => {
  await assert.rejects(connect(appUrl()), { code: '28000', message: /no encryption$/ });
});

test('a wrong password is a failed authentication', async () => {
  const before = proxy.frontend.stats().authenticationsFailed;
  const client = new pg.Client({ connectionString: appUrl().replace('secret', 'wrong'), ssl: trusting });
  await assert.rejects(client.connect(), { code: '28P01' });
  assert.equal(proxy.frontend.stats().authenticationsFailed, before + 1);
});

test('client certificates are checked for drivers too', async () => {
  const { address } = await startProxy(direct, { tls: clientTls('verify-full') });
  const url = `postgres://postgres:walhook@localhost:${address.port}/postgres`;
  const client = new pg.Client({ connectionString: url, ssl: { ...trusting, ...CLIENT } });
  await client.connect();
  assert.equal((await client.query('select 1 as one')).rows[0].one, 1);
  await client.end();
  const other = new pg.Client({ connectionString: url, ssl: { ...trusting, ...OTHER_CLIENT } });
  await assert.rejects(other.connect(), { code: '28000', message: /certificate authentication failed/ });
  const none = postgres(url, { ssl: trusting, max: 1 });
  await assert.rejects(none`select 1`, { code: '28000', message: /requires a valid client certificate/ });
  await none.end();
  assert.ok(AUTHORITY.startsWith('-----BEGIN CERTIFICATE'));
});

test('a cancel request inside TLS cancels what runs', async () => {
  const client = await RawClient.secure(proxy.address);
  client.send(encodeStartupMessage({ user: 'postgres', database: 'postgres' }));
  const key = (await client.ready()).find(({ type }) => type === 'K')!.body;
  client.send(say.query('select pg_sleep(100)'));
  await waitFor('the query to run', async () => {
    const { rows } = await admin.query(
      `select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'`,
    );
    return rows.length === 1;
  });
  const request = await RawClient.secure(proxy.address);
  request.send(encodeCancelRequest(key));
  assert.equal(typesOf(await request.closed()), '');
  assert.equal(reportsOf(await client.ready())[0]?.['C'], '57014');
  client.close();
});

test('a server that ends a session says so inside TLS', async () => {
  const client = await RawClient.secure(proxy.address);
  client.send(encodeStartupMessage({ user: 'postgres', database: 'postgres' }));
  await client.ready();
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
  );
  assert.equal(reportsOf(await client.closed())[0]?.['C'], '57P01');
  await waitFor('the session to end', () => proxy.frontend.stats().connectionsOpen === 0);
});

test('100 MB by COPY in and out are the same bytes', async () => {
  await admin.query('create unlogged table bulk (id int, body text); grant all on bulk to app');
  const sql = postgres(appUrl(), { ssl: trusting, max: 1, connection: { synchronize_seqscans: 'off' } });
  after(() => sql.end());
  const sent = createHash('sha256');
  const rows = function* (): Generator<Buffer> {
    const filler = 'a'.repeat(990);
    for (let id = 0, left = 100_000_000; left > 0;) {
      let text = '';
      for (let i = 0; i < 97; i++) text += `${id++}\t${filler}\n`;
      const bytes = Buffer.from(text);
      sent.update(bytes);
      left -= bytes.length;
      yield bytes;
    }
  };
  await pipeline(Readable.from(rows()), await sql`copy bulk from stdin`.writable());
  const received = createHash('sha256');
  await pipeline(await sql`copy bulk to stdout`.readable(), received);
  assert.equal(received.digest('hex'), sent.digest('hex'));
});
