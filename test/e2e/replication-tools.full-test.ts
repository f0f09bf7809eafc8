import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type pg from 'pg';
import { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { DEBIAN_BIN, debian, succeed } from '../support/programs.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { startStage } from './stage.ts';

// Law: what replicates, by log or by bytes, does so through walhook: a replication session is a plain pipe.

const SETTINGS = { max_wal_senders: '20' };
const { server, walhook } = await startStage(SETTINGS);
const folder = temporaryFolder();
// The servers' user looks in here.
chmodSync(folder, 0o711);
const admin = await connect(server.url());
await admin.query(`
  create table kept (id int primary key, body text);
  insert into kept select g, md5(g::text) from generate_series(1, 20000) g;
`);

async function value(client: pg.Client, sql: string): Promise<unknown> {
  const { rows } = await client.query({ text: sql, rowMode: 'array' });
  return (rows as unknown[][])[0]?.[0];
}

const DIGEST = `select md5(string_agg(kept::text, ',' order by id)) from kept`;

/** Gives a folder to the user that servers run as where we are root, as `LocalPostgres` does with its own. */
function giveToServer(path: string): void {
  if (process.getuid?.() === 0) execFileSync('chown', ['-R', 'nobody', path]);
}

test('pg_basebackup: the copy is whole, starts as a standby through walhook, and follows', async () => {
  const copy = join(folder, 'copy');
  const args = ['-D', copy, '-X', 'stream', '-c', 'fast', '-C', '-S', 'copy_slot', '-R', '-d', walhook.sqlUrl()];
  await succeed(debian('pg_basebackup'), args);
  assert.match(await succeed(debian('pg_verifybackup'), [copy]), /^backup successfully verified/);
  const written = readFileSync(join(copy, 'postgresql.auto.conf'), 'utf8');
  assert.match(written, new RegExp(`primary_conninfo = .*port=${walhook.sqlPort}`));
  giveToServer(copy);
  const standby = await LocalPostgres.start({ dataDir: copy, binDir: DEBIAN_BIN, settings: SETTINGS });
  after(() => standby.stop('immediate'));
  const client = await connect(standby.url());
  assert.equal(await value(client, 'select pg_is_in_recovery()'), true);
  assert.equal(await value(client, DIGEST), await value(admin, DIGEST));

  await waitFor('the walreceiver', async () => {
    return (await value(client, 'select sender_port from pg_stat_wal_receiver')) === walhook.sqlPort;
  });
  await admin.query(`insert into kept select g, repeat('x', 500) from generate_series(30001, 40000) g`);
  const end = await value(admin, 'select pg_current_wal_flush_lsn()');
  await waitFor('the rows', () => value(client, `select pg_last_wal_replay_lsn() >= '${String(end)}'`));
  assert.equal(await value(client, DIGEST), await value(admin, DIGEST));

  // What it has flushed, and with synchronous replication applied, comes back through walhook.
  await waitFor('the feedback', () =>
    value(
      admin,
      `select count(*) = 1 from pg_stat_replication where state = 'streaming' and flush_lsn >= '${String(end)}'`,
    ),
  );
  await admin.query(`alter system set synchronous_standby_names = '*'`);
  await admin.query('select pg_reload_conf()');
  await waitFor('the standby to be synchronous', () =>
    value(admin, `select count(*) = 1 from pg_stat_replication where sync_state = 'sync'`),
  );
  await admin.query(`set synchronous_commit = remote_apply; insert into kept values (50000, 'applied')`);
  assert.equal(await value(client, 'select body from kept where id = 50000'), 'applied');
  await admin
    .query('alter system reset synchronous_standby_names; ')
    .then(() => admin.query('select pg_reload_conf()'));
  await client.end();
  await standby.stop();
  await waitFor('the slot to be free', () =>
    value(admin, `select not active from pg_replication_slots where slot_name = 'copy_slot'`),
  );
  await admin.query(`select pg_drop_replication_slot('copy_slot')`);
});

test('pg_basebackup: compressed tar files, with the log fetched', async () => {
  const copy = join(folder, 'tar');
  const args = ['-D', copy, '-Ft', '-X', 'fetch', '-c', 'fast', '--compress=server-gzip:1', '-d', walhook.sqlUrl()];
  await succeed(debian('pg_basebackup'), args);
  assert.deepEqual(readdirSync(copy).sort(), ['backup_manifest', 'base.tar.gz']);
  const unpacked = join(folder, 'unpacked');
  mkdirSync(unpacked);
  execFileSync('tar', ['-xzf', join(copy, 'base.tar.gz'), '-C', unpacked]);
  const manifest = ['-m', join(copy, 'backup_manifest')];
  assert.match(await succeed(debian('pg_verifybackup'), [...manifest, unpacked]), /^backup successfully verified/);
});

test('pg_receivewal: a slot, a segment byte for byte, and the slot is gone', async () => {
  const target = join(folder, 'wal');
  mkdirSync(target);
  const receivewal = (...args: string[]): Promise<string> =>
    succeed(debian('pg_receivewal'), ['-S', 'wal_slot', '-d', walhook.sqlUrl(), ...args]);
  const receiveUpTo = async (end: unknown): Promise<void> => {
    // It ends with the first message that goes beyond.
    await admin.query(`select pg_logical_emit_message(true, 'beyond', '')`);
    await receivewal('-D', target, '--endpos', String(end), '--synchronous', '--no-loop');
  };
  await receivewal('--create-slot');
  await receiveUpTo(await value(admin, 'select pg_current_wal_flush_lsn()'));
  assert.match(readdirSync(target).join(), /^[0-9A-F]{24}\.partial$/);
  await admin.query(`insert into kept select g, md5(g::text) from generate_series(60001, 70000) g`);
  const segment = String(await value(admin, 'select pg_walfile_name(pg_current_wal_lsn())'));
  await admin.query('select pg_switch_wal()');
  await admin.query('create table after_the_switch ()');
  await receiveUpTo(await value(admin, 'select pg_current_wal_flush_lsn()'));
  assert.ok(readFileSync(join(target, segment)).equals(readFileSync(join(server.dataDir, 'pg_wal', segment))));
  await receivewal('--drop-slot');
  assert.equal(await value(admin, 'select count(*)::int from pg_replication_slots'), 0);
});

test('pg_recvlogical: the same changes as directly', async () => {
  const recvlogical = (url: string, slot: string, ...args: string[]): Promise<string> =>
    succeed(debian('pg_recvlogical'), ['-S', slot, '-d', url, ...args]);
  const slots: [string, string][] = [
    ['direct_slot', server.url()],
    ['proxied_slot', walhook.sqlUrl()],
  ];
  for (const [slot, url] of slots) await recvlogical(url, slot, '--create-slot', '-P', 'test_decoding', '--two-phase');
  await admin.query(`
    insert into kept select g, repeat(md5(g::text), 100) from generate_series(80001, 82000) g;
    update kept set body = 'updated ü' where id between 80001 and 80500;
    delete from kept where id > 81000;
    select pg_logical_emit_message(true, 'prefix', 'a message');
  `);
  const end = String(await value(admin, 'select pg_current_wal_insert_lsn()'));
  const [direct, proxied] = [
    await recvlogical(...slotAt(0), '--start', '-f', '-', '--endpos', end, '--no-loop'),
    await recvlogical(...slotAt(1), '--start', '-f', '-', '--endpos', end, '--no-loop'),
  ];
  assert.ok(proxied === direct, 'what was received differs');
  assert.ok(direct.length > 6_000_000 && direct.includes('updated ü'), `${direct.length}`);
  for (const [slot, url] of slots) await recvlogical(url, slot, '--drop-slot');
  assert.equal(await value(admin, 'select count(*)::int from pg_replication_slots'), 0);

  function slotAt(i: number): [string, string] {
    const [slot, url] = slots[i]!;
    return [url, slot];
  }
});

test('a subscription of another server: the rows that were there, those that come, and its end', async () => {
  const subscriber = await startPostgres({ binDir: DEBIAN_BIN, settings: { wal_retrieve_retry_interval: '100ms' } });
  const client = await connect(subscriber.url());
  await admin.query('create table news (id int primary key, body text); create publication news for table news');
  await admin.query(`insert into news select g, 'old' from generate_series(1, 5000) g`);
  await client.query('create table news (id int primary key, body text)');
  const connection = `host=127.0.0.1 port=${walhook.sqlPort} user=postgres password=walhook dbname=postgres`;
  await client.query(
    `create subscription news connection '${connection}' publication news with (streaming = on, two_phase = on)`,
  );
  const digest = `select md5(string_agg(news::text, ',' order by id)) from news`;
  const same = async (): Promise<boolean> => (await value(client, digest)) === (await value(admin, digest));
  await waitFor('the rows that were there', same);
  await admin.query(`
    insert into news select g, repeat('new', 100) from generate_series(5001, 10000) g;
    update news set body = 'changed' where id % 3 = 0;
    delete from news where id % 7 = 0;
  `);
  await waitFor('the changes', same);
  assert.equal(await value(client, 'select count(*)::int from news'), 10_000 - Math.trunc(10_000 / 7));
  await client.query('alter subscription news disable');
  await client.query('alter subscription news enable');
  await admin.query(`insert into news values (20000, 'last')`);
  await waitFor('the last', same);
  await client.query('drop subscription news');
  assert.equal(await value(admin, 'select count(*)::int from pg_replication_slots'), 0);
});
