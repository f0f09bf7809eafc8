import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { compilePredicate, MISSING, type Predicate, type RowView } from '../../../src/filters/compile.ts';
import { PgError, SQLSTATE } from '../../../src/postgres/sqlstate.ts';
import type { PredicateColumn } from '../../../src/sql/predicate/column.ts';
import { typePredicate } from '../../../src/sql/predicate/type-predicate.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { connect, startPostgres } from '../../support/test-database.ts';
import { COLUMNS, MOODS, PredicateGenerator } from './random-predicates.ts';

// The law: what we accept, Postgres accepts, and of every row it says the same: true, false, unknown, or the same error.

const PAIRS = Number(process.env.PREDICATE_PAIRS ?? 24_000);
const SECONDS = Number(process.env.PREDICATE_SECONDS ?? 0);
const SEED = Number(process.env.PREDICATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** `0x1F` and `1_0` are numbers since PostgreSQL 16. */
const NEW_NUMBERS = Number(process.env.TEST_POSTGRES ?? 18) >= 16;
const ROWS = 60;
const VALUES = Number(process.env.PREDICATE_VALUES ?? 1_500);
const BATCH = 25;
/** Of what Postgres evaluates without complaint we take over at least this part: the rest is refused on purpose. */
const LEAST_ACCEPTED = 0.5;

const server = await startPostgres();
await connect(server.url());
const client = new pg.Client({
  connectionString: server.url(),
  options:
    '-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC -c bytea_output=hex ' +
    '-c escape_string_warning=off -c jit=off',
  types: { getTypeParser: () => (text: string) => text },
} as pg.ClientConfig);
client.on('error', () => undefined);
await client.connect();

interface Row {
  readonly data: Buffer;
  readonly view: RowView;
}

const random = new SeededRandom(SEED);
const pick = <T>(items: readonly T[]): T => items[random.below(items.length)]!;

await client.query(`
  CREATE TYPE mood AS ENUM (${MOODS.map((label) => `'${label}'`).join(', ')});
  CREATE DOMAIN small AS int4 CHECK (value < 2000000000);
  CREATE DOMAIN word AS text;
  CREATE TABLE t (id int PRIMARY KEY, ${Object.entries(COLUMNS)
    .map(([name, [type]]) => `${name} ${type}`)
    .join(', ')});
  CREATE FUNCTION verdict(predicate text, row_id int) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE outcome bool;
  BEGIN
    EXECUTE 'SELECT (' || predicate || E'\\n) FROM t WHERE id = ' || row_id INTO outcome;
    RETURN coalesce(outcome::text, 'null');
  EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
  END $$;
`);
await client.query(
  `INSERT INTO t VALUES ${Array.from(
    { length: ROWS },
    (_, id) =>
      `(${id}, ${Object.values(COLUMNS)
        .map(([, values]) => (random.chance(0.12) ? 'NULL' : pick(values)))
        .join(', ')})`,
  ).join(', ')}`,
);

const columns = await readColumns();
const rows = await readRows();

async function readColumns(): Promise<PredicateColumn[]> {
  const { rows: found } = await client.query<Record<string, string | null>>(`
    SELECT a.attname AS name, a.atttypid AS oid, format_type(a.atttypid, a.atttypmod) AS type, y.typbasetype AS base, c.collname,
      c.collisdeterministic, coalesce(nullif(c.collprovider, 'd'), 'c') AS provider, c.collcollate AS locale
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_collation c ON c.oid = a.attcollation
    WHERE a.attrelid = 't'::regclass AND a.attnum > 0 ORDER BY a.attnum`);
  return found.map((column) => ({
    name: column.name!,
    typeOid: Number(column.oid),
    ...(column.base === '0' ? {} : { baseTypeOid: Number(column.base) }),
    typeName: column.type!,
    // The server's own default may be C: the tests are about one that is not.
    collation:
      column.collname === null
        ? null
        : {
            name: column.collname!,
            isDeterministic: column.collisdeterministic === 't',
            provider: column.provider as 'c',
            locale: column.collname === 'default' ? 'en_US.UTF-8' : column.locale!,
          },
    ...(column.type === 'mood' ? { enumLabels: MOODS } : {}),
  }));
}

async function readRows(): Promise<Row[]> {
  const { rows: found } = await client.query<Record<string, string | null>>('SELECT * FROM t ORDER BY id');
  return found.map((row) => {
    const parts: Buffer[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    let at = 0;
    for (const { name } of columns) {
      const value = row[name];
      if (value === null || value === undefined) {
        starts.push(-1);
        ends.push(0);
        continue;
      }
      const bytes = Buffer.from(value, 'utf8');
      parts.push(bytes);
      starts.push(at);
      ends.push((at += bytes.length));
    }
    return { data: Buffer.concat(parts), view: { starts, ends } };
  });
}

function shown(verdict: ReturnType<Predicate>): string {
  if (verdict === MISSING) return 'missing';
  if (verdict === null) return 'null';
  return typeof verdict === 'boolean' ? String(verdict) : SQLSTATE[verdict.condition];
}

/** Postgres's verdicts of each predicate on each row; a predicate that it refuses has one entry, the error's code. */
async function theirs(predicates: readonly string[]): Promise<string[][]> {
  const list = predicates.map((predicate, i) => `(${predicate}\n) AS p${i}`).join(', ');
  try {
    const { rows: found } = await client.query<Record<string, string | null>>(`SELECT ${list} FROM t ORDER BY id`);
    const word = (value: string | null): string => (value === null ? 'null' : value === 't' ? 'true' : 'false');
    return predicates.map((_, i) => found.map((row) => word(row[`p${i}`]!)));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    if (predicates.length > 1) {
      const half = predicates.length >> 1;
      return [...(await theirs(predicates.slice(0, half))), ...(await theirs(predicates.slice(half)))];
    }
    if (error.code!.startsWith('42')) return [[error.code!]];
    const { rows: found } = await client.query<{ verdict: string }>('SELECT verdict($1, id) FROM t ORDER BY id', [
      predicates[0],
    ]);
    return [found.map(({ verdict }) => verdict)];
  }
}

interface Candidate {
  readonly text: string;
  readonly evaluate: Predicate | null;
  readonly refusal: string;
}

function ours(text: string): Candidate {
  try {
    const typed = typePredicate(text, 1, columns, 'where');
    assert.deepEqual(JSON.parse(JSON.stringify(typed)), typed, 'a typed predicate is JSON');
    const evaluate = compilePredicate(typed, columns);
    assert.ok(evaluate !== null);
    return { text, evaluate, refusal: '' };
  } catch (error) {
    if (!(error instanceof PgError)) throw new Error(`${text} (seed ${SEED})`, { cause: error });
    assert.ok(error.position !== undefined && error.position >= 1 && error.position <= text.length + 1, text);
    return { text, evaluate: null, refusal: `${error.code} ${error.message}` };
  }
}

test(`predicates say of rows what Postgres says (seed ${SEED})`, async (context) => {
  const generator = new PredicateGenerator(random, NEW_NUMBERS);
  const end = performance.now() + SECONDS * 1000;
  const mismatches: string[] = [];
  const refusals = new Map<string, { count: number; example: string }>();
  let pairs = 0;
  let errors = 0;
  let valid = 0;
  let accepted = 0;
  while ((pairs < PAIRS || performance.now() < end) && mismatches.length < 20) {
    const candidates = Array.from({ length: BATCH }, () => ours(generator.boolean()));
    const answers = await theirs(candidates.map(({ text }) => text));
    for (const [i, { text, evaluate, refusal }] of candidates.entries()) {
      const expected = answers[i]!;
      if (expected.length === ROWS && !expected.every((verdict) => /^\d\d/.test(verdict))) {
        valid++;
        if (evaluate !== null) accepted++;
        else {
          const known = refusals.get(refusal);
          refusals.set(refusal, { count: (known?.count ?? 0) + 1, example: text });
        }
      }
      if (evaluate === null) continue;
      for (const [r, row] of rows.entries()) {
        const wanted = expected[expected.length === 1 ? 0 : r]!;
        const got = shown(evaluate(row.data, row.view));
        pairs++;
        if (got.length === 5 && /^\d/.test(got)) errors++;
        if (got === wanted) continue;
        mismatches.push(`${text}\n    row ${r}: Postgres ${wanted}, ours ${got}`);
        break;
      }
    }
  }
  context.diagnostic(
    `seed ${SEED}: ${pairs} pairs, ${errors} of them run-time errors; of ${valid} predicates valid to Postgres ${accepted} taken`,
  );
  if (process.env.PREDICATE_REFUSALS !== undefined) {
    for (const [refusal, { count, example }] of [...refusals].sort((a, b) => b[1].count - a[1].count)) {
      context.diagnostic(`${count} × ${refusal}   e.g. ${example}`);
    }
  }
  assert.deepEqual(mismatches, [], `seed ${SEED}`);
  assert.ok(pairs >= PAIRS && errors > 100);
  assert.ok(accepted / valid > LEAST_ACCEPTED, `${accepted} of ${valid} taken`);
});

test(`computed values have every digit that Postgres gives them (seed ${SEED})`, async (context) => {
  const generator = new PredicateGenerator(random, NEW_NUMBERS);
  let compared = 0;
  for (let i = 0; i < VALUES; i++) {
    const expression = generator.textOfValue();
    const r = random.below(ROWS);
    let value: string | null;
    try {
      const query = `SELECT (${expression}) AS value FROM t WHERE id = ${r}`;
      value = (await client.query<{ value: string | null }>(query)).rows[0]!.value;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      continue;
    }
    if (value === null) continue;
    const { evaluate } = ours(`(${expression}) COLLATE "C" = E'${value.replace(/[\\']/g, '\\$&')}'`);
    if (evaluate === null) continue;
    compared++;
    const got = shown(evaluate(rows[r]!.data, rows[r]!.view));
    assert.equal(got, 'true', `${expression} on row ${r} is ${value} to Postgres (seed ${SEED})`);
  }
  context.diagnostic(`${compared} values`);
  assert.ok(compared > VALUES / 3);
});

test(`Postgres holds for immutable what we take (seed ${SEED})`, async (context) => {
  await client.query('CREATE TABLE none (LIKE t)');
  const generator = new PredicateGenerator(random, NEW_NUMBERS);
  let taken = 0;
  while (taken < 400) {
    const { text, evaluate } = ours(generator.boolean());
    if (evaluate === null) continue;
    taken++;
    try {
      await client.query(`BEGIN; CREATE INDEX ON none (id) WHERE (${text}\n); ROLLBACK`);
    } catch (error) {
      await client.query('ROLLBACK');
      assert.fail(`${text}: ${String(error)}`);
    }
  }
  context.diagnostic(`${taken} predicates`);
});

test.after(() => client.end());
