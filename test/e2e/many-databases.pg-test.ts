import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { startReceiver } from '../support/json-receiver.ts';
import { streamStatus } from '../support/stream-status.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: a stream is one of the database that its client is connected to. Each database has slot, publication, log and
// threads of its own, from its first stream to its last; what is amiss in one stops no other's.

const server = await startPostgres();
const admin = await connect(server.url());
const dataDir = join(temporaryFolder(), 'data');
const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start();
const receiver = await startReceiver();

type Row = Record<string, unknown>;

async function session(database: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: walhook.sqlUrl(database) });
  client.on('error', () => undefined);
  await client.connect();
  after(() => client.end().catch(() => undefined));
  return client;
}

/** A database with the table `orders`, and a client of walhook's in it. */
async function database(name: string): Promise<pg.Client> {
  await admin.query(`CREATE DATABASE ${name}`);
  const client = await session(name);
  await client.query('CREATE TABLE orders (id int PRIMARY KEY, status text)');
  return client;
}

async function rows(client: pg.Client, text: string): Promise<Row[]> {
  return (await client.query<Row>(text)).rows;
}

async function refusal(client: pg.Client, text: string): Promise<(string | undefined)[]> {
  return client.query(text).then(
    () => [],
    (error: pg.DatabaseError) => [error.code, error.message],
  );
}

async function property(client: pg.Client, stream: string, name: string): Promise<string | null> {
  return (await streamStatus(client, stream)).get(name) ?? null;
}

function becomes(client: pg.Client, stream: string, status: string): Promise<unknown> {
  // What has failed is tried again after up to a minute.
  return waitFor(
    `${stream} to be ${status}`,
    async () => (await property(client, stream, 'status')) === status,
    90_000,
  );
}

function idOf(row: unknown): number {
  return Number((row as { id: string } | null)?.id);
}

/** The keys that have come to a path, each once: keys have no order, and a kill has some sent again. */
function ids(path: string): number[] {
  const came = receiver.to(path).map(({ body }) => idOf(body.key));
  return [...new Set(came)].toSorted((a, b) => a - b);
}

async function arrives(path: string, wanted: readonly number[]): Promise<void> {
  await waitFor(`${wanted.join()} at ${path}`, () => ids(path).length >= wanted.length);
  assert.deepEqual(ids(path), wanted);
}

async function slots(): Promise<Row[]> {
  return (await admin.query<Row>('SELECT slot_name, database FROM pg_replication_slots ORDER BY database')).rows;
}

const shop = await database('shop');
const blog = await database('blog');

test('tables of one name in two databases: each stream has the changes of its own, with its database', async () => {
  const to = (path: string) => `TO WEBHOOK '${receiver.url}${path}' ENVELOPE DEBEZIUM`;
  await shop.query(`CREATE CDC STREAM shop_orders ON orders ${to('/shop')}`);
  await blog.query(`CREATE CDC STREAM blog_orders ON orders ${to('/blog')}`);
  await shop.query(`INSERT INTO orders VALUES (1, 'new')`);
  await blog.query(`INSERT INTO orders VALUES (2, 'new')`);
  const came = async (path: string): Promise<unknown[]> => {
    const { body } = await waitFor(`an event at ${path}`, () => receiver.to(path)[0]);
    return [(body.after as Row).id, (body.source as Row).db];
  };
  assert.deepEqual(await came('/shop'), [1, 'shop']);
  assert.deepEqual(await came('/blog'), [2, 'blog']);
  assert.deepEqual([receiver.to('/shop').length, receiver.to('/blog').length], [1, 1]);
  const found = await slots();
  assert.deepEqual(
    found.map((slot) => slot.database),
    ['blog', 'shop'],
  );
  const shown = await rows(shop, 'SHOW CDC SLOTS');
  assert.deepEqual(
    shown.map((slot) => [slot.slot_name, slot.database]),
    found.map((slot) => [slot.slot_name, slot.database]),
  );
  assert.equal(await property(shop, 'blog_orders', 'slot_name'), found[0]!.slot_name);
});

