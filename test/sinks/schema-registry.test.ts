import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { AddressGuard, parseEgressAllow } from '../../src/sinks/address-guard.ts';
import { SchemaIds } from '../../src/sinks/kafka/schema-ids.ts';
import {
  SchemaRegistry,
  SchemaRegistryError,
  type SchemaRegistryOptions,
} from '../../src/sinks/kafka/schema-registry.ts';
import { makeSecureContext } from '../../src/sinks/secure-context.ts';
import type { FailureOutcome, SinkRecord } from '../../src/sinks/sink.ts';
import { AUTHORITY, type CertificateAndKey, CLIENT, OTHER_CLIENT, STRANGER } from '../support/certificates.ts';
import { FakeRegistry, type ScriptedAnswer } from '../support/fake-registry.ts';
import { kafkaSink, record } from '../support/kafka-sinks.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

// The law: what a schema registry answers, or does not answer, is one outcome, and a schema is asked for once.

const SCHEMA =
  '{"type":"record","name":"Value","namespace":"s.public.t","fields":[{"name":"id","type":["null","int"],"default":null}]}';
const OTHER = SCHEMA.replace('"int"', '"string"');

function client(url: string, options: Partial<SchemaRegistryOptions> = {}): SchemaRegistry {
  const registry = new SchemaRegistry({
    url,
    authorization: null,
    secureContext: null,
    guard: new AddressGuard(parseEgressAllow(['127.0.0.1'])),
    connectTimeoutMs: 2_000,
    userAgent: 'walhook/test',
    clock: systemClock,
    ...options,
  });
  after(() => registry.close());
  return registry;
}

async function failureOf(work: Promise<unknown>): Promise<FailureOutcome> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SchemaRegistryError, String(error));
    return error.failure;
  }
  return assert.fail('it did not fail');
}

const brief = ({ class: kind, code, status }: FailureOutcome): readonly unknown[] => [kind, code, status];

test('a schema is registered under its subject, and has the id that it has', async () => {
  const fake = await FakeRegistry.start();
  const registry = client(`${fake.url}/`);
  assert.equal(await registry.register('a/b "c"-value', SCHEMA, 5_000), 1);
  assert.equal(await registry.register('a/b "c"-value', SCHEMA, 5_000), 1);
  assert.equal(await registry.register('d-value', OTHER, 5_000), 2);
  assert.deepEqual(fake.schemas, [SCHEMA, OTHER]);
  assert.deepEqual([...fake.subjects.keys()], ['a/b "c"-value', 'd-value']);
  await registry.probe(5_000);
});

test('answers by class', async () => {
  const fake = await FakeRegistry.start();
  const registry = client(fake.url);
  const cases: readonly (readonly [ScriptedAnswer, string])[] = [
    [{ status: 409 }, 'rejected'],
    [{ status: 422, body: '{"error_code":42201,"message":"Invalid schema"}' }, 'rejected'],
    [{ status: 301, headers: { location: 'http://127.0.0.1:1/' } }, 'misconfigured'],
    [{ status: 400 }, 'misconfigured'],
    [{ status: 401 }, 'misconfigured'],
    [{ status: 403 }, 'misconfigured'],
    [{ status: 404 }, 'misconfigured'],
    [{ status: 405 }, 'misconfigured'],
    [{ status: 410 }, 'misconfigured'],
    [{ status: 413 }, 'misconfigured'],
    [{ status: 501 }, 'misconfigured'],
    [{ status: 429, headers: { 'retry-after': '7' } }, 'overloaded'],
    [{ status: 503, headers: { 'retry-after': '7' } }, 'overloaded'],
    [{ status: 500, body: '{"error_code":50001,"message":"Error in the backend datastore"}' }, 'transient'],
    [{ status: 503 }, 'transient'],
  ];
  for (const [answer, kind] of cases) {
    fake.scripted = [answer];
    const failure = await failureOf(registry.register('t-value', SCHEMA, 5_000));
    assert.deepEqual(brief(failure), [kind, `schema_registry_${answer.status}`, answer.status]);
    assert.match(failure.reason, new RegExp(`^schema registry: subject "t-value": HTTP ${answer.status}`));
    assert.equal(failure.retryAfterMs, answer.headers?.['retry-after'] === undefined ? null : 7_000);
    assert.equal(failure.excerpt ?? '', answer.body ?? '');
    fake.scripted = [answer];
    assert.equal((await failureOf(registry.probe(5_000))).class, kind);
  }
});

