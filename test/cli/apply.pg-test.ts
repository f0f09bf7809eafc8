import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { applyDeclarations } from '../../src/cli/apply.ts';
import { CatalogClient } from '../../src/cli/declarations/catalog-client.ts';
import { readDeclarations } from '../../src/cli/declarations/declaration-file.ts';
import { dumpText } from '../../src/cli/declarations/dump-text.ts';
import { run } from '../support/programs.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// Law: after `apply FILE` the catalog is what the file says, whatever it was before; applied again it does nothing, and so does
// a dump. What fails changes nothing.

const server = await startPostgres();
const folder = temporaryFolder();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(folder, 'data'),
  environment: { SIGNING_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' },
}).start();
const admin = await connect(walhook.sqlUrl());
await admin.query(`
  create role alice;
  create schema shop;
  create table orders (id int primary key, status text, total numeric);
  alter table orders replica identity full;
  create table shop.items (id int primary key, orders_id int, name text);
  create table notes (id int primary key, body text);
`);

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The commands as a user runs them. */
async function command(name: string, args: readonly string[], url = walhook.sqlUrl()): Promise<Ran> {
  const { status, stdout, stderr } = await run(process.execPath, [MAIN, name, ...args], { env: { WALHOOK_URL: url } });
  return { status, stdout: stdout.toString('utf8'), stderr };
}

async function applyFile(text: string, ...args: string[]): Promise<Ran> {
  const file = join(folder, 'wanted.sql');
  writeFileSync(file, text);
  return command('apply', [file, ...args]);
}

const client = await CatalogClient.connect(walhook.sqlUrl());
after(() => client.end());

let confirm = (): Promise<boolean> => Promise.resolve(true);

/** The same in this process, which does not have to be started. */
async function apply(text: string, ...switches: string[]): Promise<Ran> {
  const said: string[] = [];
  const warned: string[] = [];
  const status = await applyDeclarations(client, readDeclarations(text, 'wanted.sql'), {
    isDryRun: switches.includes('--dry-run'),
    setHidden: switches.includes('--set-hidden'),
    confirm,
    say: (line) => said.push(line),
    warn: (line) => warned.push(line),
  });
  const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
  return { status, stdout: textOf(said), stderr: textOf(warned) };
}

async function dump(...args: string[]): Promise<string> {
  return dumpText(await client.shown(), !args.includes('--no-owner'));
}

const NOTHING = 'nothing to do: the catalog is what the file says\n';

/** Applies the file, and shows that nothing is left to do. */
async function settle(text: string, ...args: string[]): Promise<Ran> {
  const done = await apply(text, '--yes', ...args);
  assert.equal(done.status, 0, done.stderr);
  const again = await apply(text, '--dry-run');
  assert.deepEqual([again.status, again.stdout], [0, NOTHING], again.stderr);
  const dumped = await apply(await dump(), '--dry-run');
  assert.deepEqual([dumped.status, dumped.stdout, dumped.stderr], [0, NOTHING, '']);
  return done;
}

test('several databases: a file goes from one to the other, and a dump of it says the same', async () => {
  await admin.query('create database blog');
  const blog = await connect(walhook.sqlUrl('blog'));
  await blog.query('create table orders (id int primary key)');
  const done = await settle(`CREATE CDC ENDPOINT shared AS 'https://example.com/shared';
    CREATE CDC STREAM here ON notes TO ENDPOINT shared;
\\connect blog
    CREATE CDC STREAM there ON orders TO ENDPOINT shared;`);
  assert.match(done.stdout, /^in the database blog:\n\+ CREATE CDC STREAM there ON orders/m);
  assert.match(await dump('--no-owner'), /\n\n\\connect blog\n\nCREATE CDC STREAM there/);
  // Of another database nothing is said, so nothing is done there.
  const less = await apply(`CREATE CDC STREAM here ON notes TO WEBHOOK 'https://example.com/own';`);
  const note = 'note: the file says nothing of the database blog: its streams stay, and what they use\n';
  assert.deepEqual([less.status, less.stderr], [0, note]);
  assert.match(await dump(), /CREATE CDC STREAM there/);
  await blog.query('DROP CDC STREAM there, here');
  await blog.query('DROP CDC ENDPOINT shared');
  await blog.end();
});

