import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyOptionChanges, NO_CHANGES, type OptionChanges, type OptionSet } from '../../src/model/option-changes.ts';
import { DEFAULT_STREAM_OPTIONS, type StreamOptions } from '../../src/model/stream-options.ts';
import { PgError } from '../../src/postgres/sqlstate.ts';

const NEW: OptionSet = { options: DEFAULT_STREAM_OPTIONS, givenOptions: [] };

function apply(before: OptionSet, changes: Partial<OptionChanges>): OptionSet {
  return applyOptionChanges(before, { ...NO_CHANGES, ...changes });
}

test('SET sets, RESET brings back the default, and both remember what was written', () => {
  const set = apply(NEW, { set: { maxRetries: 5, batchMaxEvents: 1 } });
  assert.deepEqual(set, {
    options: { ...DEFAULT_STREAM_OPTIONS, maxRetries: 5 },
    givenOptions: ['batchMaxEvents', 'maxRetries'],
  });
  assert.deepEqual(apply(set, { reset: ['maxRetries'] }), {
    options: DEFAULT_STREAM_OPTIONS,
    givenOptions: ['batchMaxEvents'],
  });
  assert.deepEqual(apply(set, {}), set);
});

test('single headers are added, replaced in any case, and taken away', () => {
  const two = apply(NEW, { setHeaders: { 'X-A': '1', 'X-B': '2' } });
  assert.deepEqual(two.options.headers, { 'X-A': '1', 'X-B': '2' });
  assert.deepEqual(two.givenOptions, ['headers']);
  const replaced = apply(two, { setHeaders: { 'x-a': '3' } });
  assert.deepEqual(replaced.options.headers, { 'X-B': '2', 'x-a': '3' });
  const one = apply(replaced, { resetHeaders: ['X-b'] });
  assert.deepEqual(one.options.headers, { 'x-a': '3' });
  assert.deepEqual(one.givenOptions, ['headers']);
  assert.deepEqual(apply(one, { resetHeaders: ['X-A'] }), NEW);
  assert.deepEqual(apply(two, { set: { headers: {} }, setHeaders: { 'X-C': '4' } }).options.headers, { 'X-C': '4' });
});

const secret = { kind: 'secret', name: 's' } as const;
const conflicts: readonly (readonly [before: Partial<StreamOptions>, set: Partial<StreamOptions>, message: RegExp])[] =
  [
    [{ maxBackoffMs: 2000 }, { initialBackoffMs: 3000 }, /^initial_backoff is longer than max_backoff$/],
    [{ bearerToken: secret }, { basicAuth: secret }, /^bearer_token and basic_auth exclude each other$/],
    [{}, { basicAuth: secret, authHeader: secret }, /^basic_auth and auth_header exclude each other$/],
    [{}, { tlsClientKey: secret }, /^tls_client_cert and tls_client_key need each other$/],
    [
      {},
      { schemaRegistryTlsClientCert: secret },
      /^schema_registry_tls_client_cert and schema_registry_tls_client_key need each other$/,
    ],
    [{}, { headers: { a: 'x'.repeat(5000) } }, /^too many headers$/],
  ];
for (const [before, set, message] of conflicts) {
  test(`refuse: ${Object.keys(set).join(', ')} after ${Object.keys(before).join(', ') || 'nothing'}`, () => {
    const base = { ...NEW, options: { ...DEFAULT_STREAM_OPTIONS, ...before } };
    assert.throws(
      () => apply(base, { set }),
      (error) => {
        assert.ok(error instanceof PgError);
        assert.equal(error.code, '22023');
        assert.match(error.message, message);
        assert.ok(error.detail);
        return true;
      },
    );
  });
}
