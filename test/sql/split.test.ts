import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Lexer } from '../../src/sql/lexer.ts';
import { splitStatements } from '../../src/sql/split.ts';
import { sqlText } from './arbitraries.ts';

const STANDARD = { standardConformingStrings: true };

function split(text: string, settings = STANDARD): string[] {
  return splitStatements(text, settings).map(({ start, end }) => text.slice(start, end));
}

const BODY = 'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN b END; END';
const OR_REPLACE = 'create or replace procedure p(begin atomic) begin atomic insert into t values (1); end';

const cases: readonly (readonly [why: string, text: string, expected: readonly string[]])[] = [
  ['nothing', '', []],
  ['only separators', ' ; ;; -- a;b\n /* ; */ ;', []],
  ['one, with and without its semicolon', 'a', ['a']],
  ['the semicolon is left out', 'a;b ; c\n', ['a', 'b', 'c']],
  [
    'leading comments are left out, trailing ones stay',
    '/* x */ a /* tag */ ; -- y\nb -- z',
    ['a /* tag */', 'b -- z'],
  ],
  ['quoted semicolons', `a ';' ";" $$;$$ E'\\';' U&';' b; c`, [`a ';' ";" $$;$$ E'\\';' U&';' b`, 'c']],
  ['unterminated', `a; 'b; c`, ['a', `'b; c`]],
  ['unterminated comment', 'a; /* b; c', ['a', '/* b; c']],
  ['parentheses', 'create rule r as on insert to t do (a; b); c', ['create rule r as on insert to t do (a; b)', 'c']],
  ['a parenthesis too many', 'a); b', ['a)', 'b']],
  ['an open parenthesis does not outlive the text', '(a; b', ['(a; b']],
  ['a routine with a body', `${BODY}; x`, [BODY, 'x']],
  ['another', `${OR_REPLACE}; x`, [OR_REPLACE, 'x']],
  [
    'END as a column label in a body',
    'create function f() begin atomic select 1 as end; select t.end from t; select 1 end; end; x',
    ['create function f() begin atomic select 1 as end; select t.end from t; select 1 end; end', 'x'],
  ],
  ['an empty body', 'create function f() begin atomic end; x', ['create function f() begin atomic end', 'x']],
  [
    'a rule in a body',
    'create function f() begin atomic (a; end; b); end; x',
    ['create function f() begin atomic (a; end; b); end', 'x'],
  ],
  [
    'a routine in a body',
    'create function f() begin atomic create function g() begin atomic a; end; b; end; x',
    ['create function f() begin atomic create function g() begin atomic a; end; b; end', 'x'],
  ],
  ['BEGIN ATOMIC elsewhere is no body', 'select begin atomic from t; x', ['select begin atomic from t', 'x']],
  [
    'nor is a parameter',
    'create function f(begin atomic) as $$;$$; x',
    ['create function f(begin atomic) as $$;$$', 'x'],
  ],
  ['nor a function called begin', 'create function begin() as $$;$$; x', ['create function begin() as $$;$$', 'x']],
  [
    'quoted words are no key words',
    'create function f() "begin" atomic; x',
    ['create function f() "begin" atomic', 'x'],
  ],
  ['transactions', 'begin; a; end; b', ['begin', 'a', 'end', 'b']],
  ['a body does not outlive its statement', `${BODY}; begin; a; end`, [BODY, 'begin', 'a', 'end']],
];

for (const [why, text, expected] of cases) {
  test(`split: ${why}`, () => assert.deepEqual(split(text), expected));
}

test('a backslash before a quote hides the semicolon only where strings have escapes', () => {
  assert.deepEqual(split(`a '\\'; b'`, { standardConformingStrings: false }), [`a '\\'; b'`]);
  assert.deepEqual(split(`a '\\'; b`), [`a '\\'`, 'b']);
});

test('spans are ordered, begin and end in the statement, and leave out only separators and semicolons', () => {
  fc.assert(
    fc.property(sqlText, fc.boolean(), (text, standardConformingStrings) => {
      const settings = { standardConformingStrings };
      let at = 0;
      const between = (start: number, end: number): void => {
        const lexer = new Lexer(text.slice(start, end), settings);
        for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) {
          assert.equal(text.slice(start + token.start, start + token.end), ';');
        }
      };
      for (const { start, end } of splitStatements(text, settings)) {
        assert.ok(start >= at && end > start);
        between(at, start);
        assert.equal(new Lexer(text, settings, start, end).next().start, start);
        assert.doesNotMatch(text.slice(end - 1, end), /[ \t\n\r\f\v]/);
        at = end;
      }
      between(at, text.length);
    }),
    { numRuns: 2000 },
  );
});

test('statements joined by semicolons split into themselves', () => {
  const statement = fc.constantFrom('a', `'x;'`, '(b; c)', BODY, OR_REPLACE, '$$;$$', 'begin', 'end', '/*;*/ d');
  fc.assert(
    fc.property(fc.array(statement), (statements) => {
      const expected = statements.map((text) => text.replace('/*;*/ ', ''));
      assert.deepEqual(split(statements.join(' ; ')), expected);
    }),
  );
});

test('a megabyte of statements splits in linear time', () => {
  assert.equal(splitStatements('a;'.repeat(500_000), STANDARD).length, 500_000);
  assert.equal(splitStatements('('.repeat(1_000_000), STANDARD).length, 1);
  assert.equal(splitStatements('create function f() begin atomic '.repeat(30_000), STANDARD).length, 1);
});
