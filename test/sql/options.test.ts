import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StreamOptions } from '../../src/model/stream.ts';
import {
  defaultOptions,
  findOption,
  OPTION_NAMES,
  optionReference,
  setOption,
  STREAM_OPTIONS,
} from '../../src/sql/options.ts';

test('the defaults are those of the design', () => {
  assert.deepEqual(defaultOptions(), {
    batchMaxEvents: 1,
    batchMaxBytes: 1_048_576,
    maxInFlight: 16,
    requestTimeoutMs: 30_000,
    maxRetries: 0,
    initialBackoffMs: 1000,
    maxBackoffMs: 300_000,
    headers: {},
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
  ['headers', '{}', 'headers', {}],
  ['headers', '{"Authorization": "Bearer x", "X-A": ""}', 'headers', { Authorization: 'Bearer x', 'X-A': '' }],
];

for (const [name, text, key, value] of taken) {
  test(`${name} = ${text}`, () => {
    const options = defaultOptions();
    assert.equal(setOption(options, name, text), null);
    assert.deepEqual(options[key], value);
  });
}

test('a header may be called what it likes', () => {
  const options = defaultOptions();
  assert.equal(setOption(options, 'headers', '{"__proto__": "a", "constructor": "b"}'), null);
  assert.deepEqual(Object.entries(options.headers), [
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
  ['headers', '', JSON_OBJECT],
  ['headers', '[]', JSON_OBJECT],
  ['headers', 'null', JSON_OBJECT],
  ['headers', '"x"', JSON_OBJECT],
  ['headers', '{"a": 1}', /^The value of header "a" is not a string/],
  ['headers', '{"a": "x\\r\\ny: z"}', /^The value of header "a" has characters/],
  ['headers', '{"a": "\\u0000"}', /^The value of header "a" has characters/],
  ['headers', '{"a": "é"}', /^The value of header "a" has characters/],
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
    const options = defaultOptions();
    const fault = setOption(options, name, text);
    assert.ok(fault);
    assert.deepEqual(options, defaultOptions());
    assert.match(fault.message, new RegExp(`^(invalid value|value out of range) for option "${name}"`));
    assert.match(fault.detail, /^Valid values are /);
    if (hint === null) assert.equal(fault.hint, undefined);
    else assert.match(fault.hint ?? '', hint);
  });
}

test('no header value is repeated in an error', () => {
  for (const [name, text] of refused.filter(([option]) => option === 'headers')) {
    const fault = setOption(defaultOptions(), name, text.replace('"x', '"secret'));
    assert.doesNotMatch(JSON.stringify(fault), /secret/);
  }
});

test('any text is a value or a fault, and never a number outside the range', () => {
  fc.assert(
    fc.property(fc.constantFrom(...OPTION_NAMES), fc.oneof(fc.string(), fc.json()), (name, text) => {
      const options = defaultOptions();
      if (setOption(options, name, text) === null) {
        assert.ok(Object.values(options).every((value) => typeof value !== 'number' || Number.isSafeInteger(value)));
      } else assert.deepEqual(options, defaultOptions());
    }),
    { numRuns: 2000 },
  );
});

test('every default and both ends of every range are values that the option takes', () => {
  for (const option of STREAM_OPTIONS) {
    for (const text of [option.default, ...(option.range ?? [])]) {
      assert.equal(setOption(defaultOptions(), option.name, text), null, `${option.name} = ${text}`);
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
  assert.ok(lines[2]!.startsWith('| `batch_max_events` | int | `1` | 1 – 10000 |'));
});
