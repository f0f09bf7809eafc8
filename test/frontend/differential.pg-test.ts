import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../support/test-database.ts';
import { RawClient, say, type Received } from '../support/raw-client.ts';
import { startPair, type TcpAddress } from './proxy.ts';

// Law: of a session without statements of ours, the client receives through the frontend what it receives from the
// server, byte for byte, however its own bytes are cut. Only process ids and cancel keys differ.

const SEED = Number(process.env['TEST_SEED'] ?? 20_260_105);

const { server, direct, proxy } = await startPair();
const admin = await connect(server.url());
await admin.query(`
  create table item (id int primary key, body text);
  create table parent (id int primary key);
  create table child (parent int references parent deferrable initially deferred);
  create function shout(text) returns text language plpgsql as $$ begin raise notice 'shout %', $1; return upper($1); end $$;
  create table change (cdc int);
`);

/** Small and seeded: the same sessions each time. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Under this setting the string goes on behind the second quote. */
const BACKSLASHES = [
  'set standard_conforming_strings = off',
  "select 'a\\';SHOW CDC STREAMS;'",
  'set standard_conforming_strings = on',
].map(say.query);

type Random = (below: number) => number;

const QUERIES = [
  'select 1 as one',
  '',
  ';;',
  'select 1; select 2; select 3',
  'select 1; select 1/0; select 2',
  'selec 1',
  "select 'CREATE CHANGE DATA CAPTURE ON t TO WEBHOOK'",
  '/* SHOW CDC STREAMS; */ select 1 -- DROP CDC STREAM x',
  'select $q$; SHOW CDC STREAMS; $q$ as cdc',
  'select * from change; insert into change values (1) returning cdc as change',
  'show cdc.nothing',
  'begin',
  'commit',
  'rollback',
  'savepoint s',
  'rollback to s',
  'insert into item values (1, $$one$$) on conflict do nothing',
  'insert into child values (99)',
  "select shout('hello')",
  'select repeat($$x$$, 70000) as big, generate_series(1, 3)',
  'select g, repeat(md5(g::text), 10) from generate_series(1, 2000) g',
  'copy (select g, g from generate_series(1, 500) g) to stdout',
  'listen news; notify news, $$hello$$',
  'set client_encoding = latin1',
  "select 'gr\u00fc\u00df dich'",
  'set client_encoding = utf8',
  "set application_name = 'renamed'",
  'prepare p as select 1; execute p; deallocate p',
  'discard all',
  'vacuum item',
  'create table if not exists made (id int)',
  'select xmlparse(content $$<a>$$)',
];

const STATEMENTS = [
  'select 1',
  'select $1::text as echo',
  'select g from generate_series(1, 50) g',
  'insert into item values (2, $1) on conflict do nothing',
  'select bad',
  'select 1/0',
  '',
  'begin',
  'commit',
  'insert into child values (77)',
  "select 'cdc', shout('x')",
  'copy item to stdout',
];

function group(random: Random): Buffer[] {
  const messages: Buffer[] = [];
  const name = ['', 's1', 's2'][random(3)]!;
  const portal = ['', 'p1'][random(2)]!;
  for (let left = 1 + random(4); left > 0; left--) {
    const statement = STATEMENTS[random(STATEMENTS.length)]!;
    messages.push(say.parse(name, statement));
    if (random(3) > 0) messages.push(say.describe('statement', name));
    messages.push(say.bind(portal, name, statement.includes('$1') ? ['value'] : []));
    if (random(3) > 0) messages.push(say.describe('portal', portal));
    messages.push(say.execute(portal, random(3) * 10));
    if (random(3) === 0) messages.push(say.execute(portal, 0));
    if (random(4) === 0) messages.push(say.flush());
    if (random(2) === 0)
      messages.push(say.close(random(2) === 0 ? 'statement' : 'portal', random(2) === 0 ? name : portal));
  }
  for (let left = 1 + random(2); left > 0; left--) messages.push(say.sync());
  return messages;
}

