import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Lexer, type Token } from '../../src/sql/lexer.ts';
import { sqlText } from './arbitraries.ts';

// The law: the tokens are Postgres's, whatever the text; none overlap, and only white space and comments lie between.

function tokens(text: string, standardConformingStrings = true): Token[] {
  const lexer = new Lexer(text, { standardConformingStrings });
  const found: Token[] = [];
  for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) found.push(token);
  return found;
}

/** `kind text` of each token, with `!` before what is malformed. */
function shown(text: string, standardConformingStrings = true): string[] {
  return tokens(text, standardConformingStrings).map(
    (token) => `${token.malformed ? '!' : ''}${token.kind} ${text.slice(token.start, token.end)}`,
  );
}

const cases: readonly (readonly [text: string, ...expected: string[]])[] = [
  [''],
  [' \t\n\r\f\v'],
  ['select Größe _a$1', 'word select', 'word Größe', 'word _a$1'],
  ['a$$b$$', 'word a$$b$$'],
  ['"a ""b"" --" c', 'quoted-word "a ""b"" --"', 'word c'],
  ['"open', '!quoted-word "open'],
  ['""', 'quoted-word ""'],
  [`'it''s' x`, `string 'it''s'`, 'word x'],
  [`'a\\' b`, `string 'a\\'`, 'word b'],
  [`'open''`, `!string 'open''`],
  [`e'a\\'b' c`, `escape-string e'a\\'b'`, 'word c'],
  [`E'a''b'`, `escape-string E'a''b'`],
  [`E'a\\`, `!escape-string E'a\\`],
  [`e 'a\\'`, 'word e', `string 'a\\'`],
  [`b'01' X'fF'`, `bit-string b'01'`, `bit-string X'fF'`],
  [`n'a'`, `national-string n'a'`],
  [`U&'a' u&"b" u&c`, `unicode-string U&'a'`, `unicode-word u&"b"`, 'word u', 'operator &', 'word c'],
  [`U& 'a'`, 'word U', 'operator &', `string 'a'`],
  [`'a'\n'b'`, `string 'a'\n'b'`],
  [`'a' -- why\n  -- more\n 'b'`, `string 'a' -- why\n  -- more\n 'b'`],
  [`'a'\r'b'`, `string 'a'\r'b'`],
  [`'a' 'b'`, `string 'a'`, `string 'b'`],
  [`'a' /* \n */ 'b'`, `string 'a'`, `string 'b'`],
  [`'a'\n/* */ 'b'`, `string 'a'`, `string 'b'`],
  [`'a' -- no newline 'b'`, `string 'a'`],
  [`E'a'\n'\\''`, `escape-string E'a'\n'\\''`],
  [`'a'\nE'b'`, `string 'a'`, `escape-string E'b'`],
  ['$$a;$b$ $$ c', 'dollar-string $$a;$b$ $$', 'word c'],
  ['$a$ $$ $A$ $a$$a$', 'dollar-string $a$ $$ $A$ $a$', '!dollar-string $a$'],
  ['$b$a$ $a$', '!dollar-string $b$a$ $a$'],
  ['$é1$x$é1$', 'dollar-string $é1$x$é1$'],
  ['$a b', 'other $', 'word a', 'word b'],
  ['$', 'other $'],
  ['$1 $23 $4a $1$$x$$', 'parameter $1', 'parameter $23', '!parameter $4a', 'parameter $1', 'dollar-string $$x$$'],
  ['1 42. .5 4.2e-3 1E5', 'number 1', 'number 42.', 'number .5', 'number 4.2e-3', 'number 1E5'],
  ['1..10', 'number 1', 'operator ..', 'number 10'],
  ['0x1F 0o17 0B10 1_000 0x_a', 'number 0x1F', 'number 0o17', 'number 0B10', 'number 1_000', 'number 0x_a'],
  ['1a 1_ 1__0 0x 1e+', '!number 1a', '!number 1_', '!number 1__0', '!number 0x', '!number 1e', 'operator +'],
  ['-- a\nb--c', 'word b'],
  ['/* a /* b */ */ c', 'word c'],
  ['/*/ */c', 'word c'],
  ['/***/c/**//**/d', 'word c', 'word d'],
  ['a /* /* */ b', 'word a', '!comment /* /* */ b'],
  ['/*', '!comment /*'],
  ['/', 'operator /'],
  ['a+--b\nc', 'word a', 'operator +', 'word c'],
  ['*/* x */+', 'operator *', 'operator +'],
  [
    '=-5 @- 5 <=- +-+',
    'operator =',
    'operator -',
    'number 5',
    'operator @-',
    'number 5',
    'operator <=',
    'operator -',
  ].concat(['operator +', 'operator -', 'operator +']) as [string, ...string[]],
  ['a::b:=c', 'word a', 'operator ::', 'word b', 'operator :=', 'word c'],
  [
    '(a,b)[1].c;:',
    ...'punctuation (|word a|punctuation ,|word b|punctuation )|punctuation [|number 1'.split('|'),
  ].concat('punctuation ]|punctuation .|word c|punctuation ;|punctuation :'.split('|')) as [string, ...string[]],
  ['{\\\0', 'other {', 'other \\', 'other \0'],
];

for (const [text, ...expected] of cases) {
  test(`the tokens of ${JSON.stringify(text)}`, () => assert.deepEqual(shown(text), expected));
}

test('without standard_conforming_strings a backslash escapes in a plain string, and in no other', () => {
  assert.deepEqual(shown(`'a\\'' n'\\'' "\\" $$\\$$ U&'\\'`, false), [
    `escape-string 'a\\''`,
    `national-string n'\\''`,
    `quoted-word "\\"`,
    'dollar-string $$\\$$',
    `unicode-string U&'\\'`,
  ]);
});

test('a lexer sees nothing outside its bounds', () => {
  const text = `a 'b' c`;
  const lexer = new Lexer(text, { standardConformingStrings: true }, 2, 4);
  assert.deepEqual(lexer.next(), { kind: 'string', start: 2, end: 4, malformed: true });
  assert.deepEqual(lexer.next(), { kind: 'end', start: 4, end: 4, malformed: false });
  assert.equal(new Lexer('$$ab$$', { standardConformingStrings: true }, 0, 5).next().malformed, true);
});

test('any text is a sequence of tokens with only white space and comments between', () => {
  fc.assert(
    fc.property(sqlText, fc.boolean(), (text, standard) => {
      let at = 0;
      for (const token of tokens(text, standard)) {
        assert.ok(token.start >= at && token.end > token.start);
        assert.deepEqual(tokens(text.slice(at, token.start), standard), []);
        at = token.end;
      }
      assert.deepEqual(tokens(text.slice(at), standard), []);
    }),
    { numRuns: 2000 },
  );
});

const LONG = 1_000_000;
for (const unit of [
  '+',
  '-+',
  '*+',
  '/*',
  "'",
  `'\n`,
  '$',
  '$a',
  '$$',
  'x',
  '1',
  '1.',
  '"',
  'e\\',
  '(',
  ';',
  `'a' -- `,
]) {
  test(`a megabyte of ${JSON.stringify(unit)} is read in linear time`, () => {
    assert.ok(tokens(unit.repeat(LONG / unit.length)).length > 0);
  });
}
