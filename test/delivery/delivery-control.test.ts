import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DeliveryAnswer, DeliveryRequest } from '../../src/model/delivery-control.ts';
import type { Outcome, SinkBatch } from '../../src/sinks/sink.ts';
import { streamDefinition } from '../support/delivery-fakes.ts';
import { insertRows, MICROS, ORDERS, Stage, stage, writer } from '../support/delivery-stage.ts';
import { insertMessage, updateMessage } from '../support/pgoutput-frames.ts';
import { temporaryFolder } from '../support/test-database.ts';

// What operators see is what happened; what they do is done at once, outlives a restart, and loses nothing.

const OK: Outcome = { class: 'ok', status: 200, failed: [] };
const REJECTED: Outcome = { class: 'rejected', status: 422, code: 'http_422', reason: 'HTTP 422', retryAfterMs: null };
const DOWN: Outcome = { class: 'transient', status: 500, code: 'http_500', reason: 'HTTP 500', retryAfterMs: null };
const STREAM = streamDefinition();

const has = ({ body }: SinkBatch, text: string): boolean => body.includes(text);

function asked<Kind extends DeliveryAnswer['kind']>(
  on: Stage,
  kind: Kind,
  request: DeliveryRequest,
): Extract<DeliveryAnswer, { kind: Kind }> {
  const answer = on.delivery.control(request);
  assert.equal(answer.kind, kind, JSON.stringify(answer));
  return answer as Extract<DeliveryAnswer, { kind: Kind }>;
}

function count(on: Stage, request: DeliveryRequest): number {
  return asked(on, 'count', request).count;
}

/** A key with a bad change and two good ones, and another key. */
function someChanges(): ReturnType<typeof writer>['chunks'] {
  const chunks = writer();
  chunks.begin(MICROS);
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['1', 'bad']));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['1', 'good']));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['1', 'better']));
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['2', 'other']));
  chunks.commit();
  chunks.cut();
  return chunks.chunks;
}

test('attempts are shown newest first; failures outlive a restart, and show no secret that an answer repeats', async () => {
  const chunks = someChanges();
  const path = join(temporaryFolder(), 'delivery.db');
  const definition = streamDefinition({ options: { headers: { 'X-Key': 'hunter22' } } });
  const before = new Stage(chunks, path);
  before.sink.answer = (batch) => (has(batch, '"bad"') ? { ...REJECTED, excerpt: 'no: key hunter22 is odd' } : OK);
  before.configure(definition);
  await before.clock.advance(6_000);
  const request = { kind: 'deliveries', streamIds: [STREAM.id], limit: 10 } as const;
  const { deliveries } = asked(before, 'deliveries', request);
  assert.deepEqual(
    deliveries.map(({ attempt, outcome, httpStatus }) => [attempt, outcome, httpStatus]),
    [
      [2, 'rejected', 422],
      [1, 'ok', 200],
      [1, 'rejected', 422],
    ],
  );
  assert.deepEqual(deliveries[0]!.eventIds, [before.sink.sent[0]!.requestId]);
  assert.equal(deliveries[0]!.responseExcerpt, 'no: key *** is odd');
  assert.ok(deliveries[0]!.nextRetryAtMs! > before.clock.now());
  await before.stop();

  const after = new Stage(chunks, path);
  after.configure(definition);
  assert.deepEqual(
    asked(after, 'deliveries', request).deliveries.map(({ id }) => id),
    [deliveries[0]!.id, deliveries[2]!.id],
  );
  await after.stop();
});

