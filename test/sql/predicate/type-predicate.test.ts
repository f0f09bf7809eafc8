import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PgError } from '../../../src/postgres/sqlstate.ts';
import type { PredicateColumn } from '../../../src/sql/predicate/column.ts';
import { typePredicate } from '../../../src/sql/predicate/type-predicate.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { PredicateGenerator } from './random-predicates.ts';

const english = { name: 'default', isDeterministic: true, provider: 'c', locale: 'en_US.UTF-8' } as const;
const column = (name: string, typeOid: number, typeName: string): PredicateColumn => ({
  name,
  typeOid,
  typeName,
  collation: typeOid === 25 ? english : null,
});
const COLUMNS: readonly PredicateColumn[] = [
  column('id', 23, 'integer'),
  column('status', 25, 'text'),
  column('größe', 1700, 'numeric'),
  column('at', 1184, 'timestamp with time zone'),
  column('doc', 3802, 'jsonb'),
  column('raw', 114, 'json'),
  column('place', 600, 'point'),
  { ...column('mood', 99_999, 'mood'), enumLabels: ['sad', 'ok'] },
  { ...column('folded', 25, 'text'), collation: { ...english, name: 'ci', isDeterministic: false } },
  { ...column('greek', 25, 'text'), collation: { ...english, name: 'el_GR' } },
];

/** The error's code, and what stands at its position. */
function refusal(text: string, kind: 'where' | 'when' = 'where'): { code: string; at: string; hint: string } {
  const before = 'CREATE CDC STREAM é\u{1f600} ON t WHERE (';
  const position = Array.from(before).length + 1;
  try {
    typePredicate(text, position, COLUMNS, kind);
  } catch (error) {
    assert.ok(error instanceof PgError, String(error));
    assert.ok(error.position !== undefined);
    const at = Array.from(text)
      .slice(error.position - position)
      .join('');
    return { code: error.code, at, hint: error.hint ?? '' };
  }
  assert.fail(`${text} was taken`);
}

const REFUSED: readonly (readonly [text: string, code: string, at: string])[] = [
  ['', '42601', ''],
  ['id =', '42601', ''],
  ['id = 1 AND AND id', '42601', 'AND id'],
  ["status = 'é\u{1f600}' AND AND id", '42601', 'AND id'],
  ['id < id < id', '42601', '< id'],
  ['id = 1) OR (id = 2', '42601', ') OR (id = 2'],
  ['id = 1 /* never', '42601', '/* never'],
  ["status = 'never", '42601', "'never"],
  ["status = 'é\u{1f600}' AND staus = 'x'", '42703', "staus = 'x'"],
  ['größe > 1 AND OLD.id = 1', '42P01', 'OLD.id = 1'],
  ['größe + status > 1', '42883', '+ status > 1'],
  ['lenght(status) = 1', '42883', 'lenght(status) = 1'],
  ['abs(status) = 1', '42883', 'abs(status) = 1'],
  ["raw = '{}'", '42883', "= '{}'"],
  ['id + 1', '42804', '+ 1'],
  ['NOT id', '42804', 'id'],
  ['id = 1 AND größe', '42804', 'größe'],
  ['coalesce(id, status) = 1', '42804', 'coalesce(id, status) = 1'],
  ["id = 'x'", '22P02', "'x'"],
  ['größe > 1 / 0', '22012', '/ 0'],
  ['id = 99999 * 99999', '22003', '* 99999'],
  ["at > '2026-01-05'", '22007', "'2026-01-05'"],
  ["mood = 'glad'", '22P02', "'glad'"],
  ['at > now()', '42P17', 'now()'],
  ['at > current_timestamp', '42P17', 'current_timestamp'],
  ['id = (SELECT 1)', '42P17', '(SELECT 1)'],
  ['count(*) > 1', '42P17', 'count(*) > 1'],
  ['sum(id) OVER () > 1', '42P17', 'sum(id) OVER () > 1'],
  ['my.fn(id)', '42P17', 'my.fn(id)'],
  ["at::text = ''", '42P17', "::text = ''"],
  ["status < 'x'", '0A000', "< 'x'"],
  ["lower(status) = 'x'", '0A000', "lower(status) = 'x'"],
  ["status ILIKE 'x'", '0A000', "ILIKE 'x'"],
  ["folded = 'x'", '0A000', "= 'x'"],
  ['greek = (status COLLATE "C")::text AND greek = folded', '42P22', '= folded'],
  ['place IS NULL', '0A000', 'place IS NULL'],
  ['CASE WHEN true THEN true END', '0A000', 'CASE WHEN true THEN true END'],
  ['id = $1', '42P02', '$1'],
  ["id = '\0'", '42601', "\0'"],
];

for (const [text, code, at] of REFUSED) {
  test(`refused with ${code}: ${JSON.stringify(text)}`, () => {
    const found = refusal(text);
    assert.deepEqual({ code: found.code, at: found.at }, { code, at });
  });
}

test('hints name the nearest column and function, and the way out of a collation', () => {
  assert.equal(refusal("staus = 'x'").hint, 'did you mean "status"?');
  assert.equal(refusal('lenght(status) = 1').hint, 'did you mean "length"?');
  assert.match(refusal("status < 'x'").hint, /COLLATE "C"/);
  typePredicate(`status COLLATE "C" < 'x' AND lower(status COLLATE "C") = 'x'`, 1, COLUMNS, 'where');
});

