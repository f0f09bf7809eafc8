import assert from 'node:assert/strict';
import type { LookupFunction } from 'node:net';
import { after, test } from 'node:test';
import type { Outcome } from '../../src/sinks/sink.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { type Fault, WebhookReceiver } from '../support/webhook-receiver.ts';
import { BATCH, brief, send, sinkFor, untimed, withSecrets } from '../support/webhook-sinks.ts';

// Whatever a receiver does, the outcome is a value, in time, and the next request is not affected.

async function receiver(...faults: readonly Fault[]): Promise<WebhookReceiver> {
  const started = (await WebhookReceiver.start()).script(...faults);
  after(() => started.stop());
  return started;
}

test('the request is what the design says, header by header', async () => {
  const at = await receiver();
  const sink = sinkFor(at.url('/a/b?token=1'), {
    options: { headers: { 'X-Tenant': 'blue', Authorization: 'Bearer t' } },
  });
  assert.deepEqual(untimed(await send(sink)), { class: 'ok', status: 200, failed: [] });
  const [request] = at.requests;
  assert.equal(request!.method, 'POST');
  assert.equal(request!.path, '/a/b?token=1');
  assert.deepEqual(request!.body, BATCH.body);
  const { 'webhook-timestamp': timestamp, ...headers } = request!.headers;
  assert.deepEqual(headers, {
    host: `127.0.0.1:${at.port}`,
    connection: 'keep-alive',
    'content-type': 'application/json',
    'content-length': String(BATCH.body.length),
    'user-agent': 'walhook/0.0.0',
    'x-tenant': 'blue',
    authorization: 'Bearer t',
    'idempotency-key': BATCH.requestId,
    'webhook-id': BATCH.requestId,
    'x-cdc-stream': 'orders_cdc_stream',
    'x-cdc-attempt': '3',
    'x-source-schema': 'public',
    'x-source-table': 'orders',
  });
  assert.match(timestamp as string, /^\d{10}$/);
  assert.ok(request!.rawHeaders.includes('Idempotency-Key'));
});

test('names that are no header text are percent-encoded, and a request of several tables names none', async () => {
  const at = await receiver();
  const sink = sinkFor(at.url());
  await send(sink, { ...BATCH, stream: 'bestellungen_größe', table: { schema: 'a%b', name: 'x\ny' } });
  await send(sink, { ...BATCH, table: null });
  assert.equal(at.requests[0]!.headers['x-cdc-stream'], 'bestellungen_gr%C3%B6%C3%9Fe');
  assert.equal(at.requests[0]!.headers['x-source-schema'], 'a%25b');
  assert.equal(at.requests[0]!.headers['x-source-table'], 'x%0Ay');
  assert.equal('x-source-table' in at.requests[1]!.headers, false);
});

