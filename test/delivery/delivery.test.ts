import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { streamDefinition } from '../support/delivery-fakes.ts';
import { insertRows, MICROS, ORDERS, Stage, stage, writer } from '../support/delivery-stage.ts';
import {
  deleteMessage,
  insertMessage,
  type TestRelation,
  truncateMessage,
  updateMessage,
} from '../support/pgoutput-frames.ts';
import { temporaryFolder } from '../support/test-database.ts';

// A stream's cursor never passes an event that is neither acknowledged nor dead-lettered; what was acknowledged and stored is
// not sent again, everything else is.

test('a backlog is delivered in batches, and status and cursor say so', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 250);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.configure(streamDefinition({ options: { batchMaxEvents: 100 } }));
  assert.equal(on.delivery.status()[0]!.pendingEvents, 250);
  await on.clock.advance(100);
  assert.deepEqual(
    on.sink.sent.map(({ events }) => events),
    [100, 100, 50],
  );
  assert.deepEqual(
    on.sink.events().map(({ after }) => after.id),
    Array.from({ length: 250 }, (_, i) => i + 1),
  );
  const [status] = on.delivery.status();
  assert.equal(status!.eventsDelivered, 250);
  assert.equal(status!.eventsCaptured, 250);
  assert.equal(status!.pendingEvents, 0);
  assert.equal(on.delivery.lowestNeededChunk(), 2);
  await on.stop();
});

test('tail chunks are delivered before they are durable, and the acknowledgement is stored within 50 ms', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  const chunk = chunks.cut();
  const on = stage(chunks.chunks, 0);
  on.configure(streamDefinition());
  on.delivery.chunkAppended(chunk.header, chunk.data, chunk.relationMessages);
  await on.clock.advance(0);
  assert.equal(on.sink.sent.length, 3);
  assert.equal(on.store.load(streamDefinition().id), null);
  await on.clock.advance(50);
  assert.notEqual(on.store.load(streamDefinition().id)!.progress.cursor, null);
  await on.stop();
});

test('rows that a backfill has read are delivered once they are durable: read again, they would be other events', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  const definition = streamDefinition();
  const read = chunks.cut();
  const header = { ...read.header, backfill: { id: definition.id, streamId: definition.id } };
  const tail = { ...read, header };
  const on = stage([tail], 0);
  on.configure(definition);
  on.delivery.chunkAppended(header, tail.data, tail.relationMessages);
  await on.clock.advance(1_000);
  assert.equal(on.sink.sent.length, 0);
  on.source.visible = 1;
  on.delivery.durable(1);
  await on.clock.advance(1);
  assert.deepEqual(
    on.sink.events().map(({ op, after }) => [op, after.id]),
    [
      ['read', 1],
      ['read', 2],
      ['read', 3],
    ],
  );
  await on.stop();
});

test('a tail chunk without its data is read once it is durable', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  const chunk = chunks.cut();
  const on = stage(chunks.chunks, 0);
  on.configure(streamDefinition());
  on.delivery.chunkAppended(chunk.header, null, null);
  await on.clock.advance(100);
  assert.equal(on.sink.sent.length, 0);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 3);
  on.source.visible = 1;
  on.delivery.durable(1);
  await on.clock.advance(0);
  assert.equal(on.sink.sent.length, 3);
  await on.stop();
});

test('a paused stream keeps its position, sends nothing, and goes on from there', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 2);
  const first = chunks.cut();
  insertRows(chunks, 3, 2);
  const second = chunks.cut();
  const on = stage(chunks.chunks, 0);
  on.configure(streamDefinition());
  on.delivery.chunkAppended(first.header, first.data, first.relationMessages);
  await on.clock.advance(100);
  on.configure(streamDefinition({ desiredState: 'paused' }));
  on.delivery.chunkAppended(second.header, second.data, second.relationMessages);
  const startedAtMs = (): number | null => on.delivery.status()[0]!.startedAtMs;
  assert.equal(startedAtMs(), null);
  await on.clock.advance(60_000);
  assert.equal(on.sink.sent.length, 2);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 2);
  const resumedAtMs = on.clock.now();
  on.configure(streamDefinition());
  await on.clock.advance(100);
  assert.equal(startedAtMs(), resumedAtMs);
  assert.deepEqual(
    on.sink.events().map(({ after }) => after.id),
    [1, 2, 3, 4],
  );
  await on.stop();
});

