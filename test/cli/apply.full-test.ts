import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../support/programs.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// At a terminal (of util-linux's `script`), apply shows its plan and asks; what long work has come to is shown there and nowhere else.

const server = await startPostgres();
const folder = temporaryFolder();
const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir: join(folder, 'data') }).start();
const client = await connect(walhook.sqlUrl());
await client.query('CREATE TABLE orders (id int PRIMARY KEY)');
const file = join(folder, 'wanted.sql');
writeFileSync(file, `CREATE CDC STREAM s ON orders TO WEBHOOK 'https://example.com/?token=hunter2'`);
const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

async function applyAtTerminal(answer: string): Promise<{ status: number | null; shown: string }> {
  const asked = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  async function* type(): AsyncGenerator<string> {
    await asked.promise;
    yield answer;
    // The end of the input would end the terminal.
    await ended.promise;
  }
  const { status, stdout } = await run('script', ['-qec', `${process.execPath} ${MAIN} apply ${file}`, '/dev/null'], {
    env: { WALHOOK_URL: walhook.sqlUrl() },
    input: type(),
    onOutput: (soFar) => {
      if (soFar.includes('(yes/no)')) asked.resolve();
      if (/(yes|no)\r?\n/.test(soFar.split('(yes/no)')[1] ?? '')) ended.resolve();
    },
  });
  return { status, shown: stdout.toString('utf8') };
}

for (const [answer, status, streams] of [
  ['no\n', 1, 0],
  ['yes\n', 0, 1],
] as const) {
  test(`answered with ${answer.trim()}`, async () => {
    const ran = await applyAtTerminal(answer);
    assert.equal(ran.status, status, ran.shown);
    assert.match(ran.shown, /^\+ CREATE CDC STREAM s ON orders TO WEBHOOK 'https:\/\/example\.com\/\?token=\*\*\*';/m);
    assert.match(ran.shown, /Apply 1 change\? \(yes\/no\)/);
    assert.doesNotMatch(ran.shown, /hunter2/);
    assert.equal((await client.query('SHOW CDC STREAMS')).rows.length, streams);
  });
}

test('dump to a file shows its progress at the terminal, and takes it away', async () => {
  const dumped = join(folder, 'dumped.sql');
  const command = `${process.execPath} ${MAIN} dump > ${dumped}`;
  const { status, stdout } = await run('script', ['-qec', command, '/dev/null'], {
    env: { WALHOOK_URL: walhook.sqlUrl(), TERM: 'xterm' },
  });
  const shown = stdout.toString('utf8').replaceAll('\u001B[K', '<erase>');
  assert.equal(status, 0, shown);
  assert.equal(shown, '\r<erase>definitions read [########################] 100% 1/1\r<erase>');
  assert.match(readFileSync(dumped, 'utf8'), /^CREATE CDC STREAM s /m);
});
