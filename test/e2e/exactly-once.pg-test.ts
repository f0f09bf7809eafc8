import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exactlyOnce } from './exactly-once.ts';

const KILLS = 12;

test(`${KILLS} kills of walhook: the receiver's table is the source's, each change applied once`, async (t) => {
  const { committed, duplicates, bound } = await exactlyOnce(KILLS);
  t.diagnostic(`committed ${committed}, duplicates sent ${duplicates}, bound ${bound}`);
  assert.ok(committed > 500, `only ${committed} changes: no load`);
});
