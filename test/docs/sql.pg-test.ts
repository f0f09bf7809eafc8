import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PsqlSession } from '../../src/cli/psql-session.ts';
import { splitStatements } from '../../src/sql/split.ts';
import { type Block, documentation, titleOf, wordOf } from '../support/documentation.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import { createTopics, startMockBrokers } from '../support/mock-brokers.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';
import { isPrinted } from './printed.ts';
import { COMMON_TABLES, PAGE_SETUP } from './sql-setup.ts';

// Law: every SQL block of the documentation runs as it stands, through walhook and its engine, block after block on each page,
// in a database of the page's own. Endpoints are asked as at CREATE anywhere; `error=42601` behind `sql` is what the block's last
// statement must fail with. What a block is shown to print (`text output`) it prints.

const folder = temporaryFolder();
const receiver = await WebhookReceiver.start();
after(() => receiver.stop());
const registry = await FakeRegistry.start();
const brokers = await startMockBrokers(1);
await createTopics(brokers, ['orders', 'users-changes', 'users', 'public.users', 'public.orders']);
const secretFile = join(folder, 'signing-secret');
writeFileSync(secretFile, `whsec_${Buffer.alloc(24, 7).toString('base64')}\n`, { mode: 0o600 });
const caFile = join(folder, 'ca.pem');
writeFileSync(caFile, '');

/** What stands for something of the reader's, and what it is here. */
const SUBSTITUTES: readonly (readonly [shown: RegExp, here: string])[] = [
  [/https:\/\/registry\.example\.com/g, registry.url],
  [/https:\/\/(?:[a-z-]+\.)?example\.com/g, receiver.url('')],
  [/http:\/\/127\.0\.0\.1:(?:8080|7490)/g, receiver.url('')],
  [/(?:localhost|kafka\.example\.com):909\d/g, brokers],
  [/\/run\/secrets\/orders-signing-secret/g, secretFile],
];

const server = await startPostgres({ settings: { max_replication_slots: '40', max_wal_senders: '40' } });
const direct = await connect(server.url());
await direct.query('CREATE ROLE alice; CREATE ROLE shop; CREATE ROLE rds_replication');
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(folder, 'data'),
  environment: { WALHOOK_VALIDATE: 'on', ORDERS_SIGNING_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' },
}).start();

for (const page of documentation()) {
  const blocks = page.blocks.filter(({ language, example }) => language === 'sql' && example === null);
  if (blocks.length === 0) continue;
  test(`${page.path}: every SQL block runs`, async () => {
    const database = `docs_${page.path.replaceAll(/[^a-z]+/gi, '_').toLowerCase()}`;
    await direct.query(`CREATE DATABASE ${database}`);
    const session = new PsqlSession(walhook.sqlUrl(database));
    await session.connect();
    await runAll(session, substituted(COMMON_TABLES, database));
    await runAll(session, substituted(PAGE_SETUP[page.path] ?? '', database));
    for (const block of blocks) {
      const printed = await runBlock(session, block, substituted(block.text, database));
      const output = page.blocks[page.blocks.indexOf(block) + 1];
      if (output?.language === 'text' && output.words[0] === 'output') {
        assert.ok(
          isPrinted(substituted(output.text, database), printed),
          `${titleOf(output)}: what is printed is\n${printed}`,
        );
      }
    }
    await clear(session);
    await session.close();
  });
}

function substituted(shown: string, database: string): string {
  const withDatabase = shown.replaceAll('ON DATABASE app', `ON DATABASE ${database}`);
  return SUBSTITUTES.reduce((text, [pattern, here]) => text.replaceAll(pattern, here), withDatabase);
}

/** Runs what a block says, and gives what psql would print. */
async function runBlock(session: PsqlSession, block: Block, sql: string): Promise<string> {
  const spans = splitStatements(sql, { standardConformingStrings: true });
  assert.ok(spans.length > 0, `${titleOf(block)} has statements`);
  const printed: string[] = [];
  for (const [at, { start, end }] of spans.entries()) {
    const { text, failed } = await session.run(sql.slice(start, end));
    const expected = at === spans.length - 1 ? wordOf(block, 'error') : null;
    assert.equal(failed, expected, `${titleOf(block)}: ${sql.slice(start, end)}\n${text}`);
    printed.push(text);
  }
  return printed.join('\n');
}

async function runAll(session: PsqlSession, sql: string): Promise<void> {
  for (const { start, end } of splitStatements(sql, { standardConformingStrings: true })) {
    const { text, failed } = await session.run(sql.slice(start, end));
    assert.equal(failed, null, text);
  }
}

/** Names of streams, endpoints, secrets and roles are one for the whole server: the next page begins without. */
async function clear(session: PsqlSession): Promise<void> {
  const client = await connect(walhook.sqlUrl());
  const { rows: streams } = await client.query<{ stream_name: string }>('SHOW CDC STREAMS');
  for (const { stream_name: name } of streams) await runAll(session, `DROP CDC STREAM "${name}"`);
  for (const kind of ['ENDPOINT', 'SECRET']) {
    const { rows } = await client.query<Record<string, string>>(`SHOW CDC ${kind}S`);
    for (const row of rows) await runAll(session, `DROP CDC ${kind} "${row[`${kind.toLowerCase()}_name`]}"`);
  }
  for (const role of ['cdc_admin', 'cdc_viewer', 'walhook']) {
    const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
    if (rowCount !== 0) await runAll(session, `DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  }
  await client.end();
}
