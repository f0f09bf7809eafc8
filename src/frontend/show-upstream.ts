import type { Requirement, SlotInfo } from '../model/requirement.ts';
import type { Column, ColumnType, Result, Value } from './result.ts';

type Table<T> = ReadonlyArray<readonly [name: string, type: ColumnType, value: (subject: T) => Value]>;

const CHECK: Table<Requirement> = [
  ['requirement', 'text', ({ requirement }) => requirement],
  ['ok', 'bool', ({ ok }) => ok],
  ['found', 'text', ({ found }) => found],
  ['fix', 'text', ({ fix }) => fix],
];

const SLOTS: Table<SlotInfo> = [
  ['slot_name', 'text', ({ slotName }) => slotName],
  ['database', 'text', ({ database }) => database],
  ['active', 'bool', ({ isActive }) => isActive],
  ['active_pid', 'int4', ({ activePid }) => activePid],
  ['wal_status', 'text', ({ walStatus }) => walStatus],
  ['confirmed_lsn', 'text', ({ confirmedLsn }) => confirmedLsn],
  ['restart_lsn', 'text', ({ restartLsn }) => restartLsn],
  ['lag_bytes', 'int8', ({ lagBytes }) => lagBytes],
  ['retained_bytes', 'int8', ({ retainedBytes }) => retainedBytes],
  ['safe_wal_bytes', 'int8', ({ safeWalBytes }) => safeWalBytes],
];

/** The columns of each statement here, known before it runs. */
export const UPSTREAM_COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  check: columns(CHECK),
  'show-slots': columns(SLOTS),
};

/** CHECK CDC: a row for each requirement. */
export function showCheck(requirements: readonly Requirement[]): Result {
  return result(CHECK, requirements, 'CHECK CDC');
}

/** SHOW CDC SLOTS. */
export function showSlots(slots: readonly SlotInfo[]): Result {
  return result(SLOTS, slots, 'SHOW');
}

function columns<T>(table: Table<T>): readonly Column[] {
  return table.map(([name, type]) => ({ name, type }));
}

function result<T>(table: Table<T>, subjects: readonly T[], tag: string): Result {
  const rows = subjects.map((subject) => table.map(([, , value]) => value(subject)));
  return { columns: columns(table), rows, tag, notices: [] };
}
