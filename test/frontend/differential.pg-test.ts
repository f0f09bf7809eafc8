import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../support/test-database.ts';
import pg from 'pg';
import postgres from 'postgres';
import { RawClient, say, type Received } from '../support/raw-client.ts';
import { group, QUERIES, randomOf, SCHEMA, session, STATEMENTS, type Random } from './differential-corpus.ts';
import { startPair, startProxy, type TcpAddress } from './proxy.ts';
import { messagesOf, Tee } from './tee.ts';

// Law: of a session without statements of ours, the client receives through the frontend what it receives from the
// server, byte for byte, however its own bytes are cut, and the server receives what the client sends. Only process ids and
// cancel keys differ. DIFFERENTIAL_RUNS multiplies the generated sessions, TEST_SEED has others generated.

const SEED = Number(process.env['TEST_SEED'] ?? 20_260_105);

const RUNS = Number(process.env['DIFFERENTIAL_RUNS'] ?? 1);

const { server, direct } = await startPair();
const tee = await Tee.start(direct);
const proxy = await startProxy(tee.address);
const admin = await connect(server.url());
await admin.query(SCHEMA);

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

/** Sends the session direct and proxied, cut anywhere, and compares what either side receives. */
async function compare(messages: readonly Buffer[], cut: Random, what: string): Promise<number> {
  const expected = await answers(direct, messages);
  assertSame(await answers(proxy.address, messages, cut), expected, what);
  // Where a message may be one of ours, a Flush is sent so that its turn comes.
  const arrived = messagesOf(tee.sent).filter(isNoFlush);
  const sent = messagesOf(Buffer.concat(messages)).filter(isNoFlush);
  for (const [i, message] of sent.entries()) assert.ok(arrived[i]?.equals(message), `${what}: sent message ${i}`);
  assert.equal(arrived.length, sent.length, what);
  return expected.length;
}

const isNoFlush = (message: Buffer): boolean => message[0] !== 'H'.charCodeAt(0);

const SESSIONS = 200 * RUNS;

test(`${SESSIONS} generated sessions are the same direct and proxied, cut anywhere`, async () => {
  let messages = 0;
  for (let i = 0; i < SESSIONS; i++) {
    const random = randomOf(SEED + i);
    messages += await compare(session(random, 1 + random(30)), random, `seed ${SEED + i}`);
  }
  assert.ok(messages > 15_000 * RUNS, `${messages} messages`);
});

test('pipelines of a thousand messages are the same, cut anywhere', async () => {
  for (let i = 0; i < 10 * RUNS; i++) {
    const random = randomOf(SEED + i);
    const sent: Buffer[] = [];
    while (sent.length < 1000) sent.push(...group(random));
    sent.push(say.terminate());
    await compare(sent, random, `seed ${SEED + i}`);
  }
});

test('a session of every query and statement, byte by byte', async () => {
  const sent = [
    ...QUERIES.map((query) => say.query(query)),
    ...STATEMENTS.flatMap((each) => [say.parse('', each), say.sync()]),
  ];
  sent.push(say.query('rollback'), say.terminate());
  await compare(sent, () => 0, 'bytes');
});

// What drivers send on their own, recorded as they talk to the server itself.

const recorder = await Tee.start(direct);

const url = (): string => {
  const recorded = new URL(server.url());
  recorded.port = String(recorder.address.port);
  return recorded.href;
};

async function usePg(): Promise<void> {
  const client = new pg.Client({ connectionString: url(), application_name: 'recorded' });
  client.on('error', () => undefined);
  await client.connect();
  const fails = async (query: Promise<unknown>): Promise<void> => void (await query.catch(() => undefined));
  await client.query('select 1 as one; select 2 as two');
  await client.query('select $1::int as n, $2::text as t, $3::json as j', [1, 'ü', { a: 1 }]);
  for (const id of [1, 2, 2]) {
    await fails(client.query({ name: 'put', text: 'insert into item values ($1, $2) returning *', values: [id, 'x'] }));
  }
  await client.query({ text: 'select * from item', values: [], rowMode: 'array' });
  await client.query('begin');
  await fails(client.query('select bogus'));
  await fails(client.query('select $1::int', ['x']));
  await client.query('rollback');
  await client.query('listen news; notify news');
  await client.end();
}

async function usePostgres(): Promise<void> {
  const sql = postgres(url(), { max: 1, onnotice: () => undefined });
  await Promise.all(Array.from({ length: 50 }, (_, i) => sql`select ${i}::int as i`));
  await sql`select ${sql.array([1, 2])}::int[] as a, ${'2026-01-05'}::date as d, ${null} as n`;
  await sql
    .begin(async (tx) => {
      await tx`insert into item ${tx([{ id: 5, body: 'five' }])}`;
      await tx.savepoint((inner) => inner`select 1/0`).catch(() => undefined);
      await tx`select 1/0`;
    })
    .catch(() => undefined);
  const writable = await sql`copy item from stdin`.writable();
  await new Promise<void>((resolve, reject) => {
    writable.once('finish', resolve).once('error', reject);
    for (let i = 10; i < 500; i++) writable.write(`${i}\tbody ${i}\n`);
    writable.end();
  });
  for await (const chunk of await sql`copy item to stdout`.readable()) void chunk;
  await sql`select * from item`.cursor(100, () => undefined);
  await sql.unsafe(`select shout('x'); select 1`).simple();
  await sql.end();
}

for (const [driver, use] of [
  ['pg', usePg],
  ['postgres', usePostgres],
] as const) {
  test(`what the driver ${driver} sends is answered the same direct and proxied`, async () => {
    await admin.query('truncate item, child');
    await use();
    const recorded = messagesOf(recorder.sent);
    assert.ok(recorded.length >= 30, `${recorded.length} messages`);
    for (let i = 0; i < 20 * RUNS; i++) await compare(recorded, randomOf(SEED + i), `seed ${SEED + i}`);
  });
}
