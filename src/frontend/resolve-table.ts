import type { StreamTable } from '../model/stream.ts';
import { qualify, quoteIdentifier } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { QualifiedName } from '../sql/command.ts';
import { asciiLiteral, type Questioner } from './question.ts';

/** The table of a CREATE as the client's own session sees it, and who asks. */
export interface ResolvedTable {
  readonly table: StreamTable;
  readonly database: string;
  /** The client's `current_user`. */
  readonly role: string;
}

/** The role whose members may create and change every stream, where there is one. */
export const ADMIN_ROLE = 'cdc_admin';

interface Row {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly persistence: string;
  readonly is_partition: boolean;
  readonly is_system: boolean;
  readonly replica_identity: string;
  readonly has_identity_index: boolean;
  readonly key: readonly string[] | null;
  readonly may_select: boolean;
  readonly is_owner: boolean;
  readonly is_admin: boolean | null;
  readonly database: string;
  readonly role: string;
}

/**
 * Resolves the name by the client's search path and privileges. Raises 42P01, 42809 for what is no ordinary or partitioned table, 42501 for lack of SELECT, ownership or
 * `cdc_admin`, 55000 for a table whose updates and deletes could not be told apart.
 */
export async function resolveTable(name: QualifiedName, questioner: Questioner): Promise<ResolvedTable> {
  const written = name.schema === null ? quoteIdentifier(name.name) : qualify(name.schema, name.name);
  const row = (await questioner.ask(tableQuestion(written))) as Row | null;
  if (row === null) {
    const shown = name.schema === null ? name.name : `${name.schema}.${name.name}`;
    throw new PgError('undefined_table', `relation "${shown}" does not exist`, { position: name.position });
  }
  checkKind(row, name.position);
  checkPrivileges(row);
  checkReplicaIdentity(row, name.position);
  return {
    table: { oid: row.oid, schema: row.schema, name: row.name, keyColumns: row.key ?? [] },
    database: row.database,
    role: row.role,
  };
}

/** A JSON object, or null where there is no such relation. Everything is qualified: see `Questioner.ask`. */
function tableQuestion(written: string): string {
  return `(
SELECT pg_catalog.json_build_object(
  'oid', CAST(c.oid AS pg_catalog.int8), 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'persistence', c.relpersistence, 'is_partition', c.relispartition, 'replica_identity', c.relreplident,
  'is_system', n.nspname OPERATOR(pg_catalog.=) 'pg_catalog' OR n.nspname OPERATOR(pg_catalog.=) 'information_schema',
  'has_identity_index', EXISTS (SELECT FROM pg_catalog.pg_index i
    WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisreplident),
  'key', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(CAST(i.indkey AS pg_catalog.int2[]))) WITH ORDINALITY AS k(number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.=) k.number
    WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisprimary
      AND k.place OPERATOR(pg_catalog.<=) CAST(i.indnkeyatts AS pg_catalog.int8)),
  'may_select', pg_catalog.has_table_privilege(c.oid, 'SELECT'),
  'is_owner', pg_catalog.pg_has_role(c.relowner, 'USAGE'),
  'is_admin', (${isAdminQuestion()}),
  'database', pg_catalog.current_database(), 'role', current_user)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) CAST(pg_catalog.to_regclass(${asciiLiteral(written)}) AS pg_catalog.oid))`;
}

/** A query of one boolean, or of no row where the role does not exist. */
export function isAdminQuestion(): string {
  return `SELECT pg_catalog.pg_has_role(r.oid, 'USAGE') FROM pg_catalog.pg_roles r
    WHERE r.rolname OPERATOR(pg_catalog.=) '${ADMIN_ROLE}'`;
}

const KINDS: Readonly<Record<string, string>> = {
  c: 'a composite type',
  f: 'a foreign table',
  i: 'an index',
  I: 'a partitioned index',
  m: 'a materialized view',
  S: 'a sequence',
  t: 'a TOAST table',
  v: 'a view',
};

function checkKind(row: Row, position: number): void {
  const refuse = (what: string, hint?: string): PgError =>
    new PgError('wrong_object_type', `cannot capture changes of "${row.name}"`, {
      detail: `It is ${what}, not a table whose changes are logged.`,
      hint,
      position,
    });
  const kind = KINDS[row.kind];
  if (kind !== undefined) throw refuse(kind);
  if (row.is_system) throw refuse('a system table');
  if (row.persistence === 't') throw refuse('a temporary table');
  if (row.persistence === 'u') {
    const statement = `ALTER TABLE ${qualify(row.schema, row.name)} SET LOGGED;`;
    throw refuse('an unlogged table', statement);
  }
  if (row.is_partition) throw refuse('a partition', 'Create the stream on the partitioned table.');
}

function checkPrivileges(row: Row): void {
  if (!row.may_select) throw new PgError('insufficient_privilege', `permission denied for table ${row.name}`);
  if (row.is_owner || row.is_admin === true) return;
  throw new PgError('insufficient_privilege', `must be owner of table ${row.name}`, {
    hint: `Members of the role ${ADMIN_ROLE} may create streams on tables of others.`,
  });
}

/** https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-REPLICA-IDENTITY */
function checkReplicaIdentity(row: Row, position: number): void {
  const isUsable =
    row.replica_identity === 'f' ||
    (row.replica_identity === 'd' && row.key !== null) ||
    (row.replica_identity === 'i' && row.has_identity_index);
  if (isUsable) return;
  const table = qualify(row.schema, row.name);
  const statement =
    row.key === null
      ? `ALTER TABLE ${table} ADD PRIMARY KEY (…); or, without a key, ALTER TABLE ${table} REPLICA IDENTITY FULL;`
      : `ALTER TABLE ${table} REPLICA IDENTITY DEFAULT;`;
  throw new PgError('object_not_in_prerequisite_state', `table "${row.name}" has no replica identity`, {
    detail: 'Its updates and deletes would be refused by Postgres while it is published.',
    hint: statement,
    position,
  });
}
