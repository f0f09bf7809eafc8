import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DeliveryStatus } from '../../src/model/status.ts';
import type { Outcome, SinkBatch } from '../../src/sinks/sink.ts';
import { streamDefinition } from '../support/delivery-fakes.ts';
import { insertRows, MICROS, ORDERS, Stage, stage, writer } from '../support/delivery-stage.ts';
import { insertMessage, updateMessage } from '../support/pgoutput-frames.ts';
import { temporaryFolder } from '../support/test-database.ts';

// What a stream's options say of failures, rates and order holds from the log to the request.

const OK: Outcome = { class: 'ok', status: 200, failed: [] };
const DOWN: Outcome = { class: 'transient', status: 500, code: 'http_500', reason: 'HTTP 500', retryAfterMs: null };
const REJECTED: Outcome = { class: 'rejected', status: 422, code: 'http_422', reason: 'HTTP 422', retryAfterMs: null };

const has = (batch: SinkBatch, text: string): boolean => batch.body.includes(text);

test('an endpoint that is down is left alone, also after a restart, and is seen to be', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 100);
  chunks.cut();
  const path = join(temporaryFolder(), 'delivery.db');
  const before = new Stage(chunks.chunks, path);
  before.sink.answer = () => DOWN;
  before.configure(streamDefinition({ options: { maxInFlight: 1 } }));
  await before.clock.advance(20_000);
  assert.equal(before.sink.sent.length, 5);
  const [open] = before.delivery.status();
  assert.equal(open!.circuitState, 'open');
  assert.ok(open!.circuitOpenedAtMs! <= before.clock.now() && open!.circuitNextProbeAtMs! > before.clock.now());
  assert.equal(open!.nextRetryAtMs, open!.circuitNextProbeAtMs, 'nothing is tried before the probe');
  const last = before.delivery.control({ kind: 'deliveries', streamIds: [streamDefinition().id], limit: 1 });
  assert.ok(last.kind === 'deliveries');
  assert.equal(last.deliveries[0]!.nextRetryAtMs, open!.circuitNextProbeAtMs);
  await before.stop();

  const after = new Stage(chunks.chunks, path);
  after.clock.setWallTime(before.clock.now());
  after.configure(streamDefinition({ options: { maxInFlight: 1 } }));
  await after.clock.advance(1);
  const [still] = after.delivery.status();
  assert.equal(still!.circuitState, 'open');
  assert.equal(still!.circuitNextProbeAtMs, open!.circuitNextProbeAtMs);
  assert.equal(still!.nextRetryAtMs, open!.circuitNextProbeAtMs);
  await after.clock.advance(open!.circuitNextProbeAtMs! - after.clock.now() - 10);
  assert.equal(after.sink.sent.length, 0);
  await after.clock.advance(20_000);
  assert.equal(after.delivery.status()[0]!.circuitState, 'closed');
  assert.equal(after.delivery.status()[0]!.pendingEvents, 0);
  await after.stop();
});

test('what fails is counted in events, each time: of a batch all, of a listed part that part, and what dies too', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  chunks.cut();
  const on = stage(chunks.chunks);
  let requests = 0;
  on.sink.answer = ({ body }) => {
    requests++;
    if (requests <= 2) return DOWN;
    if (requests === 3)
      return { class: 'ok', status: 200, failed: [String((JSON.parse(body.toString()) as { id: string }[])[0]!.id)] };
    return REJECTED;
  };
  on.configure(streamDefinition({ options: { batchMaxEvents: 10, maxInFlight: 1 } }));
  await on.clock.advance(3_600_000);
  const [{ eventsFailed, eventsRetried, eventsDelivered, deadLetters }] = on.delivery.status() as [DeliveryStatus];
  assert.equal(requests, 8);
  assert.deepEqual([eventsDelivered, deadLetters], [2, 1]);
  // Three events twice, one that was listed, and that one rejected five times, after the last of which it is dead.
  assert.deepEqual([eventsFailed, eventsRetried], [3 + 3 + 1 + 5, 3 + 3 + 1 + 4]);
  await on.stop();
});

test('another endpoint begins with a closed circuit', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 10);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = () => DOWN;
  on.configure(streamDefinition());
  await on.clock.advance(1_000);
  assert.equal(on.delivery.status()[0]!.circuitState, 'open');
  on.sink.answer = () => OK;
  on.configure(streamDefinition({ destination: { kind: 'webhook', url: 'http://127.0.0.1:10/hook' } }));
  await on.clock.advance(2_000);
  assert.equal(on.delivery.status()[0]!.circuitState, 'closed');
  assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
  await on.stop();
});

