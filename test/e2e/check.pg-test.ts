import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { binDirOf, POSTGRES_VERSIONS } from '../support/postgres-versions.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: CHECK CDC names what is missing with the SQL that brings it, and once that has run nothing is missing.

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

interface Row {
  readonly requirement: string;
  readonly ok: boolean;
  readonly found: string;
  readonly fix: string | null;
}

function run(args: readonly string[]): { status: number | null; stdout: string } {
  const { status, stdout } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return { status, stdout };
}

const missing = (stdout: string): string[] =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith('MISSING'))
    .map((line) => line.slice(9, line.indexOf(':', 9)));

for (const version of POSTGRES_VERSIONS) {
  test(`walhook check before version ${version} is fronted: each fix mends what it is of`, async () => {
    const server = await startPostgres({
      binDir: await binDirOf(version),
      settings: { wal_level: 'replica', max_slot_wal_keep_size: '16MB', wal_sender_timeout: '1s' },
    });
    const admin = await connect(server.url());
    await admin.query(`CREATE ROLE capturer LOGIN PASSWORD 'walhook'`);
    const url = server.url().replace('postgres:walhook', 'capturer:walhook');
    const before = run(['check', '--upstream', url]);
    assert.equal(before.status, 1);
    assert.deepEqual(missing(before.stdout), [
      'role may replicate',
      'role may create publications',
      'wal_level is logical',
      'max_slot_wal_keep_size leaves time for an outage',
      'wal_sender_timeout is no shorter than 5 s',
    ]);
    const grants = before.stdout.split('\n').flatMap((line) => /^ +((?:ALTER ROLE|GRANT) .*;)$/.exec(line)?.[1] ?? []);
    assert.equal(grants.length, 2);
    for (const sql of grants) await admin.query(sql);
    assert.deepEqual(missing(run(['check', '--upstream', url]).stdout).slice(0, 1), ['wal_level is logical']);
  });
}

test('CHECK CDC and SHOW CDC SLOTS, of streams as they are; doctor, while walhook does not run', async () => {
  const server = await startPostgres();
  const direct = await connect(server.url());
  const dataDir = join(temporaryFolder(), 'data');
  const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start();
  const client = new pg.Client({ connectionString: walhook.sqlUrl() });
  client.on('error', () => undefined);
  await client.connect();
  after(() => client.end().catch(() => undefined));
  const check = async (): Promise<readonly Row[]> => (await client.query<Row>('CHECK CDC')).rows;
  const { command } = await client.query('CHECK CDC');
  assert.equal(command, 'CHECK');
  assert.deepEqual(
    (await check()).filter(({ ok }) => !ok),
    [],
  );
  assert.equal((await client.query('SHOW CDC SLOTS')).rows.length, 0);
  await client.query('CREATE TABLE checked (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM checked_stream ON checked TO WEBHOOK 'http://127.0.0.1:9/'`);
  await waitFor('all to be well', async () => (await check()).every(({ ok }) => ok));
  assert.equal((await check()).filter(({ requirement }) => requirement.startsWith('public.checked: ')).length, 4);
  const slot = await waitFor('the slot to be read', async () => {
    const { rows } = await client.query<Record<string, unknown>>('SHOW CDC SLOTS');
    return rows[0]?.active === true ? rows[0] : null;
  });
  assert.deepEqual([slot.database, slot.wal_status], ['postgres', 'reserved']);
  assert.ok(Number(slot.retained_bytes) >= Number(slot.lag_bytes));
  await direct.query('ALTER TABLE checked REPLICA IDENTITY NOTHING');
  await direct.query('ALTER PUBLICATION walhook DROP TABLE checked');
  const bad = (await check()).filter(({ ok }) => !ok);
  assert.deepEqual(
    bad.map(({ requirement, fix }) => [requirement, fix]),
    [
      ['public.checked: it has a replica identity', 'ALTER TABLE public.checked REPLICA IDENTITY FULL;'],
      ['public.checked: it is published', 'ALTER PUBLICATION walhook ADD TABLE ONLY public.checked;'],
    ],
  );
  await walhook.stop();
  const doctor = (): ReturnType<typeof run> => run(['doctor', '--upstream', server.url(), '--data-dir', dataDir]);
  assert.deepEqual(missing(doctor().stdout), ['public.checked', 'public.checked']);
  for (const { fix } of bad) await direct.query(fix ?? '');
  const well = doctor();
  assert.equal(well.status, 0, well.stdout);
  assert.match(well.stdout, /catalog\.db is whole/);
  writeFileSync(join(dataDir, String(slot.slot_name), 'delivery.db'), Buffer.alloc(8_192, 1));
  const broken = doctor();
  assert.deepEqual([broken.status, missing(broken.stdout)], [1, ['delivery.db is whole']]);
});