const WHOLE = `
-- Everything at once, in an order of its own.
CREATE CDC SECRET signing FROM ENV 'SIGNING_SECRET';
CREATE CDC SECRET pin AS 'hunter2';
CREATE CDC ENDPOINT billing AS 'https://example.com/hook?token=hunter3' WITH (
  request_timeout = '5s', signing_secret = SECRET signing, "header.X-Team" = 'billing', "header.Authorization" = 'Bearer hunter4'
);
CREATE CHANGE DATA CAPTURE ON orders (id, status) WHERE (total > 10 AND status <> E'it''s\\\\') TO ENDPOINT billing
  OPERATIONS (INSERT, UPDATE OF status) WITH (max_in_flight = 4, batch_size = 10) COMMENT 'paid orders';
CREATE CDC STREAM "Odd name" ON shop.items, public.notes TO WEBHOOK 'https://example.com/items'
  WITH (bearer_token = 'hunter5');
`;

test('all of it is made, and a dump of it says the same', async () => {
  const done = await applyFile(WHOLE, '--yes');
  assert.equal(done.status, 0, done.stderr);
  await settle(WHOLE);
  assert.match(done.stdout, /^\+ CREATE CDC SECRET signing FROM ENV 'SIGNING_SECRET';$/m);
  assert.match(done.stdout, /^\+ CREATE CDC STREAM orders_cdc_stream ON orders \(id, status\)/m);
  assert.match(done.stdout, /\ndone: 5 changes\n$/);
  const { stdout: text } = await command('dump', []);
  assert.equal(text, await dump());
  for (const shown of [done.stdout, done.stderr, text]) assert.doesNotMatch(shown, /hunter|MfKQ/);
  assert.match(text, /^-- CREATE CDC SECRET pin AS '\*\*\*';$/m);
  assert.match(text, /^CREATE CDC SECRET signing FROM ENV 'SIGNING_SECRET';$/m);
  assert.match(
    text,
    /^CREATE CDC ENDPOINT billing AS 'https:\/\/example.com\/hook\?token=\*\*\*' WITH \(.*"Authorization":"\*\*\*".*\);$/m,
  );
  assert.match(text, /^ALTER CDC STREAM "Odd name" OWNER TO postgres;$/m);
  assert.doesNotMatch((await command('dump', ['--no-owner'])).stdout, /OWNER/);
});

test('a walk through other states, each reached by the smallest change', async () => {
  const base = await dump();
  const secrets = `-- CREATE CDC SECRET pin AS '***';\nCREATE CDC SECRET signing FROM ENV 'SIGNING_SECRET';\n`;
  const stream = (rest: string, on = 'orders'): string =>
    `${secrets}CREATE CDC STREAM s ON ${on} TO WEBHOOK 'https://example.com/s' ${rest};`;
  const steps: ReadonlyArray<readonly [text: string, shown: readonly RegExp[]]> = [
    [stream(''), [/^\+ CREATE CDC STREAM s /m, /^- DROP CDC STREAM "Odd name"/m, /^- DROP CDC ENDPOINT billing/m]],
    [stream('WITH (max_in_flight = 2)'), [/^~ ALTER CDC STREAM s SET \(max_in_flight = 2\);\ndone: 1 change\n$/m]],
    [
      stream('WITH (max_retries = 3)'),
      [/^~ ALTER CDC STREAM s RESET \(max_in_flight\);\n~ ALTER CDC STREAM s SET \(max_retries = 3\);\ndone/m],
    ],
    [stream('WHEN (NEW.id > 1)'), [/^~ ALTER CDC STREAM s SET WHEN \(NEW.id > 1\);$/m]],
    [stream(''), [/^! CREATE OR REPLACE CDC STREAM s ON orders TO/m]],
    [stream('', 'orders, shop.items'), [/^~ ALTER CDC STREAM s ADD TABLE shop.items;$/m]],
    [stream('', 'shop.items (id, name)'), [/^! CREATE OR REPLACE CDC STREAM s ON shop.items \(id, name\)/m]],
    [stream('', 'notes'), [/ADD TABLE public.notes;\n~ ALTER CDC STREAM s DROP TABLE shop.items;$/m]],
    [stream(`COMMENT 'why'`, 'notes'), [/^~ COMMENT ON CDC STREAM s IS 'why';$/m]],
    [stream(`COMMENT 'why' KEY (id)`, 'notes'), [/^! CREATE OR REPLACE/m]],
    [stream(`OPERATIONS (INSERT)`, 'notes'), [/^! CREATE OR REPLACE.*\n~ COMMENT ON CDC STREAM s IS NULL;$/m]],
    [`${stream('', 'notes')}\nALTER CDC STREAM s OWNER TO alice;`, [/^~ ALTER CDC STREAM s OWNER TO alice;$/m]],
    [
      `${secrets}CREATE CDC ENDPOINT e AS 'https://example.com/e';
       CREATE CDC STREAM s ON notes TO ENDPOINT e WITH (signing_secret = SECRET signing);`,
      [/^\+ CREATE CDC ENDPOINT e /m, /^~ ALTER CDC STREAM s SET TO ENDPOINT e;$/m],
    ],
    [
      `${secrets}CREATE CDC ENDPOINT e AS 'https://example.com/f' WITH (request_timeout = '7s');
       CREATE CDC STREAM s ON notes TO ENDPOINT e;`,
      [
        /^~ ALTER CDC ENDPOINT e AS 'https:\/\/example.com\/f';\n~ ALTER CDC ENDPOINT e SET \(request_timeout = '7s'\);$/m,
      ],
    ],
    [
      `${secrets}CREATE CDC STREAM s ON ALL TABLES TO WEBHOOK 'https://example.com/'`,
      [/^! CREATE OR REPLACE CDC STREAM s ON ALL TABLES/m],
    ],
    [
      `${secrets}CREATE CDC STREAM s ON TABLES IN SCHEMA shop TO WEBHOOK 'https://example.com/'`,
      [/^! CREATE OR REPLACE/m],
    ],
  ];
  for (const [text, shown] of steps) {
    const { stdout } = await settle(text);
    for (const expected of shown) assert.match(stdout, expected);
  }
  // The dump of the beginning has no values of what is gone since.
  const refused = await apply(base, '--yes');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /CDC endpoint billing: the file does not have the value of its URL/);
  await settle(WHOLE, '--set-hidden');
  assert.equal(await dump(), base);
});

