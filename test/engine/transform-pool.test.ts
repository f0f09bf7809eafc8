import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { TransformPool } from '../../src/engine/transform-pool.ts';
import type { StreamTransform } from '../../src/model/stream.ts';

// Transforms in processes of their own: whatever an author has written, the others go on, and so does the process.

const pool = new TransformPool(systemClock);
after(() => pool.close());

const ENDLESS = '{% for i in range(100000000) %}{% for j in range(100000000) %}{% endfor %}{% endfor %}1';
const jsonPath = (text: string): StreamTransform => ({ language: 'jsonpath', text });
const template = (text: string): StreamTransform => ({ language: 'template', text });

async function run(streamId: string, transform: StreamTransform, body = '{"after":{"id":1}}', max = 1_000_000) {
  const done = await pool.transform(streamId, transform, Buffer.from(body), max);
  return 'body' in done ? done.body.toString('utf8') : `fault: ${done.fault}`;
}

test('bodies are transformed, and faults come back as values', async () => {
  assert.equal(await run('a', jsonPath('$.after')), '{"id":1}');
  assert.equal(await run('a', template('{"x": {{ after.id }}}')), '{"x": 1}');
  assert.equal(await run('a', template('[{"x": {{ after.id }}}]'), '[{"after":{"id":2}}]'), '[[{"x": 2}]]');
  assert.match(await run('a', jsonPath('$[')), /^fault: /);
  const syntax = await pool.transform('a', jsonPath('nope'), Buffer.from('{}'), 100);
  assert.deepEqual('fault' in syntax && [syntax.isSyntax, syntax.offset], [true, 0]);
});

test('those that loop for ever end at their deadline, while others go on', async () => {
  const others = ['o1', 'o2', 'o3'];
  for (const other of others) assert.equal(await run(other, jsonPath('$.after.id')), '1');
  let isOver = false;
  const endless = Promise.all(['l1', 'l2', 'l2', 'l3'].map((name) => run(name, template(ENDLESS)))).then((faults) => {
    isOver = true;
    return faults;
  });
  let done = 0;
  while (!isOver) {
    assert.equal(await run(others[done % others.length]!, jsonPath('$.after.id')), '1');
    done++;
  }
  for (const fault of await endless) assert.match(fault, /^fault: it takes longer than/);
  assert.ok(done > 10, `${done} while they looped`);
});

test('memory has a limit, and so have results', async () => {
  const doubling = `{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}1`;
  assert.match(await run('doubles', template(doubling)), /^fault: /);
  assert.match(await run('lists', template('{{ range(1000000000) | length }}')), /^fault: /);
  assert.match(
    await run('large', template(`"{% for i in range(3000) %}xxxxxxxxxx{% endfor %}"`), '{}', 10_000),
    /^fault: it makes more than/,
  );
  assert.equal(await run('after', jsonPath('$.after.id')), '1');
});

test('an array that is too large at once ends its own process only', async () => {
  // A thread's limit does not hold here: V8 ends the process that the thread is of.
  const splits = `{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(22) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x.split('x') | length }}`;
  assert.match(await run('splits', template(splits)), /^fault: it (wants more memory|takes longer)/);
  assert.equal(await run('after', jsonPath('$.after.id')), '1');
});

test('a path whose regular expression runs away ends at its deadline', async () => {
  const body = JSON.stringify({ a: [`${'a'.repeat(40)}!`] });
  assert.match(await run('regexp', jsonPath("$.a[?match(@, '(a+)+b')]"), body), /^fault: it takes longer than/);
});

test('what waits when it is closed has a fault', async () => {
  const closing = new TransformPool(systemClock);
  const waiting = Promise.all(
    Array.from({ length: 5 }, () => closing.transform('s', jsonPath('$'), Buffer.from('{}'), 100)),
  );
  await closing.close();
  for (const done of await waiting) assert.ok('fault' in done);
});

test('nothing is begun once it is closed', async () => {
  const closed = new TransformPool(systemClock);
  await closed.close();
  assert.ok('fault' in (await closed.transform('s', jsonPath('$'), Buffer.from('{}'), 100)));
});
