import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import pg from 'pg';
import postgres from 'postgres';
import { connect } from '../support/test-database.ts';
import { startPair } from './proxy.ts';

// Law: a driver sees through the frontend what it sees directly, and statements of ours as any other.

const { server, proxy } = await startPair();
const admin = await connect(server.url());
await admin.query(`
  create role scram_user login password 'secret' superuser;
  create table item (id int primary key, body text);
`);
const withRole = (url: string): string => url.replace('postgres:walhook', 'scram_user:secret');
const direct = withRole(server.url());
const proxied = proxy.url(direct);
const CREATE = `CREATE CHANGE DATA CAPTURE ON item TO WEBHOOK 'https://example.com/' AS 's1'`;

async function withPg<T>(url: string, run: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await run(client);
  } finally {
    await client.end();
  }
}

async function withPostgres<T>(url: string, run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    return await run(sql);
  } finally {
    await sql.end();
  }
}

test('pg: SCRAM, simple and prepared queries, a transaction, errors', async () => {
  const run = (client: pg.Client) => async (): Promise<unknown[]> => {
    const results: unknown[] = [];
    results.push((await client.query('truncate item')).command);
    results.push((await client.query('select current_user as role')).rows);
    for (const id of [1, 2]) {
      const query = {
        name: 'insert',
        text: 'insert into item values ($1, $2) returning *',
        values: [id, `body ${id}`],
      };
      results.push((await client.query(query)).rows);
    }
    await client.query('begin');
    await client.query('insert into item values (3)');
    results.push(await client.query('select bogus').catch((error: pg.DatabaseError) => [error.code, error.position]));
    results.push(await client.query('select 1').catch((error: pg.DatabaseError) => error.code));
    results.push((await client.query('rollback')).command);
    results.push((await client.query('select * from item order by id')).rows);
    results.push(
      ((await client.query('select 1 as a; select 2 as b')) as unknown as pg.QueryResult[]).map(({ rows }) => rows),
    );
    return results;
  };
  const expected = await withPg(direct, (client) => run(client)());
  assert.deepEqual(await withPg(proxied, (client) => run(client)()), expected);
  assert.deepEqual(expected[1], [{ role: 'scram_user' }]);
});

test('postgres: pipelined tagged queries, a transaction, COPY in and out, a cursor', async () => {
  const run = async (sql: postgres.Sql): Promise<unknown[]> => {
    await sql`truncate item`;
    const many = await Promise.all(Array.from({ length: 200 }, (_, i) => sql`select ${i}::int as i`));
    const error = await sql
      .begin(async (tx) => {
        await tx`insert into item values (1, 'one')`;
        await tx`select 1/0`;
      })
      .catch((reason: postgres.PostgresError) => reason.code);
    const writable = await sql`copy item from stdin`.writable();
    await new Promise<void>((resolve, reject) => {
      writable.once('finish', resolve).once('error', reject);
      for (let i = 0; i < 5000; i++) writable.write(`${i}\tbody ${i}\n`);
      writable.end();
    });
    const hash = createHash('sha256');
    for await (const chunk of await sql`copy (select * from item order by id) to stdout`.readable())
      hash.update(chunk as Buffer);
    let rows = 0;
    await sql`select * from item`.cursor(1000, (some) => void (rows += some.length));
    return [many.map(([row]) => row!['i'] as number), error, hash.digest('hex'), rows];
  };
  const expected = await withPostgres(direct, run);
  assert.deepEqual(await withPostgres(proxied, run), expected);
  assert.equal(expected[3], 5000);
});

test('LISTEN and NOTIFY pass', async () => {
  await withPostgres(proxied, async (sql) => {
    const heard = Promise.withResolvers<string>();
    const listening = await sql.listen('news', (payload) => heard.resolve(payload));
    await admin.query(`notify news, 'hello'`);
    assert.equal(await heard.promise, 'hello');
    await listening.unlisten();
  });
});

test('a result of 100 MB arrives whole', async () => {
  const query = `select g, repeat(md5(g::text), 32) as body from generate_series(1, 100000) g`;
  const digest = (url: string): Promise<string> =>
    withPostgres(url, async (sql) => {
      const hash = createHash('sha256');
      await sql.unsafe(query).forEach((row) => void hash.update(`${row['g']} ${row['body']}`));
      return hash.digest('hex');
    });
  assert.equal(await digest(proxied), await digest(direct));
});

test('pg: every statement of ours, simple and prepared', async () => {
  proxy.streams.clear();
  await withPg(proxied, async (client) => {
    assert.equal((await client.query(CREATE)).command, 'CREATE');
    const text = 'SHOW CDC STREAMS';
    const simple = (await client.query(text)).rows;
    const prepared = (await client.query({ name: 'show', text, values: [] })).rows;
    assert.deepEqual(prepared, simple);
    assert.deepEqual([simple[0].stream_name, simple[0].lag_seconds], ['s1', 0.25]);
    const binary = await client.query({ text: 'SHOW CDC STREAM STATUS s1', values: [], rowMode: 'array' });
    assert.equal(binary.rows.length, 44);
    await client.query({ text: 'ALTER CDC STREAM s1 PAUSE', values: [] });
    await client.query('ALTER CDC STREAM s1 RESUME');
    const error = await client.query('DROP CDC STREAM s2').catch((reason: pg.DatabaseError) => reason);
    assert.equal((error as pg.DatabaseError).code, '42704');
    await client.query({ text: 'DROP CDC STREAM s1', values: [] });
    await client.query({
      text: `CREATE CHANGE DATA CAPTURE ON item TO WEBHOOK $1 AS 's2'`,
      values: ['https://example.com/parameter'],
    });
    assert.deepEqual(proxy.streams.created.at(-1)!.destination, {
      kind: 'webhook',
      url: 'https://example.com/parameter',
    });
  });
});

test('postgres: every statement of ours', async () => {
  proxy.streams.clear();
  await withPostgres(proxied, async (sql) => {
    await sql.unsafe(CREATE);
    const url = 'https://example.com/tagged';
    await sql`CREATE CDC STREAM s2 ON item TO WEBHOOK ${url}`;
    const [first, second] = await Promise.all([sql`SHOW CDC STREAMS`, sql`select 1 as one`]);
    assert.deepEqual([first.map((row) => row['stream_name'] as string), second[0]!['one']], [['s1', 's2'], 1]);
    assert.equal((await sql`SHOW CDC STREAM STATUS s1`).length, 44);
    await sql`ALTER CDC STREAM s1 PAUSE`;
    await sql`ALTER CDC STREAM s1 RESUME`;
    await sql`DROP CDC STREAM s1, s2`;
    const missing = await sql`SHOW CDC STREAM STATUS s1`.catch((reason: postgres.PostgresError) => reason.code);
    assert.equal(missing, '42704');
    await sql.begin((tx) => tx.unsafe(CREATE));
    await sql.begin(async (tx) => {
      await tx.unsafe(CREATE.replace(/'s1'|s1/, (name) => name.replace('s1', 's2')));
      await tx.savepoint((inner) => inner.unsafe('DROP CDC STREAM s1; select 1/0')).catch(() => undefined);
    });
    assert.deepEqual(proxy.streams.names, ['s1', 's2']);
  });
});
