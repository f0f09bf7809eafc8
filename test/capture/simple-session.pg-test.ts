import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { SimpleSession } from '../../src/capture/simple-session.ts';
import { SyntheticFrames } from '../../src/postgres/synthetic-frames.ts';
import { FRAME, frameBytes } from '../../src/postgres/pgoutput.ts';
import { connect, startPostgres } from '../support/test-database.ts';
import { upstreamOf } from '../support/upstreams.ts';

// The law: rows that stay bytes are those that `pg` reads, however they were cut on the way, and nobody waits for ever.

const server = await startPostgres();
const admin = await connect(server.url());

async function open(): Promise<SimpleSession> {
  const limits = { statementTimeoutMs: 60_000, lockTimeoutMs: 60_000 };
  const session = new SimpleSession(upstreamOf(server.url()), systemClock, limits);
  await session.open();
  after(() => session.close());
  return session;
}

/** Rows from empty ones to some of megabytes, with NULLs. */
const ROWS = `
  SELECT i, CASE WHEN i % 3 > 0 THEN repeat('é', (i % 50) * (i % 50)) END AS note, NULL AS nothing,
         repeat('x', CASE WHEN i % 500 = 499 THEN 3000000 ELSE i % 100 END) AS body
    FROM generate_series(1, 2000) AS i ORDER BY i`;

test('the rows of each of several statements are those of the server', async () => {
  const session = await open();
  const answers = await session.send(`SELECT 1; ${ROWS}; SELECT WHERE false; SET work_mem = '8MB'; SELECT ''`);
  assert.deepEqual(
    answers.map(({ count }) => count),
    [1, 2000, 0, 0, 1],
  );
  const { rows } = await admin.query<(string | null)[]>({
    text: ROWS,
    rowMode: 'array',
    types: { getTypeParser: () => (value: string) => value },
  });
  const found = answers[1]!.texts();
  assert.ok(found.every((row, i) => row.every((value, column) => value === rows[i]![column])));
  assert.deepEqual(answers[1]!.values(answers[1]!.last!, [3, 0], 'utf8'), ['', '2000']);
  assert.deepEqual(answers[4]!.texts(), [['']]);
});

test('of more bytes than wanted the first rows are kept, and at least one', async () => {
  const session = await open();
  for (const [maxBytes, count] of [
    [60, 2],
    [59, 1],
    [1, 1],
  ] as const) {
    const [answer] = await session.send(`SELECT repeat('x', 19) FROM generate_series(1, 1000)`, maxBytes);
    assert.deepEqual([answer!.count, answer!.isCut, answer!.texts().length], [count, true, count]);
  }
  const [all] = await session.send('SELECT 1 FROM generate_series(1, 10)', 10 * 12);
  assert.deepEqual([all!.count, all!.isCut], [10, false]);
});

test('a row becomes the insert that its texts become', async () => {
  const [answer] = await (await open()).send(ROWS);
  const [fromBytes, fromTexts] = [new SyntheticFrames(), new SyntheticFrames()];
  fromBytes.insertRows(77n, 16_400, answer!.bytes, answer!);
  for (const texts of answer!.texts()) fromTexts.insert(77n, 16_400, texts);
  const [one, other] = [fromBytes.finish(), fromTexts.finish()];
  assert.ok(one.equals(other));
  assert.equal(one.readBigUInt64BE(FRAME.startLsn), 77n);
  let frames = 0;
  for (let at = 0; at < one.length; at += frameBytes(one, at)) frames++;
  assert.equal(frames, 2000);
});

test('questions that are sent at once are answered in turn, and an error ends its own alone', async () => {
  const session = await open();
  const answers = await Promise.allSettled([
    session.send('SELECT 1'),
    session.send('SELECT 2; SELECT nobody.nothing; SELECT 3'),
    session.send('SELECT 4; SELECT 5'),
  ]);
  assert.deepEqual(
    answers.map((answer) =>
      answer.status === 'fulfilled'
        ? answer.value.map((rows) => rows.texts()[0]![0])
        : (answer.reason as { code: string }).code,
    ),
    [['1'], '42P01', ['4', '5']],
  );
});

test('whoever waits is told when the server ends the connection, and when the session is closed', async () => {
  const ended = await open();
  const [pid] = (await ended.send('SELECT pg_backend_pid()'))[0]!.texts()[0]!;
  // A server that ends with unread messages resets the connection, which may overtake what it has said last.
  const isEnd = (error: { code?: unknown; reason?: unknown }): boolean =>
    error.code === '57P01' || error.reason === 'connection-lost';
  // They may end before the answer of who has ended them is there.
  const both = Promise.all([
    assert.rejects(ended.send('SELECT pg_sleep(60)'), isEnd),
    assert.rejects(ended.send('SELECT 1'), isEnd),
  ]);
  await admin.query('SELECT pg_terminate_backend($1)', [pid]);
  await both;
  await assert.rejects(ended.send('SELECT 1'), isEnd);

  const closed = await open();
  const waiting = closed.send('SELECT pg_sleep(60)');
  closed.close();
  await assert.rejects(waiting, { reason: 'connection-lost' });
});
