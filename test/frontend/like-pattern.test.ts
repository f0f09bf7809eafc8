import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PgError } from '../../src/postgres/sqlstate.ts';
import { likePattern } from '../../src/frontend/like-pattern.ts';

const cases: readonly (readonly [pattern: string, text: string, matches: boolean])[] = [
  ['', '', true],
  ['', 'a', false],
  ['abc', 'abc', true],
  ['abc', 'ABC', false],
  ['abc', 'abcd', false],
  ['%', '', true],
  ['%', 'a\nb', true],
  ['a%', 'abc', true],
  ['%c', 'abc', true],
  ['%b%', 'abc', true],
  ['%b', 'abc', false],
  ['a%b%c', 'a1b2b3c', true],
  ['%ab%ab', 'abab', true],
  ['%ab%ab', 'aab', false],
  ['_', '\u{1f600}', true],
  ['_', '', false],
  ['a_c', 'abc', true],
  ['a\\_c', 'abc', false],
  ['a\\_c', 'a_c', true],
  ['\\%%', '%a', true],
  ['\\\\', '\\', true],
  ['.*', 'ab', false],
];
for (const [pattern, text, matches] of cases) {
  test(`${JSON.stringify(text)} LIKE ${JSON.stringify(pattern)}`, () => {
    assert.equal(likePattern(pattern)(text), matches);
  });
}

test('a pattern that ends in a backslash is refused', () => {
  assert.throws(
    () => likePattern('a\\'),
    (error) => error instanceof PgError && error.code === '22025',
  );
});

test('no pattern makes a match take long', () => {
  assert.equal(likePattern('%a'.repeat(2000))('a'.repeat(1999)), false);
  assert.equal(likePattern(`${'%a'.repeat(30)}b`)('a'.repeat(63)), false);
});
