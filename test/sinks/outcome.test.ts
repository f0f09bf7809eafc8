import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { DeadlineError } from '../../src/base/clock.ts';
import { EgressBlockedError } from '../../src/sinks/address-guard.ts';
import { answerOutcome, errorOutcome, MAX_ANSWER_BYTES, parseRetryAfter } from '../../src/sinks/webhook/outcome.ts';

const NOW = Date.UTC(2026, 0, 5, 10);

const STATUSES: readonly (readonly [string, readonly number[]])[] = [
  ['ok', [200, 201, 202, 204, 207, 299]],
  ['rejected', [400, 409, 411, 412, 413, 415, 422, 431, 501]],
  ['misconfigured', [101, 300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 406, 407, 418, 421, 426, 451]],
  ['overloaded', [425, 429]],
  ['transient', [408, 500, 502, 503, 504, 507, 599]],
  ['gone', [410]],
];

for (const [expected, statuses] of STATUSES) {
  test(`${statuses.join(', ')} mean ${expected}`, () => {
    for (const status of statuses) {
      const outcome = answerOutcome(
        { status, retryAfter: null, encoding: null, body: Buffer.alloc(0), truncated: false },
        NOW,
      );
      assert.equal(outcome.class, expected, String(status));
    }
  });
}

test('503 with Retry-After asks for time; with one that is nonsense it is an error like others', () => {
  const answer = { status: 503, encoding: null, body: Buffer.alloc(0), truncated: false };
  const asked = answerOutcome({ ...answer, retryAfter: '120' }, NOW);
  assert.deepEqual(asked, {
    class: 'overloaded',
    status: 503,
    code: 'http_503',
    reason: 'HTTP 503',
    retryAfterMs: 120_000,
  });
  assert.equal(answerOutcome({ ...answer, retryAfter: 'soon' }, NOW).class, 'transient');
});

const RETRY_AFTER: readonly (readonly [string, number | null])[] = [
  ['0', 0],
  ['2', 2_000],
  [' 1.5 ', 1_500],
  ['86400', 3_600_000],
  ['99999999999999999999', 3_600_000],
  ['-1', null],
  ['', null],
  ['soon', null],
  ['1e3', null],
  ['Mon, 05 Jan 2026 10:00:30 GMT', 30_000],
  ['Monday, 05-Jan-26 10:00:30 GMT', 30_000],
  ['Mon, 05 Jan 2026 09:00:00 GMT', 0],
  ['Mon, 05 Jan 2099 09:00:00 GMT', 3_600_000],
  ['Mon, 99 Jan 2026', null],
];

test('Retry-After is seconds or a date, capped at an hour', () => {
  for (const [text, expected] of RETRY_AFTER) assert.equal(parseRetryAfter(text, NOW), expected, JSON.stringify(text));
});

const BODIES: readonly (readonly [string, readonly string[]])[] = [
  ['', []],
  ['ok', []],
  ['{"failed":["a","b"]}', ['a', 'b']],
  ['{"failed":["a",1,null]}', ['a']],
  ['{"failed":"a"}', []],
  ['{"failed"', []],
  ['[{"failed":["a"]}]', []],
  ['null', []],
  ['{"__proto__":{"failed":["a"]}}', []],
];

test('a 2xx acknowledges all but what it lists as failed', () => {
  for (const [text, failed] of BODIES) {
    const outcome = answerOutcome(
      { status: 200, retryAfter: null, encoding: null, body: Buffer.from(text), truncated: false },
      NOW,
    );
    assert.deepEqual(outcome, { class: 'ok', status: 200, failed }, text);
  }
});

test('a list of failed events that was cut off acknowledges nothing; any other long answer is ok', () => {
  const cut = (text: string): Buffer => Buffer.from(text.padEnd(MAX_ANSWER_BYTES, 'x'));
  const answer = { status: 200, retryAfter: null, encoding: null, truncated: true };
  assert.equal(answerOutcome({ ...answer, body: cut(' {"failed":["') }, NOW).class, 'transient');
  assert.equal(answerOutcome({ ...answer, body: cut('<html>') }, NOW).class, 'ok');
});

