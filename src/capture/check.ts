import type pg from 'pg';
import { must } from '../base/assert.ts';
import type { Requirement, SlotInfo } from '../model/requirement.ts';
import { qualify, quoteIdentifier } from '../postgres/identifier.ts';
import { describeFlaw, isFlawFor, TABLE_FLAW, type Flaw } from '../upstream/table-facts.ts';
import { insertsOf } from './publication.ts';
import { PLUGIN } from './slot.ts';

export interface CheckRequest {
  readonly slotName: string;
  readonly publicationName: string;
  /** Of streams; empty: there is none, and neither slot nor publication is missed. */
  readonly tableOids: readonly number[];
  /** Of these all streams take inserts only. */
  readonly insertsOnly?: ReadonlySet<number>;
}

interface Server {
  readonly version: string;
  readonly number: number;
  readonly standby: boolean;
  readonly role: string;
  readonly database: string;
  readonly can_replicate: boolean;
  readonly can_create: boolean;
  readonly bypasses_rls: boolean;
  readonly settings: Readonly<Record<string, string>>;
  readonly slots: number;
  readonly senders: number;
  readonly slot: Readonly<Record<string, string | boolean | null>> | null;
  readonly publication: boolean;
  /** Some server streams from this one, or may: what a standby keeps its place by, or is waited for by. */
  readonly has_standby: boolean;
}

/* to_jsonb, because the columns of slots differ from version to version; settings in the unit that pg_settings has. */
const SERVER = `
  SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
         pg_is_in_recovery() AS standby, current_user AS role, current_database() AS database,
         (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user)
           OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication'
                        AND pg_has_role(current_user, r.oid, 'MEMBER')) AS can_replicate,
         has_database_privilege(current_database(), 'CREATE') AS can_create,
         (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS bypasses_rls,
         (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN (
            'wal_level', 'max_replication_slots', 'max_wal_senders', 'max_slot_wal_keep_size', 'wal_sender_timeout',
            'idle_replication_slot_timeout')) AS settings,
         (SELECT count(*)::int FROM pg_replication_slots) AS slots,
         (SELECT count(*)::int FROM pg_stat_replication) AS senders,
         (SELECT to_jsonb(s) FROM pg_replication_slots s WHERE s.slot_name = $1) AS slot,
         EXISTS (SELECT FROM pg_publication WHERE pubname = $2) AS publication,
         EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = 'physical')
           OR coalesce(current_setting('synchronized_standby_slots', true), '') <> '' AS has_standby`;

interface Table {
  readonly oid: number;
  readonly schema: string | null;
  readonly name: string | null;
  readonly owner: string | null;
  readonly is_owner: boolean | null;
  readonly can_select: boolean | null;
  readonly row_security: boolean | null;
  readonly flaw: Flaw | null;
  readonly published: boolean;
}

const TABLES = `
  SELECT w.oid::bigint::float8 AS oid, n.nspname AS schema, c.relname AS name, r.rolname AS owner,
         pg_has_role(c.relowner, 'USAGE') AS is_owner, has_table_privilege(c.oid, 'SELECT') AS can_select,
         c.relrowsecurity AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')) AS row_security,
         ${TABLE_FLAW} AS flaw,
         EXISTS (SELECT FROM pg_publication p LEFT JOIN pg_publication_rel pr ON pr.prpubid = p.oid AND pr.prrelid = w.oid
                  WHERE p.pubname IN ($2, $3) AND (p.puballtables OR pr.oid IS NOT NULL)) AS published
    FROM unnest($1::oid[]) AS w(oid)
    LEFT JOIN pg_class c ON c.oid = w.oid
    LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_roles r ON r.oid = c.relowner
   ORDER BY 2, 3`;

const OLDEST_VERSION = 140_000;
const LEAST_KEEP_MB = 1_024;

