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

const PINO_WARN = 40;

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

test('serve says once at its start that wal_level lets no stream be created, and what to do', async () => {
  const lines = async (wal_level: string): Promise<Record<string, unknown>[]> => {
    const server = await startPostgres({ settings: { wal_level } });
    const dataDir = join(temporaryFolder(), 'data');
    const walhook = await new WalhookProcess({
      upstreamUrl: server.url(),
      dataDir,
      environment: { WALHOOK_LOG_LEVEL: 'debug' },
    }).start();
    await waitFor('it to have asked', () =>
      walhook.logLines.some((line) => line.includes('was asked for its wal_level')),
    );
    await walhook.stop();
    return walhook.logLines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ msg }) => String(msg).includes('stream can be created'));
  };
  const [line, ...more] = await lines('replica');
  assert.equal(more.length, 0);
  assert.deepEqual(
    [line?.['level'], line?.['problem'], line?.['remedy']],
    [
      PINO_WARN,
      'the server has wal_level = replica, not logical',
      "Set wal_level = 'logical' (ALTER SYSTEM SET wal_level = 'logical') and restart the server.",
    ],
  );
  assert.deepEqual(await lines('logical'), []);
});

test('where the server does not let walhook’s role in, check says what to do, by what the server says', async () => {
  const server = await startPostgres();
  const direct = await connect(server.url());
  await direct.query(`CREATE ROLE asleep NOLOGIN PASSWORD 'walhook'`);
  const url = (change: (of: URL) => void): string => {
    const changed = new URL(server.url());
    change(changed);
    return changed.href;
  };
  const cases: [upstream: string, requirement: string, fix: string][] = [
    [
      url((of) => (of.username = 'nobody')),
      'role may log in',
      `mend user or password in --upstream; or, where there is no such role: CREATE ROLE nobody LOGIN REPLICATION PASSWORD '…';`,
    ],
    [
      url((of) => (of.password = 'wrong')),
      'role may log in',
      `mend user or password in --upstream; or, where there is no such role: CREATE ROLE postgres LOGIN REPLICATION PASSWORD '…';`,
    ],
    [
      url((of) => (of.username = 'asleep')),
      'role may log in',
      `ALTER ROLE asleep LOGIN; or, where there is no such role: CREATE ROLE asleep LOGIN REPLICATION PASSWORD '…'; or a line for it in pg_hba.conf`,
    ],
    [
      url((of) => (of.password = '')),
      'server can be reached',
      'mend host or port in --upstream; no password is there, and the server may ask for one',
    ],
    [
      url((of) => (of.pathname = '/nowhere')),
      'database exists',
      'name another database in --upstream; or: CREATE DATABASE nowhere;',
    ],
    [url((of) => (of.port = '1')), 'server can be reached', 'mend host or port in --upstream'],
  ];
  for (const [upstream, requirement, fix] of cases) {
    const { status, stdout } = run(['check', '--upstream', upstream]);
    assert.equal(status, 1);
    assert.match(stdout, new RegExp(`^MISSING  ${requirement}: .*\n`));
    assert.deepEqual(stdout.split('\n').slice(1), [`         -- ${fix}`, '1 of 1 is missing.', ''], stdout);
  }
});