test('SHOW has the streams of all databases, with theirs; a name is one for the server', async () => {
  const listed = (await rows(shop, 'SHOW CDC STREAMS')).map((row) => [row.stream_name, row.database, row.status]);
  assert.deepEqual(listed, [
    ['blog_orders', 'blog', 'running'],
    ['shop_orders', 'shop', 'running'],
  ]);
  assert.equal(await property(shop, 'blog_orders', 'database'), 'blog');
  const attempts = await rows(shop, 'SHOW CDC DELIVERIES');
  assert.deepEqual(new Set(attempts.map((row) => row.stream_name)), new Set(['blog_orders', 'shop_orders']));
  const started = attempts.map((row) => (row.started_at as Date).getTime());
  assert.deepEqual(
    started,
    started.toSorted((a, b) => b - a),
    'the newest first',
  );
  assert.deepEqual(await rows(blog, 'SHOW CDC DELIVERIES LIMIT 1'), attempts.slice(0, 1));
  const create = (name: string, more = '') =>
    `CREATE ${more} CDC STREAM ${name} ON orders TO WEBHOOK '${receiver.url}/other'`;
  assert.deepEqual(await refusal(shop, create('blog_orders')), ['42710', 'CDC stream "blog_orders" already exists']);
  assert.deepEqual(await refusal(shop, create('IF NOT EXISTS blog_orders')), [
    '42710',
    'CDC stream "blog_orders" already exists',
  ]);
  const foreign = ['55000', 'CDC stream "blog_orders" is on tables of the database "blog"'];
  for (const statement of [
    create('blog_orders', 'OR REPLACE'),
    'ALTER CDC STREAM blog_orders ADD TABLE orders',
    'ALTER CDC STREAM blog_orders DROP TABLE orders',
    'ALTER CDC STREAM blog_orders SET WHEN (NEW.id > 1)',
    'BACKFILL CDC STREAM blog_orders',
  ]) {
    assert.deepEqual(await refusal(shop, statement), foreign, statement);
  }
});

test('what looks at no table is done from anywhere; ALL are those of the database', async () => {
  await shop.query('ALTER CDC STREAM ALL PAUSE');
  assert.deepEqual(
    [await property(shop, 'shop_orders', 'status'), await property(shop, 'blog_orders', 'status')],
    ['paused', 'running'],
  );
  await blog.query('ALTER CDC STREAM shop_orders RESUME');
  await shop.query(`COMMENT ON CDC STREAM blog_orders IS 'from afar'`);
  await becomes(blog, 'shop_orders', 'running');
});

test('CHECK CDC is of the database it is said in; metrics and readiness are of all', async () => {
  const tables = async (client: pg.Client): Promise<unknown[]> => {
    const all = await rows(client, 'CHECK CDC');
    assert.deepEqual(
      all.filter(({ ok }) => ok !== true),
      [],
    );
    return all.map(({ requirement }) => requirement).filter((each) => String(each).startsWith('public.'));
  };
  assert.equal((await tables(shop)).length, 4);
  assert.deepEqual(await tables(await session('postgres')), []);
  const metrics = await (await fetch(walhook.httpUrl('/metrics'))).text();
  assert.match(metrics, /^walhook_capture_streaming\{database="blog"\} 1$/m);
  assert.match(metrics, /^walhook_capture_changes_total\{database="shop"\} 1$/m);
  const ready = (await (await fetch(walhook.httpUrl('/readyz'))).json()) as { checks: unknown };
  assert.deepEqual(ready.checks, [
    { name: 'capture of blog', ok: true, detail: 'streaming' },
    { name: 'capture of shop', ok: true, detail: 'streaming' },
  ]);
});

test('transactional DDL, filters and a backfill in the second database', async () => {
  await blog.query('BEGIN');
  await blog.query('CREATE TABLE posts (id int PRIMARY KEY, views int)');
  await blog.query('ALTER TABLE posts REPLICA IDENTITY FULL');
  await blog.query('INSERT INTO posts SELECT i, i FROM generate_series(1, 3) i');
  await blog.query(
    `CREATE CDC STREAM posts ON posts WHERE (views > 1) TO WEBHOOK '${receiver.url}/posts' WITH (initial_scan = yes)`,
  );
  assert.deepEqual(await refusal(shop, 'SHOW CDC STREAM STATUS posts'), ['42704', 'CDC stream "posts" does not exist']);
  await blog.query('SAVEPOINT a');
  await blog.query('DROP CDC STREAM shop_orders');
  await blog.query('ROLLBACK TO a');
  await blog.query('COMMIT');
  await blog.query('INSERT INTO posts VALUES (4, 0), (5, 9)');
  await arrives('/posts', [2, 3, 5]);
  await blog.query('BACKFILL CDC STREAM posts WHERE (id = 3)');
  const reads = () => receiver.to('/posts').filter(({ body }) => body.op === 'read' && idOf(body.key) === 3);
  await waitFor('it to be read again', () => reads().length === 2);
  assert.equal((await rows(shop, `SHOW CDC STREAMS LIKE 'shop%'`)).length, 1);
  // A transaction of one database may be about streams of another.
  await shop.query(`CREATE CDC STREAM short ON orders TO WEBHOOK '${receiver.url}/short'`);
  const both = ['DROP CDC STREAM short', `COMMENT ON CDC STREAM posts IS 'twice'`];
  for (const text of ['BEGIN', ...both, 'ROLLBACK']) await blog.query(text);
  assert.equal((await rows(shop, 'SHOW CDC STREAMS')).length, 4);
  for (const text of ['BEGIN', ...both, 'COMMIT']) await blog.query(text);
  assert.equal((await rows(shop, 'SHOW CDC STREAMS')).length, 3);
  assert.match(String((await rows(shop, 'SHOW CREATE CDC STREAM posts'))[0]!.create_statement), /twice/);
});

