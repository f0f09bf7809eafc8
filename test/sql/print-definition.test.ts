import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeDefinition, encodeDefinition } from '../../src/catalog/definition-json.ts';
import type { StreamDeclaration } from '../../src/model/stream.ts';
import { unknownPlaceholder } from '../../src/model/placeholders.ts';
import { DEFAULT_STREAM_OPTIONS, type OptionKey, type StreamOptions } from '../../src/model/stream-options.ts';
import { analyze } from '../../src/sql/analyze.ts';
import type { CreateStreamCommand, PlacedName, SourceRequest } from '../../src/sql/command.ts';
import { optionOf } from '../../src/sql/options.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { printDefinition, printShownDefinition } from '../../src/sql/print-definition.ts';
import { exampleStream } from '../support/example-stream.ts';
import { anyText, predicate } from './statement-arbitraries.ts';

// The law: the statement that is printed of a definition makes the same definition.

const name = anyText.filter((text) => text !== '' && Buffer.byteLength(text) < 64 && !text.includes('\0'));
const names = fc.uniqueArray(name, { minLength: 1, maxLength: 3 });
const condition = fc.option(predicate.filter(({ parameters }) => parameters.length === 0).map(({ text }) => text));

const table = fc.record({
  oid: fc.constant(16_400),
  schema: name,
  name,
  keyColumns: fc.constant([]),
  columns: fc.option(names),
  where: condition,
});
const headerValue = fc.oneof(
  fc.stringMatching(/^[ -~]{0,9}$/).filter((value) => unknownPlaceholder(value) === null),
  fc.constantFrom('{schema}.{table}', 'for {database}/{stream}: {op}', '{"a": 1}'),
);
const headers = fc.dictionary(fc.stringMatching(/^x-[a-z]{1,5}$/), headerValue, {
  maxKeys: 3,
  noNullPrototype: true,
});
const builtOptions: fc.Arbitrary<Partial<StreamOptions>> = fc.record(
  {
    batchMaxEvents: fc.integer({ min: 1, max: 10_000 }),
    batchMaxBytes: fc.integer({ min: 1024, max: 67_108_864 }),
    maxInFlight: fc.integer({ min: 1, max: 10_000 }),
    requestTimeoutMs: fc.integer({ min: 1, max: 3_600_000 }),
    maxRetries: fc.nat(1_000_000),
    initialBackoffMs: fc.integer({ min: 1, max: 1000 }),
    maxBackoffMs: fc.integer({ min: 1000, max: 604_800_000 }),
    headers,
    // What is not built yet may be given its default.
    ordering: fc.constant(DEFAULT_STREAM_OPTIONS.ordering),
    batchMaxDelayMs: fc.constant(DEFAULT_STREAM_OPTIONS.batchMaxDelayMs),
    circuitBreaker: fc.constant(true),
    method: fc.constant('POST' as const),
    pathTemplate: fc.constant(''),
    maxBytesPerSecond: fc.constant(0),
    retentionMs: fc.constant(0),
  },
  { requiredKeys: [] },
);
/** Of a stream to a webhook. */
const isBuilt = (key: OptionKey): boolean => optionOf(key).destination !== 'kafka';

const declaration: fc.Arbitrary<StreamDeclaration & { readonly name: string }> = fc
  .record({
    name,
    scope: fc.oneof(
      fc.constant({ kind: 'tables' as const }),
      names.map((schemas) => ({ kind: 'schemas' as const, schemas })),
      fc.constant({ kind: 'all-tables' as const }),
    ),
    // A statement that names a table twice is refused.
    tables: fc.uniqueArray(table, {
      minLength: 1,
      maxLength: 3,
      selector: ({ schema, name: tableName }) => JSON.stringify([schema, tableName]),
    }),
    destination: fc.oneof(
      fc.webUrl({ withQueryParameters: true }).map((url) => ({ kind: 'webhook' as const, url })),
      name.map((endpoint) => ({ kind: 'endpoint' as const, name: endpoint })),
    ),
    format: fc.constant('json' as const),
    envelope: fc.constantFrom('native' as const, 'debezium' as const, 'flat' as const, 'cloudevents' as const),
    operations: fc.option(
      fc
        .tuple(fc.subarray(['insert', 'update', 'delete', 'truncate'] as const, { minLength: 1 }), fc.option(names))
        .map(([all, of]) => all.map((one) => ({ name: one, columns: one === 'update' ? of : null }))),
    ),
    when: condition,
    transform: fc.option(
      fc
        .tuple(fc.constantFrom('jsonpath' as const, 'template' as const), anyText)
        .map(([language, text]) => ({ language, text })),
    ),
    orderingKey: fc.option(names),
    comment: fc.option(anyText),
    given: builtOptions,
  })
  .map(({ given, ...rest }) => {
    const options: StreamOptions = { ...DEFAULT_STREAM_OPTIONS, ...given };
    const givenOptions = (Object.keys(DEFAULT_STREAM_OPTIONS) as OptionKey[]).filter((key) => key in given);
    return { ...rest, options, givenOptions };
  });

