import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APPLICATION_NAME, withAdmin } from '../../src/upstream/connect.ts';
import { askServer } from '../../src/upstream/questions.ts';
import { connect, startPostgres } from '../support/test-database.ts';
import { upstreamOf } from '../support/upstreams.ts';

const server = await startPostgres({ settings: { wal_sender_timeout: '7s', max_replication_slots: '3' } });

test('a server tells what capture needs to know', async () => {
  const client = await connect(server.url());
  const { rows } = await client.query<{ oid: string }>(
    'SELECT oid::bigint AS oid FROM pg_database WHERE datname = current_database()',
  );
  const facts = await askServer(client);
  assert.ok(facts.versionNumber >= 140_000);
  assert.deepEqual(
    { ...facts, versionNumber: 0 },
    {
      walLevel: 'logical',
      versionNumber: 0,
      databaseOid: Number(rows[0]!.oid),
      canReplicate: true,
      maxReplicationSlots: 3,
      freeReplicationSlots: 3,
      walSenderTimeoutMs: 7_000,
    },
  );
  await client.query(`CREATE ROLE plain LOGIN PASSWORD 'walhook'; CREATE ROLE rds_replication;
                      CREATE ROLE amazon LOGIN PASSWORD 'walhook' IN ROLE rds_replication`);
  for (const [role, canReplicate] of [
    ['plain', false],
    ['amazon', true],
  ] as const) {
    const other = await connect(server.url().replace('postgres:walhook', `${role}:walhook`));
    assert.equal((await askServer(other)).canReplicate, canReplicate, role);
  }
});

test('an admin connection has its name, its pinned settings and its limits, whatever the role has', async () => {
  const client = await connect(server.url());
  await client.query(`ALTER ROLE postgres SET datestyle = 'German'; ALTER ROLE postgres SET search_path = 'nowhere'`);
  const limits = { statementTimeoutMs: 123, lockTimeoutMs: 45 };
  const names = [
    'application_name',
    'datestyle',
    'timezone',
    'client_encoding',
    'search_path',
    'statement_timeout',
    'lock_timeout',
  ];
  const settings = await withAdmin(
    upstreamOf(server.url()),
    async (admin) =>
      (await admin.query<{ value: string }>('SELECT current_setting(n) AS value FROM unnest($1::text[]) n', [names]))
        .rows,
    limits,
  );
  const values = settings.map(({ value }) => value);
  assert.deepEqual(values, [APPLICATION_NAME, 'ISO, MDY', 'UTC', 'UTF8', 'pg_catalog', '123ms', '45ms']);
});
