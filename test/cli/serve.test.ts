import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/test-database.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** Runs a command line that is expected to be refused; nothing listens at the upstream's port. */
function walhook(...args: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', timeout: 20_000 });
  return { status, stderr };
}

const ports = ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'];
const refusals: [string, string[], RegExp][] = [
  ['no upstream', [], /--upstream \(or WALHOOK_UPSTREAM\) is required/],
  ['an upstream of another kind', ['--upstream', 'mysql://u:hunter2@h/d'], /no scheme of PostgreSQL's/],
  ['a word too much', ['--upstream', 'postgres://u@h/d', 'now'], /"now" is no option of serve/],
  [
    'a network that is none',
    ['--upstream', 'postgres://u@h/d', '--egress-allow', '10.0.0.0/99'],
    /--egress-allow: .*10\.0\.0\.0/,
  ],
  ['a TLS mode that the relay has not got', ['--upstream', 'postgres://u@h/d?sslmode=require'], /sslmode/],
];

for (const [what, args, message] of refusals) {
  test(`serve refuses ${what} with exit code 2 and says why`, () => {
    const { status, stderr } = walhook('serve', ...ports, '--data-dir', join(temporaryFolder(), 'data'), ...args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /hunter2/);
  });
}

test('a command that does not exist is refused with the list of those that do', () => {
  const { status, stderr } = walhook('fly');
  assert.equal(status, 2);
  assert.match(stderr, /there is no command "fly"[^]*walhook serve/);
});
