/** Something that capturing needs of the upstream, or a stream of its destination: a row of `CHECK CDC`. */
export interface Requirement {
  readonly requirement: string;
  readonly ok: boolean;
  readonly found: string;
  /** SQL that mends it, or advice after `--`; null where nothing is to be mended. Of one that is `ok`: what may be wanted later. */
  readonly fix: string | null;
}

/** A replication slot of ours: a row of `SHOW CDC SLOTS`. Positions are LSNs in text, sizes in bytes. */
export interface SlotInfo {
  readonly slotName: string;
  readonly database: string | null;
  readonly isActive: boolean;
  readonly activePid: number | null;
  readonly walStatus: string | null;
  readonly confirmedLsn: string | null;
  readonly restartLsn: string | null;
  /** From the confirmed position to the server's end of WAL. */
  readonly lagBytes: number | null;
  /** WAL that the server keeps for it. */
  readonly retainedBytes: number | null;
  /** What may still be written before the server may take the slot away; null: it never does. */
  readonly safeWalBytes: number | null;
}
