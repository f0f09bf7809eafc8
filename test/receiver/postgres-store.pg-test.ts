import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import pg from 'pg';
import { deduplicate, PostgresStore } from '../../src/receiver/receiver.ts';
import { startPostgres } from '../support/test-database.ts';
import { testStore } from './store-laws.ts';

// What the handler writes and what is remembered are committed together or not at all.

const server = await startPostgres();
const pool = new pg.Pool({ connectionString: server.url(), max: 5 });
pool.on('error', () => undefined);
after(() => pool.end());
await pool.query('CREATE SCHEMA app; CREATE TABLE app.applied (id uuid)');

const store = new PostgresStore<pg.PoolClient>(pool, { table: 'app.inbox' });
await store.createTable();
await store.createTable();

testStore('in PostgreSQL', () => Promise.resolve(store));

async function appliedTimes(id: string): Promise<number> {
  const { rows } = await pool.query<{ count: string }>('SELECT count(*) FROM app.applied WHERE id = $1', [id]);
  return Number(rows[0]!.count);
}

const insert = ({ id }: { id: string }, client: pg.PoolClient): Promise<void> =>
  client.query('INSERT INTO app.applied VALUES ($1)', [id]).then(() => undefined);

test('what the handler has written goes with what is remembered', async () => {
  const id = randomUUID();
  const failing = deduplicate(store, async (event: { id: string }, client: pg.PoolClient) => {
    await insert(event, client);
    throw new Error('broken');
  });
  await assert.rejects(failing([{ id }]), /broken/);
  assert.equal(await appliedTimes(id), 0);
  const apply = deduplicate(store, insert);
  assert.deepEqual(await apply([{ id }]), { applied: 1, duplicates: 0 });
  assert.deepEqual(await apply([{ id }]), { applied: 0, duplicates: 1 });
  assert.equal(await appliedTimes(id), 1);
});

test('a handler that goes on in a failed transaction has applied nothing, and is told so', async () => {
  const id = randomUUID();
  const careless = deduplicate(store, async (event: { id: string }, client: pg.PoolClient) => {
    await insert(event, client);
    await client.query('SELECT 1 / 0').catch(() => undefined);
  });
  await assert.rejects(careless([{ id }]), /left its transaction failed/);
  assert.equal(await appliedTimes(id), 0);
  assert.deepEqual(await deduplicate(store, insert)([{ id }]), { applied: 1, duplicates: 0 });
});

test('a connection that dies under the handler leaves nothing, and the pool is of use afterwards', async () => {
  const id = randomUUID();
  const dying = deduplicate(store, async (event: { id: string }, client: pg.PoolClient) => {
    await insert(event, client);
    await client.query('SELECT pg_terminate_backend(pg_backend_pid())');
  });
  await assert.rejects(dying([{ id }]));
  assert.equal(await appliedTimes(id), 0);
  for (let i = 0; i < 10; i++) assert.equal((await pool.query('SELECT 1')).rowCount, 1);
  assert.deepEqual(await deduplicate(store, insert)([{ id }]), { applied: 1, duplicates: 0 });
});

test('what was applied long ago can be forgotten', async () => {
  const [old, recent] = [randomUUID(), randomUUID()];
  const apply = deduplicate(store, insert);
  await apply([{ id: old }, { id: recent }]);
  await pool.query(`UPDATE app.inbox SET applied_at = now() - interval '10 days' WHERE event_id = $1`, [old]);
  assert.equal(await store.prune(7), 1);
  assert.deepEqual(await apply([{ id: recent }]), { applied: 0, duplicates: 1 });
  assert.deepEqual(await apply([{ id: old }]), { applied: 1, duplicates: 0 });
});
