import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import type { CurrentSecret } from '../../src/catalog/secrets.ts';
import { digestOfSecrets, resolveStreams } from '../../src/engine/resolve-stream.ts';
import { readStreamMessage } from '../../src/engine/stream-message.ts';
import type { EndpointDefinition } from '../../src/model/endpoint.ts';
import type { ResolvedStream } from '../../src/model/resolved-stream.ts';
import { SecretValue } from '../../src/model/secret.ts';
import { DEFAULT_STREAM_OPTIONS, type EndpointOptions, type StreamOptions } from '../../src/model/stream-options.ts';
import type { StreamDefinition } from '../../src/model/stream.ts';
import { exampleStream } from '../support/example-stream.ts';

// What an endpoint says holds where the stream has not said its own; a secret's values reach delivery, and show nowhere.

function catalog(secrets: Record<string, CurrentSecret>, options: EndpointOptions = {}) {
  const endpoint = {
    id: 'e',
    name: 'billing',
    url: 'https://billing.example/hook',
    options,
    owner: 'o',
    createdAtMs: 0,
  };
  const asked: string[] = [];
  return {
    asked,
    endpoint: () => endpoint as unknown as EndpointDefinition,
    currentSecret: (name: string) => {
      asked.push(name);
      return secrets[name]!;
    },
  };
}

function stream(given: Partial<StreamOptions>, isOfEndpoint = true): StreamDefinition {
  return exampleStream({
    options: { ...DEFAULT_STREAM_OPTIONS, ...given },
    givenOptions: Object.keys(given) as (keyof StreamOptions)[],
    ...(isOfEndpoint ? { destination: { kind: 'endpoint', name: 'billing' } } : {}),
  });
}

function resolved(definition: StreamDefinition, from: ReturnType<typeof catalog>): ResolvedStream {
  const [message] = resolveStreams([definition], from, 0);
  // As it goes from thread to thread.
  return readStreamMessage(structuredClone(message!));
}

const found = (...texts: string[]): CurrentSecret => ({
  values: texts.map((text) => new SecretValue(text)),
  problem: null,
  hasNewest: true,
});

test('an endpoint’s options hold where the stream does not give the option itself, even as its default', () => {
  const from = catalog({}, { method: 'PUT', compression: 'gzip', requestTimeoutMs: 1_000, sourceHeaders: false });
  const { options, destination } = resolved(stream({ compression: 'none', maxInFlight: 3 }), from);
  assert.deepEqual(destination, { kind: 'webhook', url: 'https://billing.example/hook' });
  assert.deepEqual(
    [options.method, options.compression, options.requestTimeoutMs, options.sourceHeaders, options.maxInFlight],
    ['PUT', 'none', 1_000, false, 3],
  );
});

test('headers are merged one by one, the stream’s before the endpoint’s', () => {
  const from = catalog({}, { headers: { 'X-Team': 'endpoint', 'X-Region': 'eu' } });
  const { options } = resolved(stream({ headers: { 'x-team': 'stream' } }), from);
  assert.deepEqual(options.headers, { 'X-Region': 'eu', 'x-team': 'stream' });
});

test('a stream with a way to authenticate of its own has not the endpoint’s besides', () => {
  const reference = (name: string) => ({ kind: 'secret', name }) as const;
  const from = catalog(
    { s: found('own'), e: found('endpoint') },
    { bearerToken: reference('e'), signingSecret: reference('e') },
  );
  const { options, secrets } = resolved(stream({ basicAuth: reference('s') }), from);
  assert.equal(options.bearerToken, null);
  assert.deepEqual(Object.keys(secrets!).toSorted(), ['basicAuth', 'signingSecret']);
});

test('a stream of a URL takes nothing from any endpoint', () => {
  const from = catalog({}, { method: 'PUT' });
  assert.equal(resolved(stream({}, false), from).options.method, 'POST');
});

test('all values of a secret reach delivery, newest first, and print as ***', () => {
  const from = catalog({ s: found('newest', 'older') });
  const definition = stream({ signingSecret: { kind: 'secret', name: 's' } }, false);
  const { secrets } = resolved(definition, from);
  assert.deepEqual(
    secrets!.signingSecret!.values.map((value) => value.reveal().toString()),
    ['newest', 'older'],
  );
  const shown = `${inspect(secrets, { depth: 9 })}${JSON.stringify(secrets)}`;
  assert.ok(!/newest|older/.test(shown), shown);
});

test('the newest value decides whether a secret can be had', () => {
  const without: CurrentSecret = {
    values: [new SecretValue('old')],
    problem: 'file /x: it does not exist',
    hasNewest: false,
  };
  const rest: CurrentSecret = { ...without, hasNewest: true };
  const named = stream({ bearerToken: { kind: 'secret', name: 's' } }, false);
  assert.equal(
    resolved(named, catalog({ s: without })).secrets!.bearerToken!.problem,
    'secret "s": file /x: it does not exist',
  );
  assert.equal(resolved(named, catalog({ s: rest })).secrets!.bearerToken!.problem, null);
  const literal = stream({ bearerToken: { kind: 'secret', name: 'literal 1', unnamed: true } }, false);
  const { problem } = resolved(literal, catalog({ 'literal 1': without })).secrets!.bearerToken!;
  assert.equal(problem, 'file /x: it does not exist', 'a literal has no name that anybody knows');
});

test('a secret of many streams is looked up once, and the digest changes with its value or its problem alone', () => {
  const definition = stream({ bearerToken: { kind: 'secret', name: 's' } }, false);
  const from = catalog({ s: found('v') });
  const messages = resolveStreams([definition, { ...definition, id: 'other' }], from, 0);
  assert.deepEqual(from.asked, ['s']);
  const digest = (secret: CurrentSecret, of = definition): string =>
    digestOfSecrets(resolveStreams([of], catalog({ s: secret }), 0));
  assert.equal(digest(found('v')), digest(found('v'), { ...definition, comment: 'another' }));
  const all = [found('v'), found('w'), found('v', 'w'), { ...found(), problem: 'gone', hasNewest: false }].map((one) =>
    digest(one),
  );
  assert.equal(new Set(all).size, 4);
  assert.match(digestOfSecrets(messages), /^[0-9a-f]{64}$/);
});
