import type pg from 'pg';
import type { ChangeLog } from '../log/change-log.ts';
import { qualify } from '../postgres/identifier.ts';
import { formatLsn, parseLsn, type Lsn } from '../postgres/lsn.ts';
import { insertsOf } from './publication.ts';

/** What the publication does for one table, as far as it may cost changes. */
interface Membership {
  /**
   * Of each publication of ours that has it, and of the table's row there: another one for a table that was taken out and put
   * in again, or whose row filter or column list was changed. Null: it is in none.
   */
  readonly row: string | null;
  /** What is published of what is done to it. */
  readonly operations: readonly string[];
  /** Changes of partitions come as the table's own; always true of a table that has none. */
  readonly viaRoot: boolean;
  /**
   * Partitions that had been tables by themselves before, each with who has attached it; absent or null: not asked. Before PostgreSQL 15 a walsender that has met such a table goes on leaving its changes out after that, until the
   * publication is altered.
   */
  readonly attached?: readonly string[] | null | undefined;
}

interface Row extends Membership {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

/** As the log keeps it. LSNs in text. */
interface Stored {
  readonly verifiedLsn: string | null;
  readonly tables: ReadonlyArray<readonly [oid: number, membership: Membership]>;
}

/** Tables whose changes the publication does not, or did not, have. */
export interface Unpublished {
  readonly tables: ReadonlyArray<{ readonly oid: number; readonly schema: string; readonly name: string }>;
  readonly message: string;
  /** Options of the publication were changed, or are to be written again, so that the server looks at them. */
  readonly hasLostOptions: boolean;
  /** Nothing that committed before it is missing. */
  readonly fromLsn: Lsn;
}

/*
  Only tables that there are: one that was dropped has left the publication by itself, and nothing of it is missing.
  Of a row that SET TABLE finds as it is to be the OID stays; with another filter or other columns it is another row.
  A system column's row is written with its table and never again: a partition whose place in the tree was written by another
  transaction was a table before.
*/
const MEMBERSHIP = `
  SELECT c.oid::bigint::float8 AS oid, n.nspname AS schema, c.relname AS name,
         string_agg(p.oid::text || '/' || coalesce(r.oid::text, 'all'), ' ' ORDER BY p.oid) AS row,
         array_remove(ARRAY[CASE WHEN bool_or(p.pubinsert) THEN 'insert' END, CASE WHEN bool_or(p.pubupdate) THEN 'update' END,
           CASE WHEN bool_or(p.pubdelete) THEN 'delete' END,
           CASE WHEN bool_or(p.pubtruncate) THEN 'truncate' END], NULL) AS operations,
         c.relkind <> 'p' OR coalesce(bool_or(p.pubviaroot), false) AS "viaRoot",
         CASE WHEN c.relkind = 'p' AND pg_catalog.current_setting('server_version_num')::int < 150000 THEN
           ARRAY(SELECT i.inhrelid::text || '/' || i.xmin::text
                   FROM pg_catalog.pg_partition_tree(c.oid) t
                   JOIN pg_catalog.pg_inherits i ON i.inhrelid = t.relid AND NOT i.inhdetachpending
                   JOIN pg_catalog.pg_attribute a ON a.attrelid = t.relid AND a.attnum = -1
                  WHERE i.xmin <> a.xmin) END AS attached,
         pg_catalog.pg_current_snapshot()::text AS snapshot
    FROM unnest($2::oid[]) AS w(oid)
    JOIN pg_catalog.pg_class c ON c.oid = w.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN (pg_catalog.pg_publication p LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid)
           ON p.pubname IN ($1, $3) AND (p.puballtables OR r.prrelid = c.oid)
   GROUP BY c.oid, n.nspname, c.relname, c.relkind
   ORDER BY 2, 3`;

const POSITION = `
  SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_insert_lsn()::text END AS lsn`;

/**
 * Looks whether the publication has the tables of streams, all of the time: who takes one out loses its changes, and the
 * server says nothing of it. It knows since when, too: up to the verified position nothing is missing.
 *
 * The server decodes a change by the publication as it was at the change. So what is compared is not only what there is now:
 * a row of the publication that is another one than before tells that the table was out in between, also where nobody was
 * looking. What cannot be told: options of the publication that were changed and changed back between two looks; and a table
 * that is taken out and put in again between our publishing it and the first look at it, which is at once while changes stream.
 * The same of a partition that is attached and gone again between two looks, where the server is older than 15.
 *
 * What we do to the publication ourselves is no loss: `expect` is told before a table is taken out, and after one was put in.
 */
export class MembershipWatch {
  readonly #log: ChangeLog;
  readonly #publicationName: string;
  /** By OID; null: it is not known yet what there is to be. */
  #expected: ReadonlySet<number> | null = null;
  /** Of these inserts alone count. */
  #insertsOnly: ReadonlySet<number> = new Set();
  readonly #known: Map<number, Membership>;
  #verifiedLsn: Lsn | null;
  /** A position of which it is known that all is well there, once each transaction before `xmax` has ended. */
  #candidate: { readonly lsn: Lsn; readonly xmax: bigint } | null = null;
  /** What is expected has changed: what was asked before means nothing. */
  #changes = 0;
  /** How often all was found well. */
  #wholeLooks = 0;

