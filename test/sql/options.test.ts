import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_STREAM_OPTIONS, ENDPOINT_OPTION_KEYS, type StreamOptions } from '../../src/model/stream-options.ts';
import { STREAM_OPTIONS } from '../../src/sql/option-table.ts';
import { findOption, headerFault, OPTION_NAMES, optionOf, optionReference, readOption } from '../../src/sql/options.ts';

test('every option has its place in the table, and its default is the one that the table tells', () => {
  assert.deepEqual(STREAM_OPTIONS.map(({ key }) => key).sort(), Object.keys(DEFAULT_STREAM_OPTIONS).sort());
  for (const [key, value] of Object.entries(DEFAULT_STREAM_OPTIONS)) {
    const option = optionOf(key as keyof StreamOptions);
    if (option.default === null) assert.equal(value, null, option.name);
    else assert.deepEqual(readOption(option.name, option.default), { value }, option.name);
  }
});

test('the defaults are those of the design', () => {
  const shown = Object.entries(DEFAULT_STREAM_OPTIONS).filter(([, value]) => value !== null && value !== '');
  assert.deepEqual(Object.fromEntries(shown), {
    batchMaxEvents: 1,
    batchMaxBytes: 1_048_576,
    batchMaxDelayMs: 0,
    ordering: 'key',
    maxInFlight: 16,
    requestTimeoutMs: 30_000,
    connectTimeoutMs: 5000,
    maxRetries: 0,
    maxRetryDurationMs: 86_400_000,
    initialBackoffMs: 1000,
    maxBackoffMs: 300_000,
    onExhausted: 'dead_letter',
    onDeadLetter: 'continue',
    onOversize: 'thin',
    maxEventBytes: 1_048_576,
    circuitBreaker: true,
    maxRequestsPerSecond: 0,
    maxBytesPerSecond: 0,
    compression: 'none',
    method: 'POST',
    headers: {},
    idempotencyHeader: 'Idempotency-Key',
    sourceHeaders: true,
    sourceSchemaHeader: 'X-Source-Schema',
    sourceTableHeader: 'X-Source-Table',
    tlsInsecureSkipVerify: false,
    initialScan: 'no',
    retentionMs: 0,
    onGap: 'halt',
    gapEvents: false,
    unchangedToast: 'omit',
    numbers: 'string',
    includeTransaction: true,
    schemaChangePolicy: 'continue',
    validate: true,
    acks: 'all',
    clientId: 'walhook',
    saslMechanism: 'none',
    tls: false,
    partitioner: 'murmur2',
    schemaRegistrySubjects: 'topic',
  });
});