test('what is no schema registry is told apart from one', async () => {
  const fake = await FakeRegistry.start();
  const registry = client(fake.url);
  for (const body of [
    '',
    '<html>welcome</html>',
    '{}',
    '{"id":"1"}',
    '{"id":-1}',
    '{"id":1.5}',
    '{"id":4294967296}',
    'null',
    'x'.repeat(200_000),
  ]) {
    fake.scripted = [
      { status: 200, body },
      { status: 200, body },
    ];
    const failure = await failureOf(registry.register('t-value', SCHEMA, 5_000));
    assert.deepEqual(brief(failure), ['misconfigured', 'schema_registry_answer', null], body.slice(0, 30));
    assert.equal((await failureOf(registry.probe(5_000))).code, 'schema_registry_answer');
  }
  // A long list is a list.
  fake.scripted = [{ status: 200, body: JSON.stringify(Array.from({ length: 20_000 }, (_, i) => `subject-${i}`)) }];
  await registry.probe(5_000);
});

test('one that cannot be reached, hangs, or may not be called', async () => {
  const fake = await FakeRegistry.start();
  const registry = client(fake.url);
  fake.scripted = ['hang'];
  assert.deepEqual(brief(await failureOf(registry.register('t-value', SCHEMA, 100))), [
    'transient',
    'schema_registry_timeout',
    null,
  ]);
  // The next one has a connection of its own.
  assert.equal(await registry.register('t-value', SCHEMA, 5_000), 1);
  await fake.down();
  const refused = await failureOf(registry.register('t-value', SCHEMA, 5_000));
  assert.deepEqual(brief(refused), ['transient', 'schema_registry_connection_refused', null]);
  assert.equal(refused.reason, 'schema registry: connection refused');
  await fake.up();
  assert.equal(await registry.register('t-value', SCHEMA, 5_000), 1);
  const guarded = client(fake.url, { guard: new AddressGuard([]) });
  const blocked = await failureOf(guarded.register('t-value', SCHEMA, 5_000));
  assert.equal(blocked.class, 'misconfigured');
  assert.match(
    blocked.reason,
    /^schema registry: the address 127\.0\.0\.1 is not public; .* --egress-allow \(WALHOOK_EGRESS_ALLOW\)$/,
  );
  const unknown = await failureOf(client('http://registry.invalid').register('t-value', SCHEMA, 5_000));
  assert.ok(['schema_registry_dns_unknown_host', 'schema_registry_dns_error'].includes(unknown.code), unknown.code);
});

test('an answer to what was closed is nobody’s', async () => {
  const fake = await FakeRegistry.start();
  const registry = client(fake.url);
  fake.scripted = ['hang'];
  const asked = failureOf(registry.register('t-value', SCHEMA, 60_000));
  await registry.close();
  assert.equal((await asked).class, 'transient');
  assert.equal((await failureOf(registry.register('t-value', SCHEMA, 60_000))).class, 'transient');
});

test('it is shown who one is, and by TLS only where its certificate is trusted', async () => {
  const fake = await FakeRegistry.start(SELF_SIGNED);
  fake.authorization = 'Bearer token';
  const secureContext = makeSecureContext(SELF_SIGNED.cert, null, null);
  assert.ok(secureContext !== null && !('problem' in secureContext));
  const known = client(fake.url, { secureContext, authorization: 'Bearer token' });
  assert.equal(await known.register('t-value', SCHEMA, 5_000), 1);
  const stranger = client(fake.url, { secureContext, authorization: 'Bearer wrong' });
  const refused = await failureOf(stranger.register('t-value', SCHEMA, 5_000));
  assert.deepEqual(brief(refused), ['misconfigured', 'schema_registry_401', 401]);
  assert.doesNotMatch(refused.reason, /wrong/);
  const strict = await failureOf(client(fake.url).register('t-value', SCHEMA, 5_000));
  assert.deepEqual(brief(strict), ['misconfigured', 'schema_registry_tls_error', null]);
});