test('kill -9: every database goes on where it was', async () => {
  await walhook.kill();
  await admin.query('SELECT 1');
  const direct = { shop: await connect(server.url('shop')), blog: await connect(server.url('blog')) };
  await direct.shop.query(`INSERT INTO orders VALUES (10, 'while it was down')`);
  await direct.blog.query(`INSERT INTO orders VALUES (11, 'while it was down')`);
  await walhook.start();
  const has = (path: string, id: number) =>
    waitFor(`${id} at ${path}`, () => receiver.to(path).some(({ body }) => idOf(body.after) === id));
  await has('/shop', 10);
  await has('/blog', 11);
  await Promise.all([direct.shop.end(), direct.blog.end()]);
});

test('with its last stream everything of a database goes, here and upstream; the others go on', async () => {
  const [again, other] = [await session('blog'), await session('shop')];
  const [blogSlot, shopSlot] = (await slots()).map(({ slot_name: name }) => String(name));
  assert.ok(existsSync(join(dataDir, blogSlot!)) && existsSync(join(dataDir, shopSlot!)));
  await other.query('DROP CDC STREAM blog_orders, posts');
  assert.deepEqual(
    (await slots()).map((slot) => slot.slot_name),
    [shopSlot],
  );
  assert.equal((await again.query('SELECT FROM pg_publication')).rowCount, 0);
  assert.ok(!existsSync(join(dataDir, blogSlot!)) && existsSync(join(dataDir, shopSlot!)));
  await other.query(`INSERT INTO orders VALUES (20, 'still here')`);
  await waitFor('the row', () => receiver.to('/shop').some(({ body }) => idOf(body.after) === 20));
  // And begins anew with the next.
  await again.query(`CREATE CDC STREAM anew ON orders TO WEBHOOK '${receiver.url}/anew'`);
  await again.query(`INSERT INTO orders VALUES (21, 'new')`);
  await arrives('/anew', [21]);
});

/** As a DBA does it, since no database is dropped while a slot of its is read. */
async function dropDatabase(name: string): Promise<void> {
  await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  await waitFor(`${name} to be dropped`, async () => {
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
    return admin.query(`DROP DATABASE ${name} WITH (FORCE)`).then(
      () => true,
      () => false,
    );
  });
}

test('a database that is dropped stops its own streams alone, and says so; they can be dropped from another', async () => {
  const other = await session('shop');
  await dropDatabase('blog');
  await becomes(other, 'anew', 'failed');
  assert.match((await property(other, 'anew', 'status_reason')) ?? '', /"blog" does not exist/);
  assert.equal((await fetch(walhook.httpUrl('/readyz'))).status, 503);
  await other.query(`INSERT INTO orders VALUES (30, 'on its way')`);
  await waitFor('the row', () => receiver.to('/shop').some(({ body }) => idOf(body.after) === 30));
  assert.equal(await property(other, 'shop_orders', 'status'), 'running');
  await other.query('DROP CDC STREAM anew');
  assert.equal((await fetch(walhook.httpUrl('/readyz'))).status, 200);
  assert.deepEqual(
    (await slots()).map((slot) => slot.database),
    ['shop'],
  );
  // One of the same name is another, and as good as any.
  const again = await database('blog');
  await again.query(`CREATE CDC STREAM reborn ON orders TO WEBHOOK '${receiver.url}/reborn'`);
  await again.query(`INSERT INTO orders VALUES (31, 'new')`);
  await arrives('/reborn', [31]);
});