test('a dry run tells by its exit code, and does nothing', async () => {
  await settle(WHOLE);
  const before = await dump();
  const dry = await applyFile('', '--dry-run');
  assert.equal(dry.status, 2);
  assert.match(dry.stdout, /^- DROP CDC STREAM "Odd name";$/m);
  assert.equal(await dump(), before);
});

test('without --yes and without a terminal nothing is done', async () => {
  const before = await dump();
  const asked = await applyFile('');
  assert.equal(asked.status, 1);
  assert.match(asked.stderr, /give --yes, or --dry-run/);
  assert.equal(await dump(), before);
});

test('a plan that is declined, or that is no longer right when it is confirmed, is not carried out', async (t) => {
  const before = await dump();
  t.after(() => (confirm = () => Promise.resolve(true)));
  confirm = () => Promise.resolve(false);
  assert.equal((await apply('')).status, 1);
  assert.equal(await dump(), before);
  confirm = async () => {
    await admin.query('ALTER CDC STREAM orders_cdc_stream SET (max_retries = 7)');
    return true;
  };
  await assert.rejects(
    apply(WHOLE.replace('max_in_flight = 4', 'max_in_flight = 5')),
    /the catalog has changed meanwhile/,
  );
  assert.match(await dump(), /max_retries = 7/);
  confirm = () => Promise.resolve(true);
  await settle(WHOLE);
});

test('a connection that breaks at COMMIT is told from one that broke before', async () => {
  const before = await dump();
  for (const [at, message] of [
    ['BEGIN', /the connection broke: [^;]*$/],
    ['COMMIT', /the connection broke: .*; run it again to see whether/],
  ] as const) {
    const doomed = await CatalogClient.connect(walhook.sqlUrl());
    const query = doomed.run.bind(doomed);
    doomed.run = async (text, values) => {
      if (text === at) await doomed.end();
      return query(text, values);
    };
    const all = { isDryRun: false, setHidden: false, confirm, say: () => undefined, warn: () => undefined };
    await assert.rejects(applyDeclarations(doomed, readDeclarations('', 'f'), all), message);
  }
  assert.equal(await dump(), before);
});

test('what cannot be altered is told, and nothing is done', async () => {
  const before = await dump();
  for (const [text, message] of [
    [WHOLE.replace(`ENV 'SIGNING_SECRET'`, `ENV 'OTHER'`), /CDC secret signing: where it comes from cannot be altered/],
    [
      WHOLE.replace(`(bearer_token = 'hunter5')`, '(numbers = number)'),
      /CDC stream Odd name: numbers cannot be changed/,
    ],
    [WHOLE.replace(`hunter5'`, `***', max_in_flight = 1) KEY (id`), /the file does not have the value of bearer_token/],
  ] as const) {
    const { status, stderr } = await apply(text);
    assert.equal(status, 1);
    assert.match(stderr, message);
    assert.equal(await dump(), before);
  }
});

