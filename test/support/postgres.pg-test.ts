import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, startPostgres } from './test-database.ts';

test('a local server starts, answers, and comes back after an immediate stop', async () => {
  const server = await startPostgres();
  const first = await connect(server.url());
  const { rows } = await first.query('select current_setting($1) as level', ['wal_level']);
  assert.deepEqual(rows, [{ level: 'logical' }]);
  await first.query('create table kept as select 1 as one');
  await server.stop('immediate');
  await server.restart();
  const second = await connect(server.url());
  assert.deepEqual((await second.query('select one from kept')).rows, [{ one: 1 }]);
});
