import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MISSING, type Verdict } from '../../src/filters/compile.ts';
import { filterRow, filterWhen, type RowOperation } from '../../src/filters/row-filter.ts';

const FAULT = { condition: 'division_by_zero', message: 'division by zero' } as const;

const TABLE: readonly (readonly [RowOperation, old: Verdict, row: Verdict, outcome: string, doubt: unknown])[] = [
  ['insert', null, true, 'insert', null],
  ['insert', null, false, 'dropped', null],
  ['insert', null, null, 'dropped', null],
  ['insert', null, FAULT, 'insert', FAULT],
  ['delete', true, null, 'delete', null],
  ['delete', null, null, 'dropped', null],
  ['delete', MISSING, null, 'delete', MISSING],
  ['update', true, true, 'update', null],
  ['update', true, false, 'delete', null],
  ['update', true, null, 'delete', null],
  ['update', false, true, 'insert', null],
  ['update', null, true, 'insert', null],
  ['update', null, false, 'dropped', null],
  ['update', MISSING, true, 'update', MISSING],
  ['update', MISSING, false, 'delete', MISSING],
  ['update', MISSING, null, 'delete', MISSING],
  ['update', false, MISSING, 'update', MISSING],
  ['update', FAULT, FAULT, 'update', FAULT],
];

const shown = (verdict: Verdict): string =>
  verdict !== null && typeof verdict === 'object' ? verdict.condition : String(verdict);

for (const [operation, old, row, outcome, doubt] of TABLE) {
  test(`WHERE: ${operation}, ${shown(old)} before and ${shown(row)} after: ${outcome}`, () => {
    assert.deepEqual(filterRow(operation, old, row), { operation: outcome, doubt });
  });
}

test('WHEN lets pass what is true, and what is in doubt', () => {
  assert.deepEqual(filterWhen('update', true), { operation: 'update', doubt: null });
  assert.deepEqual(filterWhen('update', null), { operation: 'dropped', doubt: null });
  assert.deepEqual(filterWhen('delete', false), { operation: 'dropped', doubt: null });
  assert.deepEqual(filterWhen('insert', MISSING), { operation: 'insert', doubt: MISSING });
});
