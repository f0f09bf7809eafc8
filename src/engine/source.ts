import type { SourceIdentity } from '../model/change.ts';
import type { StreamTable } from '../model/stream.ts';
import type { Lsn } from '../postgres/lsn.ts';

/** What the engine asks of the upstream database itself, on connections of its own. */
export interface Source {
  /** 0A000 for a database other than the captured one. */
  requireDatabase(database: string): void;
  /**
   * Publishes `tables`. The slot is made with the first stream only: later, a missing slot means that changes were lost. Every transaction that begins after this resolves and
   * writes to them commits at or after `startLsn` and is captured. 55000, 53400, 42501 as the upstream has it.
   */
  arm(tables: readonly StreamTable[], isFirst: boolean): Promise<{ startLsn: Lsn; identity: SourceIdentity }>;
  /** Takes all other tables out of the publication. */
  publishOnly(tables: readonly StreamTable[]): Promise<void>;
  /** Drops slot and publication; both may be gone already. */
  disarm(): Promise<void>;
}
