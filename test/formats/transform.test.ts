import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileTransform, TransformError, transformBody } from '../../src/formats/transform.ts';
import type { StreamTransform } from '../../src/model/stream.ts';

// What TRANSFORM makes of an event. Limits of time and memory are the pool's (transform-pool.test.ts).

const jsonPath = (text: string): StreamTransform => ({ language: 'jsonpath', text });
const template = (text: string): StreamTransform => ({ language: 'template', text });

const EVENT =
  '{"op":"update","key":{"id":"42"},"after":{"id":"42","tags":["a","b"],"note":"say \\"hi\\"\\n","n":9007199254740993}}';

function apply(transform: StreamTransform, body = EVENT, maxEventBytes = 1_000_000): string {
  return transformBody(compileTransform(transform), Buffer.from(body), maxEventBytes).toString('utf8');
}

function fault(work: () => unknown): TransformError {
  try {
    work();
  } catch (error) {
    if (error instanceof TransformError) return error;
    throw error;
  }
  throw new Error('no fault');
}

test('JSONPATH: a singular query is its value, any other an array of what is found', () => {
  assert.equal(apply(jsonPath('$.after.id')), '"42"');
  assert.equal(apply(jsonPath('$')), EVENT);
  assert.equal(apply(jsonPath('$.after.tags[0]')), '"a"');
  assert.equal(apply(jsonPath('$.after.tags[*]')), '["a","b"]');
  assert.equal(apply(jsonPath('$..id')), '["42","42"]');
  assert.equal(apply(jsonPath('$.nothing')), 'null');
  assert.equal(apply(jsonPath('$.nothing[*]')), '[]');
  assert.equal(apply(jsonPath("$.after.tags[?match(@, '[b-z]')]")), '["b"]');
});

test('TEMPLATE: members are variables, and event is the whole', () => {
  assert.equal(apply(template('{"text": {{ after.note | tojson }}}')), '{"text": "say \\"hi\\"\\n"}');
  assert.equal(apply(template('{% if op == "update" %}{"u": "{{ key.id }}"}{% endif %}')), '{"u": "42"}');
  assert.equal(
    apply(template('[{% for t in after.tags %}"{{ t }}"{% if not loop.last %},{% endif %}{% endfor %}]')),
    '["a","b"]',
  );
  assert.equal(JSON.parse(apply(template('{{ event | tojson }}'))) instanceof Object, true);
});

test('no digit is lost, and filters reckon all the same', () => {
  assert.equal(apply(jsonPath('$[?@.n > 12.2].n'), '{"a":{"n":12.30},"b":{"n":12.10}}'), '[12.30]');
  assert.equal(apply(jsonPath('$.after.n')), '9007199254740993');
  assert.equal(apply(template('{"n": {{ after.n }}}')), '{"n": 9007199254740993}');
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.nat(10), (whole, fraction) => {
      const number = `${whole}.${String(fraction)}0`;
      assert.equal(apply(jsonPath('$.n'), `{"n":${whole}}`), String(whole));
      const out = apply(jsonPath('$.n'), `{"n":${number}}`);
      assert.equal(out, number);
    }),
  );
});

test('each event of a batch is transformed by itself, whatever its strings hold', () => {
  const events = ['{"a":"],[}{,\\"\\\\"}', '{"a":[1,{"b":2}]}', '{"a":null}', '{"a":{}}'];
  const path = jsonPath('$.a');
  assert.equal(apply(path, `[${events.join(',')}]`), '["],[}{,\\"\\\\",[1,{"b":2}],null,{}]');
  assert.equal(apply(path, '[{"a":1}]'), '[1]');
  fc.assert(
    fc.property(fc.array(fc.record({ a: fc.jsonValue() }), { minLength: 1 }), (values) => {
      const out = apply(path, JSON.stringify(values));
      assert.deepEqual(JSON.parse(out), JSON.parse(JSON.stringify(values.map(({ a }) => a))));
    }),
  );
});

test('a mistake in a path is told with its place', () => {
  const cases: readonly (readonly [text: string, message: RegExp, offset: number])[] = [
    ['after', /expected '\$'/, 0],
    ['', /./, 0],
    ['$.a[', /unclosed/, 4],
    ['$.a[?nope(@)]', /no such function 'nope'/, 5],
  ];
  for (const [text, message, offset] of cases) {
    const error = fault(() => compileTransform(jsonPath(text)));
    assert.match(error.message, message, text);
    assert.equal(error.offset, offset, text);
  }
});

test('a mistake in a template is told', () => {
  for (const text of ['{{ after.id', '{% for x in y %}', '{% if %}', '{{ a b }}', '{% endfor %}']) {
    assert.ok(fault(() => compileTransform(template(text))).message.length > 0, text);
  }
});

test('a template that fails, or does not write JSON, is a fault that says nothing of the row', () => {
  const faults: readonly (readonly [text: string, message: RegExp])[] = [
    ['{{ nope() }}', /not a function/],
    ['{{ raise_exception("no such thing") }}', /^no such thing/],
    ['{{ after.note }}', /^the template has not written JSON/],
    ['{"id": {{ missing }} }', /^the template has not written JSON/],
    ['', /^the template has not written JSON/],
  ];
  for (const [text, message] of faults) {
    const error = fault(() => apply(template(text)));
    assert.match(error.message, message, text);
    assert.doesNotMatch(error.message, /say "?\\?"?hi/, text);
  }
});

test('prototypes and the machine are out of reach', () => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', '__class__', 'prototype']) {
    assert.equal(apply(jsonPath(`$.${name}`)), 'null', name);
    assert.equal(apply(jsonPath(`$.after['${name}']`)), 'null', name);
    assert.equal(apply(template(`{"x": "{{ ${name} }}{{ after.${name} }}"}`)), '{"x": ""}', name);
  }
  for (const text of [
    '{{ "".constructor.constructor("return process")() }}',
    '{{ require("fs") }}',
    '{{ process.exit() }}',
  ]) {
    assert.ok(fault(() => apply(template(text))) instanceof TransformError, text);
  }
  for (const text of ["{% include '/etc/passwd' %}", "{% import 'x' as y %}", "{% extends 'x' %}"]) {
    assert.ok(fault(() => apply(template(text))) instanceof TransformError, text);
  }
  assert.equal(apply(jsonPath('$'), '{"__proto__":{"polluted":true}}'), '{"__proto__":{"polluted":true}}');
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test('what goes too deep, or grows too large, is a fault', () => {
  const deep = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
  for (const transform of [jsonPath('$..a'), template('{{ event | tojson }}')]) {
    assert.ok(fault(() => apply(transform, deep)) instanceof TransformError);
  }
  assert.match(fault(() => apply(jsonPath('$'), EVENT, 10)).message, /more than 10 bytes/);
  assert.match(fault(() => compileTransform(template('{{ '.concat('('.repeat(100_000))))).message, /deep|end|token/i);
});
