import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeValue,
  float8Text,
  shownMs,
  timestamptzText,
  type ColumnType,
  type Value,
} from '../../src/frontend/result.ts';

// What PostgreSQL prints for the same values.
const FLOATS: ReadonlyArray<[value: number, text: string]> = [
  [0, '0'],
  [-0, '-0'],
  [0.25, '0.25'],
  [-12.5, '-12.5'],
  [0.0001, '0.0001'],
  [0.00001, '1e-05'],
  [1.5e-7, '1.5e-07'],
  [123456789012345, '123456789012345'],
  [1e15, '1e+15'],
  [1.2345678901234568e17, '1.2345678901234568e+17'],
  [1e100, '1e+100'],
  [0.1 + 0.2, '0.30000000000000004'],
  [Number.NaN, 'NaN'],
  [Number.POSITIVE_INFINITY, 'Infinity'],
  [Number.NEGATIVE_INFINITY, '-Infinity'],
];
for (const [value, text] of FLOATS) {
  test(`float8 ${text}`, () => assert.equal(float8Text(value), text));
}

for (const [ms, shown] of [
  [23.811503000000812, 23.812],
  [5, 5],
  [0.0004, 0],
  [null, null],
] as const) {
  test(`a duration of ${ms} ms is shown as ${shown}`, () => assert.equal(shownMs(ms), shown));
}

const TIMES: ReadonlyArray<[iso: string, text: string]> = [
  ['2026-01-05T10:00:00.123Z', '2026-01-05 10:00:00.123+00'],
  ['2026-01-05T10:00:00.000Z', '2026-01-05 10:00:00+00'],
  ['2026-01-05T10:00:10.100Z', '2026-01-05 10:00:10.1+00'],
  ['1969-12-31T23:59:59.999Z', '1969-12-31 23:59:59.999+00'],
];
for (const [iso, text] of TIMES) {
  test(`timestamptz ${text}`, () => assert.equal(timestamptzText(Date.parse(iso)), text));
}

const VALUES: ReadonlyArray<[type: ColumnType, value: Value, text: string, binary: string]> = [
  ['text', 'ü', 'ü', 'c3bc'],
  ['int4', -2, '-2', 'fffffffe'],
  ['int8', 9_007_199_254_740_991, '9007199254740991', '001fffffffffffff'],
  ['float8', 0.25, '0.25', '3fd0000000000000'],
  ['bool', true, 't', '01'],
  ['bool', false, 'f', '00'],
  ['jsonb', '{"a": 1}', '{"a": 1}', '017b2261223a20317d'],
  ['timestamptz', Date.UTC(2000, 0, 1, 0, 0, 1), '2000-01-01 00:00:01+00', '00000000000f4240'],
  ['timestamptz', Date.UTC(1999, 11, 31, 23, 59, 59), '1999-12-31 23:59:59+00', 'fffffffffff0bdc0'],
];
for (const [type, value, text, binary] of VALUES) {
  test(`${type} ${text} in text and binary`, () => {
    assert.equal(encodeValue(value, type, 0, 'UTF8')!.toString(), text);
    assert.equal(encodeValue(value, type, 1, 'UTF8')!.toString('hex'), binary);
    assert.equal(encodeValue(null, type, 1, 'UTF8'), null);
  });
}
