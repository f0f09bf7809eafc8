import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startReceiver } from '../support/json-receiver.ts';
import { type ProgramRun, run } from '../support/programs.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: `walhook wait` ends when what was there is delivered, and not before; it says nothing of its progress but at a terminal.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
const client = await connect(walhook.sqlUrl());
await client.query(`
  CREATE TABLE t (id int PRIMARY KEY);
  INSERT INTO t SELECT generate_series(1, 2000);
`);
await client.query(
  `CREATE CDC STREAM s ON t TO WEBHOOK '${receiver.url}/s' WITH (retention = '1h', batch_max_events = 1000)`,
);
const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

const env = { WALHOOK_URL: walhook.sqlUrl() };
const wait = (...args: string[]): Promise<ProgramRun> => run(process.execPath, [MAIN, 'wait', ...args], { env });
const delivered = (): number => receiver.to('/s').flatMap(({ body }) => body).length;

test('behind BACKFILL and behind REPLAY; in a pipe with a word at the end, and nothing before', async () => {
  await client.query('BACKFILL CDC STREAM s');
  const backfilled = await wait('s', '--timeout', '60s');
  assert.deepEqual([backfilled.status, backfilled.stdout.toString(), backfilled.stderr], [0, 's has caught up\n', '']);
  assert.equal(delivered(), 2_000);
  await client.query(`REPLAY CDC STREAM s FROM LSN '0/0'`);
  assert.equal((await wait('s', '--timeout', '60s')).status, 0);
  assert.equal(delivered(), 4_000);
});

test('at a terminal: a line that is drawn over and taken away', async () => {
  await client.query('BACKFILL CDC STREAM s');
  const { status, stdout } = await run('script', ['-qec', `${process.execPath} ${MAIN} wait s`, '/dev/null'], {
    env: { ...env, TERM: 'xterm' },
  });
  const shown = stdout.toString().replaceAll('\u001B[K', '<erase>');
  assert.equal(status, 0, shown);
  assert.match(shown, /\r<erase>s: (rows read|events delivered|running)/);
  assert.match(shown, /\r<erase>s has caught up\r\n$/);
});

test('in vain: what is paused, what is not in time, what is not there, and a wrong command line', async () => {
  receiver.answer = () => 'hang';
  await client.query('BACKFILL CDC STREAM s');
  await waitFor('a request', () => delivered() > 6_000);
  const late = await wait('s', '--timeout', '1s');
  assert.deepEqual([late.status, late.stdout.length], [1, 0]);
  assert.match(late.stderr, /^walhook: s: (it is (running|backfilling) still|retrying: .+)\n$/);
  await client.query('ALTER CDC STREAM s PAUSE');
  const paused = await wait('s');
  assert.deepEqual([paused.status, paused.stderr], [1, 'walhook: s: it is paused\n']);
  const missing = await wait('nothing');
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /^walhook: CDC stream "nothing" does not exist\./);
  for (const args of [[], ['s', 't'], ['s', '--timeout', 'soon']]) assert.equal((await wait(...args)).status, 2);
});
