import type pg from 'pg';
import { parseLsn, type Lsn } from '../postgres/lsn.ts';
import { must } from '../base/assert.ts';
import { type Condition, PgError, SQLSTATE } from '../postgres/sqlstate.ts';
import { describeFlaw, type Flaw, isFlawFor, TABLE_FACTS, type TableFacts } from '../upstream/table-facts.ts';
import { faultOf, type FaultReason } from './fault.ts';
import {
  addTable,
  dropPublication,
  ensureInsertsPublication,
  ensurePublication,
  hasPublication,
  insertsOf,
  removeRestricted,
  removeTable,
  restoreOptions,
} from './publication.ts';
import { createSlot, dropSlot, findSlot } from './slot.ts';

/** The slot and the publication of one captured database. */
export interface CaptureNames {
  readonly slotName: string;
  readonly publicationName: string;
}

export interface ArmRequest extends CaptureNames {
  /** Null: none yet, but from here on. */
  readonly tableOid: number | null;
  /** All of the table's streams take inserts only. */
  readonly insertsOnly?: boolean;
  /**
   * No stream exists yet, so a missing slot is no loss and is created. Where there are streams, a missing slot means
   * that changes were lost, and creating it anew would hide that. The log must be empty then (`ChangeLog.reset`).
   */
  readonly isFirst: boolean;
}

/**
 * Has the table captured. Returns an LSN such that every transaction that begins after this and commits at or after that
 * LSN is captured. Throws `PgError`: 55000 where capture is impossible (wal_level, a table without replica
 * identity, …), 53400 where no slot is free, 55006 where another process has it, 42501 for lack of a privilege, 42P01 for a table that is gone.
 */
export async function armTable(admin: pg.ClientBase, request: ArmRequest): Promise<Lsn> {
  const { slotName, publicationName, tableOid, insertsOnly = false, isFirst } = request;
  try {
    const slot = await findSlot(admin, slotName);
    if (slot === null && !isFirst) throw slotMissing(slotName);
    if (tableOid !== null) await requireNoFlaw(admin, tableOid, insertsOnly);
    // The publication before the slot, and the table before the position: each is looked up as it was at a change.
    await ensurePublication(admin, publicationName);
    if (slot === null) await ensureInsertsPublication(admin, publicationName);
    if (tableOid !== null) await publish(admin, publicationName, tableOid, insertsOnly);
    if (slot === null) await createSlot(admin, slotName);
    const { rows } = await admin.query<{ lsn: string }>('SELECT pg_catalog.pg_current_wal_insert_lsn()::text AS lsn');
    return must(parseLsn(rows[0]?.lsn ?? ''), 'the server has a position');
  } catch (error) {
    throw armError(error);
  }
}

export interface RearmRequest extends CaptureNames {
  readonly tableOids: readonly number[];
  /** Of these all streams take inserts only. */
  readonly insertsOnly?: ReadonlySet<number>;
  /** Up to where the log is complete; null: nothing that the slot has can continue it. */
  readonly logLsn: Lsn | null;
  /** The slot cannot be read any more, whatever it looks like. */
  readonly isForced: boolean;
}

/**
 * Makes slot and publication anew where the log cannot go on from those there are. Returns the position from which on all
 * is captured again, or null where nothing is amiss. A table that is gone is left out. Throws `PgError` as `armTable`
 * does, 55000 from a standby too.
 */