  constructor(log: ChangeLog, publicationName: string) {
    this.#log = log;
    this.#publicationName = publicationName;
    const stored = JSON.parse(log.published() ?? '{"verifiedLsn":null,"tables":[]}') as Stored;
    this.#known = new Map(stored.tables);
    this.#verifiedLsn = stored.verifiedLsn === null ? null : parseLsn(stored.verifiedLsn);
  }

  /** A connection begins. Where nothing was ever looked at, what comes behind the log's end can be told of. */
  begin(): void {
    this.#verifiedLsn ??= this.#log.end().confirmLsn;
  }

  /**
   * The tables that are to be published from now on. One that comes was put in by us, one that goes is taken out by us.
   * Returns whether they are others than before, so that it is time to look. `insertsOnly`: those of streams that take nothing
   * else.
   */
  expect(oids: readonly number[], insertsOnly: readonly number[] = []): boolean {
    const next = new Set(oids);
    this.#insertsOnly = new Set(insertsOnly);
    const before = this.#expected;
    this.#expected = next;
    if (before !== null && before.size === next.size && oids.every((oid) => before.has(oid))) return false;
    this.#forget([...this.#known.keys()].filter((oid) => !next.has(oid)));
    return true;
  }

  /** Was put in anew by us; null: the publication, and all that is in it. */
  republished(oids: readonly number[] | null): void {
    this.#forget(oids ?? [...this.#known.keys()]);
  }

