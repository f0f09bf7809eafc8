import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { arm, eventually, loggedChanges, startCapture } from './capture-harness.ts';

test('insert, update, delete and truncate arrive in the log', async () => {
  const server = await startPostgres();
  const admin = await connect(server.url());
  await admin.query('create table t (id int primary key, name text)');
  await arm(admin, 't');
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder);
  await admin.query(`insert into t values (1, 'one'), (2, 'two')`);
  await admin.query(`update t set name = 'eins' where id = 1`);
  await admin.query(`delete from t where id = 2`);
  await admin.query(`truncate t`);
  await eventually('four transactions', () => running.capture.status().transactionsCaptured === 4);
  await running.stop();
  assert.deepEqual(loggedChanges(folder), [
    ['insert', 't', { id: 1, name: 'one' }],
    ['insert', 't', { id: 2, name: 'two' }],
    ['update', 't', { id: 1, name: 'eins' }, null],
    ['delete', 't', { id: 2 }],
    ['truncate', ['t']],
  ]);
});
