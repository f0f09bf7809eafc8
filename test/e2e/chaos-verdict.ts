import { parseLsn, type Lsn } from '../../src/postgres/lsn.ts';
import type { Arrival, GapRow, Row } from './chaos-receiver.ts';
import type { Committed } from './chaos-writers.ts';

/** What happened, as it was seen from outside. */
export interface Evidence {
  readonly committed: readonly Committed[];
  /** Where the WAL was after a transaction's end, by its number; one that is not there may have ended at any time. */
  readonly after: ReadonlyMap<number, Lsn>;
  readonly arrivals: readonly Arrival[];
  readonly gaps: readonly GapRow[];
  /** The table at the end, bodies as digests. */
  readonly table: readonly Row[];
}

/** What is wrong, each a list of descriptions that should be empty, and counts. */
export interface Verdict {
  readonly counts: Readonly<Record<string, number>>;
  readonly wrong: Readonly<Record<string, readonly string[]>>;
}

const lsnOf = (text: string): Lsn => parseLsn(text)!;

/** Judges a run by the ledger, the arrivals in their order, and the table. */
export function judge({ committed, after, arrivals, gaps, table }: Evidence): Verdict {
  const firsts = new Map<string, Arrival>();
  const changedContent: string[] = [];
  for (const arrival of arrivals) {
    const first = firsts.get(arrival.id);
    if (first === undefined) firsts.set(arrival.id, arrival);
    else if (first.digest !== arrival.digest) changedContent.push(arrival.id);
  }
  const changes = [...firsts.values()].filter(({ schema, op }) => schema === 'public' && op !== 'read');
  const reads = [...firsts.values()].filter(({ op }) => op === 'read');

  const ledger = new Map(committed.map((change) => [nameOf(change), change]));
  const arrived = new Map<string, Arrival>();
  const invented: string[] = [];
  const twoIds: string[] = [];
  for (const change of changes) {
    const name = nameOfEvent(change);
    const known = ledger.get(name);
    const isSame = known?.op === change.op && known.xid === change.xid && (change.after?.tx ?? known.tx) === known.tx;
    if (!isSame) invented.push(`${change.op} ${name} of transaction ${change.xid}`);
    if (arrived.has(name)) twoIds.push(name);
    arrived.set(name, change);
  }
  const missing = [...ledger].filter(([name]) => !arrived.has(name)).map(([, change]) => change);
  const isAnnounced = ({ lsn, tx }: Committed): boolean =>
    gaps.some(
      (gap) => lsnOf(lsn) < lsnOf(gap.to_lsn) && (after.get(tx) ?? lsnOf('FFFFFFFF/FFFFFFFF')) > lsnOf(gap.from_lsn),
    );
  const silent = missing.filter((change) => !isAnnounced(change));
  return {
    counts: {
      committed: ledger.size,
      arrived: arrived.size,
      read: reads.length,
      duplicates: arrivals.length - firsts.size,
      gaps: gaps.length,
      'lost in gaps': missing.length - silent.length,
      'silently lost': silent.length,
    },
    wrong: {
      'lost silently': silent.map((change) => `${change.op} ${nameOf(change)} at ${change.lsn}`),
      'never committed': invented,
      'two ids for a change': twoIds,
      'two contents for an id': changedContent,
      'out of order': outOfOrder(firsts.values()),
      'not as the table': differences(applied(firsts.values(), gaps), table),
    },
  };
}

/** A truncation is one change of all keys: one entry stands for it. */
function nameOf({ op, xid, key, version }: Committed): string {
  return op === 'truncate' ? `all in ${xid}` : `${key}:${version}`;
}

function nameOfEvent({ op, xid, before, after }: Arrival): string {
  if (op === 'truncate') return `all in ${xid}`;
  // A delete is the version that follows that of the row which it deletes.
  return after === null ? `${before!.key}:${before!.version + 1}` : `${after.key}:${after.version}`;
}

/** The events of a key whose version is not beyond the one before; a read tells of a version that may have been told. */
function outOfOrder(events: Iterable<Arrival>): string[] {
  const last = new Map<number, number>();
  const found: string[] = [];
  for (const { op, schema, before, after } of events) {
    if (schema !== 'public' || op === 'truncate') continue;
    const [key, version] = after === null ? [before!.key, before!.version + 1] : [after.key, after.version];
    const seen = last.get(key) ?? 0;
    if (op === 'read' ? version < seen : version <= seen) found.push(`${op} ${key}:${version} after ${seen}`);
    last.set(key, Math.max(seen, version));
  }
  return found;
}

/**
 * The table as whoever applies events by key has it. What was last heard of before a gap may have been deleted in the
 * gap: it stays only where something was heard of it since, and a healed gap reads every row again.
 */
function applied(events: Iterable<Arrival>, gaps: readonly GapRow[]): Map<number, { row: Row; lsn: Lsn }> {
  const rows = new Map<number, { row: Row; lsn: Lsn }>();
  for (const { op, schema, key, after, lsn } of events) {
    if (schema !== 'public') continue;
    if (op === 'truncate') rows.clear();
    else if (after === null) rows.delete(key!.key);
    else rows.set(after.key, { row: after, lsn: lsnOf(lsn) });
  }
  const lastGap = gaps.map((gap) => lsnOf(gap.to_lsn)).reduce((a, b) => (a > b ? a : b), 0n);
  for (const [key, { lsn }] of rows) if (lsn < lastGap) rows.delete(key);
  return rows;
}

function differences(mirror: ReadonlyMap<number, { readonly row: Row }>, table: readonly Row[]): string[] {
  const describe = ({ version, tx, body }: Row): string => `version ${version} of transaction ${tx}, ${body}`;
  const truth = new Map(table.map((row) => [row.key, describe(row)]));
  return [...new Set([...truth.keys(), ...mirror.keys()])].flatMap((key) => {
    const mirrored = mirror.get(key);
    const [is, should] = [mirrored === undefined ? 'nothing' : describe(mirrored.row), truth.get(key) ?? 'nothing'];
    return is === should ? [] : [`key ${key}: ${is} instead of ${should}`];
  });
}