for (const onDeadLetter of ['continue', 'block_key'] as const) {
  test(`RETRY sends a dead letter again with its id, as a replay, through its key's lane (${onDeadLetter})`, async () => {
    const chunks = someChanges();
    const path = join(temporaryFolder(), 'delivery.db');
    const definition = streamDefinition({ options: { onDeadLetter } });
    const on = new Stage(chunks, path);
    on.sink.answer = (batch) => (has(batch, '"bad"') ? REJECTED : OK);
    on.configure(definition);
    await on.clock.advance(3_600_000);
    const [letter] = asked(on, 'dead-letters', { kind: 'dead-letters', streamIds: [STREAM.id], limit: 5 }).deadLetters;
    const id = on.sink.sent[0]!.requestId;
    assert.deepEqual(
      [letter!.eventId, letter!.key, letter!.operation, letter!.reason],
      [id, '{"id":1}', 'insert', 'HTTP 422'],
    );
    assert.equal(JSON.parse(letter!.payload).after.status, 'bad');

    assert.equal(count(on, { kind: 'retry-dead-letters', streamId: STREAM.id, id: 'nothing' }), 0);
    assert.equal(count(on, { kind: 'retry-dead-letters', streamId: STREAM.id, id }), 1);
    await on.stop();

    // It outlives a restart.
    const after = new Stage(chunks, path);
    after.configure(definition);
    assert.equal(after.delivery.status()[0]!.deadLetters, 0);
    await after.clock.advance(1_000);
    const [replay, ...others] = after.sink.sent;
    assert.deepEqual([replay!.requestId, replay!.isReplay], [id, true]);
    assert.deepEqual(
      others.map((batch) => [batch.isReplay, batch.gap ?? null, has(batch, '"good"') || has(batch, '"better"')]),
      onDeadLetter === 'continue'
        ? []
        : [
            [false, null, true],
            [false, null, true],
          ],
    );
    const [status] = after.delivery.status();
    assert.deepEqual([status!.eventsDelivered, status!.pendingEvents, status!.eventsCaptured], [4, 0, 4]);
    assert.deepEqual(after.store.deadLetters.counts(STREAM.id), { kept: 0, retrying: 0 });
    await after.stop();
  });
}

test('a dead letter that fails again is one again, and blocks its key again', async () => {
  const on = stage(someChanges());
  on.sink.answer = (batch) => (has(batch, '"bad"') ? REJECTED : OK);
  on.configure(streamDefinition({ options: { onDeadLetter: 'block_key' } }));
  await on.clock.advance(3_600_000);
  assert.equal(count(on, { kind: 'retry-dead-letters', streamId: STREAM.id, id: null }), 1);
  await on.clock.advance(3_600_000);
  const [status] = on.delivery.status();
  assert.deepEqual([status!.deadLetters, status!.pendingEvents, status!.blockedKeys], [1, 2, 1]);
  await on.stop();
});

test('DISCARD forgets dead letters, and their keys go on', async () => {
  const on = stage(someChanges());
  on.sink.answer = (batch) => (has(batch, '"bad"') ? REJECTED : OK);
  on.configure(streamDefinition({ options: { onDeadLetter: 'block_key' } }));
  await on.clock.advance(3_600_000);
  assert.equal(count(on, { kind: 'discard-dead-letters', streamId: STREAM.id, id: null }), 1);
  await on.clock.advance(100);
  const [status] = on.delivery.status();
  assert.deepEqual([status!.deadLetters, status!.pendingEvents, status!.eventsDelivered], [0, 0, 3]);
  assert.equal(status!.eventsCaptured, 4);
  await on.stop();
});

test('hundreds of dead letters are sent again, a few at a time', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 300);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = () => REJECTED;
  on.configure(STREAM);
  await on.clock.advance(7_200_000);
  assert.equal(on.delivery.status()[0]!.deadLetters, 300);
  on.sink.answer = () => OK;
  assert.equal(count(on, { kind: 'retry-dead-letters', streamId: STREAM.id, id: null }), 300);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 300);
  await on.clock.advance(5_000);
  const [status] = on.delivery.status();
  assert.deepEqual([status!.deadLetters, status!.pendingEvents, status!.eventsDelivered], [0, 0, 300]);
  await on.stop();
});