const taken: readonly (readonly [name: string, text: string, key: keyof StreamOptions, value: unknown])[] = [
  ['batch_max_events', '1', 'batchMaxEvents', 1],
  ['batch_size', ' 10000 ', 'batchMaxEvents', 10_000],
  ['max_batch_size', '+7', 'batchMaxEvents', 7],
  ['batch_max_bytes', '2048', 'batchMaxBytes', 2048],
  ['batch_max_bytes', '1 kB', 'batchMaxBytes', 1024],
  ['max_payload_bytes', '1.5MB', 'batchMaxBytes', 1_572_864],
  ['batch_max_bytes', '5000B', 'batchMaxBytes', 5000],
  ['max_in_flight', '1', 'maxInFlight', 1],
  ['request_timeout', '500ms', 'requestTimeoutMs', 500],
  ['request_timeout', '1.5 seconds', 'requestTimeoutMs', 1500],
  ['timeout', '5min', 'requestTimeoutMs', 300_000],
  ['timeout', '00:01:30', 'requestTimeoutMs', 90_000],
  ['timeout', '0:00:00.25', 'requestTimeoutMs', 250],
  ['timeout', '00:10', 'requestTimeoutMs', 600_000],
  ['timeout_secs', '30', 'requestTimeoutMs', 30_000],
  ['timeout_secs', '0.5', 'requestTimeoutMs', 500],
  ['max_retries', '-0', 'maxRetries', 0],
  ['initial_backoff', '24h', 'initialBackoffMs', 86_400_000],
  ['max_backoff', '1d', 'maxBackoffMs', 86_400_000],
  ['max_backoff', '1 day 2h 00:00:01', 'maxBackoffMs', 93_601_000],
  ['batch_max_delay', '0', 'batchMaxDelayMs', 0],
  ['batch_max_delay', '50ms', 'batchMaxDelayMs', 50],
  ['ordering', 'KEY', 'ordering', 'key'],
  ['ordering', ' none ', 'ordering', 'none'],
  ['max_retry_duration', '0', 'maxRetryDurationMs', 0],
  ['max_retry_duration', '7d', 'maxRetryDurationMs', 604_800_000],
  ['on_exhausted', 'pause', 'onExhausted', 'pause'],
  ['on_dead_letter', 'block_key', 'onDeadLetter', 'block_key'],
  ['on_oversize', 'send', 'onOversize', 'send'],
  ['max_event_bytes', '2MB', 'maxEventBytes', 2_097_152],
  ['circuit_breaker', 'off', 'circuitBreaker', false],
  ['circuit_breaker', 'T', 'circuitBreaker', true],
  ['circuit_breaker', '0', 'circuitBreaker', false],
  ['circuit_breaker', 'n', 'circuitBreaker', false],
  ['max_requests_per_second', '5', 'maxRequestsPerSecond', 5],
  ['max_bytes_per_second', '1MB', 'maxBytesPerSecond', 1_048_576],
  ['max_bytes_per_second', '0', 'maxBytesPerSecond', 0],
  ['compression', 'zstd', 'compression', 'zstd'],
  ['method', 'put', 'method', 'PUT'],
  ['path_template', '/{schema}/{table}?op={op}', 'pathTemplate', '/{schema}/{table}?op={op}'],
  ['path_template', '/{key.tenant_id}/{table}', 'pathTemplate', '/{key.tenant_id}/{table}'],
  ['path_template', '', 'pathTemplate', ''],
  ['headers', '{"X-A": "{key.id}"}', 'headers', { 'X-A': '{key.id}' }],
  ['idempotency_header', '', 'idempotencyHeader', ''],
  ['source_schema_header', 'X-Schema', 'sourceSchemaHeader', 'X-Schema'],
  ['snapshot', 'only', 'initialScan', 'only'],
  ['initial_scan', 'yes', 'initialScan', 'yes'],
  ['start_lsn', '16/b374d848', 'startLsn', '16/B374D848'],
  ['retention', '7d', 'retentionMs', 604_800_000],
  ['numbers', 'number', 'numbers', 'number'],
  ['acks', '1', 'acks', '1'],
  ['sasl_mechanism', 'SCRAM-SHA-256', 'saslMechanism', 'scram-sha-256'],
  ['topic_template', '{schema}.{table}', 'topicTemplate', '{schema}.{table}'],
  ['schema_registry_url', 'https://registry:8081/v1', 'schemaRegistryUrl', 'https://registry:8081/v1'],
  ['schema_registry_subjects', 'TOPIC_RECORD', 'schemaRegistrySubjects', 'topic_record'],
  ['headers', '{}', 'headers', {}],
  ['headers', '{"X-A": "{schema}.{table}-{op}"}', 'headers', { 'X-A': '{schema}.{table}-{op}' }],
  ['headers', '{"X-A": "{\\"table\\": 1} {} { op }"}', 'headers', { 'X-A': '{"table": 1} {} { op }' }],
  ['headers', '{"Authorization": "Bearer x", "X-A": ""}', 'headers', { Authorization: 'Bearer x', 'X-A': '' }],
];

for (const [name, text, key, value] of taken) {
  test(`${name} = ${text}`, () => {
    assert.deepEqual(readOption(name, text), { value });
    assert.equal(findOption(name)?.key, key);
  });
}

test('a header may be called what it likes', () => {
  const reading = readOption('headers', '{"__proto__": "a", "constructor": "b"}');
  assert.ok('value' in reading);
  assert.deepEqual(Object.entries(reading.value as object), [
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ]);
});

const INTERVAL = /^Write the unit, as in/;
const UNITS = /^Valid units are "B", "kB", "MB", and "GB"\.$/;
const JSON_OBJECT = /^Write a JSON object/;

