import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DeliveryAnswer, DeliveryRequest, PeekedRequest, SkipResult } from '../../src/model/delivery-control.ts';
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
  request: Exclude<DeliveryRequest, { kind: 'skip-event' }>,
): Extract<DeliveryAnswer, { kind: Kind }> {
  const answer = on.delivery.control(request);
  assert.equal(answer.kind, kind, JSON.stringify(answer));
  return answer as Extract<DeliveryAnswer, { kind: Kind }>;
}

function count(on: Stage, request: Parameters<Stage['delivery']['control']>[0]): number {
  return asked(on, 'count', request).count;
}

async function skip(on: Stage, id: string): Promise<SkipResult> {
  const answer = await on.delivery.skip({ kind: 'skip-event', streamId: STREAM.id, id });
  assert.ok(answer.kind === 'skipped', JSON.stringify(answer));
  return answer.result;
}

function peeked(on: Stage): readonly PeekedRequest[] {
  return asked(on, 'peek', { kind: 'peek', streamId: STREAM.id, limit: 10 }).requests;
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
  const phases = { dnsMs: 1.5, connectMs: 2.5, tlsMs: null, firstByteMs: 5 };
  before.sink.answer = (batch) =>
    has(batch, '"bad"') ? { ...REJECTED, phases, excerpt: 'no: key hunter22 is odd' } : OK;
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
  const stored = asked(after, 'deliveries', request).deliveries;
  assert.deepEqual(
    stored,
    [deliveries[0], deliveries[2]].map((one) => ({ ...one, startedAtMs: Math.round(one!.startedAtMs) })),
  );
  assert.partialDeepStrictEqual(stored[0], { ...phases, errorCode: 'http_422' });
  await after.stop();
});