test('a certificate of ours is shown to a registry that asks for one; without it one is not let in', async () => {
  const strict = { ca: AUTHORITY, requestCert: true, rejectUnauthorized: true };
  // TLS 1.3 refuses a client after the handshake, when its first request is on its way.
  for (const [maxVersion, reason] of [
    [
      'TLSv1.3',
      /^schema registry: TLS: a client certificate is asked for \(ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED\)$/,
    ],
    ['TLSv1.2', /^schema registry: TLS: ERR_SSL_.*HANDSHAKE_FAILURE$/],
  ] as const) {
    const fake = await FakeRegistry.start({ ...CERTIFICATES.localhost, ...strict, maxVersion });
    const shown = (pair: CertificateAndKey | null): SchemaRegistry => {
      const secureContext = makeSecureContext(CERTIFICATES.root, pair?.cert ?? null, pair?.key ?? null);
      assert.ok(secureContext !== null && !('problem' in secureContext));
      return client(fake.url, { secureContext });
    };
    assert.equal(await shown(CLIENT).register('t-value', SCHEMA, 5_000), 1);
    await shown(CLIENT).probe(5_000);
    const asked = fake.requests.length;
    for (const work of [shown(null).register('t-value', SCHEMA, 5_000), shown(null).probe(5_000)]) {
      const refused = await failureOf(work);
      assert.deepEqual(brief(refused), ['misconfigured', 'schema_registry_tls_error', null], maxVersion);
      assert.match(refused.reason, reason);
    }
    // A server of Node's says nothing of a certificate that it does not trust; others send an alert.
    const { code } = await failureOf(shown(STRANGER).register('t-value', SCHEMA, 5_000));
    assert.match(code, /^schema_registry_(tls_error|connection_reset)$/);
    assert.equal(fake.requests.length, asked);
  }
});

test('secrets that are no certificate, no key, or not each other’s are a problem, not an attempt', () => {
  const cases: readonly (readonly [Parameters<typeof kafkaSink>[0]['registry'], string])[] = [
    [
      { schemaRegistryTlsClientCert: CLIENT.cert, schemaRegistryTlsClientKey: OTHER_CLIENT.key },
      'schema_registry_tls_client_key: it is not the key of schema_registry_tls_client_cert',
    ],
    [
      { schemaRegistryTlsClientCert: 'no PEM', schemaRegistryTlsClientKey: CLIENT.key },
      'schema_registry_tls_client_cert: a certificate is PEM, and begins with -----BEGIN CERTIFICATE-----',
    ],
    [
      { schemaRegistryTlsClientCert: CLIENT.cert, schemaRegistryTlsClientKey: CLIENT.cert },
      'schema_registry_tls_client_key: a key is PEM, and begins with -----BEGIN PRIVATE KEY-----',
    ],
    [
      { schemaRegistryTlsCa: '-----BEGIN CERTIFICATE-----' },
      'schema_registry_tls_ca: there is no whole certificate in it',
    ],
  ];
  for (const [registry, problem] of cases) {
    const options = { schemaRegistryUrl: 'https://127.0.0.1:1' };
    assert.equal(kafkaSink({ brokers: '127.0.0.1:1', options, registry: registry! }).problem, problem);
  }
});

/** A registry that counts, and answers when it is told to. */
class CountingRegistry {
  readonly asked: (readonly [subject: string, schema: string])[] = [];
  next: number | FailureOutcome = 7;

  async register(subject: string, schema: string): Promise<number> {
    this.asked.push([subject, schema]);
    await Promise.resolve();
    if (typeof this.next === 'number') return this.next;
    throw new SchemaRegistryError(this.next);
  }
}