test('a database that cannot be reached is waited for, across a restart, while the others go on', async () => {
  const other = await session('shop');
  await admin.query('ALTER DATABASE blog ALLOW_CONNECTIONS false');
  await walhook.kill();
  await walhook.start();
  const again = await session('shop');
  await again.query(`INSERT INTO orders VALUES (40, 'on its way')`);
  await waitFor('the row', () => receiver.to('/shop').some(({ body }) => idOf(body.after) === 40));
  await waitFor('the reason', async () => {
    return /not currently accepting connections/.test((await property(again, 'reborn', 'status_reason')) ?? '');
  });
  assert.notEqual(await property(again, 'reborn', 'status'), 'running');
  assert.equal(await property(again, 'shop_orders', 'status'), 'running');
  await again.query(`CREATE CDC STREAM more ON orders TO WEBHOOK '${receiver.url}/more'`);
  await admin.query('ALTER DATABASE blog ALLOW_CONNECTIONS true');
  await becomes(again, 'reborn', 'running');
  const direct = await connect(server.url('blog'));
  await direct.query(`INSERT INTO orders VALUES (41, 'back')`);
  await arrives('/reborn', [31, 41]);
  await direct.end();
  await other.end();
});

test('the slot of a database where nothing happens follows one that is busy', async () => {
  const client = await session('shop');
  const direct = await connect(server.url('shop'));
  const lags = async (): Promise<Map<string, number>> => {
    const found = await rows(client, 'SHOW CDC SLOTS');
    return new Map(found.map((slot) => [String(slot.database), Number(slot.lag_bytes)]));
  };
  // Captured is all that it has to be.
  await client.query('ALTER CDC STREAM ALL PAUSE');
  const LIMIT_BYTES = 16 * 1024 * 1024;
  let [worst, written] = [0, 0];
  for (let round = 0; round < 40; round++) {
    const { rows: before } = await direct.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
    await direct.query(
      `INSERT INTO orders SELECT 1000 + ${round} * 2000 + i, repeat('x', 1000) FROM generate_series(1, 2000) i`,
    );
    const { rows: after } = await direct.query<{ bytes: string }>(
      'SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1) AS bytes',
      [before[0]!.lsn],
    );
    written += Number(after[0]!.bytes);
    // As much as this machine captures.
    await waitFor('what was written to be captured', async () => (await lags()).get('shop')! < LIMIT_BYTES / 4, 60_000);
    worst = Math.max(worst, (await lags()).get('blog')!);
  }
  assert.ok(written > 4 * LIMIT_BYTES, `${written} bytes were written`);
  assert.ok(worst < LIMIT_BYTES, `${worst} bytes behind`);
  await waitFor('it to follow to the end', async () => (await lags()).get('blog')! < 1_000_000);
  await direct.end();
});

test('doctor looks at each database, and at its files', async () => {
  await walhook.stop();
  const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
  const args = [main, 'doctor', '--upstream', server.url(), '--data-dir', dataDir];
  const well = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(well.status, 0, well.stdout);
  for (const said of ['blog: log.db is whole', 'shop: delivery.db is whole', 'blog: public.orders: it is published']) {
    assert.ok(well.stdout.includes(said), said);
  }
  const direct = await connect(server.url('blog'));
  await direct.query('ALTER PUBLICATION walhook DROP TABLE orders');
  const ill = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(ill.status, 1);
  assert.deepEqual(ill.stdout.match(/^MISSING.*$/gm), ['MISSING  blog: public.orders: it is published: no']);
  await direct.end();
});

test('a log that cannot be opened stops the streams of its database alone, and is told; mended, it is gone on with', async () => {
  const slot = String((await slots()).find(({ database: name }) => name === 'blog')?.slot_name);
  const file = join(dataDir, slot, 'log.db');
  renameSync(file, `${file}.kept`);
  writeFileSync(file, 'no log at all');
  await walhook.start();
  const client = await session('shop');
  await client.query('ALTER CDC STREAM ALL RESUME');
  await becomes(client, 'shop_orders', 'running');
  await becomes(client, 'reborn', 'failed');
  assert.match((await property(client, 'reborn', 'status_reason')) ?? '', /not a database/);
  renameSync(`${file}.kept`, file);
  await becomes(client, 'reborn', 'running');
});
