import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { debian, run, succeed, type ProgramRun } from '../support/programs.ts';
import { connect, temporaryFolder } from '../support/test-database.ts';
import { startStage } from './stage.ts';

// Law: PostgreSQL's own programs do through walhook what they do directly.

const { server, walhook } = await startStage({ max_connections: '60' });
const folder = temporaryFolder();
const admin = await connect(server.url());

/** A database of its own, and its URLs. */
async function database(name: string): Promise<{ direct: string; proxied: string }> {
  await admin.query(`create database ${name}`);
  return { direct: server.url(name), proxied: walhook.sqlUrl(name) };
}

suite('pgbench', async () => {
  const { direct, proxied } = await database('bench');
  const pgbench = (...args: string[]): Promise<string> => succeed(debian('pgbench'), [...args, proxied]);
  let transactions = 0;

  const processed = (report: string): string | undefined =>
    /^number of transactions actually processed: (.*)$/m.exec(report)?.[1];

  test('-i fills its tables, by COPY and on the server', async () => {
    for (const steps of ['dtgvp', 'dtGvpf']) {
      await pgbench('-i', '-q', '-I', steps, '-s', '1');
      const client = await connect(direct);
      const { rows } = await client.query(
        `select (select count(*) from pgbench_accounts)::int as accounts, (select count(*) from pgbench_tellers)::int as tellers,
           (select count(*) from pg_constraint where conrelid::regclass::text like 'pgbench%')::int as keys`,
      );
      assert.deepEqual(rows, [{ accounts: 100_000, tellers: 10, keys: steps.endsWith('f') ? 8 : 3 }]);
      await client.end();
    }
  });

  const runs: [what: string, args: string[]][] = [
    ['simple', ['-M', 'simple', '-c', '2', '-t', '100']],
    ['extended', ['-M', 'extended', '-c', '2', '-t', '100']],
    ['prepared', ['-M', 'prepared', '-c', '2', '-t', '100']],
    ['eight clients on two threads', ['-M', 'prepared', '-c', '8', '-j', '2', '-t', '100']],
    ['a connection for each transaction', ['-C', '-c', '4', '-j', '2', '-t', '25']],
  ];
  for (const [what, args] of runs) {
    test(`TPC-B: ${what}`, async () => {
      const count = Number(args[args.indexOf('-c') + 1]) * Number(args[args.indexOf('-t') + 1]);
      const report = await pgbench('-n', ...args);
      assert.equal(processed(report), `${count}/${count}`);
      assert.match(report, /^number of failed transactions: 0 /m);
      transactions += count;
    });
  }

  test('the sums of all balances are equal, and each transaction is there once', async () => {
    const client = await connect(direct);
    const { rows } = await client.query(
      `select (select sum(abalance) from pgbench_accounts) as accounts, (select sum(tbalance) from pgbench_tellers) as tellers,
         (select sum(bbalance) from pgbench_branches) as branches, (select sum(delta) from pgbench_history) as history,
         (select count(*)::int from pgbench_history) as transactions`,
    );
    const { history } = rows[0];
    assert.deepEqual(rows, [{ accounts: history, tellers: history, branches: history, history, transactions }]);
    assert.ok(transactions >= 1000);
    await client.end();
  });

  test('-S in every protocol', async () => {
    for (const mode of ['simple', 'extended', 'prepared']) {
      assert.equal(processed(await pgbench('-n', '-S', '-M', mode, '-c', '4', '-t', '200')), '800/800');
    }
  });

  test('a pipeline, with values that come back', async () => {
    const script = join(folder, 'pipeline.sql');
    // 15 has no answer check of its own: a value that is not what it should be divides by zero.
    const steps = [1, 2, 3, 4, 5].map((i) => `select ${i} + :client_id as v${i} \\gset\n`);
    writeFileSync(
      script,
      `\\startpipeline\nbegin;\n${steps.join('').replaceAll(' \\gset', ';')}commit;\n\\endpipeline\n${steps.join('')}
       select 1 / (case when :v1::int + :v5::int = 6 + 2 * :client_id then 1 else 0 end);\n`,
    );
    for (const mode of ['extended', 'prepared']) {
      assert.equal(processed(await pgbench('-n', '-M', mode, '-f', script, '-c', '3', '-t', '50')), '150/150');
    }
  });
});

