import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byteOffset, characterCount, decodeText, encodeText } from '../../src/frontend/client-encoding.ts';

// The bytes that PostgreSQL's convert_to gives.
const CASES: ReadonlyArray<[encoding: string, text: string, hex: string]> = [
  ['UTF8', 'ü€😀', 'c3bce282acf09f9880'],
  ['SQL_ASCII', 'ü', 'c3bc'],
  ['LATIN1', 'aü', '61fc'],
  ['LATIN9', '€', 'a4'],
  ['WIN1252', '€ü', '80fc'],
  ['WIN1251', 'Я', 'df'],
  ['KOI8R', 'Я', 'f1'],
  ['SJIS', '表a', '955c61'],
  ['EUC_JP', '表', 'c9bd'],
  ['GBK', '表', 'b1ed'],
];
for (const [encoding, text, hex] of CASES) {
  test(`${encoding} ${text}`, () => {
    assert.equal(encodeText(text, encoding).toString('hex'), hex);
    assert.equal(decodeText(Buffer.from(hex, 'hex'), encoding), text);
  });
}

test('what an encoding lacks becomes a question mark', () => {
  assert.equal(encodeText('a€b', 'LATIN1').toString('latin1'), 'a?b');
});

test('an encoding that cannot be read still has its ASCII', () => {
  assert.equal(decodeText(Buffer.from('show cdc streams'), 'MULE_INTERNAL'), 'show cdc streams');
  assert.throws(() => decodeText(Buffer.from('ü'), 'MULE_INTERNAL'), { code: '0A000' });
});

test('offsets count bytes of the encoding, positions count characters', () => {
  assert.equal(byteOffset('aü😀b', 4, 'UTF8'), 7);
  assert.equal(byteOffset('aüb', 2, 'LATIN1'), 2);
  assert.equal(characterCount('aü😀b', 4), 3);
});