const refused: readonly (readonly [name: string, text: string, hint: RegExp | null])[] = [
  ['batch_max_events', '0', null],
  ['batch_max_events', '10001', null],
  ['batch_max_events', '1.5', null],
  ['batch_max_events', 'ten', null],
  ['batch_max_events', '', null],
  ['batch_max_events', '9'.repeat(400), null],
  ['batch_max_bytes', '1023', null],
  ['batch_max_bytes', '65MB', null],
  ['batch_max_bytes', '1mb', UNITS],
  ['batch_max_bytes', '1 constructor', UNITS],
  ['batch_max_bytes', '-1MB', UNITS],
  ['batch_max_bytes', '', UNITS],
  ['request_timeout', '30', INTERVAL],
  ['request_timeout', '', INTERVAL],
  ['request_timeout', '30 parsecs', INTERVAL],
  ['request_timeout', '30 constructor', INTERVAL],
  ['request_timeout', '-30s', INTERVAL],
  ['request_timeout', '00:60:00', INTERVAL],
  ['request_timeout', '1:2', INTERVAL],
  ['request_timeout', '0s', null],
  ['request_timeout', '0.1ms', null],
  ['request_timeout', '61min', null],
  ['timeout_secs', '30s', /seconds/],
  ['timeout_secs', '0', null],
  ['max_retries', '-1', null],
  ['batch_max_delay', '-1ms', INTERVAL],
  ['batch_max_delay', '2h', null],
  ['ordering', 'keys', null],
  ['ordering', '', null],
  ['circuit_breaker', 'maybe', null],
  ['circuit_breaker', '', null],
  ['circuit_breaker', '2', null],
  ['circuit_breaker', 'o', null],
  ['compression', 'lzma', null],
  ['method', 'GET', null],
  ['path_template', '/{column}', null],
  ['path_template', '/{key.}', null],
  ['path_template', '/{key.a-b}', null],
  ['path_template', '/a b', null],
  ['path_template', '/#x', null],
  ['path_template', '/\r\nX: y', null],
  ['idempotency_header', 'a b', null],
  ['source_table_header', '', null],
  ['start_lsn', 'now', null],
  ['start_lsn', '0/123456789', null],
  ['max_bytes_per_second', '1TB', UNITS],
  ['client_id', 'a\nb', null],
  ['topic_template', 'a b', null],
  ['headers', '', JSON_OBJECT],
  ['headers', '[]', JSON_OBJECT],
  ['headers', 'null', JSON_OBJECT],
  ['headers', '"x"', JSON_OBJECT],
  ['headers', '{"a": 1}', /^The value of header "a" is not a string/],
  ['headers', '{"a": "x\\r\\ny: z"}', /^The value of header "a" has characters/],
  ['headers', '{"a": "\\u0000"}', /^The value of header "a" has characters/],
  ['headers', '{"a": "é"}', /^The value of header "a" has characters/],
  ['headers', '{"a": "x{tabel}"}', /^The value of header "a" has a word in braces .* did you mean \{table\}\?$/],
  [
    'headers',
    '{"a": "{row.id}"}',
    /There are \{database\}, \{schema\}, \{table\}, \{op\}, \{stream\}, \{key\.column\}\.$/,
  ],
  ['headers', '{"": "x"}', /is not a header name/],
  ['headers', '{"a b": "x"}', /is not a header name/],
  ['headers', '{"a:": "x"}', /is not a header name/],
  ['headers', '{"a\\n": "x"}', /is not a header name/],
  ['headers', '{"Host": "x"}', /set by the delivery/],
  ['headers', '{"Content-Type": "x"}', /set by the delivery/],
  ['headers', '{"webhook-id": "x"}', /set by the delivery/],
  ['headers', '{"Transfer-Encoding": "x"}', /set by the delivery/],
  ['headers', '{"Connection": "x"}', /set by the delivery/],
  ['headers', '{"TE": "x"}', /set by the delivery/],
  ['headers', '{"X-A": "x", "x-a": "y"}', /given twice/],
  ['headers', `{"a": "${'x'.repeat(5000)}"}`, /at most 4096 bytes/],
];

for (const [name, text, hint] of refused) {
  test(`refuse: ${name} = ${text.slice(0, 60)}`, () => {
    const reading = readOption(name, text);
    assert.ok('fault' in reading);
    const { fault } = reading;
    assert.match(fault.message, new RegExp(`^(invalid value|value out of range) for option "${name}"`));
    assert.match(fault.detail, /^Valid values are /);
    if (hint === null) assert.equal(fault.hint, undefined);
    else assert.match(fault.hint ?? '', hint);
  });
}

test('no header value is repeated in an error', () => {
  for (const [name, text] of refused.filter(([option]) => option === 'headers')) {
    const reading = readOption(name, text.replace('"x', '"secret'));
    assert.doesNotMatch(JSON.stringify('fault' in reading ? reading.fault : null), /secret/);
  }
  for (const [header, text] of [
    ['host', 'secret'],
    ['x', 'secret\n'],
    ['a b', 'secret'],
    ['', 'secret'],
    ['x', 'secret'.repeat(1000)],
    ['x', '{secret}'],
  ] as const) {
    const fault = headerFault(header, text);
    assert.ok(fault);
    assert.doesNotMatch(JSON.stringify(fault), /secret/);
  }
  assert.equal(headerFault('X-A', 'secret'), null);
});

test('any text is a value or a fault, and never a number outside the range', () => {
  fc.assert(
    fc.property(fc.constantFrom(...OPTION_NAMES), fc.oneof(fc.string(), fc.json()), (name, text) => {
      const reading = readOption(name, text);
      if ('fault' in reading) assert.match(reading.fault.detail, /^Valid values are /);
      else assert.ok(typeof reading.value !== 'number' || Number.isSafeInteger(reading.value));
    }),
    { numRuns: 2000 },
  );
});

test('every default and both ends of every range are values that the option takes', () => {
  for (const option of STREAM_OPTIONS) {
    for (const text of [option.default ?? [], option.range ?? [], option.values].flat()) {
      assert.ok('value' in readOption(option.name, text), `${option.name} = ${text}`);
    }
  }
});

test('aliases mean their option', () => {
  for (const option of STREAM_OPTIONS) {
    for (const { name } of [option, ...option.aliases]) assert.equal(findOption(name), option);
  }
  assert.equal(findOption('constructor'), null);
});

test('the reference has a row for each option', () => {
  const lines = optionReference().trimEnd().split('\n');
  assert.equal(lines.length, STREAM_OPTIONS.length + 2);
  assert.ok(lines.every((line) => line.split('|').length === 7));
  assert.equal(lines.filter((line) => line.includes('also at an endpoint')).length, ENDPOINT_OPTION_KEYS.length);
  assert.ok(lines[2]!.startsWith('| `batch_max_events` | int | `1` | 1 – 10000 |'));
});