for (const onDeadLetter of ['continue', 'block_key'] as const) {
  test(`RETRY sends a dead letter again with its id, as a replay, through its key's lane (${onDeadLetter})`, async () => {
    const chunks = someChanges();
    const path = join(temporaryFolder(), 'delivery.db');
    const definition = streamDefinition({ options: { onDeadLetter, headers: { 'X-Key': 'hunter22' } } });
    const on = new Stage(chunks, path);
    on.sink.answer = (batch) => (has(batch, '"bad"') ? { ...REJECTED, excerpt: 'no, hunter22' } : OK);
    on.configure(definition);
    await on.clock.advance(3_600_000);
    const [letter] = asked(on, 'dead-letters', { kind: 'dead-letters', streamIds: [STREAM.id], limit: 5 }).deadLetters;
    const id = on.sink.sent[0]!.requestId;
    assert.deepEqual(
      [letter!.eventId, letter!.key, letter!.operation, letter!.reason, letter!.responseExcerpt],
      [id, '{"id":1}', 'insert', 'HTTP 422', 'no, ***'],
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
  assert.equal(await skip(on, 'nothing'), 'unknown');
  assert.equal(await skip(on, id), 'skipped');
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

test('PEEK of a paused stream shows what has come since it was looked at', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 2);
  chunks.cut();
  insertRows(chunks, 3, 3);
  const later = chunks.cut();
  const on = stage(chunks.chunks, 1);
  on.configure(streamDefinition({ desiredState: 'paused' }));
  await on.clock.advance(100);
  assert.equal(peeked(on).length, 2);
  on.source.visible = 2;
  on.delivery.chunkAppended(later.header, null, null);
  on.delivery.durable(2);
  await on.clock.advance(100);
  assert.equal(peeked(on).length, 5);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 5);
  await on.stop();
});

test('PEEK shows each request’s head: its attempt, and the gap that it is going to tell of', async () => {
  const on = stage(someChanges());
  on.sink.answer = (batch) => (has(batch, '"bad"') ? DOWN : OK);
  on.sink.shownHead = ({ stream, attempt, gap }) => [[stream, `${attempt} ${gap}`]];
  const running = streamDefinition({ options: { batchMaxEvents: 10, maxInFlight: 1 } });
  on.configure(running);
  await on.clock.advance(100);
  const [failing] = peeked(on);
  assert.deepEqual(failing!.headers, [[STREAM.name, '2 null']]);
  on.configure({ ...running, desiredState: 'paused' });
  const [bad, good, better, other] = failing!.eventIds;
  // Only the first of a batch can tell of a gap: what was sent with it goes anew.
  assert.equal(await skip(on, bad!), 'skipped');
  assert.deepEqual(
    peeked(on).map(({ eventIds, headers }) => [eventIds, headers]),
    [
      [[other], [[STREAM.name, '1 null']]],
      [[good, better], [[STREAM.name, `1 ${bad}`]]],
    ],
  );
  on.sink.sent.length = 0;
  on.configure(running);
  await on.clock.advance(100);
  assert.deepEqual(
    on.sink.sent.map(({ gap, events }) => [gap, events]),
    [
      [null, 1],
      [bad, 2],
    ],
  );
  assert.deepEqual(
    on.sink.events().map(({ id }) => id),
    [other, good, better],
  );
  assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
  await on.stop();
});

/** An answer that comes when it is told to. */
function held(): { readonly answer: Promise<Outcome>; readonly give: (outcome: Outcome) => void } {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  return { answer: promise, give: resolve };
}

for (const [what, outcome, result, letters] of [
  ['fails', DOWN, 'skipped', 1],
  ['is cancelled', { class: 'cancelled' }, 'skipped', 1],
  ['is rejected', REJECTED, 'skipped', 1],
  ['is acknowledged', OK, 'acknowledged', 0],
] as const) {
  test(`SKIP EVENT of one that is under way waits for its answer: one that ${what} is ${result}`, async () => {
    const chunks = someChanges();
    const path = join(temporaryFolder(), 'delivery.db');
    const on = new Stage(chunks, path);
    const { answer, give } = held();
    on.sink.answer = (batch) => (has(batch, '"bad"') ? answer : OK);
    on.configure(STREAM);
    await on.clock.advance(100);
    const id = on.sink.sent[0]!.requestId;
    const skipping = skip(on, id);
    await on.clock.advance(100);
    assert.equal(
      on.sink.sent.some((batch) => has(batch, '"good"')),
      false,
      'its key waits',
    );
    give(outcome);
    assert.equal(await skipping, result);
    // It is durable when it is told.
    assert.deepEqual(on.store.deadLetters.counts(STREAM.id), { kept: letters, retrying: 0 });
    await on.clock.advance(100);
    const [status] = on.delivery.status();
    assert.deepEqual([status!.deadLetters, status!.pendingEvents, status!.eventsCaptured], [letters, 0, 4]);
    assert.equal(on.sink.sent.find((batch) => has(batch, '"good"'))!.gap ?? null, letters === 1 ? id : null);
    await on.stop();
    const after = new Stage(chunks, path);
    after.configure(STREAM);
    await after.clock.advance(1_000);
    assert.deepEqual([after.sink.sent.length, after.delivery.status()[0]!.pendingEvents], [0, 0]);
    await after.stop();
  });
}

test('SKIP EVENT of members of a batch under way leaves the others; what is behind one of its key tells of it', async () => {
  const path = join(temporaryFolder(), 'delivery.db');
  const chunks = someChanges();
  const on = new Stage(chunks, path);
  const { answer, give } = held();
  on.sink.answer = () => answer;
  const definition = streamDefinition({
    options: { batchMaxEvents: 10, initialBackoffMs: 60_000, maxBackoffMs: 60_000 },
  });
  on.configure(definition);
  await on.clock.advance(100);
  const [bad, good, better, other] = on.sink.events().map(({ id }) => id);
  const skipping = [skip(on, good!), skip(on, bad!)];
  give(DOWN);
  assert.deepEqual(await Promise.all(skipping), ['skipped', 'skipped']);
  await on.stop();
  const after = new Stage(chunks, path);
  after.configure(definition);
  await after.clock.advance(100);
  assert.deepEqual(
    after.sink.events().map(({ id }) => id),
    [better, other],
  );
  assert.equal(after.sink.sent[0]!.gap, good);
  assert.deepEqual(after.store.deadLetters.counts(STREAM.id), { kept: 2, retrying: 0 });
  await after.stop();
});

test('SKIP EVENT of one that was never sent: of a stream that is paused, and of keys that are free; not of others', async () => {
  const on = stage(someChanges());
  on.configure({ ...STREAM, desiredState: 'paused' });
  await on.clock.advance(100);
  const [bad, , , other] = peeked(on).flatMap(({ eventIds }) => eventIds);
  assert.equal(await skip(on, other!), 'skipped');
  assert.equal(await skip(on, other!), 'unknown');
  on.sink.answer = () => DOWN;
  on.configure(STREAM);
  await on.clock.advance(100);
  assert.deepEqual(
    on.sink.events().map(({ id }) => id),
    [bad],
  );
  const [good] = (await allIds(someChanges())).slice(1);
  assert.equal(await skip(on, good!), 'unknown', 'it waits behind another');
  assert.equal(await skip(on, bad!), 'skipped');
  on.sink.answer = () => OK;
  await on.clock.advance(100);
  const [status] = on.delivery.status();
  assert.deepEqual([status!.deadLetters, status!.pendingEvents, status!.eventsDelivered], [2, 0, 2]);
  await on.stop();
});

test('SKIP EVENT that is taken back while it waits leaves the event where it is', async () => {
  const on = stage(someChanges());
  const { answer, give } = held();
  on.sink.answer = (batch) => (has(batch, '"bad"') ? answer : OK);
  on.configure(STREAM);
  await on.clock.advance(100);
  const id = on.sink.sent[0]!.requestId;
  const skipping = skip(on, id);
  assert.equal(count(on, { kind: 'keep-event', streamId: STREAM.id, id }), 1);
  assert.equal(count(on, { kind: 'keep-event', streamId: STREAM.id, id }), 0);
  assert.equal(await skipping, 'kept');
  on.sink.answer = () => OK;
  give(DOWN);
  await on.clock.advance(5_000);
  const [status] = on.delivery.status();
  assert.deepEqual([status!.deadLetters, status!.pendingEvents, status!.eventsDelivered], [0, 0, 4]);
  await on.stop();
});

test('SKIP EVENT is told when its stream ends meanwhile', async () => {
  const on = stage(someChanges());
  on.sink.answer = () => new Promise(() => undefined);
  on.configure(STREAM);
  await on.clock.advance(100);
  const skipping = skip(on, on.sink.sent[0]!.requestId);
  on.configure();
  assert.equal(await skipping, 'unknown');
  await on.stop();
});

async function allIds(chunks: ReturnType<typeof someChanges>): Promise<readonly string[]> {
  const on = stage(chunks);
  on.configure(streamDefinition({ options: { batchMaxEvents: 10 } }));
  await on.clock.advance(100);
  const ids = on.sink.events().map(({ id }) => id);
  await on.stop();
  return ids;
}

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