export async function rearm(admin: pg.ClientBase, request: RearmRequest): Promise<Lsn | null> {
  const { slotName, publicationName, tableOids, insertsOnly, logLsn, isForced } = request;
  try {
    const { rows } = await admin.query<{ standby: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS standby');
    if (rows[0]?.standby !== false) throw new PgError('object_not_in_prerequisite_state', 'the server is a standby');
    const slot = await findSlot(admin, slotName);
    const isReadable =
      slot !== null && !slot.isInvalidated && !isForced && (await hasPublication(admin, publicationName));
    if (isReadable && logLsn !== null && slot.confirmedLsn <= logLsn) return null;
    // One that is merely ahead has lost less than one made now.
    const isKept = isReadable && logLsn !== null;
    await ensurePublication(admin, publicationName);
    if (!isKept) await ensureInsertsPublication(admin, publicationName);
    for (const oid of tableOids) {
      await publish(admin, publicationName, oid, insertsOnly?.has(oid) === true).catch(unlessUnfit);
    }
    if (isKept) return slot.confirmedLsn;
    if (slot !== null) await dropSlot(admin, slotName);
    await createSlot(admin, slotName);
    return must(await findSlot(admin, slotName), 'the slot was made').confirmedLsn;
  } catch (error) {
    throw armError(error);
  }
}

/** Tables that somebody has taken out of the publication, or restricted. */
export interface RepublishRequest {
  readonly oids: readonly number[];
  /** Of these all streams take inserts only. */
  readonly insertsOnly?: ReadonlySet<number>;
  /** Options of the publication were changed too. */
  readonly hasLostOptions: boolean;
}

/**
 * Puts tables back into the publication; the slot stays. Throws `PgError` as `armTable` does, also for a table whose updates
 * would begin to fail.
 */
export async function republish(
  admin: pg.ClientBase,
  publicationName: string,
  { oids, insertsOnly, hasLostOptions }: RepublishRequest,
): Promise<void> {
  try {
    if (hasLostOptions) await restoreOptions(admin, publicationName);
    await removeRestricted(admin, publicationName, oids);
    for (const oid of oids) {
      await publish(admin, publicationName, oid, insertsOnly?.has(oid) === true).catch(unlessGone);
    }
  } catch (error) {
    throw armError(error);
  }
}

/**
 * Puts the table into the publication, or into the one for inserts where it has no replica identity and needs none: what is
 * published of it has no statement of the application fail. Throws `PgError`.
 */
async function publish(admin: pg.ClientBase, name: string, oid: number, insertsOnly: boolean): Promise<void> {
  const flaw = await requireNoFlaw(admin, oid, insertsOnly);
  if (flaw === null) return addTable(admin, name, oid);
  if (await hasPublication(admin, insertsOf(name))) return addTable(admin, insertsOf(name), oid);
  const { message } = describeFlaw(flaw);
  throw new PgError('object_not_in_prerequisite_state', message, {
    detail: 'The slot was made by an earlier walhook, without a publication for inserts alone.',
    hint: 'Give the table a replica identity; or drop all streams, and create them again.',
  });
}

/** Neither a table that is gone nor one that has lost its identity keeps the others from being captured again. */
function unlessUnfit(error: unknown): void {
  if (error instanceof PgError && error.code === SQLSTATE.object_not_in_prerequisite_state) return;
  unlessGone(error);
}

function unlessGone(error: unknown): void {
  const code = (error as { code?: unknown }).code;
  if (code !== SQLSTATE.undefined_table) throw error;
}

/** Takes the table out of the publication; the slot stays for the other streams. Throws `PgError`. */
export async function disarmTable(admin: pg.ClientBase, publicationName: string, tableOid: number): Promise<void> {
  try {
    await removeTable(admin, publicationName, tableOid);
    await removeTable(admin, insertsOf(publicationName), tableOid);
  } catch (error) {
    throw armError(error);
  }
}

/** Has the application's updates work again: what is published of the table for inserts alone stays. Throws `PgError`. */
export async function unpublish(admin: pg.ClientBase, publicationName: string, tableOid: number): Promise<void> {
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

/** Publishing the table must break nothing that the application does. Returns a flaw that inserts alone do not mind. */
async function requireNoFlaw(admin: pg.ClientBase, tableOid: number, insertsOnly: boolean): Promise<Flaw | null> {
  const { rows } = await admin.query<{ facts: TableFacts }>(
    `SELECT pg_catalog.json_build_object(${TABLE_FACTS}) AS facts
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = $1`,
    [tableOid],
  );
  const flaw = rows[0]?.facts.flaw ?? null;
  if (!isFlawFor(flaw, insertsOnly)) return flaw;
  const { message, detail, hint } = describeFlaw(flaw);
  throw new PgError('object_not_in_prerequisite_state', message, { detail, hint });
}

const CONDITIONS: Partial<Record<FaultReason, Condition>> = {
  'not-permitted': 'insufficient_privilege',
  'no-slots-left': 'configuration_limit_exceeded',
  'slot-in-use': 'object_in_use',
};

/** What a SQL client is told: never the upstream's own classes 08 and 57, on which pools drop the connection. */
function armError(error: unknown): PgError {
  if (error instanceof PgError) return error;
  const fault = faultOf(error);
  const condition = CONDITIONS[fault.reason] ?? 'object_not_in_prerequisite_state';
  return new PgError(condition, fault.message, { hint: fault.remedy ?? undefined, cause: error });
}