test('after a restart only what was not acknowledged is sent, with the same ids and no attempt before its time', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 10);
  chunks.cut();
  const path = join(temporaryFolder(), 'delivery.db');
  const before = new Stage(chunks.chunks, path);
  before.sink.answer = ({ body }) =>
    body.includes('"id":4,')
      ? { class: 'transient', status: 500, code: 'http_500', reason: 'HTTP 500', retryAfterMs: 30_000 }
      : { class: 'ok', status: 200, failed: [] };
  before.configure(streamDefinition());
  await before.clock.advance(100);
  assert.equal(before.sink.sent.length, 10);
  await before.stop();
  const failed = before.sink.sent.find(({ body }) => body.includes('"id":4,'))!;

  const after = new Stage(chunks.chunks, path);
  after.configure(streamDefinition());
  assert.equal(after.delivery.status()[0]!.pendingEvents, 1);
  await after.clock.advance(29_000);
  assert.equal(after.sink.sent.length, 0);
  await after.clock.advance(2_000);
  assert.deepEqual(
    after.sink.sent.map(({ requestId, attempt }) => [requestId, attempt]),
    [[failed.requestId, 2]],
  );
  await after.clock.advance(100);
  assert.equal(after.delivery.status()[0]!.eventsDelivered, 10);
  await after.stop();
});

test('what one life acknowledged behind a failing key is not sent again by any later one', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 10);
  chunks.cut();
  const path = join(temporaryFolder(), 'delivery.db');
  const sent: number[][] = [];
  for (let life = 0; life < 4; life++) {
    const on = new Stage(chunks.chunks, path);
    on.sink.answer = ({ body }) =>
      body.includes('"id":4,')
        ? { class: 'transient', status: 500, code: 'http_500', reason: 'HTTP 500', retryAfterMs: null }
        : { class: 'ok', status: 200, failed: [] };
    on.configure(streamDefinition());
    await on.clock.advance(100);
    await on.stop();
    sent.push(on.sink.events().map(({ after }) => after.id));
    insertRows(chunks, 11 + life, 1);
    chunks.cut();
  }
  const others = sent.flat().filter((id) => id !== 4);
  assert.deepEqual(others, [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
});

test('a chunk that the log had before delivery began is neither counted nor sent twice', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 5);
  const chunk = chunks.cut();
  const on = stage(chunks.chunks);
  on.configure(streamDefinition());
  on.delivery.chunkAppended(chunk.header, chunk.data, chunk.relationMessages);
  on.delivery.durable(1);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 5);
  await on.clock.advance(100);
  assert.equal(on.sink.sent.length, 5);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
  await on.stop();
});

test('410 halts the stream with its reason and keeps the events; pause and resume start it again', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  chunks.cut();
  const path = join(temporaryFolder(), 'delivery.db');
  const on = new Stage(chunks.chunks, path);
  on.sink.answer = () => ({ class: 'gone', status: 410, code: 'http_410', reason: 'HTTP 410', retryAfterMs: null });
  on.configure(streamDefinition({ options: { maxInFlight: 1 } }));
  await on.clock.advance(60_000);
  assert.equal(on.sink.sent.length, 1);
  assert.match(on.delivery.status()[0]!.haltedReason!, /HTTP 410/);
  assert.equal(on.delivery.status()[0]!.startedAtMs, null);
  await on.stop();

  const again = new Stage(chunks.chunks, path);
  again.configure(streamDefinition({ desiredState: 'paused' }));
  assert.match(again.delivery.status()[0]!.haltedReason!, /HTTP 410/);
  again.configure(streamDefinition());
  assert.equal(again.delivery.status()[0]!.haltedReason, null);
  await again.clock.advance(100);
  assert.deepEqual(
    again.sink.events().map(({ after }) => after.id),
    [1, 2, 3],
  );
  await again.stop();
});

test('a removed stream leaves nothing behind, and one of the same name starts anew', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.configure(streamDefinition());
  await on.clock.advance(100);
  assert.notEqual(on.store.load(streamDefinition().id), null);
  on.configure();
  assert.equal(on.store.load(streamDefinition().id), null);
  assert.equal(on.sink.closed, true);
  assert.deepEqual(on.delivery.status(), []);
  await on.stop();
});

test('an idle stream follows the tail, so that the log can be trimmed', async () => {
  const other: TestRelation = { ...ORDERS, oid: 16_500, name: 'other' };
  const chunks = writer();
  chunks.define(other);
  chunks.begin(MICROS);
  chunks.change(other.oid, insertMessage(other.oid, ['1', 'x']));
  chunks.commit();
  const chunk = chunks.cut();
  const on = stage(chunks.chunks, 0);
  on.configure(streamDefinition());
  on.delivery.chunkAppended(chunk.header, null, null);
  on.source.visible = 1;
  on.delivery.durable(1);
  assert.equal(on.delivery.lowestNeededChunk(), 1);
  await on.clock.advance(11_000);
  assert.equal(on.delivery.lowestNeededChunk(), 2);
  assert.deepEqual(on.store.load(streamDefinition().id)!.progress.cursor, chunk.header.last);
  assert.equal(on.sink.sent.length, 0);
  await on.stop();
});

