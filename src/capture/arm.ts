import type pg from 'pg';
import { parseLsn, type Lsn } from '../postgres/lsn.ts';
import { must } from '../base/assert.ts';
import { qualify } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { faultOf } from './fault.ts';
import { addTable, dropPublication, ensurePublication, removeTable } from './publication.ts';
import { createSlot, dropSlot, findSlot } from './slot.ts';

/** The slot and the publication of one captured database. */
export interface CaptureNames {
  readonly slotName: string;
  readonly publicationName: string;
}

export interface ArmRequest extends CaptureNames {
  readonly tableOid: number;
  /**
   * No stream exists yet, so a missing slot is no loss and is created. Where there are streams, a missing slot means
   * that changes were lost, and creating it anew would hide that. The log must be empty then (`ChangeLog.reset`).
   */
  readonly isFirst: boolean;
}

/**
 * Has the table captured. Returns an LSN such that every transaction that begins after this and commits at or after that
 * LSN is captured. Throws `PgError`: 55000 where capture is impossible (wal_level, no free slot, a table without
 * replica identity, …), 42501 for lack of a privilege, 42P01 for a table that is gone.
 */
export async function armTable(admin: pg.ClientBase, request: ArmRequest): Promise<Lsn> {
  const { slotName, publicationName, tableOid, isFirst } = request;
  try {
    const slot = await findSlot(admin, slotName);
    if (slot === null && !isFirst) throw slotMissing(slotName);
    await requireReplicaIdentity(admin, tableOid);
    // The publication before the slot, and the table before the position: each is looked up as it was at a change.
    await ensurePublication(admin, publicationName);
    await addTable(admin, publicationName, tableOid);
    if (slot === null) await createSlot(admin, slotName);
    const { rows } = await admin.query<{ lsn: string }>('SELECT pg_catalog.pg_current_wal_insert_lsn()::text AS lsn');
    return must(parseLsn(rows[0]?.lsn ?? ''), 'the server has a position');
  } catch (error) {
    throw armError(error);
  }
}

/** Takes the table out of the publication; the slot stays for the other streams. Throws `PgError`. */
export async function disarmTable(admin: pg.ClientBase, publicationName: string, tableOid: number): Promise<void> {
  try {
    await removeTable(admin, publicationName, tableOid);
  } catch (error) {
    throw armError(error);
  }
}

/** Drops slot and publication, for when the last stream goes. Capture must have stopped. Throws `PgError`. */
export async function dropAll(admin: pg.ClientBase, { slotName, publicationName }: CaptureNames): Promise<void> {
  try {
    await dropSlot(admin, slotName);
    await dropPublication(admin, publicationName);
  } catch (error) {
    throw armError(error);
  }
}

function slotMissing(slotName: string): PgError {
  return new PgError('object_not_in_prerequisite_state', `the replication slot ${slotName} does not exist any more`, {
    detail: 'Changes of the existing streams were lost with it.',
    hint: 'Drop the existing streams and create them again.',
  });
}

/*
  An UPDATE or DELETE on a published table without replica identity fails: the application would break because a stream
  was created. Of a partitioned table the leaves count.
*/
const WITHOUT_IDENTITY = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE (c.oid = $1 OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::oid::regclass)))
     AND c.relkind = 'r'
     AND NOT CASE c.relreplident
           WHEN 'f' THEN true
           WHEN 'd' THEN EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
           WHEN 'i' THEN EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)
           ELSE false
         END
   ORDER BY 1, 2
   LIMIT 1`;

async function requireReplicaIdentity(admin: pg.ClientBase, tableOid: number): Promise<void> {
  const [table] = (await admin.query<{ schema: string; name: string }>(WITHOUT_IDENTITY, [tableOid])).rows;
  if (table === undefined) return;
  const name = qualify(table.schema, table.name);
  throw new PgError('object_not_in_prerequisite_state', `table ${name} has no replica identity`, {
    detail: 'PostgreSQL would refuse every UPDATE and DELETE on it once its changes are published.',
    hint: `Give it a primary key, or run: ALTER TABLE ${name} REPLICA IDENTITY FULL`,
  });
}

/** What a SQL client is told: never the upstream's own classes 08 and 57, on which pools drop the connection. */
function armError(error: unknown): PgError {
  if (error instanceof PgError) return error;
  const fault = faultOf(error);
  const condition = fault.reason === 'not-permitted' ? 'insufficient_privilege' : 'object_not_in_prerequisite_state';
  return new PgError(condition, fault.message, { hint: fault.remedy ?? undefined, cause: error });
}