const ANSWERS: readonly (readonly [Fault, string])[] = [
  [{ kind: 'answer', status: 500 }, 'transient http_500'],
  [{ kind: 'answer', status: 422, body: 'no' }, 'rejected http_422'],
  [{ kind: 'answer', status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'misconfigured redirect_refused'],
  [{ kind: 'answer', status: 410 }, 'gone http_410'],
  [{ kind: 'answer', status: 429, headers: { 'retry-after': '2' } }, 'overloaded http_429'],
  [{ kind: 'reset' }, 'transient connection_reset'],
  [{ kind: 'huge-body', bytes: 50 * 1024 * 1024 }, 'ok'],
  [{ kind: 'raw', bytes: 'HELLO\r\n\r\n' }, 'transient invalid_answer'],
  [{ kind: 'raw', bytes: `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1024 * 1024)}\r\n\r\n` }, 'transient invalid_answer'],
  [{ kind: 'raw', bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab', end: true }, 'transient connection_reset'],
  [{ kind: 'raw', bytes: 'HTTP/1.1 100 Continue\r\n\r\n' }, 'transient connection_reset'],
  [
    { kind: 'raw', bytes: 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n' },
    'transient connection_reset',
  ],
];

for (const [fault, expected] of ANSWERS) {
  const what = 'bytes' in fault && typeof fault.bytes === 'string' ? fault.bytes.slice(0, 30) : JSON.stringify(fault);
  test(`${JSON.stringify(what)} gives ${expected}, and the next request goes through`, async () => {
    // A reset or an unreadable answer before its head may be a stale connection: it is sent once more.
    const at = await receiver(fault, fault);
    const sink = sinkFor(at.url());
    const first = brief(await send(sink));
    at.decide = () => ({ kind: 'answer', status: 200 });
    assert.deepEqual([first, brief(await send(sink))], [expected, 'ok']);
  });
}

const SLOW: readonly Fault[] = [{ kind: 'hang' }, { kind: 'slow-body', everyMs: 20 }, { kind: 'informational-flood' }];

for (const fault of SLOW) {
  test(`${fault.kind} ends at the deadline, and the next request goes through`, async () => {
    const at = await receiver(fault);
    const sink = sinkFor(at.url(), { options: { requestTimeoutMs: 300 } });
    assert.equal(brief(await send(sink)), 'transient timeout');
    assert.equal(brief(await send(sink)), 'ok');
  });
}

test('Retry-After reaches the outcome', async () => {
  const at = await receiver({ kind: 'answer', status: 429, headers: { 'Retry-After': '7' } });
  const outcome = await send(sinkFor(at.url()));
  assert.ok(outcome.class === 'overloaded');
  assert.equal(outcome.retryAfterMs, 7_000);
});

test('ids that a 2xx lists as failed reach the outcome', async () => {
  const at = await receiver({ kind: 'answer', status: 200, body: { failed: ['a', 'b'] } });
  assert.deepEqual(untimed(await send(sinkFor(at.url()))), { class: 'ok', status: 200, failed: ['a', 'b'] });
});

test('a connection that was closed while idle costs no attempt: the request is sent once more', async () => {
  const at = await receiver({ kind: 'answer', status: 200 }, { kind: 'reset' });
  const sink = sinkFor(at.url());
  assert.equal(brief(await send(sink)), 'ok');
  assert.equal(brief(await send(sink)), 'ok');
  assert.deepEqual(
    at.requests.map(({ headers }) => headers['x-cdc-attempt']),
    ['3', '3', '3'],
  );
});

test('one connection serves requests one after the other', async () => {
  const at = await receiver();
  const sink = sinkFor(at.url());
  for (let i = 0; i < 20; i++) await send(sink);
  assert.equal(at.connectionsOpened, 1);
});

test('an outcome says what took how long: the parts of a connection where one was made, and the head of the answer', async () => {
  const known = (outcome: Outcome): string =>
    Object.entries(('phases' in outcome && outcome.phases) || {})
      .flatMap(([name, ms]) => (typeof ms === 'number' && ms >= 0 ? [name] : []))
      .join(' ');
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  const sink = sinkFor(at.url());
  assert.equal(known(await send(sink)), 'connectMs firstByteMs');
  assert.equal(known(await send(sink)), 'firstByteMs', 'the connection was there');
  at.script({ kind: 'reset' }, { kind: 'reset' });
  assert.equal(known(await send(sink)), 'connectMs', 'it was sent anew on another');
  const secure = await WebhookReceiver.start(CERTIFICATES.localhost);
  after(() => secure.stop());
  const named = secure.url().replace('127.0.0.1', 'localhost');
  const trusted = sinkFor(named, withSecrets({ tlsCa: CERTIFICATES.root }));
  assert.equal(known(await send(trusted)), 'dnsMs connectMs tlsMs firstByteMs');
  assert.equal(known(await send(sinkFor(named))), 'dnsMs connectMs', 'its certificate is refused');
  const nowhere = sinkFor('http://localhost:1/');
  assert.equal(known(await send(nowhere)), 'dnsMs');
});

test('a signal and close give up what is under way', async () => {
  const at = await receiver({ kind: 'hang' }, { kind: 'hang' });
  const sink = sinkFor(at.url());
  const abort = new AbortController();
  const first = sink.send(BATCH, abort.signal);
  await at.received(1);
  abort.abort();
  assert.equal(brief(await first), 'cancelled');
  const second = send(sink);
  await at.received(2);
  await sink.close();
  assert.equal(brief(await second), 'cancelled');
  assert.equal(brief(await send(sink)), 'cancelled');
});

test('a refused connection and an unknown host are told apart', async () => {
  const at = await WebhookReceiver.start();
  const url = at.url();
  await at.stop();
  assert.equal(brief(await send(sinkFor(url))), 'transient connection_refused');
  const unknown: LookupFunction = (_host, _options, callback) =>
    callback(Object.assign(new Error('no such host'), { code: 'ENOTFOUND' }), []);
  assert.equal(
    brief(await send(sinkFor('http://hooks.example/', { lookup: unknown }))),
    'misconfigured dns_unknown_host',
  );
});

test('many requests at once do not warn of listeners', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const at = await receiver();
  const sink = sinkFor(at.url());
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 50 }, () => sink.send(BATCH, signal)));
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', onWarning);
  assert.deepEqual(warnings, []);
});

