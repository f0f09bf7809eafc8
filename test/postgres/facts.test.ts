import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldIdentifier, qualify, quoteIdentifier, quoteLiteral } from '../../src/postgres/identifier.ts';
import { formatLsn, parseLsn } from '../../src/postgres/lsn.ts';

const lsns: [string, bigint][] = [
  ['0/0', 0n],
  ['0/1A2B3C4', 0x1a2b3c4n],
  ['16/B374D848', 97_500_059_720n],
  ['FFFFFFFF/FFFFFFFF', 2n ** 64n - 1n],
];
for (const [text, value] of lsns) {
  test(`the LSN ${text} is ${value}`, () => {
    assert.equal(parseLsn(text), value);
    assert.equal(formatLsn(value), text);
  });
}
for (const text of ['', '0', '0/', '/0', '0/123456789', 'G/0', '0/0 ']) {
  test(`"${text}" is no LSN`, () => assert.equal(parseLsn(text), null));
}

const names: [string, string][] = [
  ['orders', 'orders'],
  ['Orders', '"Orders"'],
  ['order', '"order"'],
  ['a"b', '"a""b"'],
  ['1st', '"1st"'],
  ['größe', '"größe"'],
  ['', '""'],
];
for (const [name, quoted] of names) {
  test(`the name ${name} is written ${quoted}`, () => assert.equal(quoteIdentifier(name), quoted));
}

test('both parts of a qualified name are quoted as they need', () => {
  assert.equal(qualify('public', 'User'), 'public."User"');
});

test('folding touches ASCII letters only', () => {
  assert.equal(foldIdentifier('ÄbC'), 'Äbc');
});

test('a literal with a backslash does not depend on standard_conforming_strings', () => {
  assert.equal(quoteLiteral("it's"), "'it''s'");
  assert.equal(quoteLiteral("a\\'b"), "E'a\\\\''b'");
});