/** Everything that capturing needs, whether it is there, and the SQL that brings it. Rejects with pg's errors. */
export async function checkUpstream(admin: pg.ClientBase, request: CheckRequest): Promise<Requirement[]> {
  const { slotName, publicationName, tableOids, insertsOnly } = request;
  const server = must((await admin.query<Server>(SERVER, [slotName, publicationName])).rows[0], 'one row');
  const tables = (await admin.query<Table>(TABLES, [tableOids, publicationName, insertsOf(publicationName)])).rows;
  return [
    ...serverRequirements(server),
    ...settingRequirements(server),
    ...(tableOids.length === 0 ? [] : ownRequirements(server, request)),
    ...tables.flatMap((table) =>
      tableRequirements(table, server, publicationName, insertsOnly?.has(table.oid) === true),
    ),
  ];
}

function row(requirement: string, ok: boolean, found: string, fix: string): Requirement {
  return { requirement, ok, found, fix: ok ? null : fix };
}

function serverRequirements({ version, number, standby, role, database, can_replicate, can_create }: Server) {
  const who = quoteIdentifier(role);
  return [
    row('server version is 14 or later', number >= OLDEST_VERSION, version, '-- upgrade the server'),
    row('server takes writes', !standby, standby ? 'a standby' : 'a primary', '-- name the primary in --upstream'),
    row(
      'role may replicate',
      can_replicate,
      can_replicate ? `${role} may` : `${role} has no REPLICATION`,
      `ALTER ROLE ${who} REPLICATION;`,
    ),
    row(
      'role may create publications',
      can_create,
      can_create ? `${role} may` : `${role} has no CREATE on ${database}`,
      `GRANT CREATE ON DATABASE ${quoteIdentifier(database)} TO ${who};`,
    ),
  ];
}

function settingRequirements({ settings, slots, senders, slot }: Server): Requirement[] {
  const number = (name: string): number => Number(settings[name] ?? 0);
  const maxSlots = number('max_replication_slots');
  const maxSenders = number('max_wal_senders');
  const keepMb = number('max_slot_wal_keep_size');
  const idle = number('idle_replication_slot_timeout');
  const timeoutMs = number('wal_sender_timeout');
  const level = settings['wal_level'] ?? '';
  const isOurs = slot !== null;
  const set = (name: string, value: string, restart = ' -- and restart the server'): string =>
    `ALTER SYSTEM SET ${name} = ${value};${restart}`;
  const reload = ' SELECT pg_reload_conf();';
  return [
    row('wal_level is logical', level === 'logical', level, set('wal_level', `'logical'`)),
    row(
      'a replication slot is free',
      isOurs || slots < maxSlots,
      `${slots} of ${maxSlots} in use${isOurs ? ', one of them ours' : ''}`,
      set('max_replication_slots', String(maxSlots + 5)),
    ),
    row(
      'a WAL sender is free',
      slot?.['active'] === true || senders < maxSenders,
      `${senders} of ${maxSenders} in use`,
      set('max_wal_senders', String(maxSenders + 5)),
    ),
    row(
      'max_slot_wal_keep_size leaves time for an outage',
      keepMb === -1 || keepMb >= LEAST_KEEP_MB,
      keepMb === -1 ? 'unlimited: a slot that nobody reads fills the disk' : `${keepMb} MB`,
      set('max_slot_wal_keep_size', `'50GB'`, reload),
    ),
    row(
      'slots are not dropped for being idle',
      idle === 0,
      idle === 0 ? 'never' : `after ${idle} s`,
      set('idle_replication_slot_timeout', '0', reload),
    ),
    row(
      'wal_sender_timeout is no shorter than 5 s',
      timeoutMs === 0 || timeoutMs >= 5_000,
      `${timeoutMs} ms`,
      set('wal_sender_timeout', `'60s'`, reload),
    ),
  ];
}

