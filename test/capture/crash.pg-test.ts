import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { systemRandom } from '../../src/base/random.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { arm, assertSequence, SLOT, slotIsFree } from './capture-harness.ts';

// The whole of walhook has 300 MB; this is capture alone, with its own copy of each chunk.
const MAX_RSS_BYTES = 200 * 1024 * 1024;
const CHILD = join(import.meta.dirname, 'capture-child.ts');
const server = await startPostgres();

interface Child {
  readonly process: ChildProcess;
  /** Resolves with the first line for which `wanted` holds. */
  until(wanted: (line: string) => boolean): Promise<string>;
}

function startChild(folder: string): Child {
  const child = spawn(process.execPath, [CHILD, server.url(), folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout! });
  return {
    process: child,
    until: (wanted) =>
      new Promise((resolve, reject) => {
        const onLine = (line: string): void => {
          if (!wanted(line)) return;
          lines.off('line', onLine);
          resolve(line);
        };
        lines.on('line', onLine);
        lines.once('close', () => reject(new Error('the child ended')));
      }),
  };
}

async function kill(child: Child): Promise<void> {
  const exited = new Promise((resolve) => child.process.once('exit', resolve));
  child.process.kill('SIGKILL');
  await exited;
}

test('a process killed between append, commit and confirmation leaves no hole and no repeat', async () => {
  const admin = await connect(server.url());
  await admin.query('CREATE TABLE killed (id int PRIMARY KEY, body text)');
  await arm(admin, 'killed');
  const folder = temporaryFolder();
  let last = 0;
  let isWriting = true;
  const writing = (async () => {
    const writer = await connect(server.url());
    while (isWriting) {
      const rows = 1 + Math.floor(systemRandom.float() ** 4 * 8_000);
      await writer.query(
        `INSERT INTO killed SELECT i, repeat('x', i % 200) FROM generate_series(${last + 1}, ${last + rows}) i`,
      );
      last += rows;
    }
  })();
  const kills: Record<string, number> = {};
  for (let round = 0; round < 10; round++) {
    const child = startChild(folder);
    let events = 1 + Math.floor(systemRandom.float() * 60);
    const line = await child.until(() => --events <= 0);
    await kill(child);
    const kind = line.split(' ')[0]!;
    kills[kind] = (kills[kind] ?? 0) + 1;
  }
  isWriting = false;
  await writing;
  await admin.query(`INSERT INTO killed VALUES (${last + 1}, 'the last')`);
  const child = startChild(folder);
  // The log has everything when the slot has nothing left to send: the last row is in the last chunk of all.
  await child.until((line) => line.startsWith('durable'));
  const target = (await admin.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn')).rows[0]!.lsn;
  for (;;) {
    const sql = 'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND confirmed_flush_lsn >= $2';
    if ((await admin.query(sql, [SLOT, target])).rowCount === 1) break;
    await admin.query('SELECT pg_sleep(0.05)');
  }
  await kill(child);
  assertSequence(folder, last + 1);
  assert.equal(
    Object.values(kills).reduce((sum, count) => sum + count),
    10,
  );
  await slotIsFree(admin);
  await admin.query(`SELECT pg_drop_replication_slot('${SLOT}')`);
});

test('a transaction of a million rows leaves memory flat', async (t) => {
  const admin = await connect(server.url());
  await admin.query('CREATE TABLE million (id int PRIMARY KEY, body text)');
  await arm(admin, 'million');
  const child = startChild(temporaryFolder());
  const done = child.until((line) => line.startsWith('durable') && Number(line.split(' ')[2]) >= 1_000_000);
  await admin.query(`INSERT INTO million SELECT i, repeat('x', 70) FROM generate_series(1, 1000000) i`);
  await done;
  const stopped = child.until((line) => line.startsWith('stopped'));
  child.process.kill('SIGTERM');
  const maxRss = Number((await stopped).split(' ')[1]) * 1024;
  t.diagnostic(`max RSS ${Math.round(maxRss / 1024 / 1024)} MiB`);
  assert.ok(maxRss < MAX_RSS_BYTES, `${maxRss} bytes`);
});
