import type pg from 'pg';

/** What capture needs to know of a server before it asks it for anything. */
export interface ServerFacts {
  readonly walLevel: string;
  /** `server_version_num`: 150018 for 15.18. */
  readonly versionNumber: number;
  readonly databaseOid: number;
  /** Superuser, REPLICATION, or a member of a provider's replication role. */
  readonly canReplicate: boolean;
  readonly maxReplicationSlots: number;
  readonly freeReplicationSlots: number;
  /** 0: the server waits for ever. */
  readonly walSenderTimeoutMs: number;
}

/*
  A provider may forbid ALTER ROLE … REPLICATION and have a role of its own for it: rds_replication (Amazon). Whether
  the role really may is known for certain only when it connects.
*/
const FACTS = `
  SELECT current_setting('wal_level') AS wal_level,
         current_setting('server_version_num')::int AS version_number,
         (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database_oid,
         (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user)
           OR EXISTS (SELECT FROM pg_roles
                       WHERE rolname = 'rds_replication' AND pg_has_role(current_user, oid, 'MEMBER')) AS can_replicate,
         current_setting('max_replication_slots')::int AS max_slots,
         (SELECT count(*)::int FROM pg_replication_slots) AS used_slots,
         (SELECT setting::int FROM pg_settings WHERE name = 'wal_sender_timeout') AS wal_sender_timeout_ms`;

interface FactsRow {
  wal_level: string;
  version_number: number;
  database_oid: string;
  can_replicate: boolean;
  max_slots: number;
  used_slots: number;
  wal_sender_timeout_ms: number;
}

/** Asks for all of them in one round trip. Rejects with pg's errors. */
export async function askServer(client: pg.ClientBase): Promise<ServerFacts> {
  const row = (await client.query<FactsRow>(FACTS)).rows[0]!;
  return {
    walLevel: row.wal_level,
    versionNumber: row.version_number,
    databaseOid: Number(row.database_oid),
    canReplicate: row.can_replicate,
    maxReplicationSlots: row.max_slots,
    freeReplicationSlots: row.max_slots - row.used_slots,
    walSenderTimeoutMs: row.wal_sender_timeout_ms,
  };
}
