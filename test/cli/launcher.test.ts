import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { waitFor } from '../support/wait-for.ts';

// The law: under a Node that is too old `bin/walhook.js` hands over to another, and whoever deals with it does not notice:
// neither with signals, nor with exit codes, nor when it is killed.

const LAUNCHER = join(import.meta.dirname, '..', '..', 'bin', 'walhook.js');
const OLD = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.0' } })`;

function launch(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, ['--import', `data:text/javascript,${OLD}`, LAUNCHER, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  after(() => child.kill('SIGKILL'));
  return child;
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const piece of stream) text += String(piece);
  return text;
}

/** Gives the port on which it listens. */
async function listening(child: ChildProcess): Promise<number> {
  let text = '';
  child.stdout!.on('data', (piece: Buffer) => (text += piece.toString()));
  return waitFor('a port', () => Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1] ?? 0) || null);
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends the program, and it with it`, async () => {
    const child = launch('listen', '0');
    const port = await listening(child);
    assert.equal(await isTaken(port), true);
    const ended = once(child, 'exit');
    child.kill(signal);
    assert.deepEqual(await ended, [0, null]);
    assert.equal(await isTaken(port), false);
  });
}

test('the program does not outlive a launcher that is killed', async () => {
  const child = launch('listen', '0');
  const port = await listening(child);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await waitFor('the port to be free', async () => !(await isTaken(port)));
});

test('output and exit codes are those of the program', async () => {
  const wrong = launch('serve', '--no-such-option');
  const [text, [code]] = await Promise.all([textOf(wrong.stderr!), once(wrong, 'exit') as Promise<[number]>]);
  assert.match(text, /--no-such-option/);
  assert.equal(code, 2);
  const right = launch('version');
  const [version, [ok]] = await Promise.all([textOf(right.stdout!), once(right, 'exit') as Promise<[number]>]);
  assert.match(version, /^walhook \d+\.\d+\.\d+/);
  assert.equal(ok, 0);
});
