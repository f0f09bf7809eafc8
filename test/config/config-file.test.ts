import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { printConfig } from '../../src/cli/print-config.ts';
import { ConfigError, loadOptions } from '../../src/config/load.ts';
import { CHECK_OPTIONS, SERVE_OPTIONS } from '../../src/config/options.ts';
import { temporaryFolder } from '../support/test-database.ts';

// The file that --config names: after flags and the environment, before the defaults.

const UPSTREAM = 'postgres://app:hunter2@db.internal/app';

function file(content: string, mode = 0o600): string {
  const path = join(temporaryFolder(), 'walhook.env');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function problems(args: readonly string[], environment = {}): readonly string[] {
  try {
    loadOptions(SERVE_OPTIONS, args, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test('flags and the environment go before the file, the file before the defaults', () => {
  const path = file(`# ours
WALHOOK_UPSTREAM='${UPSTREAM}'
WALHOOK_LISTEN=:1
WALHOOK_HTTP=:2
WALHOOK_MAX_CLIENTS=3
WALHOOK_LOG_LEVEL=
`);
  const { values, settings } = loadOptions(SERVE_OPTIONS, ['--listen', ':10'], {
    WALHOOK_CONFIG: path,
    WALHOOK_HTTP: ':20',
  });
  assert.deepEqual([values.listen, values.http.port, values.maxClients], [[{ host: '127.0.0.1', port: 10 }], 20, 3]);
  assert.deepEqual([values.upstream, values.logLevel], [UPSTREAM, 'info']);
  const from = (name: string): string | undefined => settings.find((setting) => setting.name === name)?.source;
  assert.deepEqual(['listen', 'http', 'max-clients', 'upstream', 'log-level', 'config'].map(from), [
    'flag',
    'environment',
    'file',
    'file',
    'default',
    'environment',
  ]);
  const checked = loadOptions(CHECK_OPTIONS, ['--config', path], {});
  assert.equal(checked.values.upstream, UPSTREAM, 'what the command has no use for is no mistake');
});

test('all that is wrong with it is said at once, with its name, and without a password', () => {
  const path = file(
    `WALHOOK_UPSTREAM=mysql://root:hunter2@db/app\nWALHOOK_LISTE=:1\nWALHOOK_LOG_LEVEL=loud\nWALHOOK_CONFIG=x`,
    0o644,
  );
  const found = problems(['--config', path]);
  for (const pattern of [
    `${path}: WALHOOK_LISTE is no option`,
    `${path}: one file names no other`,
    `${path}: everybody may read it, and it holds WALHOOK_UPSTREAM; chmod o-r`,
    `WALHOOK_UPSTREAM in ${path}: `,
    `WALHOOK_LOG_LEVEL in ${path}: `,
  ]) {
    assert.ok(
      found.some((problem) => problem.startsWith(pattern)),
      `${pattern}\n${found.join('\n')}`,
    );
  }
  assert.doesNotMatch(found.join('\n'), /hunter2/);
});

test('without a secret in it everybody may read it; what is not there is said', () => {
  assert.deepEqual(problems(['--config', file('WALHOOK_LISTEN=:1', 0o644), '--upstream', UPSTREAM]), []);
  assert.match(problems(['--config', '/nowhere/walhook.env', '--upstream', UPSTREAM])[0]!, /^--config: ENOENT/);
});

test('--print-config is a file of the same options, without what is secret', () => {
  const args = ['--upstream', UPSTREAM, '--egress-allow', '10.0.0.0/8, hooks.internal', '--data-dir', `/a 'b' #c`];
  const first = loadOptions(SERVE_OPTIONS, args, {});
  const text = printConfig(first.settings);
  assert.match(text, /^# WALHOOK_UPSTREAM=\*\*\* # flag$/m);
  assert.doesNotMatch(text, /hunter2/);
  const again = loadOptions(SERVE_OPTIONS, ['--config', file(text), '--upstream', UPSTREAM], {});
  assert.deepEqual({ ...again.values, config: '' }, first.values);
});
