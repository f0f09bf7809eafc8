import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { debian, run, type ProgramOptions, type ProgramRun } from '../support/programs.ts';
import { connect, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { startStage } from './stage.ts';

// Law: whoever sits at psql sees no difference, whatever psql has the server do.

const { server, walhook } = await startStage();
const folder = temporaryFolder();
const admin = await connect(server.url());
await admin.query(`
  create table orders (id int primary key, body text, constraint short check (length(body) < 20));
  insert into orders select g, 'order ' || g from generate_series(1, 9) g;
`);

interface Printed {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

async function psql(url: string, args: readonly string[], options: ProgramOptions = {}): Promise<Printed> {
  const { status, stdout, stderr }: ProgramRun = await run(debian('psql'), ['-X', ...args, url], options);
  return { status, out: stdout.toString('utf8'), err: stderr };
}

/** What psql prints, which must be the same both ways. */
async function same(
  script: string,
  args: readonly string[] = [],
  mask = (text: string): string => text,
): Promise<Printed> {
  const print = async (url: string): Promise<Printed> => {
    const { status, out, err } = await psql(url, args, { input: script });
    return { status, out: mask(out), err: mask(err) };
  };
  const direct = await print(server.url());
  assert.deepEqual(await print(walhook.sqlUrl()), direct);
  return direct;
}

suite('the same output', () => {
  test('\\copy in and out, COPY inline, and from a program', async () => {
    const file = join(folder, 'copy.csv');
    const { out } = await same(`
      create temp table c (a int, b text);
      \\copy c from stdin csv
1,"one, ""quoted"""
2,
\\.
      copy c from stdin;
3\tthr\\tee
\\.
      \\copy c to '${file}' csv header
      \\copy c from '${file}' csv header
      \\copy c from program 'seq 10 5010 | sed s/$/,x/' csv
      \\copy (select count(*), sum(a) from c) to stdout
      copy c from stdin;
four\tnot a number
\\.
      select count(*) from c;
    `);
    assert.match(out, /^5007\t/m);
    assert.match(readFileSync(file, 'utf8'), /^a,b\n1,"one, ""quoted"""\n2,\n/);
  });

  test('\\watch ends with the first error', async () => {
    const script = `
      create temp sequence rounds;
      select 'round ' || nextval('rounds') || repeat('!', (6 / (4 - currval('rounds')))::int) \\watch 0.05
      select currval('rounds');`;
    const { out, err } = await same(script, ['-At'], (text) => text.replaceAll(/^.*\(every.*$/gm, '(every …)'));
    assert.match(out, /round 1!![^]*round 2!!![^]*round 3!!!!!!\n[^]*4\n$/);
    assert.match(err, /division by zero/);
  });

  test('\\gexec, \\gset, \\gdesc, \\crosstabview, \\g to a file', async () => {
    const { out } = await same(`
      select format('select %s as n', g) from generate_series(1, 3) g \\gexec
      select 6 * 7 as answer \\gset
      \\echo :answer
      select id, body, now() as at from orders \\gdesc
      select id % 2 as r, id % 3 as c, count(*) from orders group by 1, 2 order by 1, 2 \\crosstabview
      select * from orders order by id \\g | wc -l
      \\if :ROW_COUNT \\echo rows \\endif
    `);
    assert.match(out, /^42$/m);
  });

  test('errors: \\errverbose, VERBOSITY, ON_ERROR_ROLLBACK, carets', async () => {
    const { err } = await same(`
      select bogus from orders;
      \\errverbose
      insert into orders values (1, 'again');
      \\errverbose
      \\set VERBOSITY verbose
      insert into orders values (10, repeat('long', 9));
      do $$ begin raise warning 'careful' using detail = 'd', hint = 'h'; end $$;
      \\set VERBOSITY sqlstate
      select 1/0;
      \\set ON_ERROR_ROLLBACK on
      begin; select nonsense; insert into orders values (100, 'rolled back'); rollback;
      select :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE';
    `);
    assert.match(err, /^LOCATION: {2}errorMissingColumn, parse_relation\.c:\d+$/m);
    assert.match(err, /^CONSTRAINT NAME: {2}short$/m);
  });

  test('large objects, by the function call messages of libpq', async () => {
    const file = join(folder, 'object');
    writeFileSync(file, Buffer.alloc(300_000, 'large object '));
    await same(
      `\\lo_import ${file} 'mine'
       \\lo_list
       \\lo_export :LASTOID ${file}.out
       \\lo_unlink :LASTOID`,
      [],
      (text) => text.replaceAll(/\d{5}/g, 'oid').replaceAll(/ +/g, ' '),
    );
    assert.ok(readFileSync(`${file}.out`).equals(readFileSync(file)));
  });

  test('what psql asks of the catalogs', async () => {
    const { out } = await same(
      '\\d orders\n\\d+ orders\n\\l\n\\du+\n\\df pg_catalog.pg_sleep*\n\\dconfig work_mem\n\\sf pg_catalog.lpad(text, integer)',
    );
    assert.match(out, /"orders_pkey" PRIMARY KEY/);
  });

  test('FETCH_COUNT, \\timing off, \\x, \\pset and many results', async () => {
    const { out } = await same(`
      \\set FETCH_COUNT 7
      select g, repeat('x', g) from generate_series(1, 100) g;
      \\x
      select * from orders where id < 3;
      \\pset format csv
      select 1 as a \\; select 2 as b \\; insert into orders values (50, 'x') returning id \\; delete from orders where id = 50;
    `);
    assert.match(out, /\(100 rows\)/);
  });

  test('ON_ERROR_STOP and -1 -f: the status, and nothing is left', async () => {
    const file = join(folder, 'half.sql');
    writeFileSync(
      file,
      `create table half (id int); insert into half values (1); select 1/0; insert into half values (2);`,
    );
    const stopped = await same('', ['-v', 'ON_ERROR_STOP=1', '-1', '-f', file]);
    assert.equal(stopped.status, 3);
    const { rows } = await admin.query(`select to_regclass('half') as half`);
    assert.deepEqual(rows, [{ half: null }]);
    assert.equal((await same('select 1;', ['-c', 'select bogus'])).status, 1);
    assert.equal((await same('', ['-1', '-c', 'select 1', '-c', 'select 2'])).status, 0);
  });

  test('a file of 10,000 statements, in one transaction and in as many', async () => {
    const file = join(folder, 'large.sql');
    const lines = Array.from(
      { length: 10_000 },
      (_, i) => `insert into large values (${i}, 'it''s ${i}'); -- CDC STREAM ${i}`,
    );
    writeFileSync(
      file,
      `create temp table large (id int, body text);\n${lines.join('\n')}\nselect count(*), sum(id), md5(string_agg(body, ',' order by id)) from large;\n`,
    );
    for (const args of [
      ['-q', '-1', '-f', file],
      ['-q', '-c', `\\i ${file}`],
    ]) {
      assert.match((await same('', args)).out, / 10000 \| 49995000 \| /);
    }
  });
});

/** psql at a terminal of its own; `options.input` is what is typed. */
async function atTerminal(url: string, prompt: string, options: ProgramOptions): Promise<string> {
  const command = `${debian('psql')} -X -n -q -At -v 'PROMPT1=${prompt}' -v PROMPT2= -P pager=off '${url}'`;
  const { stdout } = await run('script', ['-qec', command, '/dev/null'], options);
  return stdout.toString('utf8').replaceAll('\r\n', '\n');
}

suite('Ctrl-C cancels what runs, and the session goes on', () => {
  const running: [what: string, command: string, state: string][] = [
    ['a query', 'select pg_sleep(100);', `wait_event = 'PgSleep'`],
    [
      'COPY to the terminal',
      `copy (select pg_sleep(0.01), g from generate_series(1, 100000) g) to stdout;`,
      `query like 'copy (%' and state = 'active'`,
    ],
    ['\\copy from the terminal', '\\copy orders from stdin', `query like 'COPY %' and wait_event = 'ClientRead'`],
    ['\\watch', 'select 4711 \\watch 0.01', `query = 'select 4711 '`],
  ];
  const PROMPT = 'ready> ';
  for (const [what, command, state] of running) {
    test(what, async () => {
      let shown = '';
      const prompts = (): number => shown.split(PROMPT).length - 1;
      async function* typed(): AsyncGenerator<string> {
        yield `select pg_backend_pid() as pid \\gset\nbegin;\n${command}\n`;
        await waitFor(`${what} to run`, async () => {
          const { rows } = await admin.query(
            `select 1 from pg_stat_activity where application_name = 'psql' and pid <> pg_backend_pid() and ${state}`,
          );
          return rows.length === 1;
        });
        // The server is ahead of what has been read of the terminal; \copy asks for its rows there.
        const asked = command.startsWith('\\copy') ? '>> ' : '';
        await waitFor('each line to have had its prompt', () => prompts() === 3 && shown.includes(asked));
        yield '\x03';
        // A terminal forgets at Ctrl-C what was typed ahead.
        await waitFor('the next prompt', () => prompts() === 4);
        yield `rollback;\nselect 'same session: ' || (:pid = pg_backend_pid());\n\\q\n`;
      }
      for (const url of [server.url(), walhook.sqlUrl()]) {
        const out = await atTerminal(url, PROMPT, { input: typed(), onOutput: (soFar) => (shown = soFar) });
        assert.match(out, /same session: true\n/);
        if (!what.startsWith('\\')) assert.match(out, /ERROR: {2}canceling statement due to user request\n/);
      }
    });
  }
});

suite('statements of ours', () => {
  test('\\gdesc, \\gset, \\gexec, \\g and \\watch take them as any other', async () => {
    const create = `create change data capture on orders to webhook ''http://127.0.0.1:9/''`;
    const { out, err, status } = await psql(walhook.sqlUrl(), ['-At', '-v', 'ON_ERROR_STOP=1'], {
      input: `
        select '${create} as ' || quote_literal('s' || g) from generate_series(1, 2) g \\gexec
        show cdc streams \\gdesc
        show cdc streams \\g | wc -l
        alter cdc stream s2 pause;
        drop cdc stream s2;
        show cdc streams \\gset
        \\echo :stream_name :source
        \\set name s1
        drop cdc stream :"name";`,
    });
    assert.deepEqual([status, err], [0, '']);
    const lines = out.split('\n');
    assert.deepEqual(lines.slice(0, 2), ['CREATE CDC STREAM', 'CREATE CDC STREAM']);
    assert.equal(lines[2], 'stream_name|text');
    assert.deepEqual(lines.slice(-6), [
      '2',
      'ALTER CDC STREAM',
      'DROP CDC STREAM',
      's1 public.orders',
      'DROP CDC STREAM',
      '',
    ]);
  });

  test('\\errverbose shows an error of ours whole', async () => {
    const { err } = await psql(walhook.sqlUrl(), [], { input: 'alter cdc stream s pauze;\n\\errverbose\n' });
    assert.match(err, /^ERROR: {2}42601: /m);
    assert.match(err, /^HINT: {2}/m);
  });

  test('the prompt shows the transaction’s state after each', async () => {
    const lines = [
      'show cdc streams;',
      'begin;',
      'select 1;',
      'show cdc streams;',
      'alter cdc stream s pauze;',
      'show cdc streams;',
      'rollback;',
      'alter cdc stream s pauze;',
      'select 2;',
    ];
    const out = await atTerminal(walhook.sqlUrl(), '<%x>', { input: `${lines.join('\n')}\n\\q\n` });
    const states = [...out.matchAll(/<([*!]?)>/g)].map(([, state]) => state);
    assert.deepEqual(states, ['', '', '*', '*', '*', '!', '!', '', '', '']);
  });

  test('ON_ERROR_ROLLBACK: an error of ours in a block ends at its savepoint', async () => {
    const { out, err } = await psql(walhook.sqlUrl(), ['-At', '-v', 'ON_ERROR_ROLLBACK=on'], {
      input: `begin;\ninsert into orders values (200, 'kept');\nalter cdc stream s pauze;\ncommit;\nselect body from orders where id = 200;\n`,
    });
    assert.match(err, /^ERROR: {2}/);
    assert.equal(out, 'BEGIN\nINSERT 0 1\nCOMMIT\nkept\n');
  });
});
