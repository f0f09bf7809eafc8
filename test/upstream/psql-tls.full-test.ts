import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProxy } from '../frontend/proxy.ts';
import { psql } from '../support/psql.ts';
import { configureTls, startTlsPostgres } from '../support/tls-server.ts';
import { sessionUpstreamOf } from '../support/upstreams.ts';

// libpq takes an offer of channel binding in plain text for an attack: psql gets in only if it is withheld.

const server = await startTlsPostgres();
await configureTls(server, { hba: ['hostssl all all all scram-sha-256'] });

for (const mode of ['allow', 'prefer', 'require']) {
  test(`psql in plain text logs in by SCRAM to an upstream that is reached by TLS (${mode})`, async () => {
    const proxy = await startProxy(sessionUpstreamOf(`postgres://u@localhost:${server.port}/d?sslmode=${mode}`));
    const script = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    const { stdout, stderr } = await psql(`${proxy.url(server.url())}?sslmode=disable`, script, ['-At']);
    assert.equal(stdout.toString(), 't\n', stderr);
  });
}
