import { parseConnectionUrl, UpstreamUrlError, type SessionAttrs, type UrlHost } from '../postgres/connection-url.ts';
import { TlsContext } from './tls-context.ts';

/** One server of the list, as it was named: a Unix socket has a path, anything else may resolve to several addresses. */
export interface UpstreamHost {
  /** As an error or a log line names it: host:port, or the socket's path. */
  readonly name: string;
  readonly target: { readonly host: string; readonly port: number } | { readonly path: string };
}

/** Where the upstream Postgres is, how to reach it and how to log in to it. */
export interface UpstreamConfig {
  /** One at least, in the order of the URL. */
  readonly hosts: readonly UpstreamHost[];
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly tls: TlsContext;
  readonly targetSessionAttrs: SessionAttrs;
  readonly loadBalanceHosts: 'disable' | 'random';
  /** For one address: from the connection to the server's first answer, or, on connections of our own, to the login. */
  readonly connectTimeoutMs: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** Where another server may answer instead, a dead one is given up sooner. */
const CONNECT_TIMEOUT_OF_SEVERAL_MS = 3_000;

/**
 * Reads a connection URL, and the certificates that it names. Throws `UpstreamUrlError` with everything that is wrong.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 */
export function parseUpstreamUrl(text: string): UpstreamConfig {
  const url = parseConnectionUrl(text);
  const { connectTimeoutSeconds: seconds, targetSessionAttrs, loadBalanceHosts } = url;
  const tls = new TlsContext(url);
  const problem = tls.refresh();
  if (problem !== null) throw new UpstreamUrlError([problem]);
  const defaultMs = url.hosts.length > 1 ? CONNECT_TIMEOUT_OF_SEVERAL_MS : CONNECT_TIMEOUT_MS;
  return {
    hosts: url.hosts.map(upstreamHost),
    user: url.user,
    password: url.password,
    database: url.database,
    tls,
    targetSessionAttrs,
    loadBalanceHosts,
    connectTimeoutMs: seconds === null ? defaultMs : seconds * 1_000,
  };
}

/** `{ host: '/tmp', port: 5432 }` is the socket `/tmp/.s.PGSQL.5432`. */
export function upstreamHost({ host, port }: UrlHost): UpstreamHost {
  if (host.startsWith('/')) {
    const path = `${host}/.s.PGSQL.${port}`;
    return { name: path, target: { path } };
  }
  return { name: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, target: { host, port } };
}
