import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { succeed } from '../support/programs.ts';
import { documentExample } from '../support/documentation.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { signedRequests } from './signed-requests.ts';

// Signatures are verified by what the documentation shows in other languages, whatever the body was compressed with.

const HERE = import.meta.dirname;

test('Python', async () => {
  const { input, expected } = await signedRequests();
  const program = `${documentExample('verify.py')}\n\n${readFileSync(join(HERE, 'verify_main.py'), 'utf8')}`;
  const output = await succeed('/usr/bin/python3', ['-c', program], { input });
  assert.deepEqual(output.trimEnd().split('\n'), expected);
});

test('Go', async () => {
  const { input, expected } = await signedRequests();
  const folder = temporaryFolder();
  cpSync(join(HERE, 'go'), folder, { recursive: true });
  const packages = [
    'crypto/hmac',
    'crypto/sha256',
    'encoding/base64',
    'errors',
    'net/http',
    'strconv',
    'strings',
    'time',
  ];
  const imports = packages.map((name) => `\t"${name}"\n`).join('');
  writeFileSync(join(folder, 'verify.go'), `package main\n\nimport (\n${imports})\n\n${documentExample('verify.go')}`);
  const PATH = `${process.env.PATH}:/usr/local/go/bin`;
  const env = { PATH, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod', GOPROXY: 'off' };
  const output = await succeed('go', ['run', '.'], { input, cwd: folder, env });
  assert.deepEqual(output.trimEnd().split('\n'), expected);
});