/** A receiver that asks for half an hour at its first request. */
async function throttled(path: string): Promise<{ chunks: ReturnType<typeof writer>['chunks']; atMs: number }> {
  const chunks = writer();
  insertRows(chunks, 1, 10);
  chunks.cut();
  const on = new Stage(chunks.chunks, path);
  const busy = {
    class: 'overloaded',
    status: 429,
    code: 'http_429',
    reason: 'HTTP 429',
    retryAfterMs: 1_800_000,
  } as const;
  on.sink.answer = () => busy;
  on.configure(streamDefinition({ options: { maxInFlight: 1 } }));
  await on.clock.advance(60_000);
  assert.equal(on.sink.sent.length, 1);
  const [status] = on.delivery.status();
  assert.ok(status!.nextRetryAtMs! >= status!.lastErrorAtMs! + busy.retryAfterMs);
  await on.stop();
  return { chunks: chunks.chunks, atMs: on.clock.now() };
}

test('the time that a receiver asks for is kept, also after a restart: nothing is sent to it before', async () => {
  const path = join(temporaryFolder(), 'delivery.db');
  const { chunks, atMs } = await throttled(path);
  const on = new Stage(chunks, path);
  on.clock.setWallTime(atMs);
  on.configure(streamDefinition());
  await on.clock.advance(1_700_000);
  assert.equal(on.sink.sent.length, 0);
  await on.clock.advance(100_000);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
  await on.stop();
});

for (const [what, act] of [
  [
    'another receiver has not asked for it',
    (on: Stage) => on.configure(streamDefinition({ destination: { kind: 'webhook', url: 'http://127.0.0.1:10/' } })),
  ],
  [
    'RESTART does not wait for it',
    (on: Stage) => on.delivery.control({ kind: 'restart', streamId: streamDefinition().id }),
  ],
] as const) {
  test(`the time that a receiver asks for: ${what}`, async () => {
    const path = join(temporaryFolder(), 'delivery.db');
    const { chunks, atMs } = await throttled(path);
    const on = new Stage(chunks, path);
    on.clock.setWallTime(atMs);
    on.configure(streamDefinition());
    await on.clock.advance(1_000);
    assert.equal(on.sink.sent.length, 0);
    act(on);
    await on.clock.advance(1_000);
    assert.ok(on.sink.sent.length >= 9, 'all but what waits for its own time');
    await on.clock.advance(1_800_000);
    assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
    await on.stop();
  });
}

test('RESTART tries an endpoint whose circuit is open at once, with one request', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 100);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = () => DOWN;
  on.configure(streamDefinition({ options: { batchMaxEvents: 1 } }));
  await on.clock.advance(600_000);
  assert.equal(on.delivery.status()[0]!.circuitState, 'open');
  const sent = on.sink.sent.length;
  on.delivery.control({ kind: 'restart', streamId: streamDefinition().id });
  await on.clock.advance(1);
  assert.equal(on.sink.sent.length, sent + 1);
  await on.stop();
});

const YEAR_MS = 365 * 86_400_000;

for (const [what, fail] of [
  ['retries', DOWN],
  ['what was asked for', { ...DOWN, class: 'overloaded', retryAfterMs: 60_000 }],
] as const) {
  for (const byMs of [-10 * YEAR_MS, 10 * YEAR_MS]) {
    test(`a clock that is set ${byMs < 0 ? 'back' : 'forward'} by years makes ${what} wait no longer, also after a restart`, async () => {
      const chunks = writer();
      insertRows(chunks, 1, 10);
      chunks.cut();
      const path = join(temporaryFolder(), 'delivery.db');
      const on = new Stage(chunks.chunks, path);
      on.sink.answer = () => fail;
      on.configure(streamDefinition({ options: { maxInFlight: 2 } }));
      await on.clock.advance(30_000);
      const sent = on.sink.sent.length;
      on.clock.setWallTime(on.clock.now() + byMs);
      await on.clock.advance(200_000);
      assert.ok(on.sink.sent.length > sent, 'it goes on');
      await on.stop();

      const after = new Stage(chunks.chunks, path);
      after.clock.setWallTime(on.clock.now() - byMs);
      after.configure(streamDefinition({ options: { maxInFlight: 2 } }));
      await after.clock.advance(3_700_000);
      const [status] = after.delivery.status();
      assert.deepEqual([status!.pendingEvents, status!.deadLetters, status!.eventsDelivered], [0, 0, 10]);
      await after.stop();
    });
  }
}

