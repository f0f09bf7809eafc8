import type { GapReason } from '../model/gap.ts';
import { SQLSTATE } from '../postgres/sqlstate.ts';

/**
 * What went wrong at the source, typed by what is done about it. All are tried again, as all may be mended.
 * `reconnect`: trying again may mend it. `stop`: it cannot work until somebody has changed something. `gap`: changes are
 * lost to the slot, and streaming on would hide that: the gap is announced, and then capture begins anew behind it.
 */
export type FaultKind = 'reconnect' | 'stop' | 'gap';

export type FaultReason =
  // reconnect
  | 'connection-lost'
  | 'silent'
  | 'slot-in-use'
  | 'server-unavailable'
  | 'protocol'
  | 'log-failed'
  // stop
  | 'wal-level'
  | 'no-slots-left'
  | 'slot-unfit'
  | 'other-server'
  | 'not-permitted'
  | 'row-too-large'
  // gap
  | GapReason;

const KINDS: Record<FaultReason, FaultKind> = {
  'connection-lost': 'reconnect',
  silent: 'reconnect',
  'slot-in-use': 'reconnect',
  'server-unavailable': 'reconnect',
  protocol: 'reconnect',
  'log-failed': 'reconnect',
  'wal-level': 'stop',
  'no-slots-left': 'stop',
  'slot-unfit': 'stop',
  'other-server': 'stop',
  'not-permitted': 'stop',
  'row-too-large': 'stop',
  'slot-missing': 'gap',
  'slot-lost': 'gap',
  'slot-ahead': 'gap',
  'publication-missing': 'gap',
  'table-unpublished': 'gap',
  'other-history': 'gap',
};

const GAP_REMEDY =
  'Slot and publication are made anew, and each stream announces the gap; its option on_gap says whether it goes on.';
const HISTORY_REMEDY =
  'Point walhook at the server that continues the history that was captured; or accept the loss with ALTER CDC STREAM … RESUME of each stream that is held.';

/** A fault of the source, or of what is needed to read from it. */
export class CaptureFault extends Error {
  override readonly name = 'CaptureFault';
  readonly reason: FaultReason;
  readonly kind: FaultKind;
  /** What the operator can do, as a sentence for a HINT; null where waiting is all there is to do. */
  readonly remedy: string | null;

  constructor(reason: FaultReason, message: string, remedy: string | null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.kind = KINDS[reason];
    this.remedy = remedy ?? (this.kind === 'gap' ? gapRemedy(reason) : null);
  }
}

function gapRemedy(reason: FaultReason): string {
  return reason === 'other-history' ? HISTORY_REMEDY : GAP_REMEDY;
}

interface Verdict {
  readonly reason: FaultReason;
  readonly remedy: string | null;
}

const SET_WAL_LEVEL = "Set wal_level = 'logical' (ALTER SYSTEM SET wal_level = 'logical') and restart the server.";
const GRANT = 'The role needs REPLICATION (ALTER ROLE … REPLICATION), and to own the tables that it publishes.';

/*
  By SQLSTATE, never by text: messages are translated and change between versions. What 55000 means (wal_level, or a slot
  that was invalidated) is settled before by asking for both, so here it is the slot.
*/
const BY_SQLSTATE: Readonly<Record<string, Verdict>> = {
  [SQLSTATE.object_in_use]: { reason: 'slot-in-use', remedy: 'Another process reads the slot; stop it.' },
  [SQLSTATE.object_not_in_prerequisite_state]: { reason: 'slot-lost', remedy: null },
  [SQLSTATE.configuration_limit_exceeded]: {
    reason: 'no-slots-left',
    remedy: 'Raise max_replication_slots (and max_wal_senders), or drop a slot that nobody reads.',
  },
  [SQLSTATE.undefined_object]: {
    reason: 'publication-missing',
    remedy: null,
  },
  [SQLSTATE.insufficient_privilege]: { reason: 'not-permitted', remedy: GRANT },
  [SQLSTATE.invalid_authorization_specification]: { reason: 'not-permitted', remedy: GRANT },
  '28P01': { reason: 'not-permitted', remedy: 'The server refuses the user or its password.' },
  '3D000': { reason: 'not-permitted', remedy: 'The database does not exist.' },
  [SQLSTATE.query_canceled]: { reason: 'server-unavailable', remedy: null },
};

/** The fault that an error of a connection to the upstream means. A fault stays itself. */
export function faultOf(error: unknown): CaptureFault {
  if (error instanceof CaptureFault) return error;
  const code = (error as { code?: unknown } | null)?.code;
  const message = error instanceof Error ? error.message : String(error);
  const verdict = typeof code === 'string' ? BY_SQLSTATE[code] : undefined;
  if (verdict) return new CaptureFault(verdict.reason, message, verdict.remedy, error);
  // An SQLSTATE: the server answered, and refused; otherwise the connection failed. EPIPE has five characters, too.
  const answered = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !('syscall' in (error as object));
  return new CaptureFault(answered ? 'server-unavailable' : 'connection-lost', message, null, error);
}

/** `wal_level` is not logical. */
export function walLevelFault(walLevel: string): CaptureFault {
  return new CaptureFault('wal-level', `the server has wal_level = ${walLevel}, not logical`, SET_WAL_LEVEL);
}
