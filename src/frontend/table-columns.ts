import type { PredicateCollation, PredicateColumn } from '../sql/predicate/column.ts';
import { type Questioner, senseless } from './question.ts';

/** A table's columns as predicates and column lists need them. */
export interface TableColumns {
  /** In their order. */
  readonly columns: readonly PredicateColumn[];
  /** Those that are generated: not sent before 18, and virtual ones never. */
  readonly generated: ReadonlySet<string>;
  /** Columns of the replica identity: the key whose old values UPDATE and DELETE have; null: the whole row. */
  readonly identity: ReadonlySet<string> | null;
  /** Whether the order of code points is that of the database's bytes, which is what the collation "C" compares. */
  readonly hasOrderedText: boolean;
}

interface ColumnRow {
  readonly name: string;
  readonly oid: number;
  readonly base: number;
  readonly type: string;
  readonly is_generated: boolean;
  /** The row of `pg_collation`, whose columns differ from version to version. */
  readonly collation: Readonly<Record<string, unknown>> | null;
  readonly labels: readonly string[] | null;
}

interface Answer {
  readonly columns: readonly ColumnRow[] | null;
  readonly replica_identity: string;
  readonly identity: readonly string[] | null;
  /** The row of `pg_database`. */
  readonly database: Readonly<Record<string, unknown>>;
  readonly encoding: string;
}

/** Asks the client's session, in one question; null where the table is gone. */
export async function tableColumns(oid: number, questioner: Questioner): Promise<TableColumns | null> {
  const answer = (await questioner.ask(columnsQuestion(oid))) as Answer | null;
  if (answer === null) return null;
  const { columns, database, encoding, replica_identity: kind } = answer;
  if (typeof encoding !== 'string' || typeof database !== 'object') throw senseless();
  const rows = columns ?? [];
  return {
    columns: rows.map((row) => predicateColumn(row, database)),
    generated: new Set(rows.filter((row) => row.is_generated).map(({ name }) => name)),
    identity: kind === 'f' ? null : new Set(answer.identity ?? []),
    hasOrderedText: encoding === 'UTF8' || encoding === 'LATIN1',
  };
}

function predicateColumn(row: ColumnRow, database: Answer['database']): PredicateColumn {
  if (typeof row.name !== 'string' || typeof row.oid !== 'number') throw senseless();
  return {
    name: row.name,
    typeOid: row.oid,
    typeName: row.type,
    collation: row.collation === null ? null : collationOf(row.collation, database),
    ...(row.base === row.oid ? {} : { baseTypeOid: row.base }),
    ...(row.labels === null ? {} : { enumLabels: row.labels }),
  };
}

/** The locale's column: `…collate` for libc; otherwise `…locale` since 17, before `…iculocale`. */
function collationOf(row: Readonly<Record<string, unknown>>, database: Answer['database']): PredicateCollation {
  const isDefault = row['collprovider'] === 'd';
  const of = isDefault ? database : row;
  const prefix = isDefault ? 'dat' : 'coll';
  // Before 15 a database has no provider but libc.
  const provider = isDefault ? (database['datlocprovider'] ?? 'c') : row['collprovider'];
  const locale =
    provider === 'c'
      ? of[`${prefix}collate`]
      : (of[`${prefix}locale`] ?? of[`${prefix}iculocale`] ?? of[`${prefix}collate`]);
  return {
    name: String(row['collname']),
    isDeterministic: row['collisdeterministic'] !== false,
    // What is not known is not reproduced.
    provider: provider === 'c' || provider === 'b' ? provider : 'i',
    locale: typeof locale === 'string' ? locale : null,
  };
}

/** A JSON object, or null where there is no such relation. Everything is qualified: see `Questioner.ask`. */
function columnsQuestion(oid: number): string {
  const columns = `SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', a.attname, 'oid', CAST(a.atttypid AS pg_catalog.int8), 'base', CAST(base.oid AS pg_catalog.int8),
    'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
    'is_generated', a.attgenerated OPERATOR(pg_catalog.<>) '',
    'collation', (SELECT pg_catalog.to_json(l) FROM pg_catalog.pg_collation l
      WHERE l.oid OPERATOR(pg_catalog.=) a.attcollation),
    'labels', (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e
      WHERE e.enumtypid OPERATOR(pg_catalog.=) base.oid)) ORDER BY a.attnum)
  FROM pg_catalog.pg_attribute a
  CROSS JOIN LATERAL (
    WITH RECURSIVE stands AS (
      SELECT y.oid, y.typbasetype FROM pg_catalog.pg_type y WHERE y.oid OPERATOR(pg_catalog.=) a.atttypid
      UNION ALL
      SELECT y.oid, y.typbasetype FROM pg_catalog.pg_type y
        JOIN stands ON y.oid OPERATOR(pg_catalog.=) stands.typbasetype)
    SELECT stands.oid FROM stands WHERE stands.typbasetype OPERATOR(pg_catalog.=) CAST(0 AS pg_catalog.oid)) AS base
  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) CAST(0 AS pg_catalog.int2)
    AND NOT a.attisdropped`;
  const identity = `SELECT pg_catalog.json_agg(a.attname)
  FROM pg_catalog.pg_index i
  CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(CAST(i.indkey AS pg_catalog.int2[]))) WITH ORDINALITY AS k(number, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.=) k.number
  WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid
    AND k.place OPERATOR(pg_catalog.<=) CAST(i.indnkeyatts AS pg_catalog.int8)
    AND (c.relreplident OPERATOR(pg_catalog.=) 'd' AND i.indisprimary
      OR c.relreplident OPERATOR(pg_catalog.=) 'i' AND i.indisreplident)`;
  return `(
SELECT pg_catalog.json_build_object(
  'columns', (${columns}),
  'replica_identity', c.relreplident,
  'identity', (${identity}),
  'database', (SELECT pg_catalog.to_json(d) FROM pg_catalog.pg_database d
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
  'encoding', pg_catalog.getdatabaseencoding())
FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) CAST(${oid} AS pg_catalog.oid))`;
}
