import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import { after, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { Webhook } from 'standardwebhooks';
import { secretFault, type SecretOptionKey } from '../../src/model/secret-use.ts';
import { SecretValue } from '../../src/model/secret.ts';
import { DEFAULT_STREAM_OPTIONS, type StreamOptions } from '../../src/model/stream-options.ts';
import type { SinkBatch } from '../../src/sinks/sink.ts';
import { RequestHead } from '../../src/sinks/webhook/request-head.ts';
import { AUTHORITY, CLIENT, OTHER_CLIENT, STRANGER } from '../support/certificates.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { type ReceivedRequest, WebhookReceiver } from '../support/webhook-receiver.ts';
import { BATCH, brief, send, sinkFor, type SinkChanges, withSecrets } from '../support/webhook-sinks.ts';

// What options make of a request, as a receiver sees it. What is to be signed is never sent unsigned.

async function requestOf(changes: SinkChanges, batch = BATCH, path = '/hook'): Promise<ReceivedRequest> {
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  const sink = sinkFor(at.url(path), changes);
  assert.equal(sink.problem, null);
  assert.equal(brief(await send(sink, batch)), 'ok');
  assert.equal(at.requests.length, 1);
  return at.requests[0]!;
}

test('method, and the headers that may be renamed or left out', async () => {
  const renamed = await requestOf({
    options: {
      method: 'PUT',
      idempotencyHeader: 'X-Request-Id',
      sourceSchemaHeader: 'X-Schema',
      sourceTableHeader: 'X-Table',
    },
  });
  assert.equal(renamed.method, 'PUT');
  assert.equal(renamed.headers['x-request-id'], BATCH.requestId);
  assert.equal(renamed.headers['x-schema'], 'public');
  assert.equal(renamed.headers['x-table'], 'orders');
  assert.equal('idempotency-key' in renamed.headers, false);
  const bare = await requestOf({ options: { idempotencyHeader: '', sourceHeaders: false } });
  const names = Object.keys(bare.headers).filter((name) => /idempotency|source/.test(name));
  assert.deepEqual(names, []);
});

test('every header is sent once: what delivery sets goes before a static one, and a static User-Agent before ours', async () => {
  const { rawHeaders } = await requestOf({
    ...withSecrets(
      { bearerToken: 'newest' },
      {
        headers: { authorization: 'Basic old', 'user-agent': 'mine', 'x-source-table': 'mine', 'X-Other': 'kept' },
      },
    ),
  });
  const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  assert.equal(new Set(names).size, names.length, names.join(' '));
  const value = (name: string): string => rawHeaders[names.indexOf(name) * 2 + 1]!;
  assert.deepEqual(['authorization', 'user-agent', 'x-source-table', 'x-other'].map(value), [
    'Bearer newest',
    'mine',
    'orders',
    'kept',
  ]);
});

const PATHS: readonly (readonly [url: string, suffix: string, expected: string])[] = [
  ['/hook', '', '/hook'],
  ['/hook?a=b', '', '/hook?a=b'],
  ['/hook', '/public/orders', '/hook/public/orders'],
  ['/', '/public/orders', '/public/orders'],
  ['/hook/', '/public', '/hook/public'],
  ['/hook', '-orders', '/hook-orders'],
  ['/hook?a=b', '/x', '/hook/x?a=b'],
  ['/hook?a=b', '/x?c=d', '/hook/x?a=b&c=d'],
  ['/hook', '?c=d', '/hook?c=d'],
  ['/hook', '/%2E%2E%2Fx', '/hook/%2E%2E%2Fx'],
];

test('a header with placeholders is sent as the batch brings it, unless delivery sets it', async () => {
  const headers = { 'X-Route': '{schema}.{table}', 'x-id': '{op}', 'User-Agent': 'for {table}', 'X-Plain': 'p' };
  const routed = { 'X-Route': 'public.orders', 'x-id': 'insert', 'User-Agent': 'for orders' };
  const sent = await requestOf({ options: { headers, idempotencyHeader: 'X-Id' } }, { ...BATCH, headers: routed });
  const names = ['x-route', 'user-agent', 'x-plain', 'x-id'];
  assert.deepEqual(
    names.map((name) => sent.headers[name]),
    ['public.orders', 'for orders', 'p', BATCH.requestId],
  );
});

test('a trace is a header behind all others, and nothing else: where the stream names none of its own', async () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const sent = (changes: Partial<StreamOptions>, batch: SinkBatch): string[] => {
    const signer = { sign: (...signed: unknown[]) => String(signed) };
    return new RequestHead({ ...DEFAULT_STREAM_OPTIONS, ...changes }, { header: null, signer }, 'walhook/1').headers(
      batch,
      0,
    );
  };
  assert.deepEqual(sent({}, { ...BATCH, traceparent }), [...sent({}, BATCH), 'traceparent', traceparent]);
  for (const changes of [{ headers: { TraceParent: 'theirs' } }, { idempotencyHeader: 'traceparent' }]) {
    assert.deepEqual(sent(changes, { ...BATCH, traceparent }), sent(changes, BATCH));
  }
  assert.equal((await requestOf({}, { ...BATCH, traceparent })).headers['traceparent'], traceparent);
});

