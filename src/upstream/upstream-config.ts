import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';

/** Where the upstream Postgres is and how to log in to it. */
export interface UpstreamConfig {
  /** A host name, an address, or the folder of a Unix socket (then it begins with a slash). */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  /** False: no TLS. */
  readonly ssl: ConnectionOptions | false;
}

/** A connection URL that cannot be understood. The message never contains the URL: it may hold a password. */
export class UpstreamUrlError extends Error {
  override readonly name = 'UpstreamUrlError';
}

const DEFAULT_PORT = 5432;
const PARAMETERS = new Set(['host', 'port', 'user', 'password', 'dbname', 'sslmode', 'sslrootcert']);

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…`. A socket's folder goes into the host, percent-encoded,
 * or into `?host=`. `sslmode`: disable (the default), require (encrypted, not verified), verify-ca, verify-full; the
 * last two take `sslrootcert`. Throws `UpstreamUrlError`.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 */
export function parseUpstreamUrl(text: string): UpstreamConfig {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new UpstreamUrlError('the upstream is no URL; it should look like postgres://user@host:5432/database');
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    throw new UpstreamUrlError('the upstream URL must begin with postgres:// or postgresql://');
  }
  const parameters = url.searchParams;
  for (const name of parameters.keys()) {
    if (!PARAMETERS.has(name)) throw new UpstreamUrlError(`unknown parameter "${name}" in the upstream URL`);
  }
  const part = (name: string, inUrl: string): string | undefined =>
    parameters.get(name) ?? (inUrl === '' ? undefined : decode(inUrl));
  const user = part('user', url.username);
  if (user === undefined) throw new UpstreamUrlError('the upstream URL names no user');
  return {
    host: part('host', url.hostname.replace(/^\[(.*)\]$/, '$1')) ?? 'localhost',
    port: portOf(part('port', url.port)),
    user,
    password: part('password', url.password),
    database: part('dbname', url.pathname.slice(1)) ?? user,
    ssl: sslOf(parameters.get('sslmode') ?? 'disable', parameters.get('sslrootcert')),
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UpstreamUrlError('malformed percent-encoding in the upstream URL');
  }
}

function portOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw new UpstreamUrlError('the upstream port is no port');
  return port;
}

function sslOf(mode: string, rootCertificate: string | null): ConnectionOptions | false {
  const ca = (): ConnectionOptions => (rootCertificate === null ? {} : { ca: readFileSync(rootCertificate, 'utf8') });
  switch (mode) {
    case 'disable':
      return false;
    case 'require':
      // As libpq has it: with a root certificate at hand, require verifies like verify-ca.
      return rootCertificate === null ? { rejectUnauthorized: false } : sslOf('verify-ca', rootCertificate);
    case 'verify-ca':
      return { ...ca(), checkServerIdentity: () => undefined };
    case 'verify-full':
      return ca();
    default:
      throw new UpstreamUrlError(`sslmode must be disable, require, verify-ca or verify-full, not "${mode}"`);
  }
}