  /** Rejects with pg's errors. Null: nothing is missing, or it cannot be told now. */
  async look(admin: pg.ClientBase): Promise<Unpublished | null> {
    if (this.#expected === null || this.#expected.size === 0) return null;
    const changes = this.#changes;
    const [position] = (await admin.query<{ lsn: string | null }>(POSITION)).rows;
    const lsn = parseLsn(position?.lsn ?? '');
    if (lsn === null) return null;
    const parameters = [this.#publicationName, [...this.#expected], insertsOf(this.#publicationName)];
    const { rows } = await admin.query<Row & { snapshot: string }>(MEMBERSHIP, parameters);
    if (changes !== this.#changes) return null;
    const missing = rows.flatMap((row) => {
      const why = whyMissing(row, this.#known.get(row.oid) ?? null, this.#insertsOnly.has(row.oid));
      return why === null ? [] : [{ row, why }];
    });
    if (missing.length > 0) return this.#describe(missing);
    for (const { oid, row, operations, viaRoot, attached } of rows) {
      this.#known.set(oid, { row, operations, viaRoot, attached });
    }
    if (rows[0] !== undefined) this.#verify(lsn, rows[0].snapshot);
    this.#wholeLooks++;
    this.#save();
    return null;
  }

  /**
   * Up to where nothing is missing, for a gap that ends what could be found out: the log's end, unless the publication is not
   * now as it was, or cannot be looked at. `look` calls the method of that name, or rejects.
   */
  async completeLsn(look: () => Promise<Unpublished | null>): Promise<Lsn> {
    const { confirmLsn } = this.#log.end();
    const before = this.#wholeLooks;
    const found = await look().catch(() => null);
    if (found !== null) return found.fromLsn;
    const isKnown = this.#wholeLooks > before || this.#expected?.size === 0;
    return isKnown || this.#verifiedLsn === null || this.#verifiedLsn > confirmLsn ? confirmLsn : this.#verifiedLsn;
  }

  /**
   * Whoever has taken a table out, and has written that into the WAL before `lsn`, may not be seen yet by whoever looks
   * after that. Once no transaction of that time is running any more, it would be.
   */
  #verify(lsn: Lsn, snapshot: string): void {
    const [xmin = 0n, xmax = 0n] = snapshot.split(':', 2).map(BigInt);
    if (this.#candidate !== null && xmin >= this.#candidate.xmax) {
      this.#verifiedLsn = this.#candidate.lsn;
      this.#candidate = null;
    }
    if (xmin === xmax) {
      this.#verifiedLsn = lsn;
      this.#candidate = null;
    } else this.#candidate ??= { lsn, xmax };
  }

  #describe(missing: ReadonlyArray<{ readonly row: Row; readonly why: string }>): Unpublished {
    const { confirmLsn } = this.#log.end();
    const verifiedLsn = this.#verifiedLsn ?? confirmLsn;
    const said = missing.map(({ row, why }) => `table ${qualify(row.schema, row.name)} ${why}`);
    return {
      tables: missing.map(({ row: { oid, schema, name } }) => ({ oid, schema, name })),
      hasLostOptions: missing.some(({ why }) => OF_OPTIONS.has(why)),
      message: `of the publication ${this.#publicationName}, ${said.join(', ')}`,
      fromLsn: verifiedLsn < confirmLsn ? verifiedLsn : confirmLsn,
    };
  }

  #forget(oids: readonly number[]): void {
    this.#changes++;
    this.#candidate = null;
    for (const oid of oids) this.#known.delete(oid);
    if (oids.length > 0) this.#save();
  }

  #save(): void {
    const verifiedLsn = this.#verifiedLsn === null ? null : formatLsn(this.#verifiedLsn);
    const stored: Stored = { verifiedLsn, tables: [...this.#known] };
    this.#log.savePublished(JSON.stringify(stored));
  }
}

const LESS_OPERATIONS = 'had operations left out';
const NOT_VIA_ROOT = 'has its partitions published by themselves';
const ATTACHED = 'had a partition attached that PostgreSQL before 15 may not have published at once';
/** What is mended by setting the options of the publication. */
const OF_OPTIONS: ReadonlySet<string> = new Set([LESS_OPERATIONS, NOT_VIA_ROOT, ATTACHED]);

/** What has become of a table's membership, as the end of a sentence; null: nothing that costs changes. */
function whyMissing(now: Membership, before: Membership | null, insertsOnly: boolean): string | null {
  if (now.row === null) return 'was taken out';
  if (before === null) return null;
  const rows = now.row.split(' ');
  const stays = (before.row ?? '').split(' ').map((row) => rows.includes(row));
  // For inserts it does to be in one of them all of the time.
  if (insertsOnly ? !stays.includes(true) : stays.includes(false))
    return 'was taken out and put in again, or had its rows or columns restricted';
  const counting = before.operations.filter((each) => !insertsOnly || each === 'insert' || each === 'truncate');
  if (counting.some((operation) => !now.operations.includes(operation))) return LESS_OPERATIONS;
  if (before.viaRoot && !now.viaRoot) return NOT_VIA_ROOT;
  const { attached } = before;
  return attached && now.attached?.some((each) => !attached.includes(each)) === true ? ATTACHED : null;
}