for (const compression of ['none', 'gzip'] as const) {
  test(`a head that is shown is the one that is sent, but for its secrets: compression ${compression}`, async () => {
    const at = await WebhookReceiver.start();
    after(() => at.stop());
    const headers = {
      'X-Team': 'crm',
      'X-Api-Key': 'hunter22',
      'X-Route': '{table}',
      'X-Secret-Route': 'hunter23-{table}',
    };
    const sink = sinkFor(at.url(), {
      ...withSecrets({ signingSecret: 'hunter24', authHeader: 'X-Credential: hunter25' }, { headers, compression }),
      clock: new VirtualClock(),
    });
    const batch = {
      ...BATCH,
      gap: BATCH.requestId,
      isReplay: true,
      headers: { 'X-Route': 'orders', 'X-Secret-Route': 'hunter23-orders' },
    };
    const shown = sink.shownHead(batch);
    assert.doesNotMatch(JSON.stringify(shown), /hunter/);
    await send(sink, batch);
    const { rawHeaders } = at.requests[0]!;
    const hidden = new Set(['x-api-key', 'x-secret-route', 'x-credential', 'webhook-signature']);
    // How long what is compressed will be is not known before.
    const notShown = new Set(compression === 'none' ? ['connection'] : ['connection', 'content-length']);
    const sent = rawHeaders.flatMap((name, i) => {
      const isOurs = i % 2 === 0 && !notShown.has(name.toLowerCase());
      return isOurs ? [[name, hidden.has(name.toLowerCase()) ? '***' : rawHeaders[i + 1]!] as const] : [];
    });
    const lower = (pairs: readonly (readonly [string, string])[]) =>
      Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
    assert.deepEqual(lower(shown), lower(sent));
  });
}

test('what path_template came to goes behind the path of the URL, its query behind the query', async () => {
  for (const [url, suffix, expected] of PATHS) {
    const request = await requestOf({}, { ...BATCH, path: suffix }, url);
    assert.equal(request.path, expected, `${url} and ${suffix}`);
  }
});

const AUTHENTICATED: readonly (readonly [key: SecretOptionKey, secret: string, header: string, value: string])[] = [
  ['bearerToken', 'abc.def', 'authorization', 'Bearer abc.def'],
  ['basicAuth', 'user:pässword', 'authorization', `Basic ${Buffer.from('user:pässword').toString('base64')}`],
  ['authHeader', 'X-Api-Key:  k e y ', 'x-api-key', 'k e y'],
  ['authHeader', 'Authorization: Token abc', 'authorization', 'Token abc'],
];

