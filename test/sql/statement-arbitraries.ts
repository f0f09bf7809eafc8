import fc from 'fast-check';
import type * as ast from '../../src/sql/ast.ts';
import type { QualifiedName } from '../../src/sql/command.ts';
import { findOption, isEndpointOption, OPTION_NAMES } from '../../src/sql/options.ts';

// Any statement that could have been written, as nodes; each position is 0.

const position = 0;
const at = fc.constant(position);

/** Lone surrogates have no UTF-8, so no client can send them. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('t', 'on', 'Table', 'if', 'cdc', "it's", 'a\\b', '$$', '"', '--', '/*', ';', 'é', '\u{1f600}', '\n'),
  fc.constantFrom('insert', 'secret', 'all', 'limit', 'where', 'when', 'tables', '***', '?', '(', ')'),
  fc.string({ unit: 'grapheme' }),
);
export const name: fc.Arbitrary<ast.Name> = anyText.filter((text) => text !== '').map((text) => ({ text, position }));
const names = (minLength = 1): fc.Arbitrary<readonly ast.Name[]> =>
  fc.uniqueArray(name, { minLength, maxLength: 4, selector: ({ text }) => text });
const parameter: fc.Arbitrary<ast.Parameter> = fc
  .integer({ min: 1, max: 65_535 })
  .map((index) => ({ kind: 'parameter', index, position }));
const literal: fc.Arbitrary<ast.Literal> = fc.oneof(
  anyText.map((value) => ({ kind: 'string', value, position }) as const),
  parameter,
);
const number: fc.Arbitrary<ast.NumberConstant> = fc
  .constantFrom('0', '-1', '1.5', '1e10', '0x1F', '-.5')
  .map((text) => ({ kind: 'number', text, position }));
const value: fc.Arbitrary<ast.OptionValue> = fc.oneof(
  literal,
  number,
  fc
    .constantFrom('on', 'true', 'select', 'gzip', 'é$1', 'secret')
    .map((text) => ({ kind: 'word', text, position }) as const),
  name.map((secret) => ({ kind: 'secret', name: secret, position }) as const),
);
const HEADERS = ['header.X-Foo', 'header.y', 'header.a"b'];
const optionsOf = (allowed: readonly string[]): fc.Arbitrary<readonly ast.Option[]> =>
  fc.uniqueArray(
    fc.record({ name: fc.constantFrom(...allowed).map((text) => ({ text, position })), value: fc.option(value) }),
    { selector: ({ name: { text } }) => findOption(text) ?? text, maxLength: 5 },
  );
/** Kafka's stand with Kafka only, and a webhook's with webhooks. */
const WEBHOOK_OPTIONS = OPTION_NAMES.filter((option) => findOption(option)!.destination !== 'kafka');
const KAFKA_OPTIONS = OPTION_NAMES.filter((option) => findOption(option)!.destination !== 'webhook');
const ENDPOINT_OPTIONS = OPTION_NAMES.filter((option) => isEndpointOption(findOption(option)!));
const webhookOptions = optionsOf([...WEBHOOK_OPTIONS, ...HEADERS]);
const kafkaOptions = optionsOf(KAFKA_OPTIONS);
const anyOptions = optionsOf([...OPTION_NAMES, ...HEADERS]).filter((list) => list.length > 0);
const endpointOptions = optionsOf([...ENDPOINT_OPTIONS, ...HEADERS]);
const nonEmpty = <T>(list: fc.Arbitrary<readonly T[]>): fc.Arbitrary<readonly T[]> =>
  list.filter(({ length }) => length > 0);

const table: fc.Arbitrary<QualifiedName> = fc
  .tuple(fc.option(name), name)
  .map(([schema, { text }]) => ({ schema: schema?.text ?? null, name: text, position }));

/** Balanced, of tokens that try to look like something else, with comments between but not around them. */
const atom = fc.constantFrom(
  'a',
  '"("',
  "'it''s )'",
  "E'\\')'",
  '$$)$$',
  '$x$ \\ $x$',
  '=',
  '::',
  '42',
  'U&"x("',
  'where',
  'when',
  ';',
  '$1',
  '$65535',
);
const gap = fc.constantFrom(' ', '\n', ' /* ) /* ( */ */ ', ' -- )\n', '  ');
const predicateText: fc.Arbitrary<string> = fc.letrec<{ group: string; list: string }>((tie) => ({
  group: fc.oneof(
    { maxDepth: 4 },
    atom,
    fc.constantFrom('()'),
    tie('list').map((inner) => `(${inner})`),
  ),
  list: fc
    .tuple(tie('group'), fc.array(fc.tuple(gap, tie('group')), { maxLength: 4 }))
    .map(([first, rest]) => first + rest.flat().join('')),
})).list;
export const predicate: fc.Arbitrary<ast.Predicate> = predicateText
  // A constant would go on behind a line end.
  .filter((text) => !/'\s*(--[^\n]*\s*)?\n\s*'/.test(text))
  .map((text) => ({
    kind: 'predicate',
    text,
    parameters: [...text.matchAll(/\$(1|65535)(?![$\w])/g)].map(([, index]) => Number(index)),
    position,
  }));

