import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deduplicate, MemoryStore, PostgresStore } from '../../src/receiver/receiver.ts';
import { testStore } from './store-laws.ts';

testStore('in memory', () => Promise.resolve(new MemoryStore()));

test('in memory: so many ids are remembered, and the oldest forgotten', async () => {
  const store = new MemoryStore({ maxIds: 2 });
  const apply = deduplicate(store, () => undefined);
  const applied: number[] = [];
  for (const id of ['a', 'b', 'c', 'a', 'c']) applied.push((await apply([{ id }])).applied);
  assert.deepEqual(applied, [1, 1, 1, 1, 0]);
});

test('a table’s name is a name, and nothing else', () => {
  const pool = { connect: () => Promise.reject(new Error('nobody connects')) };
  for (const table of ['a; DROP TABLE b', 'a"b', '', 'a.b.c', '1a']) {
    assert.throws(() => new PostgresStore(pool, { table }), TypeError, table);
  }
});
