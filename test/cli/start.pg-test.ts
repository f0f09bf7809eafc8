import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/test-database.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

async function start(dataDir: string, ...args: string[]): Promise<{ status: number | null; output: string }> {
  const ports = ['--listen', '--http', '--receiver'].map((flag) => `${flag}=127.0.0.1:0`);
  const child = spawn(process.execPath, [MAIN, 'start', '--once', '--data-dir', dataDir, ...ports, ...args]);
  const output: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk.toString('utf8')));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, output: output.join('') };
}

test('the tour runs, twice on the same data, and every webhook arrives exactly as expected', async () => {
  const folder = temporaryFolder();
  chmodSync(folder, 0o711);
  const dataDir = join(folder, '.walhook');
  for (const run of ['first', 'second']) {
    const { status, output } = await start(dataDir);
    assert.equal(status, 0, `${run} run:\n${output}`);
    assert.match(output, /every webhook arrived exactly as expected/);
    assert.match(output, /postgres=# SHOW CDC STREAMS;/);
    assert.match(output, /idempotency-key: [0-9a-f-]{36}/i);
  }
});

test('an option that does not exist is refused before anything is started', async () => {
  const { status, output } = await start(join(temporaryFolder(), 'data'), '--colour', 'red');
  assert.equal(status, 2);
  assert.match(output, /--colour is no option/);
});
