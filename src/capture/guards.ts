import type { LogEnd } from '../log/change-log.ts';
import type { SourceIdentity } from '../model/change.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import { CaptureFault, walLevelFault } from './fault.ts';
import { PLUGIN, type SlotState } from './slot.ts';

/** Which of its timelines the server is on. https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES */
export interface TimelineFacts {
  readonly reached: number;
  /** When it was last streamed from; null for never. */
  readonly logged: number | null;
  /** Where the server's history left the logged timeline; null where it is not part of that history. */
  readonly leftLsn: Lsn | null;
}

/** What is compared before each stream begins. */
export interface GuardInput {
  /** The server and database that were reached. */
  readonly reached: SourceIdentity;
  readonly databaseName: string;
  readonly walLevel: string;
  readonly flushLsn: Lsn;
  readonly timeline: TimelineFacts;
  readonly slotName: string;
  readonly slot: SlotState | null;
  readonly publicationName: string;
  readonly hasPublication: boolean;
  /** The server and database of which the log has changes; null for a log that never had any. */
  readonly logged: SourceIdentity | null;
  readonly logEnd: LogEnd;
}

/**
 * Why the stream must not begin, or null. Everything here is a case in which streaming on would lose changes with
 * nobody noticing, or take those of another history for the log's own.
 */
export function checkBeforeStreaming(input: GuardInput): CaptureFault | null {
  if (input.walLevel !== 'logical') return walLevelFault(input.walLevel);
  return checkHistory(input) ?? checkSlot(input) ?? checkPublication(input);
}

function checkHistory({ reached, logged, flushLsn, timeline, logEnd }: GuardInput): CaptureFault | null {
  if (logged !== null && (logged.systemId !== reached.systemId || logged.databaseOid !== reached.databaseOid)) {
    return new CaptureFault(
      'other-server',
      `the server is another one: system ${reached.systemId}, database ${reached.databaseOid}; ` +
        `the log is of system ${logged.systemId}, database ${logged.databaseOid}`,
      'Point walhook at the server it captured from, or drop the streams and create them again.',
    );
  }
  // A walsender sends flushed WAL only, so no crash can leave the server behind what it has sent.
  const seenLsn = furthest(logEnd);
  if (flushLsn < seenLsn) {
    return new CaptureFault(
      'other-history',
      `the server's WAL ends at ${formatLsn(flushLsn)}, before ${formatLsn(seenLsn)}, which it had sent: ` +
        'it was restored to an earlier point, or is another copy',
      null,
    );
  }
  return checkTimeline(timeline, seenLsn);
}

/** A standby that was promoted goes on with what it has: what it had not received is not part of its history. */
function checkTimeline({ reached, logged, leftLsn }: TimelineFacts, seenLsn: Lsn): CaptureFault | null {
  if (logged === null || reached === logged || (leftLsn !== null && leftLsn >= seenLsn)) return null;
  const where = leftLsn === null ? `does not come from timeline ${logged}` : `left it at ${formatLsn(leftLsn)}`;
  return new CaptureFault(
    'other-history',
    `the server is on timeline ${reached}, which ${where}, while changes up to ${formatLsn(seenLsn)} of timeline ` +
      `${logged} were received: it was promoted or restored without them`,
    null,
  );
}

function checkSlot({ slot, slotName, databaseName, logEnd }: GuardInput): CaptureFault | null {
  if (slot === null) {
    return new CaptureFault('slot-missing', `the replication slot ${slotName} does not exist any more`, null);
  }
  if (slot.plugin !== PLUGIN || slot.database !== databaseName) {
    return new CaptureFault(
      'slot-unfit',
      `the replication slot ${slotName} is not one of ${PLUGIN} in database ${databaseName}`,
      'Drop the slot, or have walhook use another.',
    );
  }
  if (slot.isInvalidated) {
    return new CaptureFault(
      'slot-lost',
      `the server has invalidated the replication slot ${slotName} (wal_status ${slot.walStatus})`,
      null,
    );
  }
  const hasPosition = logEnd.confirmLsn > 0n;
  if (!hasPosition || slot.confirmedLsn <= logEnd.confirmLsn) return null;
  return new CaptureFault(
    'slot-ahead',
    `the replication slot ${slotName} stands at ${formatLsn(slot.confirmedLsn)}, past ` +
      `${formatLsn(logEnd.confirmLsn)}, up to where the log is complete: somebody else has moved it, or made it anew`,
    null,
  );
}

/** From version 18 on a server whose publication is gone goes on without its changes, with a warning. */
function checkPublication({ hasPublication, publicationName }: GuardInput): CaptureFault | null {
  if (hasPublication) return null;
  return new CaptureFault('publication-missing', `the publication ${publicationName} does not exist any more`, null);
}

/** The furthest point of the server's WAL that the log knows of. */
function furthest({ confirmLsn, open }: LogEnd): Lsn {
  return open !== null && open.commitLsn > confirmLsn ? open.commitLsn : confirmLsn;
}
