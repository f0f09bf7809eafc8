import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { SecretValue, type SecretSource } from '../../src/model/secret.ts';
import type { StagedChange } from '../../src/model/staged-change.ts';
import { DEFAULT_STREAM_OPTIONS, type StreamOptions } from '../../src/model/stream-options.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ReceivedRequest, WebhookReceiver } from '../support/webhook-receiver.ts';
import { createStream, startEngine, tableOf, type RunningEngine } from './engine-harness.ts';

// A secret is what it is now: one that changes, in the catalog or outside of it, changes the requests; while it cannot be
// had none is sent.

const NEVER = new AbortController().signal;
const server = await startPostgres();
const client = await connect(server.url());
await client.query('CREATE TABLE orders (id int PRIMARY KEY)');
const receiver = await WebhookReceiver.start();
after(() => receiver.stop());
let nextId = 1;

interface Stage extends RunningEngine {
  readonly run: (change: StagedChange) => Promise<void>;
  /** Inserts a row and gives its request. */
  readonly delivered: () => Promise<ReceivedRequest>;
}

async function withStream(
  source: SecretSource | null,
  options: Partial<StreamOptions>,
  use: (stage: Stage) => Promise<void>,
  clock?: Clock,
): Promise<void> {
  const running = startEngine(server.url(), temporaryFolder(), undefined, clock);
  const run = async (change: StagedChange): Promise<void> =>
    void (await running.engine.execute(change, 'postgres', NEVER));
  const delivered = async (): Promise<ReceivedRequest> => {
    const count = receiver.requests.length;
    await client.query('INSERT INTO orders VALUES ($1)', [nextId++]);
    await waitFor('the request', () => receiver.requests.length > count);
    return receiver.requests.at(-1)!;
  };
  try {
    if (source !== null) await run({ kind: 'create-secret', name: 's', source, owner: 'postgres', ifNotExists: false });
    const change = createStream('orders_cdc_stream', [await tableOf(client, 'orders')], receiver.url());
    assert.ok(change.kind === 'create-stream');
    const all = { ...DEFAULT_STREAM_OPTIONS, initialBackoffMs: 20, maxBackoffMs: 200, ...options };
    await run({ ...change, request: { ...change.request, options: all } });
    await use({ ...running, run, delivered });
    await running.engine.dropStreams(['orders_cdc_stream'], false, 'postgres');
  } finally {
    await running.stop();
  }
}

const reference = { kind: 'secret', name: 's' } as const;
const value = (text: string): SecretSource => ({ kind: 'value', value: new SecretValue(text) });
const key = (byte: number): string => `whsec_${Buffer.alloc(24, byte).toString('base64')}`;

/** Which of the secrets verify the request. */
function verifying(request: ReceivedRequest, ...secrets: readonly string[]): boolean[] {
  return secrets.map((secret) => {
    try {
      new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
      return true;
    } catch {
      return false;
    }
  });
}

test('rotation: the old secret signs beside the new one until its time is over', async () => {
  await withStream(value(key(1)), { signingSecret: reference }, async ({ run, delivered }) => {
    assert.deepEqual(verifying(await delivered(), key(1), key(2)), [true, false]);
    const keepOldForMs = 2_000;
    await run({ kind: 'alter-secret', name: 's', source: value(key(2)), keepOldForMs });
    const both = await delivered();
    assert.deepEqual(verifying(both, key(1), key(2)), [true, true]);
    assert.equal(String(both.headers['webhook-signature']).split(' ').length, 2);
    await waitFor('the old one to expire', async () => verifying(await delivered(), key(1), key(2))[0] === false);
    assert.deepEqual(verifying(await delivered(), key(1), key(2)), [false, true]);
    await run({ kind: 'alter-secret', name: 's', source: value(key(3)), keepOldForMs: 0 });
    assert.deepEqual(verifying(await delivered(), key(2), key(3)), [false, true]);
  });
});

