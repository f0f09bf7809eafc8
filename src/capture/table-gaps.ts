import type pg from 'pg';
import type { ChangeLog } from '../log/change-log.ts';
import type { Gap } from '../model/gap.ts';
import { quoteLiteral } from '../postgres/identifier.ts';
import { formatLsn, parseLsn, type Lsn } from '../postgres/lsn.ts';
import { MARK_PREFIX, type Mark } from './chunk-builder.ts';
import { gapChunkAt } from './gap-chunk.ts';
import type { Insertion } from './intake.ts';

/** As the log keeps it. */
interface Stored {
  readonly gap: Gap;
  /** Where the gap stands in the log; null: it has no place yet. */
  readonly placedLsn: string | null;
}

export interface TableGapsOptions {
  readonly log: ChangeLog;
  /** The gap stands in the log, right behind `lsn`; said again with each connection until `settled`. */
  readonly onPlaced: (gapId: string, lsn: Lsn) => void;
}

/**
 * Gaps of some tables, while what is captured of the others goes on. Such a gap gets its place by a mark that goes through
 * the WAL once the tables are published again: what the stream brings of them before the mark is older than the gap, but for
 * what committed in the moment between, and what comes after it is newer.
 */
export class TableGaps {
  readonly #options: TableGapsOptions;
  readonly #gaps: Map<string, Stored>;
  readonly #marked = new Set<string>();

  constructor(options: TableGapsOptions) {
    this.#options = options;
    const stored = [...options.log.gaps()].map(([id, state]) => [id, JSON.parse(state) as Stored] as const);
    this.#gaps = new Map(stored);
  }

  /** Its tables are published again. Durable when this returns, or with the chunks that wait for that. */
  add(gap: Gap): void {
    this.#save({ gap, placedLsn: null });
  }

  /** Whoever announces it knows its place. */
  settled(gapId: string): void {
    this.#gaps.delete(gapId);
    this.#options.log.removeGap(gapId);
  }

  /** A connection begins: marks that were under way with the last one come again, or are sent again. */
  begin(): void {
    this.#marked.clear();
    for (const { gap, placedLsn } of this.#gaps.values()) {
      if (placedLsn !== null) this.#options.onPlaced(gap.id, parseLsn(placedLsn) ?? 0n);
    }
  }

  /** Sends the marks of those that have no place and none under way. Rejects with pg's errors. */
  async mark(admin: pg.ClientBase): Promise<void> {
    for (const { gap, placedLsn } of this.#gaps.values()) {
      if (placedLsn !== null || this.#marked.has(gap.id)) continue;
      const content = quoteLiteral(contentOf(gap));
      await admin.query(`SELECT pg_catalog.pg_logical_emit_message(true, '${MARK_PREFIX}', ${content})`);
      this.#marked.add(gap.id);
    }
  }

  /** The stream has come to a mark: gives the gap that is to stand behind it. */
  atMark(mark: Mark): Insertion | null {
    for (const { gap, placedLsn } of this.#gaps.values()) {
      if (placedLsn !== null || mark.content !== contentOf(gap)) continue;
      const save = (): void => {
        this.#save({ gap, placedLsn: formatLsn(mark.commitLsn) });
        this.#options.onPlaced(gap.id, mark.commitLsn);
      };
      return { draft: gapChunkAt(gap, mark), save };
    }
    return null;
  }

  #save(stored: Stored): void {
    this.#gaps.set(stored.gap.id, stored);
    this.#options.log.saveGap(stored.gap.id, JSON.stringify(stored));
  }
}

function contentOf({ id }: Gap): string {
  return `gap ${id}`;
}
