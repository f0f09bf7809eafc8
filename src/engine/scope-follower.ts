import type { Logger } from '../base/logger.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { DatabaseCatalog } from '../catalog/database-catalog.ts';
import { OWN_ACTOR } from '../catalog/plan.ts';
import type { StreamAlteration } from '../model/staged-change.ts';
import type { StreamTable } from '../model/stream.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { DataPlane } from './data-plane.ts';

export interface ScopeFollowerOptions {
  readonly catalog: Catalog;
  readonly database: Pick<DatabaseCatalog, 'streams'>;
  readonly plane: Pick<DataPlane, 'backfill' | 'captureStatus'>;
  /** What runs is made equal to the catalog, of this stream's tables too. Failures are its own to mend. */
  readonly converge: (streamId: string) => Promise<void>;
  readonly logger: Logger;
}

/**
 * Streams on schemas get the tables that the schemas have. What was committed to a table before it was noticed is read from
 * it (as op `read`), so that nothing of it is missing. The caller sees to it that one thing is done at a time.
 */
export class ScopeFollower {
  readonly #options: ScopeFollowerOptions;

  constructor(options: ScopeFollowerOptions) {
    this.#options = options;
  }

  /** The catalog has it first: what cannot be captured yet is the stream's problem, and tried again. */
  async follow(name: string, tables: readonly StreamTable[]): Promise<void> {
    const { catalog, converge, logger } = this.#options;
    const id = this.#alter(name, { kind: 'scope-tables', tables });
    if (id === null) return;
    logger.info({ stream: name, tables: tables.length }, 'the tables of a stream have changed');
    if (catalog.stream(name)?.id === id) await converge(id);
  }

  /** Begins to read tables that came in, of each stream that reads nothing else. */
  async readNew(): Promise<void> {
    const { database, plane } = this.#options;
    const waiting = database.streams().filter(({ isArmed, unarmedTables, definition: { unreadTables = [] } }) => {
      return isArmed && unarmedTables.length === 0 && unreadTables.length > 0;
    });
    if (waiting.length === 0) return;
    const { backfills } = await plane.captureStatus();
    for (const { id, name, definition } of waiting) {
      if (backfills.some(({ streamId, state }) => streamId === id && state === 'running')) continue;
      const tables = (definition.unreadTables ?? []).map((oid) => ({ oid, where: null }));
      await plane.backfill(definition, tables);
      // Written down after it has begun: a crash between the two has it read twice.
      this.#alter(name, { kind: 'tables-read', oids: tables.map(({ oid }) => oid) });
    }
  }

  /** The stream's id; null where somebody is about to change or to drop it. */
  #alter(name: string, alteration: StreamAlteration): string | null {
    const { catalog, logger } = this.#options;
    const holder = catalog.begin();
    try {
      catalog.apply(catalog.plan(holder, { kind: 'alter-stream', name, alteration }, OWN_ACTOR));
      return catalog.stream(name)?.id ?? null;
    } catch (err) {
      if (!(err instanceof PgError)) throw err;
      logger.debug({ err, stream: name }, 'a stream cannot follow its tables now');
      return null;
    } finally {
      catalog.end(holder);
    }
  }
}