test('a table whose owner walhook’s role is no member of: check advises, CREATE says the GRANT, a stream makes it a failure', async () => {
  const server = await startPostgres();
  const direct = await connect(server.url());
  for (const sql of [
    `CREATE ROLE capturer LOGIN REPLICATION PASSWORD 'walhook'`,
    `CREATE ROLE "The Shop" LOGIN PASSWORD 'walhook'`,
    'GRANT CREATE ON DATABASE postgres TO capturer',
    'CREATE SCHEMA shop AUTHORIZATION "The Shop"',
    'CREATE TABLE shop.parcels (id int PRIMARY KEY)',
    'CREATE TABLE shop.labels (id int PRIMARY KEY)',
    'ALTER TABLE shop.parcels OWNER TO "The Shop"',
    'ALTER TABLE shop.labels OWNER TO "The Shop"',
  ]) {
    await direct.query(sql);
  }
  const url = server.url().replace('postgres:walhook', 'capturer:walhook');
  const advice = 'GRANT "The Shop" TO capturer; -- before there is a stream on one of them';
  const checked = run(['check', '--upstream', url]);
  assert.equal(checked.status, 0, checked.stdout);
  assert.ok(
    checked.stdout.includes(
      `advice   streams on tables of The Shop: capturer is no member of The Shop, which owns 2 tables\n         ${advice}\n`,
    ),
    checked.stdout,
  );

  const dataDir = join(temporaryFolder(), 'data');
  const walhook = await new WalhookProcess({ upstreamUrl: url, dataDir }).start();
  const client = new pg.Client({
    connectionString: walhook.sqlUrl().replace(/\/\/[^@]+@/, `//${encodeURIComponent('The Shop')}:walhook@`),
  });
  client.on('error', () => undefined);
  await client.connect();
  after(() => client.end().catch(() => undefined));
  const check = async (): Promise<readonly Row[]> => (await client.query<Row>('CHECK CDC')).rows;
  assert.deepEqual(
    (await check()).flatMap(({ ok, fix }) => (fix === null ? [] : [[ok, fix]])),
    [[true, advice]],
  );

  const create = `CREATE CDC STREAM parcels_stream ON shop.parcels TO WEBHOOK 'http://127.0.0.1:9/'`;
  const refused = await client.query(create).then(
    () => assert.fail('it is not refused'),
    (error: pg.DatabaseError) => error,
  );
  assert.deepEqual(
    [refused.code, refused.message, refused.hint],
    [
      '42501',
      'walhook\'s role capturer is no member of "The Shop", which owns table shop.parcels',
      'GRANT "The Shop" TO capturer;',
    ],
  );
  await direct.query(refused.hint ?? '');
  await client.query(create);
  await waitFor('all to be well', async () => (await check()).every(({ ok, fix }) => ok && fix === null));

  await direct.query('REVOKE "The Shop" FROM capturer');
  const lost = (await check()).filter(({ fix }) => fix !== null);
  assert.deepEqual(lost.map(({ requirement, ok, fix }) => [requirement, ok, fix]).slice(0, 1), [
    ['shop.parcels: the role owns it', false, 'GRANT "The Shop" TO capturer;'],
  ]);
  assert.ok(
    lost.every(({ ok }) => !ok),
    'what a stream needs is no advice',
  );
  await walhook.stop();
});

test('a role that may not create publications: CREATE says the GRANTs', async () => {
  const server = await startPostgres();
  const direct = await connect(server.url());
  await direct.query(`CREATE ROLE capturer LOGIN REPLICATION PASSWORD 'walhook'`);
  await direct.query('CREATE TABLE parcels (id int PRIMARY KEY)');
  const upstreamUrl = server.url().replace('postgres:walhook', 'capturer:walhook');
  const walhook = await new WalhookProcess({ upstreamUrl, dataDir: join(temporaryFolder(), 'data') }).start();
  const client = await connect(walhook.sqlUrl().replace(/\/\/[^@]+@/, '//postgres:walhook@'));
  const create = `CREATE CDC STREAM parcels_stream ON parcels TO WEBHOOK 'http://127.0.0.1:9/'`;
  const refused = await client.query(create).then(
    () => assert.fail('it is not refused'),
    (error: pg.DatabaseError) => error,
  );
  assert.deepEqual(
    [refused.message, refused.hint],
    [
      "walhook's role capturer may not create publications in database postgres",
      'GRANT CREATE ON DATABASE postgres TO capturer; GRANT postgres TO capturer;',
    ],
  );
  await direct.query(refused.hint ?? '');
  await client.query(create);
  await walhook.stop();
});
