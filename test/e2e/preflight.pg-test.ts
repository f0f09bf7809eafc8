import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type pg from 'pg';
import { startReceiver } from '../support/json-receiver.ts';
import { binDirOf, type PostgresVersion } from '../support/postgres-versions.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { seedsOf } from '../support/seeds.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: no statement of the application fails because there is a stream. The same statements run in two databases that
// are the same, and a stream is on the tables of one of them.

const { seeds } = seedsOf('PREFLIGHT_SEEDS', 25);
const STATEMENTS = 14;
/** The rules for generated columns came with 18; MERGE with 15. */
const VERSIONS: readonly PostgresVersion[] = [14, 18];

function pick<T>(random: SeededRandom, from: readonly T[]): T {
  return from[random.below(from.length)]!;
}

/** A schema `app` with a table `t` of some shape, by statements. */
function someTable(random: SeededRandom, version: PostgresVersion): string[] {
  const columns = ['id int NOT NULL', 'k int NOT NULL', 'note text'];
  if (random.chance(0.3)) columns.push('place point', 'doc json');
  if (random.chance(0.4)) columns.push('twice int GENERATED ALWAYS AS (id * 2) STORED NOT NULL');
  if (version >= 18 && random.chance(0.25)) columns.push('thrice int GENERATED ALWAYS AS (id * 3) VIRTUAL');
  const isParted = random.chance(0.4);
  const hasTwice = columns.some((column) => column.startsWith('twice'));
  const keys = [
    '',
    'PRIMARY KEY (id)',
    'PRIMARY KEY (id)',
    'PRIMARY KEY (id, k)',
    'UNIQUE (id)',
    'PRIMARY KEY (id) DEFERRABLE',
  ];
  if (hasTwice && !isParted) keys.push('PRIMARY KEY (twice)', 'PRIMARY KEY (id, twice)');
  const key = pick(random, keys);
  const body = [...columns, ...(key === '' ? [] : [key])].join(', ');
  const logged = !isParted && random.chance(0.1) ? 'UNLOGGED ' : '';
  const statements = [`CREATE ${logged}TABLE app.t (${body})${isParted ? ' PARTITION BY RANGE (id)' : ''}`];
  const tables = ['app.t'];
  if (isParted) {
    for (const [name, bounds] of [
      ['low', 'FROM (0) TO (50)'],
      ['middle', 'FROM (50) TO (100)'],
    ] as const) {
      const leafLogged = random.chance(0.1) ? 'UNLOGGED ' : '';
      statements.push(`CREATE ${leafLogged}TABLE app.${name} PARTITION OF app.t FOR VALUES ${bounds}`);
      tables.push(`app.${name}`);
    }
  } else if (random.chance(0.25)) {
    statements.push('CREATE TABLE app.child (extra int) INHERITS (app.t)');
    if (random.chance(0.5)) tables.push('app.child');
  }
  for (const table of tables) {
    const identity = pick(random, ['', '', 'FULL', 'FULL', 'NOTHING', 'INDEX']);
    if (identity === 'FULL' || identity === 'NOTHING')
      statements.push(`ALTER TABLE ${table} REPLICA IDENTITY ${identity}`);
    if (identity === 'INDEX') {
      const name = `${table.slice(4)}_k`;
      const on = isParted ? '(id, k)' : hasTwice && random.chance(0.5) ? '(k, twice)' : '(k)';
      statements.push(`CREATE UNIQUE INDEX ${name} ON ${table} ${on}`);
      statements.push(`ALTER TABLE ${table} REPLICA IDENTITY USING INDEX ${name}`);
    }
  }
  return statements;
}

/** The stream, as the client asks for it. */
function someStream(random: SeededRandom, name: string, url: string): string {
  const on = pick(random, [
    'app.t',
    'app.t',
    'app.t',
    'app.t (id, k)',
    'app.t WHERE (k > 3)',
    'TABLES IN SCHEMA app',
    'ALL TABLES',
  ]);
  const operations = random.chance(0.3) ? ' OPERATIONS (INSERT)' : '';
  return `CREATE CDC STREAM ${name} ON ${on} TO WEBHOOK '${url}/${name}'${operations}`;
}