function ownRequirements({ slot, publication, database, has_standby }: Server, request: CheckRequest): Requirement[] {
  const { slotName, publicationName } = request;
  const anew = '-- walhook makes it anew and announces the gap; on_gap says whether streams go on';
  const status = String(slot?.['wal_status'] ?? '');
  const isInvalid =
    status === 'lost' || (slot?.['invalidation_reason'] ?? null) !== null || slot?.['conflicting'] === true;
  const isFit = slot?.['plugin'] === PLUGIN && slot['database'] === database;
  return [
    row('publication exists', publication, publication ? publicationName : `no ${publicationName}`, anew),
    row('slot exists', slot !== null, slot === null ? `no ${slotName}` : slotName, anew),
    ...(slot === null
      ? []
      : [
          row(
            'slot is one of pgoutput in this database',
            isFit,
            `${String(slot['plugin'])} in ${String(slot['database'])}`,
            `SELECT pg_drop_replication_slot('${slotName}');`,
          ),
          row('slot is valid', !isInvalid, isInvalid ? `invalidated (${status})` : 'valid', anew),
          row(
            'slot’s WAL is safe',
            status === 'reserved' || status === 'extended',
            status,
            "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();",
          ),
          ...failoverRequirement(slot, slotName, has_standby),
        ]),
  ];
}

/** Before 17 no slot has `failover`, and nothing of it can be mended; one that was made by an older walhook, or by hand, has not. */
function failoverRequirement(slot: NonNullable<Server['slot']>, slotName: string, hasStandby: boolean): Requirement[] {
  const { failover } = slot;
  if (typeof failover !== 'boolean' || (!failover && !hasStandby)) return [];
  return [
    row(
      'slot goes on on a standby that is promoted',
      failover,
      failover ? 'failover' : 'it is lost with this server',
      `-- while walhook is stopped, on a replication connection (psql "… replication=database"): ALTER_REPLICATION_SLOT ${slotName} (FAILOVER true);`,
    ),
  ];
}

function tableRequirements(
  table: Table,
  { role, bypasses_rls }: Server,
  publicationName: string,
  insertsOnly: boolean,
): Requirement[] {
  if (table.schema === null || table.name === null) {
    return [
      row(`table ${table.oid} exists`, false, 'it was dropped', '-- ALTER CDC STREAM … DROP TABLE, or DROP CDC STREAM'),
    ];
  }
  const name = qualify(table.schema, table.name);
  const who = quoteIdentifier(role);
  const isFlawed = isFlawFor(table.flaw, insertsOnly);
  const flaw = isFlawed ? describeFlaw(table.flaw) : null;
  const into = table.flaw === null || isFlawed ? publicationName : insertsOf(publicationName);
  const identity = table.flaw === null ? 'yes' : 'no, and inserts alone need none';
  const isRestricted = table.row_security === true && !bypasses_rls;
  return [
    row(
      `${name}: the role owns it`,
      table.is_owner === true,
      `owned by ${table.owner ?? ''}`,
      `GRANT ${quoteIdentifier(table.owner ?? '')} TO ${who};`,
    ),
    row(`${name}: it has a replica identity`, flaw === null, flaw?.message ?? identity, flaw?.fix ?? ''),
    row(
      `${name}: it is published`,
      table.published,
      table.published ? 'yes' : 'no',
      `ALTER PUBLICATION ${quoteIdentifier(into)} ADD TABLE ONLY ${name};`,
    ),
    row(
      `${name}: backfills may read it`,
      table.can_select === true && !isRestricted,
      isRestricted ? 'row security hides rows' : table.can_select === true ? 'yes' : 'no SELECT',
      isRestricted ? `ALTER ROLE ${who} BYPASSRLS;` : `GRANT SELECT ON ${name} TO ${who};`,
    ),
  ];
}

/** The slots as an operator wants to see them, by database; without those that there are not. */
export async function describeSlots(admin: pg.ClientBase, names: readonly string[]): Promise<readonly SlotInfo[]> {
  const { rows } = await admin.query<SlotInfo>(
    `SELECT s.slot_name AS "slotName", s.database, s.active AS "isActive", s.active_pid AS "activePid",
            s.wal_status AS "walStatus", s.confirmed_flush_lsn::text AS "confirmedLsn", s.restart_lsn::text AS "restartLsn",
            (e.lsn - s.confirmed_flush_lsn)::float8 AS "lagBytes", (e.lsn - s.restart_lsn)::float8 AS "retainedBytes",
            s.safe_wal_size::float8 AS "safeWalBytes"
       FROM pg_catalog.pg_replication_slots s
       CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END) AS e(lsn)
      WHERE s.slot_name = ANY ($1::text[]) ORDER BY s.database`,
    [names],
  );
  return rows;
}
