import type { CatalogControl } from '../model/catalog-control.ts';
import type { ObjectKind } from '../model/staged-change.ts';
import { asciiLiteral } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { Command } from '../sql/command.ts';
import { senseless, type Questioner } from './question.ts';
import type { StagedTransaction } from './staged-transaction.ts';
import { onlyShows, tagOf } from './tags.ts';

/** The role whose members may create and change everything, where there is one. So may superusers. */
export const ADMIN_ROLE = 'cdc_admin';
/** The role whose members see everything but what events have in them. */
const VIEWER_ROLE = 'cdc_viewer';

/** A query of one boolean, or of no row where the role does not exist. */
export function isMemberQuestion(role: string): string {
  return `SELECT pg_catalog.pg_has_role(r.oid, 'USAGE') FROM pg_catalog.pg_roles r
    WHERE r.rolname OPERATOR(pg_catalog.=) '${role}'`;
}

/** What the client may do as who it is upstream. */
export interface Standing {
  readonly isAdmin: boolean;
  readonly isViewer: boolean;
  /** Whether it has the privileges of that role, which may be gone. */
  owns(owner: string): boolean;
}

/** Asks the client's session, once, about all of the owners. */
export async function standingOf(owners: Iterable<string>, questioner: Questioner): Promise<Standing> {
  const asked = [...new Set(owners)];
  const owned = `SELECT pg_catalog.json_agg(r.rolname) FROM pg_catalog.pg_roles r
    WHERE r.rolname OPERATOR(pg_catalog.=) ANY (CAST(ARRAY[${asked.map(asciiLiteral).join(', ')}] AS pg_catalog.name[]))
      AND pg_catalog.pg_has_role(r.oid, 'USAGE')`;
  const answer = (await questioner.ask(`pg_catalog.json_build_object(
    'admin', COALESCE((${isMemberQuestion(ADMIN_ROLE)}), false)
      OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user),
    'viewer', COALESCE((${isMemberQuestion(VIEWER_ROLE)}), false),
    'owned', (${owned}))`)) as { admin?: unknown; viewer?: unknown; owned?: readonly string[] | null } | null;
  if (typeof answer?.admin !== 'boolean' || typeof answer.viewer !== 'boolean') throw senseless();
  const isAdmin = answer.admin;
  const roles = new Set(answer.owned ?? []);
  return { isAdmin, isViewer: answer.viewer, owns: (owner) => isAdmin || roles.has(owner) };
}

/** What privileges are asked with. */
export interface PrivilegeContext {
  readonly control: CatalogControl;
  readonly staged: StagedTransaction;
  readonly questioner: Questioner;
}

/** 42501 unless each of the names that exist belongs to the client, or it is an administrator. */
export async function requireOwnership(
  kind: ObjectKind,
  names: readonly string[],
  { control, staged, questioner }: PrivilegeContext,
): Promise<void> {
  const owners = names.map((name) => [name, control.ownerOf(kind, name, staged.transaction)] as const);
  // What is to be said of one that does not exist, the catalog says.
  const existing = owners.flatMap(([name, owner]) => (owner === null ? [] : [{ name, owner }]));
  if (existing.length === 0) return;
  const standing = await standingOf(
    existing.map(({ owner }) => owner),
    questioner,
  );
  const foreign = existing.find(({ owner }) => !standing.owns(owner));
  if (foreign === undefined) return;
  throw new PgError('insufficient_privilege', `must be owner of CDC ${kind} ${foreign.name}`, {
    hint: `Members of the role ${ADMIN_ROLE} may change ${kind}s of others.`,
  });
}

/** 42501 for everybody but administrators. */
export async function requireAdmin(what: string, why: string, questioner: Questioner): Promise<void> {
  const { isAdmin } = await standingOf([], questioner);
  if (isAdmin) return;
  throw new PgError('insufficient_privilege', `permission denied to ${what}`, {
    detail: why,
    hint: `Superusers and members of the role ${ADMIN_ROLE} may.`,
  });
}

/** 42501 unless the client may see a thing of that owner's. */
export function requireVisible(standing: Standing, kind: ObjectKind, name: string, owner: string): void {
  if (standing.isViewer || standing.owns(owner)) return;
  throw new PgError('insufficient_privilege', `permission denied for CDC ${kind} ${name}`, {
    hint: `Its owner and members of the roles ${ADMIN_ROLE} and ${VIEWER_ROLE} may see it.`,
  });
}

/** The client's `current_user`; 25006 where its transaction is read-only, as on a standby every one is, unless the command only shows. */
export async function writableRole(command: Command, questioner: Questioner): Promise<string> {
  const { role, setting } = (await questioner.ask(`pg_catalog.json_build_object(
    'role', current_user, 'setting', pg_catalog.current_setting('transaction_read_only'))`)) as Record<string, unknown>;
  if (typeof role !== 'string') throw senseless();
  if (setting !== 'on' || onlyShows(command)) return role;
  const message = `cannot execute ${tagOf(command)} in a read-only transaction`;
  throw new PgError('read_only_sql_transaction', message);
}

/** Since version 16 a member may be one that cannot become the role: https://www.postgresql.org/docs/current/sql-grant.html */
const MAY_SET = `CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 160000
  THEN 'SET' ELSE 'MEMBER' END`;

/** A role as OWNER TO takes it, as of a table: https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES */
export async function assignableRole(
  role: { readonly kind: 'name'; readonly name: string } | { readonly kind: 'current_user' | 'session_user' },
  questioner: Questioner,
): Promise<string> {
  const asked = role.kind === 'name' ? asciiLiteral(role.name) : role.kind;
  const found = (await questioner.ask(`(
    SELECT pg_catalog.json_build_object('name', r.rolname, 'may', pg_catalog.pg_has_role(r.oid, ${MAY_SET}))
    FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) ${asked})`)) as Record<string, unknown> | null;
  if (found === null && role.kind === 'name') {
    throw new PgError('undefined_object', `role "${role.name}" does not exist`);
  }
  if (typeof found?.name !== 'string') throw senseless();
  if (found.may === true) return found.name;
  throw new PgError('insufficient_privilege', `must be able to SET ROLE "${found.name}"`);
}
