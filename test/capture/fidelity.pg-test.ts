import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../src/base/clock.ts';
import { firstPlace, PREPARATION, readPage, tableFacts } from '../../src/capture/backfill-table.ts';
import { SimpleSession } from '../../src/capture/simple-session.ts';
import { binDirOf, type PostgresVersion } from '../support/postgres-versions.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { upstreamOf } from '../support/upstreams.ts';
import { arm, eventually, readLog, startCapture } from './capture-harness.ts';

// The law: the text of a value in the log, in a backfill's page, and as the server prints it under the settings that are
// pinned, are the same bytes, for every type, whatever the settings of role and database are.

const VERSIONS: readonly PostgresVersion[] = [15, 18];

/** Values at the edges, as SQL literals of the type. Every base type of the version has to be here, or in `NO_COLUMN`. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  bool: ['true', 'false'],
  bytea: [`'\\x'`, `'\\x00ff5c27'`, `'\\x${'ab'.repeat(3_000)}'`],
  char: [`'x'`, `''`, `'\\377'`],
  name: [`'n'`, `'${'n'.repeat(63)}'`],
  int8: ['9223372036854775807', '-9223372036854775808'],
  int2: ['32767', '-32768'],
  int2vector: [`'1 2 -3'`, `''`],
  int4: ['2147483647', '-2147483648'],
  regproc: [`'now'`, `'0'`],
  text: [`''`, `E'\\t\\n"\\\\\\u00e9\\U0001F600\\x01'`, `repeat('long ', 3000)`],
  oid: ['0', '4294967295'],
  tid: [`'(4294967295,65535)'`],
  xid: [`'4294967295'`],
  cid: [`'4294967295'`],
  oidvector: [`'1 2 4294967295'`, `''`],
  json: [`'{"b" : 1.50,  "a": [null, "\\u00e9"], "b": 2}'`, `'null'`],
  xml: [`'<a b="c">d</a>'`, `'plain <b/> content'`, `'<?xml version="1.0"?><a/>'`],
  point: [`'(NaN,-Infinity)'`, `'(0.1,1e-300)'`],
  lseg: [`'[(0,0),(0.30000000000000004,1)]'`],
  path: [`'((0,0),(1,1))'`, `'[(0,0),(1,1)]'`],
  box: [`'(1,1),(0,0)'`],
  polygon: [`'((0,0),(1,1),(1,0))'`],
  line: [`'{1,2,0.30000000000000004}'`],
  cidr: [`'10.0.0.0/8'`, `'2001:db8::/32'`],
  float4: [`'NaN'`, `'-Infinity'`, '1.17549435e-38', '3.4028235e38', '0.1', `'-0'`],
  float8: [`'NaN'`, `'Infinity'`, '0.1::float8 + 0.2::float8', '4.9406564584124654e-324', `'-0'`],
  macaddr8: [`'08:00:2b:01:02:03:04:05'`],
  circle: [`'<(0.1,0.2),0.30000000000000004>'`],
  money: [`'-12.34'`, `'92233720368547758.07'`, `'-92233720368547758.08'`],
  macaddr: [`'08:00:2b:01:02:03'`],
  inet: [`'::ffff:1.2.3.4/128'`, `'10.1.2.3/8'`, `'10.1.2.3'`],
  bpchar: [`'a  '`, `''`],
  varchar: [`'a  '`],
  date: [`'4713-01-01 BC'`, `'5874897-12-31'`, `'infinity'`, `'-infinity'`, `'2001-02-03'`],
  time: [`'00:00'`, `'24:00:00'`, `'23:59:59.999999'`],
  timestamp: [`'4713-01-01 00:00:00 BC'`, `'294276-12-31 23:59:59.999999'`, `'infinity'`, `'2001-02-03 04:05:06.7'`],
  timestamptz: [
    `'4713-01-01 12:00:00+00 BC'`,
    `'294276-12-31 23:59:59.999999+00'`,
    `'-infinity'`,
    `'2001-02-03 04:05:06+13:45'`,
  ],
  interval: [
    `'-1 year 2 mons -3 days 04:05:06.789'`,
    `'178000000 years'`,
    `'-178000000 years'`,
    `'0'`,
    `'1 day -00:00:00.000001'`,
  ],
  timetz: [`'24:00:00-15:59'`, `'23:59:59.999999+15:59'`],
  bit: [`B'1'`, `B'0'`],
  varbit: [`B''`, `B'101101101'`],
  numeric: [`'NaN'`, `'Infinity'`, `'-Infinity'`, `repeat('9', 1000)::numeric`, `'0.${'0'.repeat(500)}1'`, '1.500'],
  refcursor: [`'c'`],
  regprocedure: [`'pg_catalog.now()'`, `'0'`],
  regoper: [`'pg_catalog.||/'`, `'0'`],
  regoperator: [`'pg_catalog.+(integer,integer)'`],
  regclass: [`'pg_catalog.pg_class'`, `'public."Odd name"'`, `'4294967295'`],
  regcollation: [`'pg_catalog."C"'`],
  regtype: [`'integer'`, `'public.mood'`, `'"char"'`],
  regrole: [`'postgres'`],
  regnamespace: [`'public'`],
  regdatabase: [`'postgres'`],
  uuid: [`'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`],
  pg_lsn: [`'FFFFFFFF/FFFFFFFF'`, `'0/0'`],
  tsvector: [`$$'a':1A,16383 'it''s':2$$`, `''`],
  gtsvector: [],
  tsquery: [`$$'a' & !'it''s':*A <2> 'b'$$`, `''`],
  regconfig: [`'pg_catalog.english'`],
  regdictionary: [`'pg_catalog.simple'`],
  jsonb: [`'{"b": 1.50, "a": [null, 1e400], "": "\\u00e9"}'`, `'"x"'`],
  jsonpath: [`'$.a[*] ? (@ > 1 && @.b like_regex "^c" flag "i")'`],
  txid_snapshot: [`'10:20:10,14,15'`],
  xid8: [`'18446744073709551615'`],
  pg_snapshot: [`'10:20:10,14,15'`],
  aclitem: [`'postgres=r*w/postgres'`],
  int4range: [`'empty'`, `'(,)'`, `'[1,5)'`],
  numrange: [`'[1.10,NaN)'`],
  tsrange: [`'["2020-01-01 00:00:00 BC",infinity)'`],
  tstzrange: [`'["2020-01-01 00:00:00+13:45",infinity)'`],
  daterange: [`'[2020-01-01,)'`],
  int8range: [`'[1,9223372036854775807)'`],
  int4multirange: [`'{}'`, `'{[1,2),[5,)}'`],
  nummultirange: [`'{[1.10,2.2]}'`],
  tsmultirange: [`'{["2020-01-01 00:00:00","2020-01-02 00:00:00")}'`],
  tstzmultirange: [`'{["2020-01-01 00:00:00+13:45","2020-01-02 00:00:00+00")}'`],
  datemultirange: [`'{[2020-01-01,2020-02-01)}'`],
  int8multirange: [`'{(,1),[5,)}'`],
  'public.mood': [`'sad, "so"'`, `''''''`],
  'public.positive': ['7'],
  'public.few': [`'{1,NULL}'`],
  'public.pair': [`ROW(1, '2020-01-01', ' "q"\\')`, `ROW(NULL, NULL, NULL)`],
  'public.nested': [`ROW(ROW(1, 'infinity', ''), ARRAY['1 day -2 hours'::interval, NULL])`],
  'public.spans': [`'[1 day,1 mon)'`],
  'public.hstore': [`'"a b"=>"1", b=>NULL, "c\\""=>""'`],
  'public.citext': [`'MiXed'`],
};

/** Base types that no column of a user's has values of. */
const NO_COLUMN = new Set([
  'pg_node_tree',
  'pg_ndistinct',
  'pg_dependencies',
  'pg_mcv_list',
  'pg_brin_bloom_summary',
  'pg_brin_minmax_multi_summary',
]);