const item: fc.Arbitrary<ast.TableItem> = fc.record({
  table,
  columns: fc.option(names()),
  where: fc.option(predicate),
});
const items = fc.array(item, { minLength: 1, maxLength: 3 });
const source: fc.Arbitrary<ast.SourceNode> = fc.oneof(
  fc.record({ kind: fc.constant('tables' as const), items, position: at }),
  fc.record({ kind: fc.constant('schemas' as const), schemas: names(), position: at }),
  fc.record({ kind: fc.constant('all-tables' as const), position: at }),
);
const webhook = fc.record({ kind: fc.constant('webhook' as const), url: literal, position: at });
const endpoint = fc.record({ kind: fc.constant('endpoint' as const), name, position: at });
const kafka = (topic: fc.Arbitrary<ast.Literal | null>) =>
  fc.record({ kind: fc.constant('kafka' as const), brokers: literal, topic, position: at });
const kinesis = (region: fc.Arbitrary<ast.Literal | null>) =>
  fc.record({ kind: fc.constant('kinesis' as const), stream: literal, region, position: at });
const aimed = fc.oneof(
  fc.record({ destination: fc.oneof(webhook, endpoint, kinesis(fc.option(literal))), options: webhookOptions }),
  fc.record({ destination: kafka(fc.option(literal)), options: kafkaOptions }),
);

const choice = <T extends string>(...words: T[]): fc.Arbitrary<ast.Choice<T>> =>
  fc.constantFrom(...words).map((word) => ({ value: word, position }));
const format = choice('json', 'avro');
const envelope = choice('native', 'debezium', 'flat', 'cloudevents');
const transform: fc.Arbitrary<ast.Transform> = fc.record({
  language: fc.constantFrom('jsonpath' as const, 'template' as const),
  text: literal,
  position: at,
});
const operations: fc.Arbitrary<readonly ast.Operation[]> = fc
  .tuple(fc.subarray(['insert', 'update', 'delete', 'truncate'] as const, { minLength: 1 }), fc.option(names()))
  .map(([words, columns]) =>
    words.map((word) => ({ name: word, columns: word === 'update' ? columns : null, position })),
  );

/** A default name is only for one table, and for a stream that is new. */
function isNamed({ name: given, source: of, orReplace, ifNotExists }: ast.CreateStream): boolean {
  return given !== null || (of.kind === 'tables' && of.items.length === 1 && !orReplace && !ifNotExists);
}

export const createStream: fc.Arbitrary<ast.CreateStream> = fc
  .record({
    kind: fc.constant('create-stream' as const),
    orReplace: fc.boolean(),
    ifNotExists: fc.boolean(),
    name: fc.option(fc.oneof(name, parameter)),
    source,
    aimed,
    format: fc.option(format),
    envelope: fc.option(envelope),
    operations: fc.option(operations),
    when: fc.option(predicate),
    transform: fc.option(transform),
    key: fc.option(names()),
    comment: fc.option(literal),
  })
  .map(({ aimed: given, ...rest }) => ({ ...rest, ...given }))
  .filter(isNamed);

const setOptions = (list: fc.Arbitrary<readonly ast.Option[]>) =>
  fc.record({ kind: fc.constant('set-options' as const), options: nonEmpty(list) });
const resetOptions = (list: fc.Arbitrary<readonly ast.Option[]>) =>
  fc.record({
    kind: fc.constant('reset-options' as const),
    names: nonEmpty(list).map((given) => given.map((option) => option.name)),
  });
