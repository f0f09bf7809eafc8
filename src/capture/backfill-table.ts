import { must } from '../base/assert.ts';
import { quoteIdentifier, quoteLiteral, qualify } from '../postgres/identifier.ts';
import type { Relation } from '../postgres/pgoutput.ts';
import { PUBLICATION } from './publication.ts';
import type { RawRows } from './raw-rows.ts';
import type { SimpleSession } from './simple-session.ts';

/** A column by which rows are told apart and put in order. */
interface KeyColumn {
  readonly name: string;
  /** As a cast has it, schema included. */
  readonly type: string;
}

/** A table as a backfill reads it. */
export interface TableFacts {
  /** As pgoutput would describe it. */
  readonly relation: Relation;
  /** In the order of the index; empty: the table has no key, and is read in the order of its blocks. */
  readonly key: readonly KeyColumn[];
  /** Where these stand in the relation. */
  readonly keyIndexes: readonly number[];
  readonly isPartitioned: boolean;
  /** All of this as the server tells it: equal where the table is as it was. */
  readonly text: string;
}

interface ColumnRow {
  readonly name: string;
  readonly oid: number;
  readonly modifier: number;
  readonly type: string;
  readonly in_identity: boolean;
}

interface FactsRow {
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly identity: Relation['replicaIdentity'];
  readonly columns: readonly ColumnRow[];
  readonly key: readonly string[] | null;
}

/*
  Since 18 pgoutput sends generated columns that are stored, if the publication says so.
  https://www.postgresql.org/docs/current/logical-replication-gencols.html
*/
const IS_SENT = `(a.attgenerated = '' OR a.attgenerated = 's' AND EXISTS (SELECT FROM pg_catalog.pg_publication u
            WHERE u.pubname = ${quoteLiteral(PUBLICATION)} AND to_jsonb(u) ->> 'pubgencols' = 's'))`;

// The key is what every change of a row tells: the replica identity, or with FULL the primary key.
const FACTS = `
  SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relreplident AS identity,
         (SELECT json_agg(json_build_object(
                   'name', a.attname, 'oid', a.atttypid::bigint, 'modifier', a.atttypmod,
                   'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                   'in_identity', COALESCE(a.attnum = ANY (i.indkey::int2[]), false) OR c.relreplident = 'f')
                 ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND ${IS_SENT}) AS columns,
         (SELECT json_agg(a.attname ORDER BY k.place)
            FROM unnest(COALESCE(i.indkey, p.indkey)::int2[]) WITH ORDINALITY AS k(number, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
           WHERE k.place <= COALESCE(i.indnkeyatts, p.indnkeyatts)) AS key
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_index p ON p.indrelid = c.oid AND p.indisprimary
    LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
     AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
   WHERE c.oid = $1 AND c.relkind IN ('r', 'p')`;

const ESTIMATE = (oid: number): string => `
  SELECT sum(l.reltuples)::bigint FROM pg_catalog.pg_class l
   WHERE l.relkind = 'r' AND l.reltuples >= 0
     AND (l.oid = ${oid} OR l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(${oid}::oid)))`;

/** What a session that reads tables is told first: planned once, a question about a table costs little. */
export const PREPARATION = [
  // A role that row security restricts is told so, instead of being given fewer rows.
  'SET row_security = off',
  `PREPARE walhook_facts (oid) AS SELECT row_to_json(f)::text FROM (${FACTS}) f`,
].join('; ');

/** The table as it is now; null where there is none of that OID. */
export async function tableFacts(session: SimpleSession, oid: number): Promise<TableFacts | null> {
  const [answer] = await session.send(askFacts(oid));
  const text = factsText(answer);
  return text === null ? null : readFacts(oid, text);
}

/** The planner's estimate of the table's rows; null where there is none. */
export async function estimatedRows(session: SimpleSession, oid: number): Promise<number | null> {
  const [answer] = await session.send(ESTIMATE(oid));
  const text = answer?.texts()[0]?.[0] ?? null;
  return text === null ? null : Number(text);
}

const askFacts = (oid: number): string => `EXECUTE walhook_facts (${oid})`;

function factsText(answer: RawRows | undefined): string | null {
  return answer?.texts()[0]?.[0] ?? null;
}

function readFacts(oid: number, text: string): TableFacts {
  const row = JSON.parse(text) as FactsRow;
  const columns = row.columns;
  const names = row.key ?? [];
  return {
    relation: {
      oid,
      schema: row.schema,
      name: row.name,
      replicaIdentity: row.identity,
      columns: columns.map((column) => ({
        name: column.name,
        typeOid: column.oid,
        typeModifier: column.modifier,
        isKey: column.in_identity,
      })),
    },
    key: names.map((name) => ({ name, type: columns.find((column) => column.name === name)?.type ?? 'text' })),
    keyIndexes: names.map((name) => columns.findIndex((column) => column.name === name)),
    isPartitioned: row.kind === 'p',
    text,
  };
}

/** Where a reading of one table goes on. */
export type PagePlace =
  /** The key of the last row, as text; null: the first. */
  | { readonly kind: 'key'; readonly after: readonly string[] | null }
  /** A table without key: from this block on of this leaf (an index among the leaves by OID). */
  | { readonly kind: 'blocks'; readonly leaf: number; readonly block: number };

