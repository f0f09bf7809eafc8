import type pg from 'pg';
import { qualify, quoteIdentifier, quoteLiteral } from '../postgres/identifier.ts';
import { PgError, SQLSTATE } from '../postgres/sqlstate.ts';
import { askServer } from '../upstream/questions.ts';

/** The publication's name, unless a DBA has made another. */
export const PUBLICATION = 'walhook';

/**
 * Beside it: of tables without a replica identity, for streams that take inserts only. What is published of them here has
 * PostgreSQL refuse nothing.
 */
export function insertsOf(publication: string): string {
  return `${publication}_inserts`;
}

/** Since 18. https://www.postgresql.org/docs/current/logical-replication-gencols.html */
const WITH_GENERATED = 'publish_generated_columns = stored';

/**
 * Makes the publication if it is missing: no tables yet, and partitioned tables as one. It must exist before the slot,
 * as the server looks for it in the catalog as it was at the slot's position.
 */
export async function ensurePublication(admin: pg.ClientBase, name: string): Promise<void> {
  const { rows } = await admin.query<{ generated: string | null }>(
    `SELECT to_jsonb(p) ->> 'pubgencols' AS generated FROM pg_catalog.pg_publication p WHERE pubname = $1`,
    [name],
  );
  const [found] = rows;
  // Made by an older version: with REPLICA IDENTITY FULL, updates fail where a generated column is not published.
  if (found?.generated === 'n') await admin.query(`ALTER PUBLICATION ${quoteIdentifier(name)} SET (${WITH_GENERATED})`);
  if (found !== undefined) return;
  const generated = (await askServer(admin)).versionNumber >= 180_000 ? `, ${WITH_GENERATED}` : '';
  await create(admin, name, `publish_via_partition_root = true${generated}`);
}

/** The same of the one for inserts. Not where the slot is there already: the server would miss it at the slot's position. */
export async function ensureInsertsPublication(admin: pg.ClientBase, name: string): Promise<void> {
  const inserts = insertsOf(name);
  if (await hasPublication(admin, inserts)) return;
  await create(admin, inserts, `publish = 'insert, truncate', publish_via_partition_root = true`);
}

async function create(admin: pg.ClientBase, name: string, options: string): Promise<void> {
  try {
    await admin.query(`CREATE PUBLICATION ${quoteIdentifier(name)} WITH (${options})`);
  } catch (error) {
    // Somebody else was quicker.
    if ((error as { code?: unknown }).code !== SQLSTATE.duplicate_object) throw error;
  }
}

/** Also for a walsender, which takes no parameters. */
export async function hasPublication(client: pg.ClientBase, name: string): Promise<boolean> {
  const sql = `SELECT FROM pg_catalog.pg_publication WHERE pubname = ${quoteLiteral(name)}`;
  return (await client.query(sql)).rowCount === 1;
}

export async function dropPublication(admin: pg.ClientBase, name: string): Promise<void> {
  await admin.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}, ${quoteIdentifier(insertsOf(name))}`);
}

/** Adds the table, which is looked up by its OID, unless the publication covers it already. Its heirs are tables of their own. */
export async function addTable(admin: pg.ClientBase, publication: string, tableOid: number): Promise<void> {
  const table = await tableName(admin, tableOid);
  if (table === null) throw new PgError('undefined_table', 'the table does not exist any more');
  if ((await membership(admin, publication, tableOid)) !== 'none') return;
  try {
    await admin.query(`ALTER PUBLICATION ${quoteIdentifier(publication)} ADD TABLE ONLY ${table}`);
  } catch (error) {
    if ((error as { code?: unknown }).code !== SQLSTATE.duplicate_object) throw error;
  }
}

/** Puts the options back that `ensurePublication` makes it with, by default or not. Rejects with pg's errors. */
export async function restoreOptions(admin: pg.ClientBase, name: string): Promise<void> {
  const options = `publish = 'insert, update, delete, truncate', publish_via_partition_root = true`;
  await admin.query(`ALTER PUBLICATION ${quoteIdentifier(name)} SET (${options})`);
}

/** Takes tables out that are published with some of their rows or columns alone. Rejects with pg's errors. */
export async function removeRestricted(admin: pg.ClientBase, name: string, oids: readonly number[]): Promise<void> {
  const { rows } = await admin.query<{ oid: string }>(
    `SELECT r.prrelid::bigint AS oid
       FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
      WHERE p.pubname = $1 AND coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') IS NOT NULL`,
    [name],
  );
  const restricted = rows.map(({ oid }) => Number(oid));
  for (const oid of restricted) if (oids.includes(oid)) await removeTable(admin, name, oid);
}

/** Takes the table out, if it is in by itself; a table that is gone has left the publication already. */
export async function removeTable(admin: pg.ClientBase, publication: string, tableOid: number): Promise<void> {
  const table = await tableName(admin, tableOid);
  if (table === null || (await membership(admin, publication, tableOid)) !== 'listed') return;
  await admin.query(`ALTER PUBLICATION ${quoteIdentifier(publication)} DROP TABLE ONLY ${table}`);
}

/** The tables that the publication lists by name, or the one for inserts beside it, as OIDs in ascending order. */
export async function listedTables(admin: pg.ClientBase, publication: string): Promise<number[]> {
  const { rows } = await admin.query<{ oid: string }>(
    `SELECT DISTINCT r.prrelid::bigint AS oid
       FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
      WHERE p.pubname IN ($1, $2) ORDER BY 1`,
    [publication, insertsOf(publication)],
  );
  return rows.map(({ oid }) => Number(oid));
}

async function membership(
  admin: pg.ClientBase,
  publication: string,
  tableOid: number,
): Promise<'none' | 'listed' | 'all-tables'> {
  const { rows } = await admin.query<{ all_tables: boolean; listed: boolean }>(
    `SELECT p.puballtables AS all_tables,
            EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = $2) AS listed
       FROM pg_catalog.pg_publication p WHERE p.pubname = $1`,
    [publication, tableOid],
  );
  if (rows[0]?.all_tables === true) return 'all-tables';
  return rows[0]?.listed === true ? 'listed' : 'none';
}

/** `schema.table`, quoted, by the OID: the name may have changed since somebody looked it up. Null: no such table. */
async function tableName(admin: pg.ClientBase, tableOid: number): Promise<string | null> {
  const { rows } = await admin.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = $1`,
    [tableOid],
  );
  return rows[0] === undefined ? null : qualify(rows[0].schema, rows[0].name);
}
