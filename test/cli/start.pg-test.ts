import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/test-database.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

async function start(
  folder: string,
  args: readonly string[] = [],
  { receiver = '127.0.0.1:0', environment = {} }: { receiver?: string; environment?: NodeJS.ProcessEnv } = {},
): Promise<{ status: number | null; output: string }> {
  const ports = ['--listen=127.0.0.1:0', '--http=127.0.0.1:0', `--receiver=${receiver}`];
  const child = spawn(process.execPath, [MAIN, 'start', '--once', ...ports, ...args], {
    cwd: folder,
    env: { ...process.env, ...environment },
  });
  const output: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk.toString('utf8')));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, output: output.join('') };
}

/** One that the demo's PostgreSQL, which may be another user's, can get into. */
function reachableFolder(): string {
  const folder = temporaryFolder();
  chmodSync(folder, 0o711);
  return folder;
}

test('the tour runs, twice on the same data, and every webhook arrives exactly as expected', async () => {
  const folder = reachableFolder();
  // Where `serve` would keep its data in the same folder.
  const foreign = join(folder, '.walhook');
  mkdirSync(foreign);
  writeFileSync(join(foreign, 'catalog.db'), 'of a serve');
  for (const run of ['first', 'second']) {
    const { status, output } = await start(folder);
    assert.equal(status, 0, `${run} run:\n${output}`);
    assert.match(output, /every webhook arrived exactly as expected/);
    assert.match(output, /postgres=# SHOW CDC STREAMS;/);
    assert.match(output, /idempotency-key: [0-9a-f-]{36}/i);
  }
  assert.deepEqual(readdirSync(folder).toSorted(), ['.walhook', '.walhook-demo']);
  assert.deepEqual(readdirSync(foreign), ['catalog.db']);
  assert.equal(readFileSync(join(foreign, 'catalog.db'), 'utf8'), 'of a serve');
});

test('the demo keeps its data in its own folder, or where it is told to', async () => {
  const cases: readonly (readonly [args: string[], environment: NodeJS.ProcessEnv, expected: string])[] = [
    [[], {}, '.walhook-demo'],
    [[], { WALHOOK_DATA_DIR: 'from-environment' }, 'from-environment'],
    [['--data-dir', 'from-flag'], { WALHOOK_DATA_DIR: 'from-environment' }, 'from-flag'],
  ];
  for (const [args, environment, expected] of cases) {
    const folder = reachableFolder();
    // The receiver's address is nobody's here, so that it ends as soon as it has its folder.
    const { status, output } = await start(folder, args, { receiver: '192.0.2.1:0', environment });
    assert.equal(status, 1, output);
    assert.match(output, /EADDRNOTAVAIL/);
    assert.deepEqual(readdirSync(folder), [expected]);
  }
});

test('an option that does not exist is refused before anything is started', async () => {
  const folder = temporaryFolder();
  const { status, output } = await start(folder, ['--colour', 'red']);
  assert.equal(status, 2);
  assert.match(output, /--colour is no option/);
  assert.deepEqual(readdirSync(folder), []);
});
