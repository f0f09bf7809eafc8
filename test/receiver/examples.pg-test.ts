import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { documentExample } from '../support/documentation.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';
import { BATCH, brief, send, sinkFor, withSecrets } from '../support/webhook-sinks.ts';
import { type SignedRequest, signedRequests } from './signed-requests.ts';

// What the documentation shows does what it says: it is taken from there and run, and gets what walhook's own sink sends.

const ROOT = join(import.meta.dirname, '..', '..');
const SECRET = `whsec_${Buffer.alloc(24, 9).toString('base64')}`;
const server = await startPostgres();
const client = await connect(server.url());

function receiverUrl(): string {
  return pathToFileURL(join(ROOT, 'src', 'receiver', 'receiver.ts')).href;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Runs the program with the packages of this repository; gives the URL where it listens. */
async function start(program: string): Promise<string> {
  const folder = temporaryFolder();
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const file = join(folder, 'receiver.mjs');
  writeFileSync(file, program.replaceAll("'walhook/receiver'", `'${receiverUrl()}'`));
  const port = await freePort();
  const { hostname, port: pgPort, username, password } = new URL(server.url());
  const env = {
    ...process.env,
    WEBHOOK_SECRET: SECRET,
    PORT: String(port),
    PGHOST: hostname,
    PGPORT: pgPort,
    PGUSER: username,
    PGPASSWORD: password,
    PGDATABASE: 'postgres',
  };
  const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  after(() => child.kill());
  await waitFor('the program to listen', () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    ),
  );
  return `http://127.0.0.1:${port}/hooks/orders`;
}

const EVENT = { op: 'insert', key: { id: 1 }, before: null, after: { id: 1, note: 'größer 😀' } };

async function outcomes(url: string): Promise<string[]> {
  await client.query('TRUNCATE shipments');
  const id = randomUUID();
  const batch = { ...BATCH, requestId: id, body: Buffer.from(JSON.stringify({ id, ...EVENT })) };
  const results: string[] = [];
  for (const compression of ['none', 'gzip', 'br', 'zstd'] as const) {
    const options = withSecrets({ signingSecret: ['another', SECRET] }, { compression });
    results.push(brief(await send(sinkFor(url, options), batch)));
  }
  results.push(brief(await send(sinkFor(url, withSecrets({ signingSecret: 'wrong' })), batch)));
  results.push(brief(await send(sinkFor(url), batch)));
  results.push(JSON.stringify((await client.query('SELECT order_id, note FROM shipments')).rows));
  return results;
}

const EXPECTED = [
  'ok',
  'ok',
  'ok',
  'ok',
  'misconfigured http_401',
  'misconfigured http_401',
  '[{"order_id":1,"note":"größer 😀"}]',
];

await client.query('CREATE TABLE shipments (order_id int, note text)');
const node = documentExample('node.mjs');

test('node:http', async () => {
  assert.deepEqual(await outcomes(await start(node)), EXPECTED);
});

test('Fastify', async () => {
  const program = [
    "import fastify from 'fastify';",
    node.slice(0, node.indexOf('createServer(async')),
    'const app = fastify();',
    documentExample('fastify.mjs'),
    'await app.listen({ port: Number(process.env.PORT) });',
  ].join('\n');
  assert.deepEqual(await outcomes(await start(program)), EXPECTED);
});

// What Express 5 does with a handler: `sendStatus`, and the error's `status` where its promise is rejected.
const EXPRESS = `
const handlers = new Map();
const app = { post: (path, handler) => handlers.set(path, handler) };
const serveAsExpressDoes = () => createServer(async (request, response) => {
  response.sendStatus = (status) => response.writeHead(status).end();
  try {
    await (handlers.get(request.url) ?? (() => response.sendStatus(404)))(request, response);
  } catch (error) {
    response.sendStatus(error.status ?? 500);
  }
});
`;

test('Express', async () => {
  const program = [
    node.slice(0, node.indexOf('createServer(async')),
    EXPRESS,
    documentExample('express.mjs'),
    'serveAsExpressDoes().listen(process.env.PORT);',
  ].join('\n');
  assert.deepEqual(await outcomes(await start(program)), EXPECTED);
});

test('the verification in SQL, whatever the body was compressed with', async () => {
  await client.query(documentExample('verify.sql'));
  const { input, expected } = await signedRequests();
  const isSigned = async (line: string): Promise<boolean> => {
    const { headers, body, secrets } = JSON.parse(line) as SignedRequest;
    const bytes = Buffer.from(body, 'base64');
    const unpacked = headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
    const head = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => headers[name]);
    const { rows } = await client.query<{ signed: boolean }>(
      `SELECT bool_or(webhook_is_signed($1, $2, $3, $4, secret)) AS signed FROM unnest($5::text[]) AS secret`,
      [unpacked, ...head, secrets],
    );
    return rows[0]!.signed;
  };
  for (const [at, line] of input.trimEnd().split('\n').entries()) {
    assert.equal(await isSigned(line), expected[at] === 'ok', `request ${at}: ${expected[at]}`);
  }
  // A key that is longer than a block of the hash is hashed.
  const long = 'k'.repeat(100);
  const { headers } = (await requestSignedWith(long))!;
  const request = { headers, body: BATCH.body.toString('base64'), secrets: [long] };
  assert.equal(await isSigned(JSON.stringify(request)), true);
});

async function requestSignedWith(secret: string) {
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  await send(sinkFor(at.url(), withSecrets({ signingSecret: secret })));
  return at.requests[0];
}

test('the inbox in SQL: an event is applied once', async () => {
  const statements = documentExample('inbox.sql')
    .replaceAll(/--.*$/gm, '')
    .split(';')
    .map((text) => text.trim());
  const [create, begin, insert, commit] = statements as [string, string, string, string];
  await client.query(create);
  const id = randomUUID();
  const counts: (number | null)[] = [];
  for (let i = 0; i < 2; i++) {
    await client.query(begin);
    counts.push((await client.query(insert, [id])).rowCount);
    await client.query(commit);
  }
  assert.deepEqual(counts, [1, 0]);
});
