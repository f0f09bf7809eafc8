import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/logger.ts';
import { DataDirectory } from '../../src/catalog/data-directory.ts';
import { openCatalog } from '../../src/cli/open-catalog.ts';
import { SecretValue } from '../../src/model/secret.ts';
import { change } from '../catalog/changes.ts';
import { temporaryFolder } from '../support/test-database.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const OLD = Buffer.alloc(32, 1).toString('base64');
const NEW = Buffer.alloc(32, 2).toString('base64');
const NO_KEY = { secretKey: null, secretKeyFile: '' };

function walhook(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const env = { PATH: process.env.PATH, WALHOOK_UPSTREAM: 'postgres://u:p@127.0.0.1:1/d', ...environment };
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { env, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

/** A data directory with the secret `s`, encrypted under the key that was made in it. */
function withSecret(): string {
  const dataDir = join(temporaryFolder(), 'data');
  const directory = DataDirectory.open(dataDir);
  const catalog = openCatalog(NO_KEY, directory, silentLogger);
  const source = { kind: 'value', value: new SecretValue('planted') } as const;
  change(catalog, { kind: 'create-secret', name: 's', source, owner: 'alice', ifNotExists: false });
  catalog.close();
  directory.close();
  return dataDir;
}

function read(dataDir: string, key: string): string | undefined {
  const directory = DataDirectory.open(dataDir);
  const catalog = openCatalog({ secretKey: Buffer.from(key, 'base64'), secretKeyFile: '' }, directory, silentLogger);
  const value = catalog.currentSecret('s', 0).values[0]?.reveal().toString();
  catalog.close();
  directory.close();
  return value;
}

test('serve with another key than the one that the secrets have says what to do, and changes nothing', () => {
  const dataDir = withSecret();
  const { status, output } = walhook(['serve', '--data-dir', dataDir], { WALHOOK_SECRET_KEY: OLD });
  assert.equal(status, 1);
  assert.match(output, /encrypted with another key.*rotate-secret-key/);
  assert.ok(!output.includes(OLD) && !output.includes('    at '), output);
  const generated = readFileSync(join(dataDir, 'secret.key'), 'utf8');
  assert.equal(read(dataDir, generated), 'planted');
});

test('a key that is no key is refused without being shown', () => {
  const { status, output } = walhook(['serve'], { WALHOOK_SECRET_KEY: 'planted-but-too-short' });
  assert.equal(status, 2);
  assert.match(output, /WALHOOK_SECRET_KEY: it is no base64 of 32 bytes/);
  assert.ok(!output.includes('planted'));
});

test('the key is rotated from the one that was made to one in a file, and on to another', () => {
  const dataDir = withSecret();
  const keyFile = join(temporaryFolder(), 'key');
  writeFileSync(keyFile, OLD, { mode: 0o600 });
  const rotate = ['rotate-secret-key', '--data-dir', dataDir];
  assert.equal(walhook(rotate).status, 1);
  const first = walhook([...rotate, '--new-secret-key-file', keyFile]);
  assert.deepEqual([first.status, existsSync(join(dataDir, 'secret.key'))], [0, false], first.output);
  assert.equal(read(dataDir, OLD), 'planted');
  // Without the key there is none to be had, and none is made.
  assert.match(walhook(['serve', '--data-dir', dataDir]).output, /secret\.key cannot be used/);
  assert.equal(existsSync(join(dataDir, 'secret.key')), false);
  assert.equal(walhook([...rotate, '--secret-key-file', keyFile], { WALHOOK_NEW_SECRET_KEY: NEW }).status, 0);
  assert.equal(read(dataDir, NEW), 'planted');
  assert.match(
    walhook(rotate, { WALHOOK_SECRET_KEY: OLD, WALHOOK_NEW_SECRET_KEY: NEW }).output,
    /encrypted with another key/,
  );
});