test('SKIP EVENT gives up an event that fails: it is kept as a dead letter, and its key goes on', async () => {
  const on = stage(someChanges());
  on.sink.answer = (batch) => (has(batch, '"bad"') ? DOWN : OK);
  on.configure(streamDefinition({ options: { onDeadLetter: 'block_key' } }));
  await on.clock.advance(100);
  const id = on.sink.sent[0]!.requestId;
  assert.equal(count(on, { kind: 'skip-event', streamId: STREAM.id, id: 'nothing' }), 0);
  assert.equal(count(on, { kind: 'skip-event', streamId: STREAM.id, id }), 1);
  await on.clock.advance(100);
  const [status] = on.delivery.status();
  assert.deepEqual([status!.deadLetters, status!.pendingEvents, status!.eventsDelivered], [1, 0, 3]);
  assert.equal(on.store.deadLetters.list(STREAM.id, 1)[0]!.reason, 'skipped by an operator');
  assert.equal(on.sink.sent.find((batch) => has(batch, '"good"'))!.gap, id);
  await on.stop();
});

test('RESTART tries at once what waits, RESET CIRCUIT closes the circuit', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 10);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = () => ({ ...DOWN, retryAfterMs: 3_600_000 });
  on.configure(STREAM);
  await on.clock.advance(1_000);
  assert.equal(on.delivery.status()[0]!.circuitState, 'open');
  on.sink.answer = () => OK;
  assert.equal(count(on, { kind: 'reset-circuit', streamId: STREAM.id }), 1);
  assert.equal(on.delivery.status()[0]!.circuitState, 'closed');
  assert.equal(count(on, { kind: 'restart', streamId: STREAM.id }), 1);
  await on.clock.advance(10);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
  assert.equal(count(on, { kind: 'restart', streamId: 'another' }), 0);
  await on.stop();
});

test('PEEK shows the requests that are sent then, without sending them, of a paused stream too', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 5);
  chunks.cut();
  const on = stage(chunks.chunks);
  const options = { batchMaxEvents: 2 };
  on.configure(streamDefinition({ desiredState: 'paused', options }));
  await on.clock.advance(1_000);
  const { requests } = asked(on, 'peek', { kind: 'peek', streamId: STREAM.id, limit: 10 });
  assert.equal(on.sink.sent.length, 0);
  on.configure(streamDefinition({ options }));
  await on.clock.advance(1_000);
  assert.deepEqual(
    requests.map(({ requestId, events, body }) => [requestId, events, body]),
    on.sink.sent.map(({ requestId, events, body }) => [requestId, events, body.toString()]),
  );
  assert.deepEqual(asked(on, 'peek', { kind: 'peek', streamId: STREAM.id, limit: 10 }).requests, []);
  await on.stop();
});

test('PEEK shows each request’s head: its attempt, and the gap that it is going to tell of', async () => {
  const on = stage(someChanges());
  on.sink.answer = (batch) => (has(batch, '"bad"') ? DOWN : OK);
  on.sink.shownHead = ({ stream, attempt, gap }) => [[stream, `${attempt} ${gap}`]];
  const running = streamDefinition({ options: { batchMaxEvents: 10, maxInFlight: 1 } });
  on.configure(running);
  await on.clock.advance(100);
  const heads = (): unknown =>
    asked(on, 'peek', { kind: 'peek', streamId: STREAM.id, limit: 10 }).requests.map(({ headers }) => headers);
  assert.deepEqual(heads(), [[[STREAM.name, '2 null']]]);
  on.configure({ ...running, desiredState: 'paused' });
  const [first] = asked(on, 'peek', { kind: 'peek', streamId: STREAM.id, limit: 10 }).requests[0]!.eventIds;
  assert.equal(count(on, { kind: 'skip-event', streamId: STREAM.id, id: first! }), 1);
  await on.stop();
});

test('what cannot be written down is said, and not done', async () => {
  const on = stage(someChanges());
  on.sink.answer = (batch) => (has(batch, '"bad"') ? REJECTED : OK);
  on.configure(STREAM);
  await on.clock.advance(3_600_000);
  on.store.deadLetters.markRetrying = () => {
    throw new Error('database or disk is full');
  };
  const answer = on.delivery.control({ kind: 'retry-dead-letters', streamId: STREAM.id, id: null });
  assert.deepEqual(answer, { kind: 'failed', message: 'database or disk is full' });
  assert.equal(on.delivery.status()[0]!.deadLetters, 1);
  await on.stop();
});