const plain = (placed: readonly PlacedName[] | null): readonly string[] | null =>
  placed?.map((one) => one.name) ?? null;

function sourceOf(source: SourceRequest): unknown {
  if (source.kind !== 'tables') return source.kind === 'schemas' ? plain(source.schemas) : source.kind;
  return source.items.map(({ table: { schema, name: tableName }, columns, where }) => {
    return { schema, name: tableName, columns: plain(columns), where: where?.text ?? null };
  });
}

function parts(command: CreateStreamCommand): unknown {
  const { destination, format, envelope, transform, comment, options, givenOptions } = command;
  return {
    name: command.name,
    source: sourceOf(command.source),
    operations: command.operations?.map((one) => ({ name: one.name, columns: plain(one.columns) })) ?? null,
    when: command.when?.text ?? null,
    orderingKey: plain(command.key),
    destination,
    format,
    envelope,
    transform: transform === null ? null : { language: transform.language, text: transform.text },
    comment,
    options,
    givenOptions,
  };
}

function partsOf(stream: StreamDeclaration & { readonly name: string }): unknown {
  const { scope, tables, ...rest } = stream;
  const items = tables.map(({ schema, name: tableName, columns, where }) => ({
    schema,
    name: tableName,
    columns,
    where,
  }));
  const other = scope.kind === 'schemas' ? scope.schemas : scope.kind;
  return { ...rest, source: scope.kind === 'tables' ? items : other };
}

test('a printed definition makes the same definition, and prints as itself', () => {
  let options = 0;
  fc.assert(
    fc.property(declaration, (stream) => {
      const text = printDefinition(stream);
      const command = analyze(parseStatement(text), []);
      assert.ok(command.kind === 'create-stream');
      assert.deepEqual(parts(command), partsOf(stream));
      options += stream.givenOptions.filter(isBuilt).length;
    }),
    { numRuns: 2000 },
  );
  assert.ok(options > 1000);
});

test('every option is printed as the option table reads it', () => {
  const given: Partial<StreamOptions> = {
    ordering: 'table',
    circuitBreaker: false,
    signingSecret: { kind: 'secret', name: 'k' },
    startLsn: '16/B374D848',
    pathTemplate: '/{table}',
    maxBytesPerSecond: 1536,
    retentionMs: 604_800_000,
    connectTimeoutMs: 1500,
  };
  const stream = exampleStream({
    options: { ...DEFAULT_STREAM_OPTIONS, ...given },
    givenOptions: Object.keys(given) as OptionKey[],
  });
  assert.match(
    printDefinition(stream),
    /WITH \(ordering = 'table', circuit_breaker = false, signing_secret = SECRET k, start_lsn = '16\/B374D848', path_template = '\/\{table\}', max_bytes_per_second = '1536B', retention = '7d', connect_timeout = '1500ms'\)$/,
  );
});

test('what a client sees has no credential of URL or headers', () => {
  const options = {
    ...DEFAULT_STREAM_OPTIONS,
    headers: { Authorization: 'hunter2', 'X-Api-Key': 'hunter2', 'X-A': 'a' },
  };
  const destination = { kind: 'webhook', url: 'https://h/hook?token=hunter2' } as const;
  const stream = exampleStream({ options, destination, givenOptions: ['headers'] });
  const { text, isRedacted } = printShownDefinition(stream);
  assert.ok(isRedacted);
  assert.equal(
    text,
    `CREATE CDC STREAM orders_cdc_stream ON public.orders TO WEBHOOK 'https://h/hook?token=***' FORMAT JSON ENVELOPE NATIVE ` +
      `WITH (headers = '{"Authorization":"***","X-Api-Key":"***","X-A":"a"}')`,
  );
  assert.match(printDefinition(stream), /hunter2/);
  const harmless = exampleStream({});
  assert.deepEqual(printShownDefinition(harmless), { text: printDefinition(harmless), isRedacted: false });
});

test('a definition of an earlier version is read with what it does not say as the default', () => {
  const later = ['scope', 'operations', 'when', 'transform', 'orderingKey', 'comment', 'givenOptions'];
  const before = Object.fromEntries(Object.entries(exampleStream({})).filter(([key]) => !later.includes(key)));
  const oldTable = { oid: 16_384, schema: 'public', name: 'orders', keyColumns: ['id'] };
  const stored = JSON.stringify({
    ...before,
    startLsn: '0/10',
    tables: [oldTable],
    options: { batchMaxEvents: 5, headers: {} },
  });
  assert.deepEqual(decodeDefinition(stored), {
    ...exampleStream({ startLsn: 16n }),
    options: { ...DEFAULT_STREAM_OPTIONS, batchMaxEvents: 5 },
    givenOptions: ['batchMaxEvents'],
  });
  const now = exampleStream({ when: 'NEW.a', givenOptions: ['maxInFlight'] });
  assert.deepEqual(decodeDefinition(encodeDefinition(now)), now);
});
