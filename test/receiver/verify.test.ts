import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { Webhook } from 'standardwebhooks';
import { failedEvents, readBody, readEvents, unpack, verify, WebhookError } from '../../src/receiver/receiver.ts';

// Nothing is taken that was not signed with one of the secrets, as it is, and lately.

const NOW = 1_790_000_000_000;
const ID = '019b8d8a-7b6f-7c3f-8f83-b22a9aa26cff';
const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
const BODY = '{"id":"a","note":"größer 😀"}';

function signed(secret: string, body: string | Buffer = BODY, atMs = NOW): Record<string, string> {
  const webhook = secret.startsWith('whsec_') ? new Webhook(secret) : new Webhook(secret, { format: 'raw' });
  return {
    'webhook-id': ID,
    'webhook-timestamp': String(Math.floor(atMs / 1000)),
    'webhook-signature': webhook.sign(ID, new Date(atMs), body),
  };
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof WebhookError, String(error));
    return `${error.status} ${error.code}`;
  }
  return 'taken';
}

test('what the reference library signs is verified, whatever form headers and body have', () => {
  const headers = signed(SECRET);
  const events = verify(BODY, headers, SECRET, { nowMs: NOW });
  assert.equal(events[0]!.id, 'a');
  const capitals = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [value]]));
  for (const form of [headers, new Headers(headers), capitals]) {
    assert.equal(verify(Buffer.from(BODY), form, [SECRET], { nowMs: NOW }).length, 1);
  }
  assert.equal(verify(BODY, signed('any text'), 'any text', { nowMs: NOW }).length, 1);
});

test('each of several secrets verifies, and each of several signatures', () => {
  const [one, two] = [signed(SECRET), signed('two')];
  const both = { ...one, 'webhook-signature': `v1a,xxxx ${two['webhook-signature']} ${one['webhook-signature']}` };
  for (const secrets of [[SECRET], ['two'], ['three', 'two'], [SECRET, 'two']]) {
    assert.equal(verify(BODY, both, secrets, { nowMs: NOW }).length, 1);
  }
  assert.equal(
    refusal(() => verify(BODY, both, 'three', { nowMs: NOW })),
    '401 invalid_signature',
  );
});

test('a changed body, id, time or signature, another secret, and headers that are missing are refused', () => {
  const headers = signed(SECRET);
  const attempt = (changes: Record<string, string | undefined>, body: string = BODY, secret = SECRET): string =>
    refusal(() => verify(body, { ...headers, ...changes }, secret, { nowMs: NOW }));
  assert.equal(attempt({}), 'taken');
  assert.equal(attempt({}, `${BODY} `), '401 invalid_signature');
  assert.equal(attempt({}, BODY, 'whsec_AAAA'), '401 invalid_signature');
  assert.equal(attempt({ 'webhook-id': 'b' }), '401 invalid_signature');
  assert.equal(attempt({ 'webhook-timestamp': '1790000001' }), '401 invalid_signature');
  const signature = headers['webhook-signature']!;
  for (const other of [
    'v1,',
    'v1',
    'x',
    `v2${signature.slice(2)}`,
    signature.slice(0, -4),
    `v1,${'A'.repeat(5_000)}`,
  ]) {
    assert.equal(attempt({ 'webhook-signature': other }), '401 invalid_signature', other);
  }
  for (let i = 3; i < signature.length - 1; i++) {
    const flipped = `${signature.slice(0, i)}${signature[i] === 'A' ? 'B' : 'A'}${signature.slice(i + 1)}`;
    // The last character but the padding has bits that mean nothing.
    if (i < signature.length - 2)
      assert.equal(attempt({ 'webhook-signature': flipped }), '401 invalid_signature', flipped);
  }
  for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
    assert.equal(attempt({ [name]: undefined }), '401 missing_header');
    assert.equal(attempt({ [name]: '' }), '401 missing_header');
  }
});

