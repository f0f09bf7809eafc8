import pg from 'pg';
import type { UpstreamConfig } from './upstream-config.ts';

/** `application_name` of every connection of ours, so that an operator can tell them in `pg_stat_activity`. */
export const APPLICATION_NAME = 'walhook';

/*
  How values look as text depends on these settings, and a role may carry others (ALTER ROLE … SET). Pinned in the
  startup packet, which beats them, on every connection whose rows or changes we read, so that a change and a backfill
  of the same row give the same bytes; the search path because a regclass is written with its schema or without it.
  client_encoding = UTF8 is sent by pg itself.
*/
const PINNED_SETTINGS =
  '-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC -c bytea_output=hex ' +
  '-c search_path=pg_catalog';

const CONNECT_TIMEOUT_MS = 10_000;

/** What `pg` is to be told for a connection of ours. */
export function clientConfig(upstream: UpstreamConfig): pg.ClientConfig {
  return {
    host: upstream.host,
    port: upstream.port,
    user: upstream.user,
    password: upstream.password,
    database: upstream.database,
    ssl: upstream.ssl,
    application_name: APPLICATION_NAME,
    options: PINNED_SETTINGS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
}

/** Milliseconds a statement of ours may take and wait for locks; in the way of nobody's work for longer. */
export interface AdminLimits {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
}

const UNREACHABLE_AFTER_MS = 5_000;

const ADMIN_LIMITS: AdminLimits = { statementTimeoutMs: 30_000, lockTimeoutMs: 10_000 };

/**
 * Opens an ordinary connection for questions and definitions. The caller ends it. Rejects with pg's errors (`code` is
 * the SQLSTATE, or the system's error).
 */
export async function openAdmin(upstream: UpstreamConfig, limits: AdminLimits = ADMIN_LIMITS): Promise<pg.Client> {
  const client = new pg.Client({
    ...clientConfig(upstream),
    statement_timeout: limits.statementTimeoutMs,
    lock_timeout: limits.lockTimeoutMs,
    // A server that cannot be reached any more does not keep its own time limit.
    query_timeout: limits.statementTimeoutMs + UNREACHABLE_AFTER_MS,
  });
  // The connection may break while nobody waits for an answer; the next query then fails and says so.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Opens an admin connection for the time of `use`. */
export async function withAdmin<T>(
  upstream: UpstreamConfig,
  use: (admin: pg.Client) => Promise<T>,
  limits: AdminLimits = ADMIN_LIMITS,
): Promise<T> {
  const admin = await openAdmin(upstream, limits);
  try {
    return await use(admin);
  } finally {
    // Not waited for: a server that is gone does not say goodbye.
    void admin.end().catch(() => undefined);
  }
}
