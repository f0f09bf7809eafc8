import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isOurs, mayBeOurs } from '../../src/sql/classify.ts';
import { splitStatements } from '../../src/sql/split.ts';
import { OURS, sqlText } from './arbitraries.ts';

const STANDARD = { standardConformingStrings: true };

/** Whether each statement of the text is ours. */
function classify(text: string): boolean[] {
  return splitStatements(text, STANDARD).map((span) => isOurs(text, span, STANDARD));
}

function prefilter(text: string): boolean {
  const bytes = Buffer.from(text);
  return mayBeOurs(bytes, 0, bytes.length);
}

const NOT_OURS = [
  '',
  'SHOW cdc',
  'SHOW CDC -- all of it',
  'SHOW cdc.streams',
  'SHOW cdc . streams',
  'SHOW "cdc" streams',
  "SHOW cdc 'streams'",
  'SHOW change',
  'SHOW change.x',
  'SHOW ALL',
  'SET cdc.x = 1',
  'RESET cdc.x',
  'SELECT cdc',
  'SELECT 1 AS change',
  'CREATE "CDC" STREAM s',
  'CREATE TABLE cdc (change int)',
  'CREATE OR CDC STREAM s',
  'CREATE OR REPLACE FUNCTION cdc() RETURNS int',
  'CREATE TABLE change AS SELECT 1',
  'CREATE cdc_stream',
  'CREATE CDCSTREAM',
  'CREATE CDC$ STREAM',
  'CREATE CDCé STREAM',
  'CREATE CHANGEFEED FOR TABLE t',
  'CREATE CHAN\u212aE STREAM',
  'ALTER TABLE cdc RENAME TO change',
  'DROP TABLE cdc',
  'DISCARD ALL',
  'EXPLAIN SELECT * FROM cdc',
  'EXPLAIN CREATE TABLE cdc AS SELECT 1',
  'EXPLAIN (CREATE CDC STREAM s',
  'COMMENT ON TABLE cdc IS NULL',
  "PREPARE p AS SELECT 'CREATE CDC STREAM s'",
  'PREPARE p AS CREATE CDC STREAM s',
  "DO 'CREATE CDC STREAM s'",
  'DO $$CREATE CDC STREAM s; CREATE CDC STREAM s$$',
  "SELECT ';CREATE CDC STREAM s;'",
  'SELECT 1 /* ; CREATE CDC STREAM s ; */',
  'SELECT 1 -- ; CREATE CDC STREAM s',
  'SELECT ";CREATE CDC STREAM s"',
  'CREATE FUNCTION f() BEGIN ATOMIC CREATE CDC STREAM s; CREATE CDC STREAM s; END',
  'CREATE RULE r AS ON INSERT TO t DO (CREATE CDC STREAM s; CREATE CDC STREAM s)',
  '/* CREATE CDC STREAM s',
  "'CREATE CDC STREAM s",
  '$$CREATE CDC STREAM s',
];

for (const text of OURS) {
  test(`ours: ${text}`, () => {
    assert.deepEqual(classify(text), [true]);
    assert.deepEqual(classify(`SELECT 1; ${text}; SELECT 2`), [false, true, false]);
    assert.equal(prefilter(text), true);
  });
}

for (const text of NOT_OURS) {
  test(`not ours: ${text}`, () => assert.ok(!classify(text).includes(true)));
}

test('in a mixed query each statement is judged by itself', () => {
  assert.deepEqual(classify("INSERT INTO t VALUES ('a;'); SHOW CDC STREAMS; SHOW cdc; DROP CDC STREAM x; COMMIT"), [
    false,
    true,
    false,
    true,
    false,
  ]);
});

test('a backslash-quote decides what is ours as the upstream would', () => {
  const text = `SELECT '\\'; SHOW CDC STREAMS; SELECT '`;
  const off = { standardConformingStrings: false };
  assert.deepEqual(classify(text), [false, true, false]);
  assert.deepEqual(
    splitStatements(text, off).map((span) => isOurs(text, span, off)),
    [false],
  );
});

test('nothing is ours that does not begin like a statement of ours, and no text makes it fail', () => {
  const verb =
    /^(create|alter|drop|show|explain|comment|check|test|peek|backfill|cancel|replay|retry|discard|pause|resume)\b/i;
  fc.assert(
    fc.property(sqlText, fc.boolean(), (text, standardConformingStrings) => {
      const settings = { standardConformingStrings };
      for (const span of splitStatements(text, settings)) {
        if (isOurs(text, span, settings)) {
          assert.match(text.slice(span.start), verb);
          assert.match(text.slice(span.start), /\b(cdc|change)\b/i);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test('the prefilter passes whatever is ours, wherever it stands among the bytes', () => {
  fc.assert(
    fc.property(sqlText, fc.constantFrom(...OURS), sqlText, fc.boolean(), (before, ours, after, upper) => {
      const text = `${before};${upper ? ours.toUpperCase() : ours.toLowerCase()};${after}`;
      if (classify(text).includes(true)) assert.equal(prefilter(text), true);
    }),
    { numRuns: 2000 },
  );
});

test('the prefilter finds exactly the words CDC and CHANGE', () => {
  const piece = fc.constantFrom(
    ...'cCdDhHaAnNgGeE_1 ;/$é\u0003\u0004'.split(''),
    'cdc',
    'CDC',
    'Change',
    'cha',
    'chang',
  );
  const word = /(?<![A-Za-z0-9_$\u0080-\uffff])(cdc|change)(?![A-Za-z0-9_$\u0080-\uffff])/i;
  fc.assert(
    fc.property(fc.array(piece), fc.string({ unit: piece }), (pieces, tail) => {
      const text = pieces.join('') + tail;
      assert.equal(prefilter(text), word.test(text));
    }),
    { numRuns: 5000 },
  );
});

test('the prefilter looks at nothing outside its bounds', () => {
  const bytes = Buffer.from('cdc change cdc');
  assert.equal(mayBeOurs(bytes, 4, 9), false);
  assert.equal(mayBeOurs(bytes, 4, 10), true);
  assert.equal(mayBeOurs(bytes, 1, 3), false);
  assert.equal(mayBeOurs(bytes, 11, 13), false);
  assert.equal(mayBeOurs(bytes, 3, 3), false);
});
