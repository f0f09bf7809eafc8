import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { documentation, titleOf, wordOf } from '../support/documentation.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { run } from '../support/programs.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { isPrinted } from './printed.ts';
import { COMMON_TABLES } from './sql-setup.ts';

// Law: every shell block of the documentation ends with 0, in bash with -e, block after block in a folder of the page's own; but for
// those marked `sh not-run=…` (the reasons: shell-words.ts). psql, curl and openssl are Debian's; `walhook`, `npx walhook` and
// `npm start` are the sources', on other ports. What a block is shown to print (`text output`) it prints.

const server = await startPostgres();
const direct = await connect(server.url());
await direct.query(`CREATE ROLE walhook SUPERUSER LOGIN PASSWORD 'secret'`);
await direct.query('CREATE DATABASE app');
const receiver = await startReceiver();
const folder = temporaryFolder();
const walhook = await new WalhookProcess({ upstreamUrl: urlOf('app'), dataDir: join(folder, 'data') }).start();
const app = await connect(walhook.sqlUrl());
await app.query(COMMON_TABLES);

function urlOf(database: string): string {
  const url = new URL(server.url());
  url.pathname = `/${database}`;
  return url.href;
}

const upstream = new URL(urlOf('app'));
const running = new URL(walhook.sqlUrl());

/** What stands for something of the reader's, and what it is here. */
const SUBSTITUTES: readonly (readonly [shown: RegExp, here: string])[] = [
  [
    /postgres:\/\/\w+:[^@\s'"]*@db\.internal:5432/g,
    `postgres://${upstream.username}:${upstream.password}@${upstream.host}`,
  ],
  [/postgres:\/\/[^@\s'"]+@127\.0\.0\.1:7432/g, `postgres://${running.username}:${running.password}@${running.host}`],
  [/http:\/\/127\.0\.0\.1:7480/g, walhook.httpUrl('')],
  [/https:\/\/(?:[a-z-]+\.)?example\.com/g, receiver.url],
];

function substituted(shown: string): string {
  return SUBSTITUTES.reduce((text, [pattern, here]) => text.replaceAll(pattern, here), shown);
}

/** The programs of the sandbox that are not Debian's. */
const PROGRAMS: Readonly<Record<string, string>> = {
  walhook: `exec "${process.execPath}" --disable-warning=ExperimentalWarning "${join(import.meta.dirname, 'walhook-shim.ts')}" "$@"`,
  npx: 'exec "$@"',
  npm: '[ "$1" = start ] || exit 2; shift; [ "${1:-}" = -- ] && shift; exec walhook start "$@"',
};

const bin = join(folder, 'bin');
mkdirSync(bin);
for (const [name, script] of Object.entries(PROGRAMS)) {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

/** What the reader is taken to have in the folder. */
const FILES: Readonly<Record<string, string>> = {
  'server.crt': SELF_SIGNED.cert,
  'server.key': SELF_SIGNED.key,
};

for (const page of documentation()) {
  const blocks = page.blocks.filter((block) => block.language === 'sh' && wordOf(block, 'not-run') === null);
  if (blocks.length === 0) continue;
  test(`${page.path}: every shell block runs`, async () => {
    const cwd = temporaryFolder();
    for (const [name, content] of Object.entries(FILES)) writeFileSync(join(cwd, name), content, { mode: 0o600 });
    const env = {
      PATH: `${bin}:${process.env.PATH}`,
      HOME: cwd,
      WALHOOK_LOG_FORMAT: 'json',
      WEBHOOK_SECRET: `whsec_${Buffer.alloc(24, 7).toString('base64')}`,
      DATABASE_URL: urlOf('app'),
    };
    for (const block of blocks) {
      const bash = ['--norc', '-euo', 'pipefail', '-c', substituted(block.text)];
      const { status, stdout, stderr } = await run('bash', bash, { cwd, env });
      const printed = stdout.toString('utf8');
      assert.equal(status, 0, `${titleOf(block)} ended with ${status}\n${printed}\n${stderr}`);
      const output = page.blocks[page.blocks.indexOf(block) + 1];
      if (output?.language === 'text' && output.words[0] === 'output') {
        assert.ok(isPrinted(substituted(output.text), printed), `${titleOf(output)}: what is printed is\n${printed}`);
      }
    }
  });
}