const rename = fc.record({ kind: fc.constant('rename' as const), to: name });
const owner = fc.record({
  kind: fc.constant('owner' as const),
  role: fc.oneof(
    name,
    fc
      .constantFrom('current_role', 'current_user', 'session_user')
      .map((text) => ({ kind: 'word', text, position }) as const),
  ),
});
const streamAction: fc.Arbitrary<ast.StreamAction> = fc.oneof(
  fc
    .constantFrom('pause' as const, 'resume' as const, 'restart' as const, 'reset-circuit' as const)
    .map((kind) => ({ kind })),
  setOptions(anyOptions),
  resetOptions(anyOptions),
  rename,
  owner,
  fc.record({ kind: fc.constant('add-tables' as const), items }),
  fc.record({ kind: fc.constant('drop-tables' as const), tables: fc.array(table, { minLength: 1 }) }),
  fc.record({
    kind: fc.constant('set-destination' as const),
    destination: fc.oneof(webhook, endpoint, kafka(fc.option(literal)), kinesis(fc.constant(null))),
  }),
  fc.record({ kind: fc.constant('set-format' as const), format }),
  fc.record({ kind: fc.constant('set-envelope' as const), envelope }),
  fc.record({ kind: fc.constant('set-when' as const), when: predicate }),
  fc.record({ kind: fc.constant('set-transform' as const), transform }),
  fc.record({ kind: fc.constant('skip-event' as const), id: literal }),
);
const endpointAction: fc.Arbitrary<ast.EndpointAction> = fc.oneof(
  fc.record({ kind: fc.constant('set-url' as const), url: literal, options: endpointOptions }),
  setOptions(endpointOptions) as fc.Arbitrary<ast.EndpointAction>,
  resetOptions(endpointOptions) as fc.Arbitrary<ast.EndpointAction>,
  rename,
  owner,
);
const count = fc.option(fc.oneof(number, literal));

const kinds = <T extends string>(...all: T[]): fc.Arbitrary<T> => fc.constantFrom(...all);

/** Any statement of ours. */
export const statement: fc.Arbitrary<ast.Statement> = fc.oneof(
  { weight: 6, arbitrary: createStream },
  fc.record({ kind: kinds('explain-create-stream'), create: createStream }),
  { weight: 4, arbitrary: fc.record({ kind: kinds('alter-stream'), name, action: streamAction }) },
  fc.record({
    kind: kinds('alter-stream'),
    name: fc.constant(null),
    action: kinds('pause', 'resume').map((kind) => ({ kind })),
  }),
  fc.record({
    kind: kinds('drop-streams', 'drop-endpoints', 'drop-secrets'),
    ifExists: fc.boolean(),
    names: fc.array(name, { minLength: 1 }),
  }),
  fc.record({
    kind: kinds('create-endpoint'),
    orReplace: fc.boolean(),
    ifNotExists: fc.boolean(),
    name,
    url: literal,
    options: endpointOptions,
  }),
  fc.record({ kind: kinds('alter-endpoint'), name, action: endpointAction }),
  fc.record({
    kind: kinds('create-secret'),
    ifNotExists: fc.boolean(),
    name,
    origin: fc.oneof(
      fc.record({ kind: kinds('value'), value: literal }),
      fc.record({ kind: kinds('env'), variable: literal }),
      fc.record({ kind: kinds('file'), path: literal }),
    ),
  }),
  fc.record({ kind: kinds('alter-secret'), name, value: literal, keepOldFor: fc.option(literal) }),
  fc.record({ kind: kinds('comment-on-stream'), name, comment: fc.option(literal) }),
  fc.record({ kind: kinds('show-streams'), like: fc.option(literal) }),
  fc.record({
    kind: kinds(
      'show-stream-status',
      'show-create-stream',
      'show-create-endpoint',
      'show-stream-tables',
      'show-stream-options',
      'show-stream-history',
      'cancel-backfill',
    ),
    name,
  }),
  fc.record({ kind: kinds('show-deliveries', 'show-dead-letters'), stream: fc.option(name), limit: count }),
  fc.record({
    kind: kinds('show-endpoints', 'show-secrets', 'show-slots', 'show-settings', 'show-version', 'check'),
  }),
  fc.record({
    kind: kinds('test'),
    target: fc.oneof(
      fc.record({ kind: kinds('stream'), name }),
      fc.record({ kind: kinds('endpoint'), name }),
      fc.record({ kind: kinds('webhook'), url: literal }),
    ),
  }),
  fc.record({ kind: kinds('peek-stream'), name, limit: count }),
  fc.record({ kind: kinds('backfill-stream'), name, table: fc.option(table), where: fc.option(predicate) }),
  fc.record({
    kind: kinds('replay-stream'),
    name,
    from: fc.oneof(
      fc.record({ kind: kinds('since'), time: literal }),
      fc.record({ kind: kinds('lsn'), from: literal, to: fc.option(literal) }),
    ),
  }),
  fc.record({ kind: kinds('retry-dead-letters', 'discard-dead-letters'), stream: name, id: fc.option(literal) }),
);