test('what fails in the middle changes nothing', async () => {
  const before = await dump();
  const failed = await applyFile(
    `CREATE CDC ENDPOINT new AS 'https://example.com/?key=hunter5';
     CREATE CDC STREAM lost ON no_such_table TO ENDPOINT new;`,
    '--yes',
  );
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /nothing is done, for this failed: CREATE CDC STREAM lost/);
  assert.match(failed.stderr, /relation "no_such_table" does not exist/);
  assert.doesNotMatch(failed.stdout + failed.stderr, /hunter/);
  assert.equal(await dump(), before);
});

test('values that nobody is shown stay, and are set where that is asked for', async () => {
  const other = WHOLE.replace('hunter3', 'hunter33').replace('hunter2', 'hunter22').replace('hunter5', 'hunter55');
  const kept = await apply(other, '--dry-run');
  assert.deepEqual([kept.status, kept.stdout], [0, NOTHING]);
  assert.match(kept.stderr, /^note: CDC secret pin: its value is not shown by the catalog and stays as it is/m);
  assert.match(kept.stderr, /^note: CDC endpoint billing: the query of its URL/m);
  const set = await apply(other, '--yes', '--set-hidden');
  assert.equal(set.status, 0, set.stderr);
  assert.match(set.stdout, /^~ ALTER CDC SECRET pin AS '\*\*\*';$/m);
  assert.match(set.stdout, /^~ ALTER CDC STREAM "Odd name" SET \(bearer_token = '\*\*\*'\);$/m);
  assert.match(set.stdout, /^~ ALTER CDC ENDPOINT billing AS 'https:\/\/example.com\/hook\?token=\*\*\*';$/m);
  assert.doesNotMatch(set.stdout + set.stderr, /hunter/);
});

test('a position outlives every change that apply makes', async () => {
  await settle(`CREATE CDC STREAM s ON notes TO WEBHOOK 'https://example.com/s'`);
  const created = async (): Promise<unknown> =>
    (await admin.query('SHOW CDC STREAMS')).rows.map((row) => row.created_at);
  const before = await created();
  await settle(
    `CREATE CDC STREAM s ON notes, orders TO WEBHOOK 'https://example.com/t' KEY (id) WITH (max_in_flight = 1)`,
  );
  assert.deepEqual(await created(), before);
});

for (const [what, text, message] of [
  [
    'a statement that is not ours',
    'CREATE CDC SECRET k AS $$x$$;\nSELECT 1',
    /wanted\.sql:2:1: this is no statement of walhook/,
  ],
  [
    'an error of syntax',
    '\n\n  CREATE CDC STREEM s',
    /wanted\.sql:3:14: syntax error at or near "STREEM"\. did you mean "STREAM"\?/,
  ],
  [
    'an unknown option',
    `CREATE CDC ENDPOINT é AS 'https://h/' WITH (requst_timeout = 1)`,
    /:1:45: unrecognized option.*request_timeout/,
  ],
  [
    'a definition twice',
    `CREATE CDC SECRET k AS 'a'; CREATE CDC SECRET k AS 'b'`,
    /:1:47: CDC secret "k" is defined twice/,
  ],
  ['an imperative', 'DROP CDC STREAM s', /this statement says nothing of what there should be/],
  ['a comment on nothing', `COMMENT ON CDC STREAM s IS 'x'`, /CDC stream "s" is not defined before this/],
  ['a parameter', 'CREATE CDC STREAM s ON t TO WEBHOOK $1', /:1:37: there is no parameter \$1/],
  [
    'a secret without its value',
    `-- CREATE CDC SECRET nobody AS '***';`,
    /CDC secret nobody: there is none, and the file does not have its value/,
  ],
] as const) {
  test(`refused with its place: ${what}`, async () => {
    const before = await dump();
    const refused = await applyFile(text, '--yes');
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, message);
    assert.equal(await dump(), before);
  });
}

test('what answers without walhook is told from it, and so is what does not answer', async () => {
  const plain = await command('dump', [], server.url());
  assert.equal(plain.status, 1);
  assert.match(plain.stderr, /there is no walhook at this URL/);
  const nobody = await command('apply', ['-', '--yes'], 'postgres://u:hunter6@127.0.0.1:1/d');
  assert.equal(nobody.status, 1);
  assert.match(nobody.stderr, /^walhook: cannot connect: .*ECONNREFUSED/);
  assert.doesNotMatch(nobody.stderr, /hunter/);
});
