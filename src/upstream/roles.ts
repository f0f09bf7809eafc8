import type pg from 'pg';
import type { SessionAttrs } from '../postgres/connection-url.ts';

/** What kind of server a connection has reached. */
export interface Role {
  readonly isStandby: boolean;
  /** Transactions are read-only unless they ask for more; always so on a standby. */
  readonly isReadOnly: boolean;
}

export async function askRole(client: pg.ClientBase): Promise<Role> {
  // The simple protocol, which a walsender understands too.
  const { rows } = await client.query<{ is_standby: boolean; is_read_only: boolean }>(
    `SELECT pg_catalog.pg_is_in_recovery() AS is_standby,
            pg_catalog.current_setting('transaction_read_only') = 'on' AS is_read_only`,
  );
  return { isStandby: rows[0]?.is_standby === true, isReadOnly: rows[0]?.is_read_only === true };
}

/**
 * Why such a server is not what `target_session_attrs` wants, in libpq's words, or null. For prefer-standby a primary is
 * second best.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
 */
export function mismatch(wanted: SessionAttrs, role: Role): string | null {
  switch (wanted) {
    case 'any':
      return null;
    case 'read-write':
      return role.isReadOnly ? 'session is read-only' : null;
    case 'read-only':
      return role.isReadOnly ? null : 'session is not read-only';
    case 'primary':
      return role.isStandby ? IN_HOT_STANDBY : null;
    case 'standby':
    case 'prefer-standby':
      return role.isStandby ? null : NOT_IN_HOT_STANDBY;
  }
}

const IN_HOT_STANDBY = 'server is in hot standby mode';
const NOT_IN_HOT_STANDBY = 'server is not in hot standby mode';

/** The same of a session that has just learnt this alone (`in_hot_standby` of its startup). */
export function standbyMismatch(wanted: SessionAttrs, isStandby: boolean): string | null {
  if (isStandby) return wanted === 'primary' || wanted === 'read-write' ? IN_HOT_STANDBY : null;
  return wanted === 'standby' ? NOT_IN_HOT_STANDBY : null;
}
