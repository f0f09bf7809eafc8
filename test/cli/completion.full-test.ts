import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { completionOf } from '../support/completions.ts';
import { temporaryFolder } from '../support/test-database.ts';

function written(shell: string): string {
  const path = join(temporaryFolder(), `walhook.${shell}`);
  writeFileSync(path, completionOf(shell));
  return path;
}

test('fish completes options with what they are', () => {
  const script = `source ${written('fish')}; complete -C 'walhook serve --li'; complete -C 'walhook completion z'`;
  const said = execFileSync('fish', ['--no-config', '-c', script], { encoding: 'utf8' });
  assert.match(said, /^--listen\tWhere SQL clients connect$/m);
  assert.match(said, /^zsh$/m);
});

test('zsh takes its completion', () => {
  const path = written('zsh');
  execFileSync('zsh', ['-n', path]);
  const script = `autoload -Uz compinit; compinit -u -D; source ${path}; print -r -- $_comps[walhook]`;
  assert.equal(execFileSync('zsh', ['-f', '-c', script], { encoding: 'utf8' }), '_walhook\n');
});