test('a secret in a file is looked at again; without it nothing is sent, and status says so', async () => {
  const file = join(temporaryFolder(), 'token');
  writeFileSync(file, 'first\n');
  await withStream({ kind: 'file', path: file }, { bearerToken: reference }, async ({ engine, delivered }) => {
    const report = () => engine.report('orders_cdc_stream');
    assert.equal((await delivered()).headers.authorization, 'Bearer first');
    writeFileSync(file, 'second\n');
    await waitFor('the new token', async () => (await delivered()).headers.authorization === 'Bearer second');
    rmSync(file);
    await waitFor('the problem', async () => (await report()).status === 'failed');
    const problem = `bearer_token: secret "s": file ${file}: it does not exist`;
    assert.equal((await report()).statusReason, problem);
    assert.equal((await report()).delivery.lastError, problem);
    const count = receiver.requests.length;
    await client.query('INSERT INTO orders VALUES ($1)', [nextId++]);
    await waitFor('the event to be pending', async () => (await report()).delivery.pendingEvents === 1);
    assert.equal(receiver.requests.length, count);
    writeFileSync(file, 'third\n');
    await waitFor('the request', () => receiver.requests.length > count);
    assert.equal(receiver.requests.at(-1)!.headers.authorization, 'Bearer third');
    assert.equal(receiver.requests.at(-1)!.headers['x-cdc-attempt'], '1');
    await waitFor('the status', async () => (await report()).status === 'running');
  });
});

test('a refusal of the endpoint has the secret looked at without waiting for the time to do so', async () => {
  const file = join(temporaryFolder(), 'token');
  writeFileSync(file, 'old');
  // The time to do so never comes.
  const clock: Clock = {
    ...systemClock,
    sleep: (_ms, signal) =>
      new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
  };
  receiver.decide = ({ headers }) => (headers.authorization === 'Bearer new' ? null : { kind: 'answer', status: 401 });
  const use = async ({ engine }: Stage): Promise<void> => {
    await client.query('INSERT INTO orders VALUES ($1)', [nextId++]);
    await waitFor(
      'the refusal',
      async () => (await engine.report('orders_cdc_stream')).delivery.lastError === 'HTTP 401',
    );
    writeFileSync(file, 'new');
    await waitFor('the event', async () => (await engine.report('orders_cdc_stream')).delivery.eventsDelivered === 1);
  };
  await withStream({ kind: 'file', path: file }, { bearerToken: reference, circuitBreaker: false }, use, clock);
  receiver.decide = null;
});

test('an endpoint’s options and secrets are those of its streams, and change with it', async () => {
  await withStream(value(key(1)), {}, async ({ run, delivered }) => {
    await run({
      kind: 'create-endpoint',
      name: 'billing',
      url: receiver.url('/billing'),
      options: { signingSecret: reference, method: 'PUT', headers: { 'X-Team': 'billing' } },
      owner: 'postgres',
      ifNotExists: false,
      orReplace: false,
    });
    const settings = { destination: { kind: 'endpoint', name: 'billing' } } as const;
    const changes = { set: {}, setHeaders: {}, reset: [], resetHeaders: [] };
    await run({ kind: 'alter-stream', name: 'orders_cdc_stream', alteration: { kind: 'set', settings, changes } });
    const request = await delivered();
    assert.deepEqual([request.method, request.path, request.headers['x-team']], ['PUT', '/billing', 'billing']);
    assert.deepEqual(verifying(request, key(1)), [true]);
    await run({ kind: 'alter-secret', name: 's', source: value(key(2)), keepOldForMs: 0 });
    assert.deepEqual(verifying(await delivered(), key(1), key(2)), [false, true]);
    const altered = { ...changes, set: { compression: 'gzip' }, reset: ['method'] } as const;
    const alteration = { kind: 'set', url: receiver.url('/two'), changes: altered } as const;
    await run({ kind: 'alter-endpoint', name: 'billing', alteration });
    const changed = await delivered();
    assert.deepEqual([changed.method, changed.path, changed.headers['content-encoding']], ['POST', '/two', 'gzip']);
  });
});