export interface Page {
  /** Columns in the relation's order. */
  readonly rows: RawRows;
  /** It has more rows than can be held, and no order in which to go on behind those that were: it is to be read in parts. */
  readonly isTooLarge: boolean;
  /** Where the next page begins; null: this was the last. */
  readonly next: PagePlace | null;
  /** Transactions that the page's snapshot does not see though they may have committed: the low 32 bits of their ids. */
  readonly unseen: ReadonlySet<number>;
  /** What the server told of the table when the page was read, as `TableFacts` has it; null: it is gone. */
  readonly factsText: string | null;
}

export function firstPlace({ key }: TableFacts): PagePlace {
  return key.length > 0 ? { kind: 'key', after: null } : { kind: 'blocks', leaf: 0, block: 0 };
}

/** Rows may become larger all at once; how many are asked for follows what those before had. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;

const UNSEEN = `SELECT (x::text::numeric % 4294967296)::text
                  FROM pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) x`;

/**
 * Reads the rows that come next, as one snapshot has them, in one round trip: the question is out when this returns its
 * promise, unless the table has no key. The lock comes before the snapshot, so that the columns are those of the rows;
 * where the table is not as `facts` has it any more, the page's own text of them tells. Rejects with the server's error where
 * a name is gone.
 */
export async function readPage(
  session: SimpleSession,
  { facts, where }: { readonly facts: TableFacts; readonly where: string | null },
  place: PagePlace,
  limit: number,
): Promise<Page> {
  const part =
    place.kind === 'key' ? keyPart(facts, where, place, limit) : await blocksPart(session, facts, where, place, limit);
  const { relation } = facts;
  const [, , found, unseen, rows] = await session.send(
    [
      'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
      `LOCK TABLE ${qualify(relation.schema, relation.name)} IN ACCESS SHARE MODE`,
      askFacts(relation.oid),
      UNSEEN,
      part?.sql ?? 'SELECT WHERE false',
      'ROLLBACK',
    ].join('; '),
    // Less than a block cannot be asked for.
    place.kind === 'blocks' && limit === 1 ? Infinity : MAX_PAGE_BYTES,
  );
  const read = must(rows, 'an answer to each statement');
  return {
    rows: read,
    isTooLarge: read.isCut && place.kind === 'blocks',
    next: part?.next(read) ?? null,
    unseen: new Set(unseen?.texts().map(([xid]) => Number(xid))),
    factsText: factsText(found),
  };
}

/** How the next rows are asked for, and how it goes on behind them. */
interface Part {
  readonly sql: string;
  readonly next: (rows: RawRows) => PagePlace | null;
}

function keyPart(
  facts: TableFacts,
  where: string | null,
  { after }: Extract<PagePlace, { kind: 'key' }>,
  limit: number,
): Part {
  const key = facts.key.map(({ name }) => `t.${quoteIdentifier(name)}`).join(', ');
  const last = after?.map((text, i) => `${quoteLiteral(text)}::${facts.key[i]!.type}`).join(', ');
  const conditions = [where === null ? null : `(${where})`, last === undefined ? null : `ROW(${key}) > ROW(${last})`];
  return {
    sql:
      `SELECT ${columnList(facts)} FROM ${fromClause(facts)} t ${whereClause(conditions)} ` +
      `ORDER BY ${key} LIMIT ${limit}`,
    next: (rows) => {
      if (rows.last === null || (rows.count < limit && !rows.isCut)) return null;
      // What orders rows is not null.
      return { kind: 'key', after: rows.values(rows.last, facts.keyIndexes, 'utf8').map((text) => text ?? '') };
    },
  };
}

/** Null: there is no such leaf any more. */
async function blocksPart(
  session: SimpleSession,
  facts: TableFacts,
  where: string | null,
  { leaf, block }: Extract<PagePlace, { kind: 'blocks' }>,
  limit: number,
): Promise<Part | null> {
  const [answer] = await session.send(
    `SELECT n.nspname, c.relname, count(*) OVER (),
            pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r'
        AND (c.oid = ${facts.relation.oid} OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(${facts.relation.oid}::oid)))
      ORDER BY c.oid OFFSET ${leaf} LIMIT 1`,
  );
  const found = answer?.texts()[0];
  if (found === undefined) return null;
  const [schema, name, leaves, blocks] = found;
  const until = block + limit;
  const conditions = [
    where === null ? null : `(${where})`,
    `t.ctid >= '(${block},0)'::tid`,
    `t.ctid < '(${until},0)'::tid`,
  ];
  return {
    sql: `SELECT ${columnList(facts)} FROM ONLY ${qualify(schema ?? '', name ?? '')} t ${whereClause(conditions)}`,
    next: () => {
      if (until < Number(blocks)) return { kind: 'blocks', leaf, block: until };
      return leaf + 1 < Number(leaves) ? { kind: 'blocks', leaf: leaf + 1, block: 0 } : null;
    },
  };
}

function columnList({ relation }: TableFacts): string {
  return relation.columns.map(({ name }) => `t.${quoteIdentifier(name)}`).join(', ');
}

/** A table's heirs are tables of their own to a publication; partitions are not. */
function fromClause({ relation, isPartitioned }: TableFacts): string {
  return `${isPartitioned ? '' : 'ONLY '}${qualify(relation.schema, relation.name)}`;
}

function whereClause(conditions: readonly (string | null)[]): string {
  const given = conditions.filter((condition) => condition !== null);
  return given.length === 0 ? '' : `WHERE ${given.join(' AND ')}`;
}
