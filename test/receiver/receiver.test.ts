import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failedEvents, readEvents } from '../../src/receiver/receiver.ts';

test('a single event and a batch are read alike', () => {
  assert.deepEqual(
    readEvents('{"id":"a"}').map(({ id }) => id),
    ['a'],
  );
  assert.deepEqual(
    readEvents(Buffer.from('[{"id":"a"},{"id":"b"}]')).map(({ id }) => id),
    ['a', 'b'],
  );
});

test('what is no JSON is refused', () => {
  assert.throws(() => readEvents('{'), SyntaxError);
});

test('failed events are named as walhook reads them', () => {
  assert.deepEqual(JSON.parse(failedEvents(['a'])), { failed: ['a'] });
});