for (const [key, secret, header, value] of AUTHENTICATED) {
  test(`${key} is sent as ${header}`, async () => {
    // A value that is kept from before is of no use here.
    const { headers } = await requestOf(withSecrets({ [key]: [secret, 'x: old'] }));
    assert.equal(headers[header], value);
  });
}

// Signatures.

const NEW = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
const OLD = `whsec_${Buffer.alloc(40, 2).toString('base64')}`;
const PLAIN = 'a secret as somebody typed it';

const DECODE: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

function verifies(secret: string, request: ReceivedRequest, body: Buffer): boolean {
  const webhook = secret.startsWith('whsec_') ? new Webhook(secret) : new Webhook(secret, { format: 'raw' });
  try {
    webhook.verify(body, request.headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

for (const compression of ['none', 'gzip', 'br', 'zstd'] as const) {
  test(`compression ${compression}: the reference library verifies the body as it was before`, async () => {
    const body = Buffer.from(JSON.stringify([{ text: 'größer '.repeat(10_000) }, 'ü€😀']));
    const request = await requestOf(withSecrets({ signingSecret: [NEW, OLD, PLAIN] }, { compression }), {
      ...BATCH,
      body,
    });
    const decode = DECODE[compression];
    assert.equal(request.headers['content-encoding'], decode === undefined ? undefined : compression);
    assert.equal(request.headers['content-length'], String(request.body.length));
    const read = decode === undefined ? request.body : decode(request.body);
    assert.deepEqual(read, body);
    if (decode !== undefined) assert.ok(request.body.length < body.length / 10, `${request.body.length} bytes`);
    for (const secret of [NEW, OLD, PLAIN]) assert.equal(verifies(secret, request, read), true, secret);
    assert.equal(verifies(`whsec_${Buffer.alloc(24, 3).toString('base64')}`, request, read), false);
    if (decode !== undefined) assert.equal(verifies(NEW, request, request.body), false);
  });
}

test('bytes that are no UTF-8 are signed as they are, the newest secret first', async () => {
  const body = Buffer.from([0x22, 0xff, 0xfe, 0x22]);
  const { headers } = await requestOf(withSecrets({ signingSecret: [NEW, PLAIN] }), { ...BATCH, body });
  const signed = Buffer.concat([Buffer.from(`${BATCH.requestId}.${String(headers['webhook-timestamp'])}.`), body]);
  const mac = (key: Buffer): string => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  assert.equal(headers['webhook-signature'], `${mac(Buffer.alloc(24, 1))} ${mac(Buffer.from(PLAIN))}`);
});

test('without signing_secret there is no signature', async () => {
  assert.equal('webhook-signature' in (await requestOf({})).headers, false);
});

test('a signature is of the attempt: its time is, and its id is that of every attempt', async () => {
  let nowMs = 1_790_000_000_000;
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  const clock = {
    now: () => nowMs,
    monotonicMs: () => 0,
    after: () => () => undefined,
    sleep: () => Promise.resolve(),
  };
  const sink = sinkFor(at.url(), { ...withSecrets({ signingSecret: NEW }), clock });
  await send(sink);
  nowMs += 300_000;
  await send(sink, { ...BATCH, attempt: 4 });
  const [first, second] = at.requests.map(({ headers }) => headers);
  assert.equal(first!['webhook-timestamp'], '1790000000');
  assert.equal(second!['webhook-timestamp'], '1790000300');
  assert.equal(first!['webhook-id'], second!['webhook-id']);
  assert.notEqual(first!['webhook-signature'], second!['webhook-signature']);
});

test('a deadline and a signal end an attempt while its body is compressed', async () => {
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  const body = Buffer.alloc(8 * 1024 * 1024, 'x');
  const slow = sinkFor(at.url(), { options: { compression: 'br', requestTimeoutMs: 1 } });
  assert.equal(brief(await send(slow, { ...BATCH, body })), 'transient timeout');
  const abort = new AbortController();
  const sent = sinkFor(at.url(), { options: { compression: 'br' } }).send({ ...BATCH, body }, abort.signal);
  abort.abort();
  assert.equal(brief(await sent), 'cancelled');
  assert.equal(at.requests.length, 0);
});

// Secrets that are missing, or of no use.

const LOST = { signingSecret: { kind: 'secret', name: 's' } } as const;

test('a secret that was not looked up, cannot be had or has no value is a problem of the sink', () => {
  const problem = { signingSecret: { values: [], problem: 'secret "s": it is not set' } };
  const cases: readonly (readonly [SinkChanges, string])[] = [
    [{ options: LOST }, 'signing_secret: the secret has not been looked up'],
    [{ options: LOST, secrets: problem }, 'signing_secret: secret "s": it is not set'],
    [
      { options: LOST, secrets: { signingSecret: { values: [], problem: null } } },
      'signing_secret: the secret has no value',
    ],
    [{ options: { compression: 'lz4' } }, `compression: lz4 is Kafka's alone`],
  ];
  for (const [changes, expected] of cases) assert.equal(sinkFor('http://127.0.0.1:1/', changes).problem, expected);
});

test('a sink with a problem sends nothing, whoever asks', () => {
  const sink = sinkFor('http://127.0.0.1:1/', { options: LOST });
  assert.throws(() => send(sink), /nothing is sent without the credentials/);
});

const UNFIT: readonly (readonly [key: SecretOptionKey, text: string, expected: RegExp])[] = [
  ['bearerToken', 'a b', /^bearer_token: a token is printable ASCII/],
  ['bearerToken', 'a\nb', /^bearer_token/],
  ['basicAuth', 'user', /^basic_auth: .*user:password/],
  ['authHeader', 'nothing', /^auth_header: .*Name: value/],
  ['authHeader', 'a b: c', /^auth_header: .*no header name/],
  ['authHeader', 'Content-Length: 0', /^auth_header: .*set by the delivery/],
  ['authHeader', 'X: a\r\nY: b', /^auth_header: .*printable/],
  ['authHeader', 'X:', /^auth_header: .*printable/],
  ['signingSecret', 'whsec_', /^signing_secret: after whsec_/],
  ['signingSecret', 'whsec_????', /^signing_secret: after whsec_/],
  ['signingSecret', 'whsec_YWI', /^signing_secret: after whsec_ .* padding/],
  ['tlsCa', 'no PEM', /^tls_ca: .*BEGIN CERTIFICATE/],
  ['tlsCa', '-----BEGIN CERTIFICATE-----', /^tls_ca: there is no whole certificate/],
  ['tlsCa', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', /^tls_ca: .*cannot be read/],
];

test('a secret that is of no use for its option is said to be, without its value', () => {
  for (const [key, text, expected] of UNFIT) {
    const { problem } = sinkFor('http://127.0.0.1:1/', withSecrets({ [key]: text }));
    assert.match(problem ?? '', expected, text);
    if (text.length > 6) assert.ok(!problem!.includes(text), problem!);
  }
  for (const [key, secret] of AUTHENTICATED) assert.equal(secretFault(key, new SecretValue(secret)), null);
});

test('of values that are kept from before, one that is of no use is left out', async () => {
  const { headers } = await requestOf(withSecrets({ signingSecret: [NEW, 'whsec_??', OLD] }));
  assert.equal(String(headers['webhook-signature']).split(' ').length, 2);
});

// TLS.

async function tlsReceiver(tls: Parameters<typeof WebhookReceiver.start>[0]): Promise<WebhookReceiver> {
  const at = await WebhookReceiver.start(tls);
  after(() => at.stop());
  return at;
}

test('tls_ca is who may have signed the certificate, and nobody else', async () => {
  const at = await tlsReceiver(CERTIFICATES.localhost);
  const outcome = async (values: Parameters<typeof withSecrets>[0], options: Partial<StreamOptions> = {}) =>
    brief(await send(sinkFor(at.url(), withSecrets(values, options))));
  assert.equal(await outcome({}), 'misconfigured tls_error');
  assert.equal(await outcome({ tlsCa: CERTIFICATES.root }), 'ok');
  assert.equal(await outcome({ tlsCa: `${CERTIFICATES.otherRoot}\n${CERTIFICATES.root}\n` }), 'ok');
  assert.equal(await outcome({ tlsCa: CERTIFICATES.otherRoot }), 'misconfigured tls_error');
  assert.equal(await outcome({}, { tlsInsecureSkipVerify: true }), 'ok');
  assert.equal(at.requests.length, 3);
});

test('a certificate that is expired, of another host or signed by nobody is refused, and taken without verification', async () => {
  for (const tls of [CERTIFICATES.expired, CERTIFICATES.elsewhere, SELF_SIGNED]) {
    const at = await tlsReceiver(tls);
    const outcome = await send(sinkFor(at.url(), withSecrets({ tlsCa: CERTIFICATES.root })));
    assert.equal(brief(outcome), 'misconfigured tls_error');
    assert.equal(at.requests.length, 0);
    const unverified = withSecrets({ tlsCa: CERTIFICATES.root }, { tlsInsecureSkipVerify: true });
    assert.equal(brief(await send(sinkFor(at.url(), unverified))), 'ok');
  }
});

test('tls_client_cert is shown to a receiver that asks for one', async () => {
  const at = await tlsReceiver({
    ...CERTIFICATES.localhost,
    ca: AUTHORITY,
    requestCert: true,
    rejectUnauthorized: true,
  });
  const names: unknown[] = [];
  at.onSocket = (socket) => names.push((socket as TLSSocket).getPeerCertificate().subject?.CN);
  const withCertificate = (pair: { cert: string; key: string }) =>
    withSecrets({ tlsCa: CERTIFICATES.root, tlsClientCert: pair.cert, tlsClientKey: pair.key });
  assert.equal(brief(await send(sinkFor(at.url(), withCertificate(CLIENT)))), 'ok');
  assert.equal(brief(await send(sinkFor(at.url(), withCertificate(OTHER_CLIENT)))), 'ok');
  assert.deepEqual(names, ['postgres', 'somebody']);
  const without = await send(sinkFor(at.url(), withSecrets({ tlsCa: CERTIFICATES.root })));
  assert.equal(brief(without), 'misconfigured tls_error');
  assert.match('reason' in without ? without.reason : '', /^TLS: a client certificate is asked for \(ERR_SSL_/);
  // A server of Node's says nothing of a certificate that it does not trust; others send an alert.
  const refused = /^(misconfigured tls_error|transient connection_reset)$/;
  assert.match(brief(await send(sinkFor(at.url(), withCertificate(STRANGER)))), refused);
  assert.equal(at.requests.length, 2);
});

test('a key that is not the certificate’s is a problem, not an attempt', () => {
  const { problem } = sinkFor(
    'https://127.0.0.1:1/',
    withSecrets({ tlsClientCert: CLIENT.cert, tlsClientKey: OTHER_CLIENT.key }),
  );
  assert.equal(problem, 'tls_client_key: it is not the key of tls_client_cert');
});

test('connect_timeout ends the making of a connection, TLS included', async () => {
  const silent = createServer((socket) => socket.on('error', () => undefined));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  after(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const sink = sinkFor(`https://127.0.0.1:${port}/`, { options: { connectTimeoutMs: 100 } });
  assert.equal(brief(await send(sink)), 'transient timeout_connect');
});

test('credentials that the endpoint refuses are told of', async () => {
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  at.script({ kind: 'answer', status: 401 }, { kind: 'answer', status: 500 }, { kind: 'answer', status: 403 });
  let refused = 0;
  const sink = sinkFor(at.url(), { ...withSecrets({ bearerToken: 't' }), onRefused: () => refused++ });
  for (let i = 0; i < 4; i++) await send(sink);
  assert.equal(refused, 2);
});
