import type { RepublishRequest } from '../capture/arm.ts';
import type { Requirement, SlotInfo } from '../model/requirement.ts';
import type { SourceIdentity } from '../model/change.ts';
import type { TransactionId } from '../model/catalog-control.ts';
import type { StreamTable } from '../model/stream.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { TableFacts } from '../upstream/table-facts.ts';

/** How a transaction of the upstream ended. `unknown`: the upstream does not know it, or no more. */
export type TransactionStatus = 'in progress' | 'committed' | 'aborted' | 'unknown';

export type TableName = Pick<StreamTable, 'schema' | 'name'>;

/** A table that is to be published. */
export interface PublishedTable {
  readonly oid: number;
  /** All of its streams take inserts only. */
  readonly insertsOnly: boolean;
}

/** What is the same in each database of the upstream server. */
export interface SourceServer {
  /** Of these slots those that there are. 55000 where the upstream cannot be asked. */
  slots(names: readonly string[]): Promise<readonly SlotInfo[]>;
  /** Rejects where the upstream cannot be asked. */
  transactionStatus(transaction: TransactionId): Promise<TransactionStatus>;
}

/** What the engine asks of one upstream database itself, on connections of its own. */
export interface Source {
  /** 55000 where no change can be captured at all, whatever the table (`wal_level`). */
  requireCapturable(): Promise<void>;
  /**
   * Publishes `tables`. The slot is made with the first stream only: later, a missing slot means that changes were lost. Every transaction that begins after this resolves and
   * writes to them commits at or after `startLsn` and is captured. 55000, 53400, 42501 as the upstream has it.
   */
  arm(tables: readonly PublishedTable[], isFirst: boolean): Promise<{ startLsn: Lsn; source: SourceIdentity }>;
  /** All tables that a scope may have, replica identity or not. Rejects where the upstream cannot be asked. */
  tablesInScope(): Promise<readonly TableFacts[]>;
  /** Of these tables those that there are. Rejects where the upstream cannot be asked. */
  tablesOf(oids: readonly number[]): Promise<readonly TableFacts[]>;
  /** Of these names those that a table has now. Rejects where the upstream cannot be asked. */
  tablesNamed(names: readonly TableName[]): Promise<readonly TableName[]>;
  /**
   * Makes slot and publication anew where they do not continue a log that is complete up to `logLsn` (null: they cannot).
   * Null where nothing is amiss; otherwise everything from `startLsn` on is captured again. Rejects as `arm` does.
   */
  rearm(
    tables: readonly PublishedTable[],
    logLsn: Lsn | null,
    isForced: boolean,
  ): Promise<{ startLsn: Lsn; source: SourceIdentity } | null>;
  /** Puts tables back that somebody has taken out of the publication, or restricted. Rejects as `arm` does. */
  republish(request: RepublishRequest): Promise<void>;
  /** What capturing needs, for these tables of streams. Rejects where the upstream cannot be asked. */
  check(tables: readonly PublishedTable[]): Promise<readonly Requirement[]>;
  /** Takes these tables out of the publication. Rejects as `arm` does. */
  unpublish(oids: readonly number[]): Promise<void>;
  /** Takes all other tables out of the publication. */
  publishOnly(tables: readonly StreamTable[]): Promise<void>;
  /** Drops slot and publication; both may be gone already, and the whole database too. */
  disarm(): Promise<void>;
}
