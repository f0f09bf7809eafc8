import type pg from 'pg';
import { qualify, quoteIdentifier, quoteLiteral } from '../postgres/identifier.ts';
import { PgError, SQLSTATE } from '../postgres/sqlstate.ts';

/** The publication's name, unless a DBA has made another. */
export const PUBLICATION = 'walhook';

/**
 * Makes the publication if it is missing: no tables yet, and partitioned tables as one. It must exist before the slot,
 * as the server looks for it in the catalog as it was at the slot's position.
 */
export async function ensurePublication(admin: pg.ClientBase, name: string): Promise<void> {
  if (await hasPublication(admin, name)) return;
  try {
    await admin.query(`CREATE PUBLICATION ${quoteIdentifier(name)} WITH (publish_via_partition_root = true)`);
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
  await admin.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`);
}

/** Adds the table, which is looked up by its OID, unless the publication covers it already. */
export async function addTable(admin: pg.ClientBase, publication: string, tableOid: number): Promise<void> {
  const table = await tableName(admin, tableOid);
  if (table === null) throw new PgError('undefined_table', 'the table does not exist any more');
  if ((await membership(admin, publication, tableOid)) !== 'none') return;
  try {
    await admin.query(`ALTER PUBLICATION ${quoteIdentifier(publication)} ADD TABLE ${table}`);
  } catch (error) {
    if ((error as { code?: unknown }).code !== SQLSTATE.duplicate_object) throw error;
  }
}

/** Takes the table out, if it is in by itself; a table that is gone has left the publication already. */
export async function removeTable(admin: pg.ClientBase, publication: string, tableOid: number): Promise<void> {
  const table = await tableName(admin, tableOid);
  if (table === null || (await membership(admin, publication, tableOid)) !== 'listed') return;
  await admin.query(`ALTER PUBLICATION ${quoteIdentifier(publication)} DROP TABLE ${table}`);
}

/** The tables that the publication lists by name, as OIDs in ascending order. */
export async function listedTables(admin: pg.ClientBase, publication: string): Promise<number[]> {
  const { rows } = await admin.query<{ oid: string }>(
    `SELECT r.prrelid::bigint AS oid
       FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
      WHERE p.pubname = $1 ORDER BY 1`,
    [publication],
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