function resolvesTo(...answers: readonly string[][]): LookupFunction {
  let call = 0;
  return (_host, _options, callback) => {
    const addresses = answers[Math.min(call++, answers.length - 1)]!;
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
}

// Every spelling of an address that is not public, on http and on https alike: nothing is to reach the receiver.
const BLOCKED: readonly (readonly [host: string, lookup: LookupFunction | undefined])[] = [
  ['127.0.0.1', undefined],
  ['127.1', undefined],
  ['127.0.0.1.', undefined],
  ['2130706433', undefined],
  ['0x7f000001', undefined],
  ['0x7f.1', undefined],
  ['017700000001', undefined],
  ['１２７.0.0.1', undefined],
  ['0.0.0.0', undefined],
  ['[::1]', undefined],
  ['[::]', undefined],
  ['[::ffff:127.0.0.1]', undefined],
  ['[::ffff:7f00:1]', undefined],
  ['[0:0:0:0:0:0:0:1]', undefined],
  ['localhost', undefined],
  ['hooks.example', resolvesTo(['127.0.0.1'])],
  ['hooks.example', resolvesTo(['::1'])],
  ['hooks.example', resolvesTo(['::ffff:127.0.0.1'])],
  ['hooks.example', resolvesTo(['93.184.215.14', '127.0.0.1'])],
  ['hooks.example', resolvesTo(['169.254.169.254'])],
];

for (const scheme of ['http', 'https'] as const) {
  test(`over ${scheme} no spelling of a private address gets through`, async () => {
    const at = await WebhookReceiver.start(scheme === 'https' ? SELF_SIGNED : null, '::');
    after(() => at.stop());
    for (const [host, lookup] of BLOCKED) {
      const sink = sinkFor(`${scheme}://${host}:${at.port}/`, lookup === undefined ? {} : { lookup }, []);
      const outcome = await send(sink);
      assert.equal(brief(outcome), 'misconfigured egress_blocked', host);
      assert.match(
        (outcome as { reason: string }).reason,
        /to allow it, add it to --egress-allow \(WALHOOK_EGRESS_ALLOW\)$/,
      );
    }
    assert.equal(at.requests.length, 0);
    assert.equal(at.connectionsOpened, 0);
  });

  test(`over ${scheme} a name whose address changes after the check is not called`, async () => {
    const at = await WebhookReceiver.start(scheme === 'https' ? SELF_SIGNED : null);
    after(() => at.stop());
    const lookup = resolvesTo(['127.0.0.1'], ['169.254.169.254']);
    const sink = sinkFor(at.url('/', 'hooks.example'), { lookup });
    at.decide = () => ({ kind: 'answer', status: 200, headers: { connection: 'close' } });
    const first = brief(await send(sink));
    assert.equal(first, scheme === 'http' ? 'ok' : 'misconfigured tls_error');
    assert.equal(brief(await send(sink)), 'misconfigured egress_blocked');
  });
}

test('the allow list opens loopback by address and by name', async () => {
  const at = await receiver();
  assert.equal(brief(await send(sinkFor(at.url(), {}, ['127.0.0.0/8']))), 'ok');
  assert.equal(brief(await send(sinkFor(at.url('/', 'localhost'), {}, ['localhost']))), 'ok');
});

test('a certificate that nobody signed is the endpoint’s fault', async () => {
  const at = await WebhookReceiver.start(SELF_SIGNED);
  after(() => at.stop());
  assert.equal(brief(await send(sinkFor(at.url('/', 'localhost'), {}, ['localhost']))), 'misconfigured tls_error');
  assert.equal(at.requests.length, 0);
});
