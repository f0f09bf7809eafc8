import { nearest } from '../base/nearest.ts';
import type { StreamTable } from '../model/stream.ts';
import { asciiLiteral, qualify, quoteIdentifier } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { QualifiedName } from '../sql/command.ts';
import { describeFlaw, isFlawFor, TABLE_FACTS, type TableFacts } from '../upstream/table-facts.ts';
import { ADMIN_ROLE, isMemberQuestion } from './privileges.ts';
import { senseless, type Questioner } from './question.ts';

/** The table of a CREATE as the client's own session sees it, and who asks. */
export interface ResolvedTable {
  readonly table: StreamTable;
  readonly database: string;
  /** The client's `current_user`. */
  readonly role: string;
}

interface Row extends TableFacts {
  readonly may_select: boolean;
  readonly is_owner: boolean;
  readonly is_admin: boolean | null;
  readonly database: string;
  readonly role: string;
}

/**
 * Resolves the name by the client's search path and privileges. Raises 42P01, 42809 for what is no ordinary or partitioned table, 42501 for lack of SELECT, ownership or
 * `cdc_admin`, 55000 for a table that cannot be published without harm (`Flaw`) to a stream; `insertsOnly`: that takes nothing
 * but inserts.
 */
export async function resolveTable(
  name: QualifiedName,
  insertsOnly: boolean,
  questioner: Questioner,
): Promise<ResolvedTable> {
  const written = name.schema === null ? quoteIdentifier(name.name) : qualify(name.schema, name.name);
  const row = (await questioner.ask(tableQuestion(written))) as Row | null;
  if (row === null) {
    const shown = name.schema === null ? name.name : `${name.schema}.${name.name}`;
    const near = nearest(name.name, await tableNames(name.schema, questioner));
    const hint = near === null ? undefined : `did you mean "${near}"?`;
    throw new PgError('undefined_table', `relation "${shown}" does not exist`, { hint, position: name.position });
  }
  const named = [row.schema, row.name, row.database, row.role];
  if (typeof row.oid !== 'number' || named.some((each) => typeof each !== 'string')) throw senseless();
  checkKind(row, name.position);
  checkPrivileges(row);
  checkFlaw(row, insertsOnly, name.position);
  return {
    table: { oid: row.oid, schema: row.schema, name: row.name, keyColumns: row.key ?? [], columns: null, where: null },
    database: row.database,
    role: row.role,
  };
}

/** The OID of what the name means to the client's session, or null. */
export async function resolveName(name: QualifiedName, questioner: Questioner): Promise<number | null> {
  const written = name.schema === null ? quoteIdentifier(name.name) : qualify(name.schema, name.name);
  const oid = await questioner.ask(
    `pg_catalog.to_json(CAST(CAST(pg_catalog.to_regclass(${asciiLiteral(written)}) AS pg_catalog.oid) AS pg_catalog.int8))`,
  );
  return typeof oid === 'number' ? oid : null;
}

/** Of these OIDs those that a relation has. */
export async function existing(oids: readonly number[], questioner: Questioner): Promise<readonly unknown[]> {
  const found =
    await questioner.ask(`(SELECT pg_catalog.json_agg(CAST(c.oid AS pg_catalog.int8)) FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) ANY (CAST('{${oids.join(',')}}' AS pg_catalog.oid[])))`);
  return Array.isArray(found) ? found : [];
}

/** Tables that may be meant where a name is wrong: of the schema, or of the search path. */
async function tableNames(schema: string | null, questioner: Questioner): Promise<readonly string[]> {
  const isMeant =
    schema === null
      ? 'pg_catalog.pg_table_is_visible(c.oid)'
      : `n.nspname OPERATOR(pg_catalog.=) ${asciiLiteral(schema)}`;
  const names = await questioner.ask(`(SELECT pg_catalog.json_agg(t.relname) FROM (
    SELECT c.relname FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY (CAST('{r,p}' AS "char"[])) AND NOT c.relispartition
      AND n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog' AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
      AND ${isMeant}
    LIMIT ${MAX_CANDIDATES}) AS t)`);
  return Array.isArray(names) ? names.filter((each) => typeof each === 'string') : [];
}

const MAX_CANDIDATES = 1_000;

/** A JSON object, or null where there is no such relation. Everything is qualified: see `Questioner.ask`. */
function tableQuestion(written: string): string {
  return `(
SELECT pg_catalog.json_build_object(${TABLE_FACTS},
  'may_select', pg_catalog.has_table_privilege(c.oid, 'SELECT'),
  'is_owner', pg_catalog.pg_has_role(c.relowner, 'USAGE'),
  'is_admin', (${isMemberQuestion(ADMIN_ROLE)}),
  'database', pg_catalog.current_database(), 'role', current_user)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) CAST(pg_catalog.to_regclass(${asciiLiteral(written)}) AS pg_catalog.oid))`;
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

function checkFlaw({ flaw }: Row, insertsOnly: boolean, position: number): void {
  if (!isFlawFor(flaw, insertsOnly)) return;
  const { message, detail, hint } = describeFlaw(flaw);
  throw new PgError('object_not_in_prerequisite_state', message, { detail, hint, position });
}