test('what is too old or of the future is stale, which only who can sign learns', () => {
  const at = (ms: number, toleranceSeconds?: number, secret = SECRET): string =>
    refusal(() =>
      verify(BODY, signed(SECRET, BODY, ms), secret, {
        nowMs: NOW,
        ...(toleranceSeconds === undefined ? {} : { toleranceSeconds }),
      }),
    );
  assert.equal(at(NOW - 300_000), 'taken');
  assert.equal(at(NOW + 300_000), 'taken');
  assert.equal(at(NOW - 301_000), '401 stale');
  assert.equal(at(NOW + 301_000), '401 stale');
  assert.equal(at(NOW - 301_000, 301), 'taken');
  assert.equal(at(0, Infinity), 'taken');
  assert.equal(at(NOW - 301_000, 300, 'another'), '401 invalid_signature');
  // Signed, but no time at all.
  const mac = createHmac('sha256', Buffer.alloc(24, 7)).update(`${ID}.soon.${BODY}`).digest('base64');
  const headers = { 'webhook-id': ID, 'webhook-timestamp': 'soon', 'webhook-signature': `v1,${mac}` };
  assert.equal(
    refusal(() => verify(BODY, headers, SECRET, { nowMs: NOW })),
    '401 stale',
  );
});

test('a secret that is empty is a mistake of the receiver, and nothing is taken', () => {
  for (const secret of ['', 'whsec_', ['x', '']]) {
    assert.throws(() => verify(BODY, signed(SECRET), secret, { nowMs: NOW }), TypeError);
  }
  assert.equal(
    refusal(() => verify(BODY, signed(SECRET), [], { nowMs: NOW })),
    '401 invalid_signature',
  );
});

test('without nowMs the time is that of the machine', () => {
  assert.equal(verify(BODY, signed(SECRET, BODY, Date.now()), SECRET).length, 1);
  assert.equal(
    refusal(() => verify(BODY, signed(SECRET, BODY, Date.now() - 3_600_000), SECRET)),
    '401 stale',
  );
});

function request(body: Buffer, encoding?: string) {
  const headers: Record<string, string> = encoding === undefined ? {} : { 'Content-Encoding': encoding };
  return Object.assign(Readable.from([body.subarray(0, 5), body.subarray(5)]), { headers });
}

const LONG = Buffer.from(JSON.stringify({ id: 'a', note: 'x'.repeat(100_000) }));

test('a body is read and unpacked to what was signed', async () => {
  for (const [encoding, packed] of [
    [undefined, LONG],
    ['identity', LONG],
    ['gzip', gzipSync(LONG)],
    ['br', brotliCompressSync(LONG)],
    ['ZSTD', zstdCompressSync(LONG)],
  ] as const) {
    const body = await readBody(request(packed, encoding));
    assert.deepEqual(body, LONG, encoding);
    assert.equal(verify(body, signed(SECRET, LONG), SECRET, { nowMs: NOW }).length, 1);
  }
  assert.deepEqual(await unpack(gzipSync(LONG), { 'content-encoding': 'gzip' }), LONG);
});

const UNREADABLE: readonly (readonly [name: string, body: Buffer, encoding: string | undefined, expected: string])[] = [
  ['a body that is too long', LONG, undefined, '413 too_large'],
  ['one that unpacks to too much', gzipSync(Buffer.alloc(50_000_000)), 'gzip', '413 too_large'],
  ['one that br unpacks to too much', brotliCompressSync(Buffer.alloc(5_000_000)), 'br', '413 too_large'],
  ['one that zstd unpacks to too much', zstdCompressSync(Buffer.alloc(5_000_000)), 'zstd', '413 too_large'],
  ['one that is cut off', gzipSync(Buffer.alloc(1_000, 'x')).subarray(0, 20), 'gzip', '400 damaged_body'],
  ['one that is no gzip', Buffer.from('{}{}{}{}'), 'gzip', '400 damaged_body'],
  ['an encoding that nobody sends', Buffer.from('{}'), 'compress', '415 unsupported_encoding'],
  ['an encoding called like a property of every object', Buffer.from('{}'), 'constructor', '415 unsupported_encoding'],
];

for (const [name, body, encoding, expected] of UNREADABLE) {
  test(`${name} is refused: ${expected}`, async () => {
    await assert.rejects(readBody(request(body, encoding), { maxBytes: 60_000 }), (error) => {
      assert.ok(error instanceof WebhookError, String(error));
      assert.equal(`${error.status} ${error.code}`, expected);
      return true;
    });
  });
}

test('a single event and a batch are read alike', () => {
  const ids = (body: string | Uint8Array) => readEvents(body).map(({ id }) => id);
  assert.deepEqual(ids('{"id":"a"}'), ['a']);
  assert.deepEqual(ids(Buffer.from('[{"id":"a"},{"id":"b"}]')), ['a', 'b']);
  assert.throws(() => readEvents('{'), SyntaxError);
});

test('failed events are named as walhook reads them', () => {
  assert.deepEqual(JSON.parse(failedEvents(['a'])), { failed: ['a'] });
});
