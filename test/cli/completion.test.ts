import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { COMMANDS } from '../../src/cli/commands.ts';
import { completionOf, MAIN } from '../support/completions.ts';

/** What bash completes the last of the words to. */
function complete(...words: string[]): readonly string[] {
  const script = `${completionOf('bash')}
COMP_WORDS=(walhook "$@"); COMP_CWORD=$#; _walhook; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);
}

test('bash completes commands, their options and switches, and the names of files where a path is due', () => {
  assert.deepEqual(
    complete(''),
    COMMANDS.map(({ name }) => name),
  );
  assert.deepEqual(complete('serve', '--tls-m'), ['--tls-mode']);
  assert.deepEqual(complete('start', '--on'), ['--once']);
  assert.deepEqual(complete('serve', '--on'), []);
  assert.deepEqual(complete('serve', '--config', '/etc/passw').includes('/etc/passwd'), true);
  assert.deepEqual(complete('serve', '--listen', '--'), [], 'a value, which nobody knows');
  assert.deepEqual(complete('completion', 'f'), ['fish']);
});

test('a shell that is none is refused with those that are', () => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'completion', 'tcsh'], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /bash, zsh, fish/);
});