const PACKED = Object.entries({
  gzip: (body: Buffer) => gzipSync(body),
  ' BR': (body: Buffer) => brotliCompressSync(body),
  zstd: (body: Buffer) => zstdCompressSync(body),
  deflate: (body: Buffer) => deflateSync(body),
});

test('a 2xx that is compressed is read all the same; what cannot be read acknowledges nothing', () => {
  const list = Buffer.from('{"failed":["a"]}');
  const outcome = (encoding: string, body: Buffer, truncated = false) =>
    answerOutcome({ status: 200, retryAfter: null, encoding, body, truncated }, NOW);
  for (const [encoding, pack] of PACKED) {
    assert.deepEqual(outcome(encoding, pack(list)), { class: 'ok', status: 200, failed: ['a'] }, encoding);
  }
  assert.deepEqual(outcome('identity', list), { class: 'ok', status: 200, failed: ['a'] });
  assert.equal(outcome('gzip', Buffer.alloc(0)).class, 'ok');
  for (const [encoding, body] of [
    ['gzip', list],
    ['compress', list],
    ['constructor', list],
    ['gzip', gzipSync(list).subarray(0, -3)],
  ] as const) {
    assert.equal(outcome(encoding, body).class, 'transient', encoding);
  }
  assert.equal(outcome('gzip', gzipSync(Buffer.alloc(10_000_000))).class, 'ok', 'no list is that long');
  // Cut off: what there is tells whether it was a list.
  const random = randomBytes(200_000).toString('base64');
  for (const [encoding, pack] of PACKED) {
    const cut = (text: string): Buffer => pack(Buffer.from(text)).subarray(0, MAX_ANSWER_BYTES);
    assert.equal(outcome(encoding, cut(`{"failed":["${random}"]}`), true).class, 'transient', encoding);
    const page = outcome(encoding, cut(`<html>${random}`), true).class;
    // A block of zstd's is longer than what is read of an answer.
    assert.equal(page, encoding === 'zstd' ? 'transient' : 'ok', encoding);
  }
});

const ERRORS: readonly (readonly [string, string, string])[] = [
  ['ECONNREFUSED', 'transient', 'connection_refused'],
  ['ECONNRESET', 'transient', 'connection_reset'],
  ['UND_ERR_SOCKET', 'transient', 'connection_reset'],
  ['UND_ERR_CONNECT_TIMEOUT', 'transient', 'timeout_connect'],
  ['EAI_AGAIN', 'transient', 'dns_error'],
  ['EAI_FAIL', 'transient', 'dns_error'],
  ['ENOTFOUND', 'misconfigured', 'dns_unknown_host'],
  ['ENODATA', 'misconfigured', 'dns_unknown_host'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'misconfigured', 'tls_error'],
  ['CERT_HAS_EXPIRED', 'misconfigured', 'tls_error'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'misconfigured', 'tls_error'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'misconfigured', 'tls_error'],
  ['EPROTO', 'misconfigured', 'tls_error'],
  ['HPE_INVALID_CONSTANT', 'transient', 'invalid_answer'],
  ['UND_ERR_HEADERS_OVERFLOW', 'transient', 'invalid_answer'],
  ['ESOMETHING', 'transient', 'request_failed'],
];

test('failures without an answer are classed by their code, never by their text', () => {
  for (const [code, expected, short] of ERRORS) {
    const outcome = errorOutcome(Object.assign(new Error('socket hang up'), { code }));
    assert.ok(outcome.class !== 'ok' && outcome.class !== 'cancelled');
    assert.deepEqual([outcome.class, outcome.code, outcome.status], [expected, short, null], code);
  }
});

test('a deadline is transient, a blocked address is the endpoint’s, several addresses fail as the first', () => {
  const classes = [
    errorOutcome(new DeadlineError(5)),
    errorOutcome(new EgressBlockedError('no; WALHOOK_EGRESS_ALLOW')),
    errorOutcome(new AggregateError([Object.assign(new Error(), { code: 'ENOTFOUND' })])),
    errorOutcome('?'),
  ].map((outcome) => outcome.class);
  assert.deepEqual(classes, ['transient', 'misconfigured', 'misconfigured', 'transient']);
});