test('a WHEN names its columns by image', () => {
  const { columns, kind } = typePredicate('OLD.status IS DISTINCT FROM new.status AND NEW.id > 1', 1, COLUMNS, 'when');
  assert.equal(kind, 'when');
  assert.deepEqual(
    columns.map(({ image, name }) => `${image}.${name}`),
    ['old.status', 'new.status', 'new.id'],
  );
  assert.deepEqual(refusal('status IS NULL', 'when'), {
    code: '42703',
    at: 'status IS NULL',
    hint: 'A WHEN names its columns as NEW.status or OLD.status.',
  });
  assert.equal(refusal('NEW.staus IS NULL', 'when').hint, 'did you mean "status"?');
});

test('a WHEN of one operation cannot ask for the image that it does not have', () => {
  const inserts = { operations: ['insert'] } as const;
  const deletes = { operations: ['delete'] } as const;
  typePredicate('NEW.id > 1', 1, COLUMNS, 'when', inserts);
  typePredicate('OLD.id > 1', 1, COLUMNS, 'when', deletes);
  assert.throws(() => typePredicate('true = (OLD.id > 1)', 1, COLUMNS, 'when', inserts), {
    code: '42P17',
    position: 9,
  });
  assert.throws(() => typePredicate('NEW.id > 1', 1, COLUMNS, 'when', deletes), { code: '42P17', position: 1 });
});

test('names fold as in Postgres', () => {
  typePredicate(`STATUS = U&'d\\0061t' AND "status" <> $q$x$q$ AND U&"gr\\00f6\\00dfe" > .5`, 1, COLUMNS, 'where');
  assert.equal(refusal('"STATUS" IS NULL').code, '42703');
});

test('what is too long or nests too deep is refused', () => {
  assert.equal(refusal(`status = '${'x'.repeat(70_000)}'`).code, '54000');
  for (const text of [
    `${'('.repeat(100_000)}true`,
    `${'NOT '.repeat(4_900)}true`,
    `${'('.repeat(2_400)}true${')'.repeat(2_400)} = ${'NOT '.repeat(90)} true AND ${'- '.repeat(2000)} 1 = 1`,
    `id = 1${' + 1'.repeat(2_000)}`,
    `id${'::int'.repeat(1_500)} = 1`,
    `status${" || 'x'".repeat(1_000)} = ''`,
  ]) {
    assert.ok(['54000', '54001'].includes(refusal(text).code), text.slice(0, 40));
  }
  // A list is long, not deep.
  typePredicate(`id IN (${Array.from({ length: 2_000 }, (_, i) => i).join(', ')})`, 1, COLUMNS, 'where');
  typePredicate(Array.from({ length: 800 }, (_, i) => `id = ${i}`).join(' OR '), 1, COLUMNS, 'where');
});

test('a backslash in an ordinary string is refused where the session takes it for an escape', () => {
  const escaping = { settings: { standardConformingStrings: false } };
  assert.throws(() => typePredicate("status = 'a\\b'", 1, COLUMNS, 'where', escaping), { code: '22P06', position: 10 });
  typePredicate("status = E'a\\nb' AND status = 'ab'", 1, COLUMNS, 'where', escaping);
});

const WORDS =
  "id status größe doc OLD. NEW. = <> < + - * / % || -> ->> @> :: ( ) [ ] , . ; 'x' E'\\n' U&'\\0041' $$ $1 1 .5 1e999 " +
  '0x1F 1_ NOT AND OR IS NULL IN BETWEEN SYMMETRIC LIKE ESCAPE ANY ALL ARRAY CASE WHEN END SELECT FROM COLLATE "C" int ' +
  'numeric(5,2) text[] coalesce nullif lower /* */ -- \n \0 \ud800 \u{1f600} " \' \\ ROW XMLPARSE EXISTS OVERLAPS AT TIME ZONE';
const garbage = fc.oneof(
  fc.array(fc.constantFrom(...WORDS.split(' ')), { maxLength: 30 }).map((words) => words.join(' ')),
  fc.array(fc.constantFrom(...WORDS.split(' ')), { maxLength: 30 }).map((words) => words.join('')),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.integer().map((seed) => mutated(seed)),
);

/** A good predicate with a piece cut out, doubled or replaced. */
function mutated(seed: number): string {
  const random = new SeededRandom(seed);
  const text = new PredicateGenerator(random).boolean();
  const from = random.below(text.length);
  const to = from + random.below(8);
  const piece = random.chance(0.5) ? text.slice(from, to + 4) : WORDS.slice(from, to);
  return text.slice(0, from) + piece + text.slice(to);
}

test('garbage is refused with a PgError that has a position, or understood', () => {
  const runs = Number(process.env.PREDICATE_FUZZ_RUNS ?? 5_000);
  fc.assert(
    fc.property(garbage, fc.constantFrom('where' as const, 'when' as const), (text, kind) => {
      try {
        typePredicate(text, 1, COLUMNS, kind);
      } catch (error) {
        if (!(error instanceof PgError)) throw error;
        assert.ok(
          error.position !== undefined && error.position >= 1 && error.position <= Array.from(text).length + 2,
          text,
        );
      }
    }),
    { numRuns: runs },
  );
});
