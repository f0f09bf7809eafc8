import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startReceiver } from '../support/json-receiver.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { connect, temporaryFolder } from '../support/test-database.ts';
import { configureTls, startTlsPostgres } from '../support/tls-server.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The program before a server that lets nobody in without TLS, one server of the list being dead.

const server = await startTlsPostgres();
await configureTls(server, {
  hba: ['hostssl all all all scram-sha-256', 'hostssl replication all all scram-sha-256'],
});
const root = join(temporaryFolder(), 'root.crt');
writeFileSync(root, CERTIFICATES.root);
const hosts = `127.0.0.1:1,localhost:${server.port}`;
const walhook = await new WalhookProcess({
  upstreamUrl: `postgres://postgres:walhook@${hosts}/postgres?sslmode=verify-full&sslrootcert=${root}&target_session_attrs=primary`,
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
const sqlUrl = `postgres://postgres:walhook@127.0.0.1:${walhook.sqlPort}/postgres`;

test('a change made by TLS is captured by TLS and arrives', async () => {
  const client = await connect(sqlUrl);
  await client.query('CREATE TABLE orders (id int PRIMARY KEY)');
  await client.query(`CREATE CHANGE DATA CAPTURE ON orders TO WEBHOOK '${receiver.url}/orders'`);
  await client.query('INSERT INTO orders VALUES (7)');
  const { body } = await waitFor('the insert', () => receiver.to('/orders')[0]);
  assert.deepEqual(body.key, { id: 7 });
  const { rows } = await client.query<{ backend_type: string; ssl: boolean }>(
    `SELECT DISTINCT a.backend_type, s.ssl FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) ORDER BY 1`,
  );
  assert.deepEqual(rows, [
    { backend_type: 'client backend', ssl: true },
    { backend_type: 'walsender', ssl: true },
  ]);
  await client.end();
});

test('the metrics count connections to the upstream, and the log names the server', async () => {
  const text = await (await fetch(walhook.httpUrl('/metrics'))).text();
  assert.match(text, /^walhook_proxy_upstream_connects_total [1-9]/m);
  assert.match(text, /^walhook_proxy_upstream_connect_seconds_total 0\.\d*[1-9]/m);
  assert.match(text, /^walhook_proxy_upstream_connect_failures_total 0$/m);
  const current = walhook.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.ok(
    current.some(({ upstream, msg }) => msg === 'connected to the upstream' && upstream === `localhost:${server.port}`),
  );
  assert.ok(
    walhook.logLines.every((line) => !line.includes('sslmode')),
    'no URL in the log',
  );
});

test('a server that cannot prove who it is gets no session, and the client is told why', async () => {
  await configureTls(server, { certificate: CERTIFICATES.elsewhere });
  await assert.rejects(connect(sqlUrl), (error: { code?: string; message: string }) => {
    assert.equal(error.code, '08006');
    assert.match(error.message, /at 127\.0\.0\.1:1: connection refused; at localhost:\d+: .*for another host name/);
    return true;
  });
});