test('a chunk that begins inside a transaction, a key change, a delete and a TRUNCATE arrive in order', async () => {
  const { oid } = ORDERS;
  const chunks = writer();
  chunks.begin(MICROS);
  chunks.change(oid, insertMessage(oid, ['1', 'a']));
  chunks.cut();
  chunks.change(oid, updateMessage(oid, ['2', 'b'], { kind: 'K', row: ['1', null] }));
  chunks.change(oid, deleteMessage(oid, 'K', ['2', null]));
  chunks.change(oid, truncateMessage(oid));
  chunks.change(oid, insertMessage(oid, ['1', 'c']));
  chunks.commit();
  chunks.cut();
  const on = stage(chunks.chunks);
  on.configure(streamDefinition());
  await on.clock.advance(1_000);
  assert.deepEqual(
    on.sink.events().map((event) => [event.op, 'seq' in event ? event.seq : null]),
    [
      ['insert', 0],
      ['update', 1],
      ['delete', 2],
      ['truncate', 3],
      ['insert', 4],
    ],
  );
  await on.stop();
});

test('changed options hold from the next batch on, and a changed URL gets a sink of its own', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 10);
  const first = chunks.cut();
  insertRows(chunks, 11, 10);
  const second = chunks.cut();
  const on = stage(chunks.chunks, 0);
  on.configure(streamDefinition());
  on.delivery.chunkAppended(first.header, first.data, first.relationMessages);
  await on.clock.advance(100);
  assert.equal(on.sink.sent.length, 10);
  const destination = { kind: 'webhook', url: 'http://127.0.0.1:9/other' } as const;
  on.configure(streamDefinition({ destination, options: { batchMaxEvents: 10 } }));
  await on.clock.advance(0);
  assert.equal(on.sink.closed, true);
  on.delivery.chunkAppended(second.header, second.data, second.relationMessages);
  await on.clock.advance(100);
  assert.deepEqual(
    on.sink.sent.slice(10).map(({ events }) => events),
    [10],
  );
  await on.stop();
});

test('two streams of one table get the same events under the same ids, and one that fails does not touch the other', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 5);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = ({ stream }) =>
    stream === 'bad'
      ? { class: 'transient', status: null, code: 'timeout', reason: 'timed out', retryAfterMs: null }
      : { class: 'ok', status: 200, failed: [] };
  on.configure(streamDefinition({ id: 'good', name: 'good' }), streamDefinition({ id: 'bad', name: 'bad' }));
  await on.clock.advance(100);
  const ids = (stream: string): string[] =>
    on.sink.sent.filter((batch) => batch.stream === stream).map(({ requestId }) => requestId);
  assert.deepEqual(ids('good'), ids('bad'));
  const [good, bad] = on.delivery.status();
  assert.deepEqual([good!.pendingEvents, bad!.pendingEvents], [0, 5]);
  assert.equal(bad!.lastError, 'timed out');
  assert.notEqual(bad!.nextRetryAtMs, null);
  assert.equal(on.delivery.lowestNeededChunk(), 1);
  await on.stop();
});

test('an event is dead after its rejections, kept with its payload, and the key goes on', async () => {
  const { oid } = ORDERS;
  const chunks = writer();
  chunks.begin(MICROS);
  chunks.change(oid, insertMessage(oid, ['1', 'bad']));
  chunks.change(oid, updateMessage(oid, ['1', 'good']));
  chunks.commit();
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = ({ body }) =>
    body.includes('"bad"')
      ? { class: 'rejected', status: 422, code: 'http_422', reason: 'HTTP 422', retryAfterMs: null }
      : { class: 'ok', status: 200, failed: [] };
  on.configure(streamDefinition());
  await on.clock.advance(754_000);
  assert.equal(on.sink.sent.length, 4);
  await on.clock.advance(2_000);
  assert.equal(on.sink.sent.length, 6);
  const [letter] = on.store.deadLetters.list(streamDefinition().id, 10);
  assert.deepEqual(letter!.payload, on.sink.sent[0]!.body);
  assert.deepEqual(
    [letter!.eventId, letter!.key, letter!.attempts, letter!.lastStatus],
    [on.sink.sent[0]!.requestId, '{"id":1}', 5, 422],
  );
  const [status] = on.delivery.status();
  assert.deepEqual([status!.deadLetters, status!.eventsDelivered, status!.pendingEvents], [1, 1, 0]);
  await on.stop();
});

test('a store that fails stops the sending until it works again', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  const first = chunks.cut();
  insertRows(chunks, 4, 3);
  const second = chunks.cut();
  const on = stage(chunks.chunks, 0);
  on.configure(streamDefinition());
  on.store.save = () => {
    throw new Error('database or disk is full');
  };
  on.delivery.chunkAppended(first.header, first.data, first.relationMessages);
  await on.clock.advance(100);
  on.delivery.chunkAppended(second.header, second.data, second.relationMessages);
  await on.clock.advance(10_000);
  assert.equal(on.sink.sent.length, 3);
  const [stopped] = on.delivery.status();
  assert.equal(stopped!.blockedReason, 'delivery progress cannot be stored: database or disk is full');
  Reflect.deleteProperty(on.store, 'save');
  await on.clock.advance(2_000);
  assert.equal(on.sink.sent.length, 6);
  assert.equal(on.delivery.status()[0]!.blockedReason, null);
  assert.equal(on.store.load(streamDefinition().id)!.progress.counters.eventsDelivered, 6);
  await on.stop();
});
