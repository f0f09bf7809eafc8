import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { connect } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPair, type TcpAddress } from './proxy.ts';

// Law: what psql prints is the same through the frontend; its caret stands under the word that an error of ours is about.

const { server, direct, proxy } = await startPair();
const admin = await connect(server.url());
await admin.query('create table orders (id int primary key, body text)');

interface Output {
  readonly out: string;
  readonly err: string;
  readonly code: number | null;
}

/** Runs psql on a script; `interruptWhen` sends it a Ctrl-C. */
async function psql(address: TcpAddress, script: string, interruptWhen?: () => Promise<unknown>): Promise<Output> {
  const url = `postgres://postgres@${address.host}:${address.port}/postgres`;
  const child = spawn('psql', ['-X', url], { env: { ...process.env, PGSSLMODE: 'prefer' } });
  const done = Promise.withResolvers<number | null>();
  child.once('error', done.reject).once('close', done.resolve);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  child.stdin.end(script);
  if (interruptWhen) {
    await interruptWhen();
    child.kill('SIGINT');
  }
  return { code: await done.promise, out, err };
}

test('ordinary SQL prints the same', async () => {
  const script = `
    \\set ON_ERROR_STOP off
    truncate orders;
    \\copy orders from stdin
1\tone
2\ttwo
\\.
    select * from orders order by id;
    \\copy (select * from orders order by id) to stdout
    begin; insert into orders values (3); select bogus; rollback;
    \\d orders
    \\watch_is_not_a_command
    select 1 as a \\; select 2 as b \\; select 3 as c;
    \\set FETCH_COUNT 10
    select g from generate_series(1, 35) g;
    \\conninfo_is_not_a_command
    listen news;
  `;
  const expected = await psql(direct, script);
  assert.deepEqual(await psql(proxy.address, script), expected);
  assert.match(expected.out, /two/);
});

test('each statement of ours', async () => {
  proxy.streams.clear();
  const { out, err } = await psql(
    proxy.address,
    `CREATE CHANGE DATA CAPTURE ON orders TO WEBHOOK 'https://example.com/hook?key=secret' AS 's1';
     SHOW CDC STREAMS;
     SHOW CDC STREAM STATUS s1;
     ALTER CDC STREAM s1 PAUSE;
     ALTER CDC STREAM s1 RESUME;
     select 1 as before \\; SHOW CDC STREAMS \\; select 2 as after;
     DROP CDC STREAM s1;
     DROP CDC STREAM IF EXISTS s1;`,
  );
  assert.equal(err, 'NOTICE:  CDC stream "s1" does not exist, skipping\n');
  const tags = out.split('\n').filter((line) => line.endsWith('CDC STREAM'));
  assert.deepEqual(tags, [
    'CREATE CDC STREAM',
    'ALTER CDC STREAM',
    'ALTER CDC STREAM',
    'DROP CDC STREAM',
    'DROP CDC STREAM',
  ]);
  assert.ok(out.includes('https://example.com/hook?key=***') && !out.includes('secret'));
  assert.match(out, /\(44 rows\)/);
});

test('the caret stands under the word', async () => {
  const { err } = await psql(proxy.address, `CREATE CDC STREAM s ON no_such TO WEBHOOK 'https://example.com/';`);
  const [error, line, caret] = err.split('\n');
  assert.equal(error, 'ERROR:  relation "no_such" does not exist');
  assert.equal(caret!.indexOf('^'), line!.indexOf('no_such'));
});

test('Ctrl-C cancels what runs, be it the server’s or ours', async () => {
  const running = (): Promise<unknown> =>
    waitFor('the query to run', async () => {
      const { rows } = await admin.query(
        `select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'`,
      );
      return rows.length === 1;
    });
  const theirs = await psql(proxy.address, 'select pg_sleep(100);', running);
  assert.match(theirs.err, /canceling statement due to user request/);
  const held = proxy.streams.hold();
  const ours = await psql(
    proxy.address,
    `CREATE CDC STREAM s ON orders TO WEBHOOK 'https://example.com/';`,
    () => held,
  );
  assert.match(ours.err, /canceling statement due to user request/);
  assert.deepEqual(proxy.streams.names, []);
});