/** As much of what a database can hold as a dump treats in its own way. */
const EVERYTHING = `
  create type mood as enum ('sad', 'ok', 'happy');
  create type pair as (a int, b text);
  create domain posint as int check (value > 0);
  create type span as range (subtype = float8);
  create sequence numbers start 7 increment 3;
  create table people (id bigint generated always as identity primary key, name text collate "C" not null, mood mood,
    pair pair, age posint, spans span[], raw bytea, doc jsonb, twice int generated always as (age * 2) stored,
    at timestamptz default now(), amount numeric(20, 5), bits bit varying(9), net inet, note text);
  comment on table people is 'it''s "quoted" – ünïcödé \\ and more';
  create index on people using gin (doc);
  create unique index on people (lower(name)) where age > 18;
  create statistics people_stats on name, age from people;
  insert into people (name, mood, pair, age, spans, raw, doc, amount, bits, net, note)
    select 'name ' || g, (array['sad', 'ok', 'happy']::mood[])[1 + g % 3], row(g, E'tab\\t"' || g)::pair, g,
      array['[1,2)'::span, '(,3.5]'], decode(md5(g::text), 'hex'), jsonb_build_object('n', g, 'nothing', null),
      g / 7.0, b'10101', '10.0.0.1/8', case when g % 5 = 0 then null else repeat(E'a\\\\b\\n', g % 50) end
    from generate_series(1, 20000) g;
  create table measures (at date not null, place text, value float8) partition by range (at);
  create table measures_2025 partition of measures for values from ('2025-01-01') to ('2026-01-01') partition by list (place);
  create table measures_2025_a partition of measures_2025 for values in ('a');
  create table measures_rest partition of measures default;
  insert into measures select '2024-12-01'::date + g, 'a', g / 3.0 from generate_series(1, 300) g where g not between 390 and 395
    and '2024-12-01'::date + g < '2026-01-01';
  create table child (id int primary key, parent bigint references people on delete cascade deferrable initially deferred);
  insert into child select g, g from generate_series(1, 5000) g;
  create table big (id int primary key, body text);
  insert into big select g, (select string_agg(md5((g * i)::text), '') from generate_series(1, 600) i) from generate_series(1, 60) g;
  create function touch() returns trigger language plpgsql as $f$ begin new.note := $q$it's $$touched$$; CREATE CDC STREAM$q$; return new; end $f$;
  create trigger touch before update on people for each row when (old.name is distinct from new.name) execute function touch();
  create procedure nothing() language sql begin atomic select 1; end;
  create view adults as select id, name from people where age >= 18 with check option;
  create materialized view moods as select mood, count(*) from people group by mood;
  create rule no_delete as on delete to child do instead nothing;
  alter table people enable row level security;
  create policy mine on people for select using (name = current_user);
  create aggregate longest (text) (sfunc = textcat, stype = text, initcond = '');
  create operator === (leftarg = int, rightarg = int, function = int4eq);
  create publication everything for table people, child where (id > 10);
  select lo_from_bytea(4200 + g, decode(repeat(md5(g::text), 5000), 'hex')) from generate_series(1, 4) g;
  comment on large object 4201 is 'a large object';
  select nextval('numbers'), setval('numbers', 4711);
`;

suite('pg_dump and pg_restore', async () => {
  const { direct, proxied } = await database('everything');
  const client = await connect(direct);
  await client.query(EVERYTHING);
  await client.end();
  /** The plain text; without the key, a random one would be in it. */
  const dump = (url: string, ...args: string[]): Promise<string> =>
    succeed(debian('pg_dump'), ['--restrict-key=fixed', ...args, url]);

  for (const args of [
    [],
    ['--inserts', '--rows-per-insert=100'],
    ['--schema-only', '--create'],
    ['--serializable-deferrable'],
  ]) {
    test(`a plain dump is the same text: ${args.join(' ') || 'COPY'}`, async () => {
      const expected = await dump(direct, ...args);
      assert.ok((await dump(proxied, ...args)) === expected, 'the dumps differ');
      assert.match(expected, /CREATE TYPE public\.mood AS ENUM/);
    });
  }

  test('pg_dumpall is the same text', async () => {
    const all = (url: string): Promise<string> =>
      succeed(debian('pg_dumpall'), ['--restrict-key=fixed', '--exclude-database=bench', '-d', url], {
        env: { PGPASSWORD: 'walhook' },
      });
    const expected = await all(server.url());
    assert.ok((await all(walhook.sqlUrl())) === expected, 'the dumps differ');
    assert.match(expected, /CREATE DATABASE everything/);
  });

  for (const format of ['directory', 'custom']) {
    test(`dumped to a ${format} and restored by four jobs, the content is the same`, async () => {
      const archive = join(folder, format);
      const jobs = format === 'directory' ? ['-j', '4'] : [];
      await succeed(debian('pg_dump'), [`-F${format}`, ...jobs, '-f', archive, proxied]);
      const copy = await database(`restored_${format}`);
      const args = ['-j', '4', '--exit-on-error', '-d', copy.proxied, archive];
      const { status, stderr } = await run(debian('pg_restore'), args);
      assert.deepEqual([status, stderr], [0, '']);
      assert.ok((await dump(copy.direct)) === (await dump(direct)), 'the dumps differ');
    });
  }
});

test('the small programs say the same', async () => {
  await admin.query('create database small');
  const client = await connect(server.url('small'));
  await client.query('create extension amcheck');
  await client.end();
  const both = async (program: string, ...args: string[]): Promise<string> => {
    const at = (port: number): Promise<ProgramRun> =>
      run(debian(program), ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', ...args], {
        env: { PGPASSWORD: 'walhook' },
      });
    // One after the other: two that work on the same catalogs can wait for each other.
    const theirs = await at(server.port);
    const ours = await at(walhook.sqlPort);
    const said = ({ status, stdout, stderr }: ProgramRun): unknown[] => [status, stdout.toString(), stderr];
    assert.deepEqual(said(ours), said(theirs));
    assert.equal(theirs.status, 0, theirs.stderr);
    return theirs.stdout.toString() + theirs.stderr;
  };
  assert.match(await both('vacuumdb', '-z', '-j', '2', 'small'), /vacuuming database "small"/);
  assert.equal(await both('clusterdb', 'small'), '');
  assert.equal(await both('reindexdb', 'small'), '');
  assert.match(await both('pg_amcheck', '-v', '-j', '2', '-t', 'pg_class', 'small'), /checking btree/);
});
