import type pg from 'pg';
import { parseLsn, type Lsn } from '../postgres/lsn.ts';
import { SQLSTATE } from '../postgres/sqlstate.ts';
import { askServer } from '../upstream/questions.ts';
import { CaptureFault, faultOf, walLevelFault } from './fault.ts';

/** A logical slot as `pg_replication_slots` has it. */
export interface SlotState {
  readonly plugin: string;
  readonly database: string;
  readonly isActive: boolean;
  readonly activePid: number | null;
  readonly confirmedLsn: Lsn;
  /** reserved, extended, unreserved or lost. */
  readonly walStatus: string | null;
  /** Whether the server has invalidated it, whatever the reason. */
  readonly isInvalidated: boolean;
}

export const PLUGIN = 'pgoutput';
/** From version 17 on a slot may be kept on standbys too. */
const FAILOVER_SINCE = 170_000;

interface SlotRow extends pg.QueryResultRow {
  plugin: string | null;
  database: string | null;
  active: boolean;
  active_pid: number | null;
  confirmed: string | null;
  wal_status: string | null;
  // Versions 16 and 17 brought these two.
  conflicting: boolean | null;
  reason: string | null;
}

/** Asks for a slot by name; also for a walsender, hence without parameters. Names are checked by `slotNameOf`'s form. */
export function slotQuestion(slotName: string): string {
  if (!/^[a-z0-9_]{1,63}$/.test(slotName)) throw new CaptureFault('slot-unfit', 'the slot name is not valid', null);
  // to_jsonb, because the columns that tell of an invalidation differ from version to version.
  return `
    SELECT s.plugin, s.database, s.active, s.active_pid, s.confirmed_flush_lsn::text AS confirmed, s.wal_status,
           (to_jsonb(s) ->> 'conflicting')::bool AS conflicting, to_jsonb(s) ->> 'invalidation_reason' AS reason
      FROM pg_catalog.pg_replication_slots s
     WHERE s.slot_name = '${slotName}'`;
}

export function slotState(row: SlotRow): SlotState {
  return {
    plugin: row.plugin ?? '',
    database: row.database ?? '',
    isActive: row.active,
    activePid: row.active_pid,
    confirmedLsn: parseLsn(row.confirmed ?? '') ?? 0n,
    walStatus: row.wal_status,
    isInvalidated: row.wal_status === 'lost' || row.conflicting === true || row.reason !== null,
  };
}

/** The slot, or null where there is none of that name. */
export async function findSlot(admin: pg.ClientBase, slotName: string): Promise<SlotState | null> {
  const [row] = (await admin.query<SlotRow>(slotQuestion(slotName))).rows;
  return row === undefined ? null : slotState(row);
}

/**
 * Creates the slot; where the server knows of it, as one that standbys with `sync_replication_slots` keep a copy of, so that
 * a promotion costs no change (https://www.postgresql.org/docs/current/logical-replication-failover.html).
 *
 * Waits until the transactions that are running now have ended, as long as the connection's statement timeout allows. The
 * publication must be there already: the server looks for it at the slot's position, always.
 * Throws `CaptureFault` (wal-level, no-slots-left, not-permitted, server-unavailable for the timeout).
 */
export async function createSlot(admin: pg.ClientBase, slotName: string): Promise<void> {
  const facts = await askServer(admin);
  if (facts.walLevel !== 'logical') throw walLevelFault(facts.walLevel);
  try {
    const more = facts.versionNumber >= FAILOVER_SINCE ? ', failover => true' : '';
    await admin.query(`SELECT pg_catalog.pg_create_logical_replication_slot($1, $2${more})`, [slotName, PLUGIN]);
  } catch (error) {
    if ((error as { code?: unknown }).code !== SQLSTATE.query_canceled) throw faultOf(error);
    throw new CaptureFault(
      'server-unavailable',
      'the replication slot could not be created in time: a transaction that began earlier is still running',
      'End long-running transactions (see pg_stat_activity) and try again.',
      error,
    );
  }
}

/** Drops the slot if it is there; whoever reads it must have stopped. Throws `CaptureFault` (slot-in-use). */
export async function dropSlot(admin: pg.ClientBase, slotName: string): Promise<void> {
  if ((await findSlot(admin, slotName)) === null) return;
  try {
    await admin.query('SELECT pg_catalog.pg_drop_replication_slot($1)', [slotName]);
  } catch (error) {
    throw faultOf(error);
  }
}
