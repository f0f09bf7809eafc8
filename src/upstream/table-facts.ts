import { asciiLiteral, qualify } from '../postgres/identifier.ts';

/**
 * What a table, or one of a partitioned table's, would suffer from being published, or publishing from it.
 * `identity`: UPDATE and DELETE would begin to fail. `later`: those of partitions that are yet to be made would.
 * `virtual`: they fail with REPLICA IDENTITY FULL where a generated column has no stored value. `unlogged`: of a partition
 * that writes no WAL, or that is elsewhere, no change is seen.
 */
export interface Flaw {
  readonly schema: string;
  readonly name: string;
  readonly reason: 'identity' | 'later' | 'virtual' | 'unlogged';
  /** It has a primary key that would do. */
  readonly has_key: boolean;
}

/** What capture has to know of a table. */
export interface TableFacts {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relkind` */
  readonly kind: string;
  /** `pg_class.relpersistence` */
  readonly persistence: string;
  readonly is_partition: boolean;
  readonly is_system: boolean;
  /** The first there is; null: its updates and deletes work on while it is published. */
  readonly flaw: Flaw | null;
  /** The primary key's columns in index order. */
  readonly key: readonly string[] | null;
}

/*
  What the server asks of an index before it logs its columns as a row's identity; a deferrable key is not enough. Before 18
  a generated column is not sent, so a key that has one would tell no rows apart.
  https://www.postgresql.org/docs/current/logical-replication-publication.html#LOGICAL-REPLICATION-PUBLICATION-REPLICA-IDENTITY
*/
const IS_USABLE = `i.indrelid OPERATOR(pg_catalog.=) m.oid AND i.indimmediate
  AND (CAST(pg_catalog.current_setting('server_version_num') AS pg_catalog.int4) OPERATOR(pg_catalog.>=) 180000
    OR NOT EXISTS (SELECT FROM pg_catalog.pg_attribute g WHERE g.attrelid OPERATOR(pg_catalog.=) m.oid
      AND g.attgenerated OPERATOR(pg_catalog.<>) ''
      AND g.attnum OPERATOR(pg_catalog.=) ANY (CAST(i.indkey AS pg_catalog.int2[]))))`;

const HAS_USABLE_KEY = `EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indisprimary AND ${IS_USABLE})`;

/*
  Of a partitioned table its partitions count, and for those to come its key: REPLICA IDENTITY is not inherited, a primary
  key is.
*/
/** Of a `pg_class c`. */
export const TABLE_FLAW = `(SELECT pg_catalog.json_build_object('schema', f.nspname, 'name', f.relname, 'reason', f.reason, 'has_key', f.has_key)
  FROM (SELECT s.nspname, m.relname, ${HAS_USABLE_KEY} AS has_key, CASE
      WHEN m.relkind OPERATOR(pg_catalog.=) 'p' THEN
        CASE WHEN m.oid OPERATOR(pg_catalog.=) c.oid AND NOT ${HAS_USABLE_KEY} THEN 'later' END
      WHEN m.oid OPERATOR(pg_catalog.<>) c.oid
        AND (m.relkind OPERATOR(pg_catalog.<>) 'r' OR m.relpersistence OPERATOR(pg_catalog.<>) 'p') THEN 'unlogged'
      WHEN m.relkind OPERATOR(pg_catalog.<>) 'r' THEN NULL
      WHEN m.relreplident OPERATOR(pg_catalog.=) 'f' THEN
        CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute v WHERE v.attrelid OPERATOR(pg_catalog.=) m.oid
          AND v.attgenerated OPERATOR(pg_catalog.=) 'v') THEN 'virtual' END
      WHEN EXISTS (SELECT FROM pg_catalog.pg_index i WHERE ${IS_USABLE} AND CASE m.relreplident
        WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident AND i.indisvalid ELSE false END) THEN NULL
      ELSE 'identity' END AS reason
    FROM (SELECT c.oid UNION ALL
      SELECT t.relid FROM pg_catalog.pg_partition_tree(CAST(c.oid AS pg_catalog.regclass)) t
      WHERE c.relkind OPERATOR(pg_catalog.=) 'p' AND t.relid OPERATOR(pg_catalog.<>) c.oid) AS x(oid)
    JOIN pg_catalog.pg_class m ON m.oid OPERATOR(pg_catalog.=) x.oid
    JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) m.relnamespace) f
  WHERE f.reason IS NOT NULL
  ORDER BY f.reason OPERATOR(pg_catalog.=) 'later', f.nspname, f.relname LIMIT 1)`;

/**
 * The arguments of a `json_build_object` that makes `TableFacts` of a `pg_class c` and its `pg_namespace n`. Every name and
 * operator is qualified, since it is asked on clients' sessions too, whose search path is theirs.
 */
export const TABLE_FACTS = `
  'oid', CAST(c.oid AS pg_catalog.int8), 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'persistence', c.relpersistence, 'is_partition', c.relispartition,
  'is_system', n.nspname OPERATOR(pg_catalog.=) 'pg_catalog' OR n.nspname OPERATOR(pg_catalog.=) 'information_schema',
  'flaw', ${TABLE_FLAW},
  'key', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(CAST(i.indkey AS pg_catalog.int2[]))) WITH ORDINALITY AS k(number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.=) k.number
    WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisprimary
      AND k.place OPERATOR(pg_catalog.<=) CAST(i.indnkeyatts AS pg_catalog.int8))`;

/** Whether a stream minds that takes these operations: no identity is needed for inserts. */
export function isFlawFor(flaw: Flaw | null, insertsOnly: boolean): flaw is Flaw {
  return flaw !== null && !(insertsOnly && flaw.reason !== 'unlogged');
}

/** Whether UPDATE and DELETE fail now, while it is published. */
export function isFailing({ reason }: Flaw): boolean {
  return reason === 'identity' || reason === 'virtual';
}

/** What is wrong with a table, and the statement that mends it. */
export interface FlawText {
  readonly message: string;
  readonly detail: string;
  readonly hint: string;
  /** SQL that can be run; a comment where somebody has to decide. */
  readonly fix: string;
}

/** For an error, or a warning, of whatever is done with the table. */
export function describeFlaw({ schema, name, reason, has_key: hasKey }: Flaw): FlawText {
  const table = qualify(schema, name);
  const detail = 'PostgreSQL would refuse every UPDATE and DELETE on it while its changes are published.';
  switch (reason) {
    case 'unlogged':
      return {
        message: `partition ${table} writes no WAL`,
        detail: 'Its changes would be missing.',
        hint: `ALTER TABLE ${table} SET LOGGED; or, where it is a foreign table, detach it.`,
        fix: `ALTER TABLE ${table} SET LOGGED;`,
      };
    case 'virtual':
      return {
        message: `table ${table} is REPLICA IDENTITY FULL and has a virtual generated column`,
        detail,
        hint: `ALTER TABLE ${table} REPLICA IDENTITY DEFAULT, with a primary key, or make the column STORED.`,
        fix: `ALTER TABLE ${table} REPLICA IDENTITY DEFAULT;`,
      };
    case 'later':
      return {
        message: `partitioned table ${table} has no primary key, and so no replica identity for partitions to come`,
        detail:
          'REPLICA IDENTITY is not inherited: PostgreSQL would refuse every UPDATE and DELETE on a new partition.',
        hint: `ALTER TABLE ${table} ADD PRIMARY KEY (…);`,
        fix: `-- ALTER TABLE ${table} ADD PRIMARY KEY (…);`,
      };
    case 'identity':
      return {
        message: `table ${table} has no replica identity`,
        detail,
        hint: hasKey
          ? `ALTER TABLE ${table} REPLICA IDENTITY DEFAULT;`
          : `ALTER TABLE ${table} ADD PRIMARY KEY (…); or, without a key, ALTER TABLE ${table} REPLICA IDENTITY FULL;`,
        fix: `ALTER TABLE ${table} REPLICA IDENTITY FULL;`,
      };
  }
}

/** As a stream has it: all columns, all rows. */
export function streamTable({ oid, schema, name, key }: TableFacts): WholeTable {
  return { oid, schema, name, keyColumns: key ?? [], columns: null, where: null };
}

interface WholeTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly keyColumns: readonly string[];
  readonly columns: null;
  readonly where: null;
}

/** A table of a scope, and whether who asks may read it. */
export interface ScopeTable extends TableFacts {
  readonly may_select: boolean;
}

/** Of a `pg_class c` and its `pg_namespace n`: ordinary and partitioned tables whose changes are logged, no partition and nothing of the system. */
export const IN_SCOPE = `c.relkind OPERATOR(pg_catalog.=) ANY (CAST('{r,p}' AS "char"[])) AND NOT c.relispartition
  AND c.relpersistence OPERATOR(pg_catalog.=) 'p' AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
  AND n.nspname OPERATOR(pg_catalog.!~) '^pg_'`;

/** A JSON expression: an array of `ScopeTable` by schema and name, of all schemas where `schemas` is null. */
export function scopeTablesExpression(schemas: readonly string[] | null): string {
  const isMeant =
    schemas === null
      ? 'true'
      : `n.nspname OPERATOR(pg_catalog.=) ANY (CAST(ARRAY[${schemas.map(asciiLiteral).join(', ')}] AS pg_catalog.name[]))`;
  return `COALESCE((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(${TABLE_FACTS},
    'may_select', pg_catalog.has_table_privilege(c.oid, 'SELECT')) ORDER BY n.nspname, c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  WHERE ${IN_SCOPE} AND ${isMeant}), CAST('[]' AS pg_catalog.json))`;
}

/** Of these tables (`$1`: schemas, `$2`: names) those that there are, whatever their OIDs: `schema` and `name`. */
export const TABLES_BY_NAME = `
  SELECT n.nspname::text AS schema, c.relname::text AS name
    FROM unnest($1::text[], $2::text[]) AS wanted(schema, name)
    JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name AND c.relkind IN ('r', 'p')`;

/** A query with one row, whose `tables` is an array of `TableFacts`: of those OIDs (`$1`) that there are. */
export const TABLES_BY_OID = `
  SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object(${TABLE_FACTS})), CAST('[]' AS pg_catalog.json)) AS tables
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
   WHERE c.oid OPERATOR(pg_catalog.=) ANY (CAST($1 AS pg_catalog.oid[]))`;
