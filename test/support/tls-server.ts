import { chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { CERTIFICATES } from './server-certificates.ts';
import { startPostgres } from './test-database.ts';
import { waitFor } from './wait-for.ts';

/** Writes a file that the server can read, and nobody else. */
function serverFile(server: LocalPostgres, name: string, content: string): void {
  const path = join(server.dataDir, name);
  writeFileSync(path, content, { mode: 0o600 });
  const { uid, gid } = statSync(server.dataDir);
  chownSync(path, uid, gid);
}

/** A server that can do TLS, with the certificate for localhost. */
export async function startTlsPostgres(settings: Readonly<Record<string, string>> = {}): Promise<LocalPostgres> {
  const server = await startPostgres({ settings });
  await configureTls(server, { ssl: true, certificate: CERTIFICATES.localhost });
  return server;
}

export interface TlsConfiguration {
  readonly ssl?: boolean;
  readonly certificate?: { readonly cert: string; readonly key: string };
  /** The lines of pg_hba.conf. */
  readonly hba?: readonly string[];
}

/** Changes how the server that runs takes connections; resolves when it does. */
export async function configureTls(server: LocalPostgres, { ssl, certificate, hba }: TlsConfiguration): Promise<void> {
  if (certificate) {
    serverFile(server, 'server.crt', certificate.cert);
    serverFile(server, 'server.key', certificate.key);
    serverFile(server, 'root.crt', CERTIFICATES.root);
  }
  const autoConf = join(server.dataDir, 'postgresql.auto.conf');
  if (ssl !== undefined) {
    const text = readFileSync(autoConf, 'utf8').replaceAll(/^(?:ssl|ssl_ca_file) = .*\n/gm, '');
    const on = "ssl = on\nssl_ca_file = 'root.crt'\n";
    writeFileSync(autoConf, text + (ssl ? on : 'ssl = off\n'));
  }
  if (hba) writeFileSync(join(server.dataDir, 'pg_hba.conf'), `${hba.join('\n')}\n`);
  await reload(server);
}

/** The postmaster says so before it does it, and takes no connection until it is done. */
async function reload(server: LocalPostgres): Promise<void> {
  const reloads = (): number =>
    readFileSync(join(server.dataDir, 'server.log'), 'utf8').split('received SIGHUP, reloading').length;
  const before = reloads();
  process.kill(server.pid!, 'SIGHUP');
  await waitFor('the server to read its configuration', () => reloads() > before);
}

/** Whether the connection is encrypted, as the server sees it. */
export async function isEncrypted(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ ssl: boolean }>('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  return rows[0]!.ssl;
}