/** What an application does. Each may be wrong for the table: then it is in both databases. */
function someStatement(random: SeededRandom, version: PostgresVersion): string {
  const id = random.below(100);
  const k = random.below(1_000);
  const statements = [
    `INSERT INTO app.t (id, k, note) VALUES (${id}, ${k}, 'a'), (${id + 1}, ${k + 1}, NULL)`,
    `UPDATE app.t SET note = 'b' WHERE id <= ${id}`,
    `UPDATE app.t SET id = ${id + 1} WHERE id = ${id}`,
    `UPDATE app.t SET k = k + 1000`,
    `DELETE FROM app.t WHERE k % 3 = 0`,
    `INSERT INTO app.t (id, k) SELECT id, k FROM app.t LIMIT 1 ON CONFLICT DO NOTHING`,
    `INSERT INTO app.t (id, k) VALUES (${id}, ${k}) ON CONFLICT (id) DO UPDATE SET note = 'c'`,
    `WITH gone AS (DELETE FROM app.t WHERE id = ${id} RETURNING k) SELECT count(*) FROM gone`,
    'TRUNCATE app.t',
    'UPDATE app.low SET note = note',
    'DELETE FROM app.middle',
    'UPDATE app.child SET extra = 1',
    `INSERT INTO app.child (id, k) VALUES (${id}, ${k})`,
    'ALTER TABLE app.t ADD COLUMN more text DEFAULT now()::text',
    'ALTER TABLE app.t DROP COLUMN note',
    'ALTER TABLE app.t RENAME COLUMN note TO remark',
    'ALTER TABLE app.t ALTER COLUMN k TYPE bigint',
    'CREATE INDEX ON app.t (note)',
    'CREATE TABLE app.high PARTITION OF app.t FOR VALUES FROM (100) TO (150)',
    'CREATE TABLE app.rest PARTITION OF app.t DEFAULT',
    'UPDATE app.rest SET note = note',
    'CREATE TABLE app.loose (LIKE app.t INCLUDING GENERATED); ALTER TABLE app.t ATTACH PARTITION app.loose FOR VALUES FROM (200) TO (250)',
    'UPDATE app.loose SET note = note',
    'INSERT INTO app.t (id, k) VALUES (120, 1), (220, 2)',
    'ALTER TABLE app.t DETACH PARTITION app.low',
    'CREATE TABLE app.heir () INHERITS (app.t)',
    `INSERT INTO app.heir (id, k) VALUES (${id}, ${k}); UPDATE app.heir SET note = 'd'; DELETE FROM app.heir`,
    'CREATE TABLE app.other (id int); INSERT INTO app.other VALUES (1); UPDATE app.other SET id = 2; DELETE FROM app.other',
    'ALTER TABLE app.t REPLICA IDENTITY FULL',
    'ALTER TABLE app.t RENAME TO u',
    'ALTER TABLE app.u RENAME TO t',
    'VACUUM app.t',
    'ANALYZE app.t',
    'DROP TABLE app.child',
  ];
  if (version >= 15) {
    statements.push(`MERGE INTO app.t USING (VALUES (${id}, ${k})) AS s (i, j) ON t.id = s.i
      WHEN MATCHED THEN UPDATE SET note = 'e' WHEN NOT MATCHED THEN INSERT (id, k) VALUES (i, j)`);
  }
  return pick(random, statements);
}

async function outcome(client: pg.Client, sql: string): Promise<string> {
  try {
    await client.query(sql);
    return 'ok';
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    return `${code} ${message}`;
  }
}

const receiver = await startReceiver();

for (const version of VERSIONS) {
  const server = await startPostgres({ binDir: await binDirOf(version) });
  const app = await connect(server.url());
  await app.query('CREATE DATABASE twin');
  const twinUrl = new URL(server.url());
  twinUrl.pathname = '/twin';
  const twin = await connect(twinUrl.href);
  const walhook = await new WalhookProcess({
    upstreamUrl: server.url(),
    dataDir: join(temporaryFolder(), 'data'),
  }).start();
  const client = await connect(walhook.sqlUrl());
  after(() => walhook.stop());

  test(`PostgreSQL ${version}: ${seeds.length} random tables take the same statements with a stream as without`, async (t) => {
    let streamed = 0;
    const broken: string[] = [];
    for (const seed of seeds) {
      const random = new SeededRandom(seed);
      const table = ['CREATE SCHEMA app', ...someTable(random, version)];
      const steps: string[] = [];
      const both = async (sql: string): Promise<boolean> => {
        const [here, there] = [await outcome(app, sql), await outcome(twin, sql)];
        steps.push(sql);
        if (here === there) return true;
        broken.push(`seed ${seed}: ${here} but ${there}\n  ${steps.join('\n  ')}`);
        return false;
      };
      for (const sql of table) await both(sql);
      for (let i = 0; i < 3; i++) await both(someStatement(random, version));
      const streams: string[] = [];
      for (const name of ['one', 'two'].slice(0, random.chance(0.3) ? 2 : 1)) {
        const sql = someStream(random, name, receiver.url);
        const said = await outcome(client, sql);
        steps.push(`-- ${said}: ${sql}`);
        assert.match(said, /^(ok|55000|42809|42703|0A000|42P01|42P17)/, steps.join('\n'));
        if (said === 'ok') streams.push(name);
      }
      if (streams.length > 0) streamed++;
      if (streams.length > 0 && random.chance(0.3)) {
        steps.push(`-- ${await outcome(client, `BACKFILL CDC STREAM ${streams[0]}`)}: BACKFILL`);
      }
      for (let i = 0; i < STATEMENTS; i++) if (!(await both(someStatement(random, version)))) break;
      for (const name of streams) await client.query(`DROP CDC STREAM ${name}`);
      for (const each of [app, twin]) await each.query('DROP SCHEMA app CASCADE');
    }
    t.diagnostic(`${streamed} of ${seeds.length} tables were streamed`);
    assert.ok(streamed > seeds.length / 4, 'most shapes were refused');
    assert.equal(broken.length, 0, broken.join('\n\n'));
    await waitFor('nothing to be left', async () => (await app.query('SELECT FROM pg_publication')).rowCount === 0);
  });
}