function copyIn(random: Random): Buffer[] {
  const data = ['7\tseven\n', '8\tei', 'ght\n'].map(say.copyData);
  const end = random(3) === 0 ? say.copyFail('changed my mind') : say.copyDone();
  const bad = random(3) === 0 ? [say.copyData('not a number\tx\n')] : [];
  const target = 'copy item from stdin';
  if (random(2) === 0) return [say.query('truncate item'), say.query(target), ...data, ...bad, end];
  const extended = [say.parse('', target), say.bind('', ''), say.execute('')];
  // As libpq does it, with a Sync that the COPY swallows, or without.
  const early = random(2) === 0 ? [say.sync()] : [];
  return [say.query('truncate item'), ...extended, ...early, ...data, ...bad, end, say.sync()];
}

function session(random: Random, steps: number): Buffer[] {
  const messages: Buffer[] = [];
  for (let left = steps; left > 0; left--) {
    const kind = random(10);
    if (kind === 0) messages.push(...BACKSLASHES);
    else if (kind < 5) messages.push(say.query(QUERIES[random(QUERIES.length)]!));
    else if (kind < 9) messages.push(...group(random));
    else messages.push(...copyIn(random));
  }
  return [...messages, say.query('rollback'), say.terminate()];
}

/** What the session is answered, up to the end of the connection. */
async function answers(address: TcpAddress, messages: readonly Buffer[], cut?: Random): Promise<Received[]> {
  await admin.query('drop table if exists made; truncate item, parent, child, change');
  const client = await RawClient.start(address);
  const bytes = Buffer.concat(messages);
  if (!cut) client.send(bytes);
  else {
    for (let at = 0; at < bytes.length;) {
      const next = Math.min(bytes.length, at + 1 + cut(cut(4) === 0 ? 5 : 400));
      client.send(bytes.subarray(at, next));
      at = next;
      // Lets the kernel send what it has, so that the pieces arrive one by one.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return (await client.closed()).map(masked);
}

/** Notifications carry the process id of whoever sent them. */
function masked({ type, body }: Received): Received {
  if (type !== 'A') return { type, body };
  return { type, body: Buffer.concat([Buffer.alloc(4), body.subarray(4)]) };
}

function assertSame(proxied: readonly Received[], expected: readonly Received[], what: string): void {
  for (const [i, message] of expected.entries()) {
    const other = proxied[i];
    if (other?.type === message.type && other.body.equals(message.body)) continue;
    const show = (each?: Received): string =>
      each ? `${each.type} ${each.body.toString('latin1').slice(0, 200)}` : 'nothing';
    assert.fail(`${what}: message ${i} is ${show(other)}, not ${show(message)}`);
  }
  assert.equal(proxied.length, expected.length, what);
}

test('sixty generated sessions get the same bytes direct and proxied, cut anywhere', async () => {
  let messages = 0;
  for (let i = 0; i < 60; i++) {
    const random = randomOf(SEED + i);
    const sent = session(random, 1 + random(30));
    const expected = await answers(direct, sent);
    const proxied = await answers(proxy.address, sent, random);
    assertSame(proxied, expected, `seed ${SEED + i}`);
    messages += expected.length;
  }
  assert.ok(messages > 5_000, `${messages} messages`);
});

test('a pipeline of a thousand messages gets the same bytes, cut anywhere', async () => {
  const random = randomOf(SEED);
  const sent: Buffer[] = [];
  while (sent.length < 1000) sent.push(...group(random));
  sent.push(say.terminate());
  assertSame(await answers(proxy.address, sent, random), await answers(direct, sent), 'pipeline');
});

test('a session of every query, byte by byte', async () => {
  const sent = [
    ...QUERIES.map((query) => say.query(query)),
    ...STATEMENTS.flatMap((each) => [say.parse('', each), say.sync()]),
  ];
  sent.push(say.query('rollback'), say.terminate());
  const byByte = (): number => 0;
  assertSame(await answers(proxy.address, sent, byByte), await answers(direct, sent), 'bytes');
});