test('a clock that is set forward makes nothing older: max_retry_duration counts the time that has passed', async () => {
  const chunks = writer();
  for (let id = 1; id <= 12; id++) {
    insertRows(chunks, id, 1);
    chunks.cut();
  }
  const on = stage(chunks.chunks, 5);
  on.sink.answer = (batch) => (has(batch, '"id":3') ? DOWN : OK);
  on.configure(streamDefinition({ options: { maxRetryDurationMs: 3_600_000, batchMaxEvents: 1 } }));
  const status = (): number[] => {
    const [{ deadLetters, pendingEvents }] = on.delivery.status() as [DeliveryStatus];
    return [deadLetters, pendingEvents];
  };
  /** The endpoint takes an event more, between two attempts of the one that fails. */
  const oneMore = async (ms: number): Promise<void> => {
    const { header, relationMessages } = chunks.chunks[on.source.visible++]!;
    on.delivery.chunkAppended(header, null, relationMessages);
    on.delivery.durable(header.id);
    await on.clock.advance(ms);
  };
  await on.clock.advance(30_000);
  on.clock.setWallTime(on.clock.now() + YEAR_MS);
  await oneMore(900_000);
  await oneMore(900_000);
  assert.deepEqual(status(), [0, 1]);
  await oneMore(1_800_000);
  await oneMore(1_800_000);
  assert.deepEqual(status(), [1, 0]);
  await on.stop();
});

test('an endpoint that is down for days dead-letters nothing; what fails for itself dies once others are taken', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 20);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = () => DOWN;
  on.configure(streamDefinition({ options: { maxRetries: 2, maxRetryDurationMs: 60_000 } }));
  await on.clock.advance(3 * 86_400_000);
  assert.deepEqual([on.delivery.status()[0]!.deadLetters, on.delivery.status()[0]!.pendingEvents], [0, 20]);
  on.sink.answer = (batch) => (has(batch, '"id":7') ? DOWN : OK);
  await on.clock.advance(2 * 3_600_000);
  assert.deepEqual([on.delivery.status()[0]!.deadLetters, on.delivery.status()[0]!.eventsDelivered], [1, 19]);
  const [letter] = on.store.deadLetters.list(streamDefinition().id, 10);
  assert.deepEqual([letter!.key, letter!.op, letter!.blocksKey], ['{"id":7}', 'insert', false]);
  await on.stop();
});

for (const [maxRetries, requests] of [
  [0, 5],
  [1, 2],
  [3, 4],
  [4, 5],
  [9, 5],
] as const) {
  test(`max_retries = ${maxRetries}: an event that is rejected is dead after ${requests} requests`, async () => {
    const chunks = writer();
    insertRows(chunks, 1, 1);
    chunks.cut();
    const on = stage(chunks.chunks);
    on.sink.answer = () => REJECTED;
    on.configure(streamDefinition({ options: { maxRetries } }));
    await on.clock.advance(3_600_000);
    assert.deepEqual([on.sink.sent.length, on.delivery.status()[0]!.deadLetters], [requests, 1]);
    await on.stop();
  });
}

test('max_retries counts rejections and failures of one event together', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 1);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = () => (on.sink.sent.length <= 2 ? DOWN : REJECTED);
  on.configure(streamDefinition({ options: { maxRetries: 3 } }));
  await on.clock.advance(3_600_000);
  assert.deepEqual([on.sink.sent.length, on.delivery.status()[0]!.deadLetters], [4, 1]);
  await on.stop();
});

test('on_exhausted = pause stops the stream with its reason, and RESUME gives all retries anew', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.sink.answer = (batch) => (has(batch, '"id":2') ? REJECTED : OK);
  const options = { onExhausted: 'pause' } as const;
  on.configure(streamDefinition({ options }));
  await on.clock.advance(3_600_000);
  const [status] = on.delivery.status();
  assert.equal(status!.haltedReason, 'retries are exhausted: HTTP 422');
  assert.deepEqual([status!.deadLetters, status!.pendingEvents], [0, 1]);
  const sent = on.sink.sent.length;
  on.configure(streamDefinition({ options, desiredState: 'paused' }));
  on.configure(streamDefinition({ options }));
  await on.clock.advance(60_000);
  assert.equal(on.sink.sent.length - sent, 3, 'at once, after 5 s and after 30 s');
  assert.equal(on.delivery.status()[0]!.haltedReason, null);
  on.sink.answer = () => OK;
  await on.clock.advance(600_000);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
  await on.stop();
});