/** Of arrays: empty, nulls, several dimensions, bounds of their own. */
function arraysOf(type: string, value: string): string[] {
  // ARRAY[…] of them would be an array of more dimensions of what they are of.
  if (type === 'public.few') return [`'{}'::public.few[]`, `'{"{1,NULL}",NULL}'::public.few[]`];
  const one = `(${value})::${type}`;
  return [
    `'{}'::${type}[]`,
    `ARRAY[${one}, NULL]`,
    `ARRAY[ARRAY[${one}, NULL], ARRAY[NULL, ${one}]]`,
    `pg_catalog.array_fill(${one}, ARRAY[2], ARRAY[-3])`,
  ];
}

const HOSTILE = [
  `datestyle = 'German, DMY'`,
  `intervalstyle = 'sql_standard'`,
  'extra_float_digits = -15',
  `timezone = 'Pacific/Chatham'`,
  `bytea_output = 'escape'`,
  `xmlbinary = 'hex'`,
  `xmloption = 'document'`,
  'array_nulls = off',
  'quote_all_identifiers = on',
  'standard_conforming_strings = off',
  `default_text_search_config = 'pg_catalog.german'`,
  // A name that is visible is written without its schema.
  `search_path = 'public'`,
];

/** What the server itself prints is asked under these, whatever walhook pins. */
const PINNED =
  '-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC -c bytea_output=hex ' +
  '-c search_path=pg_catalog -c quote_all_identifiers=off -c lc_monetary=C';

interface Case {
  readonly column: string;
  readonly type: string;
  readonly values: readonly string[];
}

/** The new rows in the log, each value as its text: the library that reads them would parse it. */
function insertsAsText(folder: string): Record<string, string | null>[] {
  const { getTypeParser } = pg.types;
  Object.assign(pg.types, { getTypeParser: () => (text: unknown) => text });
  try {
    return [...readLog(folder)].flatMap(({ message }) =>
      message.tag === 'insert' ? [message.new as Record<string, string | null>] : [],
    );
  } finally {
    Object.assign(pg.types, { getTypeParser });
  }
}

