import pg from 'pg';
import { Opening, type Channel } from './channel.ts';
import { RefusedError, WrongRoleError } from './failure.ts';
import { askRole, mismatch, type Role } from './roles.ts';
import type { Upstream } from './upstream.ts';
import type { UpstreamConfig, UpstreamHost } from './upstream-config.ts';

/** `application_name` of every connection of ours, so that an operator can tell them in `pg_stat_activity`. */
export const APPLICATION_NAME = 'walhook';

/*
  How values look as text depends on these settings, and a role may carry others (ALTER ROLE … SET). Pinned in the
  startup packet, which beats them, on every connection whose rows or changes we read, so that a change and a backfill
  of the same row give the same bytes; the search path because a regclass is written with its schema or without it, lc_monetary for money.
  client_encoding = UTF8 is sent by pg itself. Warnings tell capture what the server leaves out.
*/
const PINNED_SETTINGS =
  '-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC -c bytea_output=hex ' +
  '-c search_path=pg_catalog -c quote_all_identifiers=off -c lc_monetary=C -c client_min_messages=warning';

const READ_BYTES = 64 * 1024;

/** What `pg` is to be told for a connection of ours, beside the connection itself. */
function clientConfig(upstream: UpstreamConfig): pg.ClientConfig {
  return {
    user: upstream.user,
    password: upstream.password,
    database: upstream.database,
    // The connection that it is lent is encrypted already, or is not to be.
    ssl: false,
    application_name: APPLICATION_NAME,
    options: PINNED_SETTINGS,
  };
}

/** What each client of ours was lent. */
const channels = new WeakMap<pg.Client, Channel>();

/** A connection of our own, logged in. */
export interface Login {
  readonly client: pg.Client;
  readonly channel: Channel;
  readonly host: UpstreamHost;
}

export interface LoginOptions {
  readonly client?: pg.ClientConfig & { readonly replication?: 'database' };
  /** By which it can be given up. */
  readonly opening?: Opening;
  readonly readBuffer?: Buffer;
  /** Default: of several, the one that takes writes, since slots and publications are there; the one there is. */
  readonly hosts?: readonly UpstreamHost[];
}

/**
 * Connects and logs in as the user of the upstream's URL. The caller ends it. Rejects with pg's errors where the server
 * refuses (`code` is the SQLSTATE), else with `UpstreamUnreachableError`.
 */
export async function login(upstream: Upstream, options: LoginOptions = {}): Promise<Login> {
  const { client: config, opening = new Opening(), readBuffer = Buffer.allocUnsafeSlow(READ_BYTES), hosts } = options;
  const needsPrimary = hosts === undefined && upstream.config.hosts.length > 1;
  return upstream.link({ channel: { readBuffer }, opening, ...(hosts && { hosts }) }, async ({ channel, host }) => {
    const stream = (): ReturnType<Channel['lend']> => channel.lend();
    const client = new pg.Client({ ...clientConfig(upstream.config), ...config, stream });
    channels.set(client, channel);
    // The connection may break while nobody waits for an answer; the next query then fails and says so.
    client.on('error', () => undefined);
    await client.connect().catch((error: unknown) => Promise.reject(refusalOf(error)));
    const problem = needsPrimary ? mismatch('read-write', await askRole(client)) : null;
    if (problem !== null) throw new WrongRoleError(problem);
    return { client, channel, host };
  });
}

/** Five characters: an SQLSTATE, so the server answered. */
function refusalOf(error: unknown): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  const isRefusal = error instanceof Error && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code);
  return isRefusal ? new RefusedError(code, error) : error;
}

/**
 * Says goodbye to the server and does not wait for its answer: one that is gone gives none, and a connection that waits
 * for it would keep its thread from ending.
 */
export function hangUp(client: pg.Client): void {
  void client.end().catch(() => undefined);
  const socket = channels.get(client)?.socket;
  socket?.destroySoon();
  socket?.unref();
}

/** What kind of server this one is. Rejects as `login` does. */
export async function askRoleOf(upstream: Upstream, host: UpstreamHost): Promise<Role> {
  const { client } = await login(upstream, {
    hosts: [host],
    client: { query_timeout: upstream.config.connectTimeoutMs },
  });
  try {
    return await askRole(client);
  } finally {
    hangUp(client);
  }
}

/** Milliseconds a statement of ours may take and wait for locks; in the way of nobody's work for longer. */
export interface AdminLimits {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
}

const UNREACHABLE_AFTER_MS = 5_000;

const ADMIN_LIMITS: AdminLimits = { statementTimeoutMs: 30_000, lockTimeoutMs: 10_000 };

/** Opens an ordinary connection for questions and definitions. The caller ends it. Rejects as `login` does. */
export async function openAdmin(upstream: Upstream, limits: AdminLimits = ADMIN_LIMITS): Promise<pg.Client> {
  const { client } = await login(upstream, {
    client: {
      statement_timeout: limits.statementTimeoutMs,
      lock_timeout: limits.lockTimeoutMs,
      // A server that cannot be reached any more does not keep its own time limit.
      query_timeout: limits.statementTimeoutMs + UNREACHABLE_AFTER_MS,
    },
  });
  return client;
}

/** Opens an admin connection for the time of `use`. */
export async function withAdmin<T>(
  upstream: Upstream,
  use: (admin: pg.Client) => Promise<T>,
  limits: AdminLimits = ADMIN_LIMITS,
): Promise<T> {
  const admin = await openAdmin(upstream, limits);
  try {
    return await use(admin);
  } finally {
    hangUp(admin);
  }
}
