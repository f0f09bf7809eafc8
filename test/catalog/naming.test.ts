import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseName } from '../../src/catalog/naming.ts';
import { PgError } from '../../src/postgres/sqlstate.ts';

const table = (name: string) => [{ oid: 1, schema: 'public', name, keyColumns: [], columns: null, where: null }];
const choose = (
  given: { name?: string | null; ifNotExists?: boolean; tables?: ReturnType<typeof table> },
  ...taken: string[]
) => chooseName({ name: null, ifNotExists: false, tables: table('users'), ...given }, (name) => taken.includes(name));

test('a name that is free is taken without a word', () => {
  assert.deepEqual(choose({ name: 's' }), { name: 's', notices: [], exists: false });
});

test('a name that is taken is 42710', () => {
  assert.throws(
    () => choose({ name: 's' }, 's'),
    (error: unknown) => error instanceof PgError && error.code === '42710',
  );
});

test('IF NOT EXISTS turns that into a notice', () => {
  const { exists, notices } = choose({ name: 's', ifNotExists: true }, 's');
  assert.equal(exists, true);
  assert.deepEqual(
    notices.map(({ severity, code, message }) => [severity, code, message]),
    [['NOTICE', '42710', 'CDC stream "s" already exists, skipping']],
  );
});

test('without a name the table gives it, with a number where that is taken', () => {
  assert.equal(choose({}).name, 'users_cdc_stream');
  assert.equal(choose({}, 'users_cdc_stream', 'users_cdc_stream_1').name, 'users_cdc_stream_2');
  assert.equal(choose({}).notices[0]?.message, 'stream name "users_cdc_stream" was generated');
});

test('a generated name fits into 63 bytes and is not cut inside a character', () => {
  const { name } = choose({ tables: table('é'.repeat(31)) });
  assert.equal(name, `${'é'.repeat(26)}_cdc_stream`);
  assert.ok(Buffer.byteLength(name) <= 63);
});
