import type pg from 'pg';
import { must } from '../base/assert.ts';
import { IN_SCOPE } from './table-facts.ts';

/** An owner of tables whose privileges the role that asks has not. */
export interface ForeignOwner {
  readonly owner: string;
  /** The role that asks. */
  readonly role: string;
  readonly tables: number;
}

/** Owners that are told of at a time: there may be one for each customer of a database. */
const MAX_OWNERS = 20;

/**
 * Of tables that streams may be on, the owners whose privileges the role has not, those of most tables first; without the owners
 * of `oids`, and without tables of extensions, which are not the application's. Rejects with pg's errors.
 */
export async function foreignOwners(admin: pg.ClientBase, oids: readonly number[]): Promise<readonly ForeignOwner[]> {
  const { rows } = await admin.query<ForeignOwner>(
    `SELECT r.rolname AS owner, current_user AS role, count(*)::int AS tables
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
      WHERE ${IN_SCOPE} AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
        AND c.relowner NOT IN (SELECT o.relowner FROM pg_catalog.pg_class o WHERE o.oid = ANY ($1::oid[]))
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      GROUP BY r.rolname ORDER BY count(*) DESC, r.rolname LIMIT ${MAX_OWNERS}`,
    [oids],
  );
  return rows;
}

/** A table that the role cannot publish. */
export interface ForeignTable {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
}

/** What the role lacks to publish tables. */
export interface PublishingFacts {
  readonly role: string;
  readonly database: string;
  /** There is no publication, and the role may not make it. */
  readonly lacks_create: boolean;
  /** Of the tables those that no publication of the names has, and whose owner's privileges the role has not. */
  readonly foreign: readonly ForeignTable[];
}

/** Why tables cannot be published, as far as it is for lack of a privilege. Rejects with pg's errors. */
export async function askPublishing(
  admin: pg.ClientBase,
  publications: readonly string[],
  oids: readonly number[],
): Promise<PublishingFacts> {
  const { rows } = await admin.query<PublishingFacts>(
    `SELECT current_user AS role, current_database() AS database,
            NOT pg_catalog.has_database_privilege(current_database(), 'CREATE')
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = $1) AS lacks_create,
            (SELECT COALESCE(json_agg(json_build_object('schema', n.nspname, 'name', c.relname, 'owner', r.rolname)
                                      ORDER BY n.nspname, c.relname), '[]')
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
              WHERE c.oid = ANY ($3::oid[]) AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
                AND NOT EXISTS (
                  SELECT FROM pg_catalog.pg_publication p
                    LEFT JOIN pg_catalog.pg_publication_rel l ON l.prpubid = p.oid AND l.prrelid = c.oid
                   WHERE p.pubname = ANY ($2::text[]) AND (p.puballtables OR l.oid IS NOT NULL))) AS foreign`,
    [publications[0], publications, oids],
  );
  return must(rows[0], 'one row');
}