function twoChangesOfOneKey(): ReturnType<typeof writer> {
  const chunks = writer();
  chunks.begin(MICROS);
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['1', 'bad']));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['1', 'good']));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['1', 'better']));
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['2', 'other']));
  chunks.commit();
  chunks.cut();
  return chunks;
}

test('after a dead letter the next event of its key tells of it, also after a restart, until it is acknowledged', async () => {
  const { chunks } = twoChangesOfOneKey();
  const path = join(temporaryFolder(), 'delivery.db');
  const before = new Stage(chunks, path);
  before.sink.answer = (batch) =>
    has(batch, '"bad"') ? REJECTED : has(batch, '"good"') ? { ...DOWN, retryAfterMs: 3_600_000 } : OK;
  before.configure(streamDefinition());
  await before.clock.advance(900_000);
  const dead = before.sink.sent[0]!.requestId;
  assert.deepEqual(
    before.sink.sent.flatMap((batch) => (batch.gap ? [[batch.gap, has(batch, '"good"')]] : [])),
    [[dead, true]],
  );
  await before.stop();

  const after = new Stage(chunks, path);
  after.clock.setWallTime(before.clock.now() + 3_600_000);
  after.configure(streamDefinition());
  await after.clock.advance(1_000);
  assert.deepEqual(
    after.sink.sent.map((batch) => batch.gap ?? null),
    [dead, null],
  );
  assert.deepEqual(after.store.load(streamDefinition().id)!.keyMarks, []);
  await after.stop();
});

test('on_dead_letter = block_key keeps the key waiting, also after a restart, and no other', async () => {
  const { chunks } = twoChangesOfOneKey();
  const path = join(temporaryFolder(), 'delivery.db');
  const definition = streamDefinition({ options: { onDeadLetter: 'block_key' } });
  const before = new Stage(chunks, path);
  before.sink.answer = (batch) => (has(batch, '"bad"') ? REJECTED : OK);
  before.configure(definition);
  await before.clock.advance(3_600_000);
  const [status] = before.delivery.status();
  assert.deepEqual([status!.deadLetters, status!.eventsDelivered, status!.pendingEvents], [1, 1, 2]);
  assert.equal(status!.blockedKeys, 1);
  await before.stop();

  const after = new Stage(chunks, path);
  after.configure(definition);
  await after.clock.advance(3_600_000);
  assert.equal(after.sink.sent.length, 0);
  assert.deepEqual([after.delivery.status()[0]!.blockedKeys, after.delivery.status()[0]!.pendingEvents], [1, 2]);
  await after.stop();
});

test('max_requests_per_second and max_bytes_per_second hold', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 200);
  chunks.cut();
  const on = stage(chunks.chunks);
  on.configure(streamDefinition({ options: { maxRequestsPerSecond: 10 } }));
  await on.clock.advance(9_950);
  assert.equal(on.sink.sent.length, 100);
  on.configure(streamDefinition({ options: { maxBytesPerSecond: 1_000 } }));
  const before = on.sink.sent.length;
  await on.clock.advance(10_000);
  const bytes = on.sink.sent.slice(before).reduce((sum, { body }) => sum + body.length, 0);
  assert.ok(bytes >= 9_500 && bytes <= 10_500, `${bytes} bytes in 10 s`);
  await on.stop();
});

test('batch_max_delay waits for a fuller batch, not for longer, and a full one goes at once', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  const few = chunks.cut();
  insertRows(chunks, 4, 9);
  const many = chunks.cut();
  const on = stage(chunks.chunks, 0);
  on.configure(streamDefinition({ options: { batchMaxEvents: 10, batchMaxDelayMs: 500 } }));
  on.delivery.chunkAppended(few.header, few.data, few.relationMessages);
  await on.clock.advance(499);
  assert.equal(on.sink.sent.length, 0);
  await on.clock.advance(1);
  assert.deepEqual(
    on.sink.sent.map(({ events }) => events),
    [3],
  );
  on.delivery.chunkAppended(many.header, many.data, many.relationMessages);
  insertRows(chunks, 20, 2);
  const rest = chunks.cut();
  await on.clock.advance(100);
  on.delivery.chunkAppended(rest.header, rest.data, rest.relationMessages);
  await on.clock.advance(0);
  assert.deepEqual(
    on.sink.sent.map(({ events }) => events),
    [3, 10],
  );
  await on.clock.advance(500);
  assert.deepEqual(
    on.sink.sent.map(({ events }) => events),
    [3, 10, 1],
  );
  await on.stop();
});