const KEY = '{"type":"record","name":"Key","namespace":"s.public.t","fields":[]}';

function avroRecord(
  schemas: SinkRecord['schemas'] = { key: KEY, value: SCHEMA },
  value: string | null = 'v',
): SinkRecord {
  return { ...record(0, 'k', value), ...(schemas && { schemas }) };
}

test('a schema is asked for once for each topic, whoever asks meanwhile', async () => {
  const registry = new CountingRegistry();
  const ids = new SchemaIds(registry, 'topic', systemClock);
  const one = avroRecord();
  await Promise.all([ids.missing(one, 't', 100), ids.missing(avroRecord(), 't', 100)]);
  assert.equal(ids.missing(one, 't', 100), null);
  assert.deepEqual(registry.asked, [
    ['t-value', SCHEMA],
    ['t-key', KEY],
  ]);
  await ids.missing(one, 'u', 100);
  assert.deepEqual(
    registry.asked.slice(2).map(([subject]) => subject),
    ['u-value', 'u-key'],
  );
  assert.deepEqual(ids.framed(one, 't'), {
    key: Buffer.from('\0\0\0\0\x07k', 'latin1'),
    value: Buffer.from('\0\0\0\0\x07v', 'latin1'),
  });
  // A tombstone is one.
  const tombstone = avroRecord({ key: KEY, value: SCHEMA }, null);
  assert.deepEqual(ids.framed(tombstone, 't'), { key: Buffer.from('\0\0\0\0\x07k', 'latin1'), value: null });
  // What has no schema is as it is.
  assert.deepEqual(ids.framed(record(0, 'k', 'v'), 't'), { key: Buffer.from('k'), value: Buffer.from('v') });
});

test('subjects are named by topic, by record, or by both', async () => {
  for (const [strategy, key, value] of [
    ['topic', 't-key', 't-value'],
    ['record', 's.public.t.Key', 's.public.t.Value'],
    ['topic_record', 't-s.public.t.Key', 't-s.public.t.Value'],
  ] as const) {
    const registry = new CountingRegistry();
    await new SchemaIds(registry, strategy, systemClock).missing(avroRecord(), 't', 100);
    assert.deepEqual(
      registry.asked.map(([subject]) => subject),
      [value, key],
    );
  }
});

test('a refusal holds for a moment, another failure for none', async () => {
  const clock = new VirtualClock();
  const registry = new CountingRegistry();
  const ids = new SchemaIds(registry, 'topic', clock);
  const failure = (kind: FailureOutcome['class']): FailureOutcome => ({
    class: kind,
    status: null,
    code: kind,
    reason: kind,
    retryAfterMs: null,
  });
  const one = avroRecord({ key: null, value: SCHEMA });
  registry.next = failure('rejected');
  await ids.missing(one, 't', 100);
  assert.equal(ids.missing(one, 't', 100), null);
  assert.deepEqual(ids.framed(one, 't'), registry.next);
  await clock.advance(4_001);
  registry.next = failure('transient');
  await ids.missing(one, 't', 100);
  assert.deepEqual(ids.framed(one, 't'), registry.next);
  assert.notEqual(ids.missing(one, 't', 100), null);
  await clock.advance(0);
  registry.next = 9;
  await ids.missing(one, 't', 100);
  assert.equal((ids.framed(one, 't') as { value: Buffer }).value.readInt32BE(1), 9);
  assert.equal(registry.asked.length, 4);
});

test('schemas without end are not kept without end', async () => {
  const registry = new CountingRegistry();
  const ids = new SchemaIds(registry, 'topic', systemClock);
  for (let i = 0; i < 25_000; i++)
    await ids.missing(avroRecord({ key: null, value: SCHEMA + ' '.repeat(i % 3) }), `t${i}`, 100);
  assert.equal(registry.asked.length, 25_000);
  const first = avroRecord({ key: null, value: SCHEMA });
  assert.notEqual(ids.missing(first, 't0', 100), null);
});