/** The server's base types are all known here, so that a new version's is not forgotten. */
async function requireAll(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    `SELECT typname AS name FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
        AND typcategory <> 'A' AND typrelid = 0 AND typelem = 0 OR typname IN ('int2vector', 'oidvector')`,
  );
  const missing = rows.map(({ name }) => name).filter((name) => VALUES[name] === undefined && !NO_COLUMN.has(name));
  assert.deepEqual(missing, [], 'types without values');
}

for (const version of VERSIONS) {
  test(`PostgreSQL ${version}: log, backfill and the server have the same text for every type`, async () => {
    const server = await startPostgres({ binDir: await binDirOf(version) });
    const admin = await connect(server.url());
    await admin.query(`CREATE EXTENSION hstore; CREATE EXTENSION citext;
      CREATE TYPE mood AS ENUM ('happy', 'sad, "so"', ''''''); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
      CREATE DOMAIN few AS int[] CHECK (pg_catalog.array_length(VALUE, 1) < 9);
      CREATE TYPE pair AS (a int, b timestamptz, c text); CREATE TYPE nested AS (p pair, i interval[]);
      CREATE TYPE spans AS RANGE (subtype = interval); CREATE TABLE "Odd name" ()`);
    await requireAll(admin);
    const { rows: known } = await admin.query<{ name: string }>('SELECT typname AS name FROM pg_type');
    const there = new Set(known.map(({ name }) => name));
    const cases: Case[] = [];
    for (const [name, values] of Object.entries(VALUES)) {
      if (!there.has(name.replace('public.', '')) || values.length === 0) continue;
      const type = name.includes('.') ? name : `pg_catalog.${JSON.stringify(name)}`;
      cases.push({ column: `c${cases.length}`, type, values: values.map((value) => `(${value})::${type}`) });
      cases.push({ column: `c${cases.length}`, type: `${type}[]`, values: arraysOf(type, values[0]!) });
    }
    const columns = cases.map(({ column, type }) => `${column} ${type}`).join(', ');
    await admin.query(`CREATE TABLE every (id int PRIMARY KEY, ${columns})`);
    for (const setting of HOSTILE) {
      await admin.query(`ALTER ROLE postgres SET ${setting}; ALTER DATABASE postgres SET ${setting}`);
    }
    await arm(admin, 'every');
    const folder = temporaryFolder();
    const running = startCapture(server.url(), folder);
    const count = Math.max(...cases.map(({ values }) => values.length));
    for (let i = 0; i < count; i++) {
      const given = cases.filter(({ values }) => i < values.length);
      await admin.query(
        `INSERT INTO every (id, ${given.map(({ column }) => column).join(', ')})
         VALUES (${i}, ${given.map(({ values }) => values[i]).join(', ')})`,
      );
    }
    await eventually('all rows', () => running.capture.status().changesCaptured === count);
    await running.stop();

    const logged = insertsAsText(folder);
    const reader = new SimpleSession(upstreamOf(server.url()), systemClock, {
      statementTimeoutMs: 60_000,
      lockTimeoutMs: 60_000,
    });
    await reader.open();
    await reader.send(PREPARATION);
    const { rows: oids } = await admin.query<{ oid: string }>(`SELECT 'public.every'::regclass::oid::bigint AS oid`);
    const facts = (await tableFacts(reader, Number(oids[0]!.oid)))!;
    const page = (await readPage(reader, { facts, where: null }, firstPlace(facts), 100)).rows.texts();
    const names = ['id', ...cases.map(({ column }) => column)];
    reader.close();
    const pinned = new pg.Client({ connectionString: server.url(), options: PINNED });
    await pinned.connect();
    // textout's own bytes: a cast to text strips what a char(n) is padded with.
    const printed = await pinned.query<Record<string, string | null>>(
      `SELECT ${names.map((name) => `pg_catalog.format('%s', ${name}) AS ${name}, pg_catalog.num_nulls(${name}) = 1 AS n_${name}`).join(', ')}
         FROM public.every ORDER BY id`,
    );
    await pinned.end();
    const wrong: string[] = [];
    for (let i = 0; i < count; i++) {
      for (const [at, name] of names.entries()) {
        const row = printed.rows[i]!;
        const said = row[`n_${name}`] ? null : row[name];
        const [inLog, inPage] = [logged[i]![name], page[i]![at]];
        if (inLog === said && inPage === said) continue;
        wrong.push(`${cases[at - 1]?.type} row ${i}: log ${inLog}, backfill ${inPage}, server ${said}`);
      }
    }
    assert.deepEqual(wrong, []);
    for (const { column, type, values } of cases) {
      assert.ok(
        logged.slice(0, values.length).every((row) => row[column] !== null),
        `${type} has values`,
      );
    }
  });
}