for (const [ordering, expected] of [
  ['key', 16],
  ['table', 1],
  ['stream', 1],
  ['none', 16],
] as const) {
  test(`ordering = ${ordering}: ${expected} requests of different keys in flight`, async () => {
    const chunks = writer();
    insertRows(chunks, 1, 40);
    chunks.cut();
    const on = stage(chunks.chunks);
    let inFlight = 0;
    let most = 0;
    on.sink.answer = async () => {
      most = Math.max(most, ++inFlight);
      await on.clock.sleep(10);
      inFlight--;
      return OK;
    };
    on.configure(streamDefinition({ options: { ordering } }));
    await on.clock.advance(1_000);
    assert.equal(most, expected);
    assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
    await on.stop();
  });
}

test('one key that fails does not hold up the cursor or the log: what waits behind it is parked, and comes back in order', async () => {
  const chunks = writer();
  const { oid } = ORDERS;
  const rounds = 40;
  for (let round = 0; round < rounds; round++) {
    chunks.begin(MICROS + BigInt(round));
    for (let id = 1; id <= 10; id++) chunks.change(oid, insertMessage(oid, [String(id), `n${round}`]));
    chunks.commit();
    chunks.cut();
  }
  const path = join(temporaryFolder(), 'delivery.db');
  const limits = { events: 50, bytes: 1e6, outsideBytes: 10_000 };
  const before = new Stage(chunks.chunks, path, rounds, limits);
  const definition = streamDefinition({ options: { circuitBreaker: false } });
  before.sink.answer = (batch) => (has(batch, '"key":{"id":3}') ? { ...DOWN, retryAfterMs: 3_600_000 } : OK);
  before.configure(definition);
  await before.clock.advance(2_000);
  const [status] = before.delivery.status();
  assert.deepEqual([status!.eventsDelivered, status!.pendingEvents], [9 * rounds, rounds]);
  assert.ok(before.delivery.lowestNeededChunk() > rounds - 10, 'the log can be trimmed');
  assert.equal(status!.oldestPendingCommitMs, Number(MICROS / 1000n), 'the lag is told');
  await before.stop();

  const after = new Stage(chunks.chunks, path, rounds, limits);
  after.clock.setWallTime(before.clock.now() + 3_600_000);
  after.configure(definition);
  assert.equal(after.delivery.status()[0]!.pendingEvents, rounds);
  await after.clock.advance(5_000);
  assert.deepEqual(
    after.sink.events().map((event) => [event.after.id, event.after.status]),
    Array.from({ length: rounds }, (_, round) => [3, `n${round}`]),
  );
  assert.equal(after.sink.sent[0]!.attempt, 2);
  assert.deepEqual(after.store.load(definition.id)!.parked, { members: [], lanes: [], lastSeq: 0 });
  await after.stop();
});

test('a batch that was under way at a crash goes again with the members and the id it had, though there is more', async () => {
  const chunks = writer();
  insertRows(chunks, 1, 3);
  chunks.cut();
  const path = join(temporaryFolder(), 'delivery.db');
  const definition = streamDefinition({ options: { batchMaxEvents: 10 } });
  const before = new Stage(chunks.chunks, path);
  before.sink.answer = () => new Promise(() => undefined);
  before.configure(definition);
  await before.clock.advance(10);
  assert.equal(before.sink.sent.length, 1);
  before.store.close();

  insertRows(chunks, 4, 5);
  chunks.cut();
  const after = new Stage(chunks.chunks, path);
  after.configure(definition);
  await after.clock.advance(1_000);
  assert.deepEqual(
    after.sink.sent.map(({ requestId, events }) => [requestId === before.sink.sent[0]!.requestId, events]),
    [
      [true, 3],
      [false, 5],
    ],
  );
  await after.stop();
});
