import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import type { DeadLetter } from '../../src/log/dead-letters.ts';
import { DeliveryStore, type ProgressChange } from '../../src/log/delivery-store.ts';
import type { StoredEventRow } from '../../src/log/stored-event-row.ts';
import { temporaryFolder } from '../support/test-database.ts';

const MAX = 2n ** 64n - 1n;
const AT = { commitLsn: 0x10n, lsn: 0x8n, ordinal: 0 };
const LATE = { commitLsn: MAX, lsn: MAX - 1n, ordinal: 4_294_967_295 };

const EVENT: StoredEventRow = {
  commitMs: 1_767_607_200_123,
  relationOid: 16_400,
  thin: Buffer.from('[]'),
  eventId: '019b8d99-697b-784c-89f9-d00bc3b9c762',
  position: AT,
  schema: 'public',
  tableName: 'orders',
  op: 'insert',
  table: 16_400,
  keyShape: 'id:23',
  lane: '1',
  secondLane: null,
  barrier: false,
  oldKey: null,
  messages: null,
  key: '{"id":1}',
  payload: Buffer.from('{}'),
};

const LETTER: DeadLetter = {
  ...EVENT,
  reason: 'HTTP 422',
  attempts: 5,
  lastStatus: 422,
  lastExcerpt: 'no',
  firstAttemptMs: 1,
  diedAtMs: 2,
  blocksKey: true,
};

const CHANGE: ProgressChange = {
  streamId: 'a',
  progress: {
    cursor: AT,
    acknowledged: [{ first: AT, last: LATE }],
    lastBatchId: 7,
    haltedReason: 'HTTP 410',
    circuit: { state: 'open', openedAtMs: 5, nextProbeAtMs: 6, failedProbes: 2 },
    throttledUntilMs: 1_767_607_999_999,
    circuitOrigin: 'http://127.0.0.1:9',
    counters: {
      eventsDelivered: 1,
      eventsDiscarded: 7,
      eventsFiltered: 6,
      filterDoubts: 1,
      lastFilterDoubt: 'public.orders: division by zero',
      eventsFailed: 2,
      eventsRetried: 3,
      deadLetters: 1,
      lastEventAtMs: 1_767_607_200_123,
      lastDeliveryAtMs: null,
      lastHttpStatus: 410,
      lastError: 'HTTP 410',
      lastErrorAtMs: 4,
    },
  },
  retries: [
    {
      batchId: 6,
      attempts: 2,
      transientFailures: 1,
      rejections: 1,
      firstAttemptMs: 5,
      dueAtMs: 6,
      members: [AT, LATE],
    },
  ],
  endedRetries: [],
  deadLetters: [LETTER],
  endedDeadLetters: [],
  failedAttempts: [],
  parked: [],
  shapes: [{ oid: 16_400, state: '[]' }],
  endedParked: [],
  keyMarks: [{ table: 16_400, lane: 'caf\u00c3\u00a9', eventId: LETTER.eventId }],
};

test('what was saved is there after the file is opened again, to the last bit of a position', () => {
  const path = join(temporaryFolder(), 'delivery.db');
  const store = DeliveryStore.open(path);
  store.save([CHANGE]);
  store.close();
  const again = DeliveryStore.open(path);
  const { eventId, table, keyShape, lane, secondLane, barrier } = LETTER;
  assert.deepEqual(again.load('a'), {
    progress: CHANGE.progress,
    finished: [],
    finishedBatches: [],
    retries: CHANGE.retries,
    keyMarks: CHANGE.keyMarks,
    parked: { members: [], lanes: [], lastSeq: 0 },
    deadLetters: { kept: 1, retrying: 0 },
    lastAttempt: 0,
    blockedKeys: [{ eventId, table, keyShape, lane, secondLane, barrier }],
    replayUntil: null,
    shapes: CHANGE.shapes,
  });
  assert.deepEqual(again.deadLetters.list('a', 10), [LETTER]);
  assert.equal(again.load('b'), null);
  again.close();
});

test('a retry that ended is gone, and a removed stream leaves nothing', () => {
  const store = DeliveryStore.open(join(temporaryFolder(), 'delivery.db'));
  store.save([CHANGE, { ...CHANGE, streamId: 'b' }]);
  const keyMarks = CHANGE.keyMarks.map((mark) => ({ ...mark, eventId: null }));
  store.save([{ ...CHANGE, retries: [], endedRetries: [6], deadLetters: [], keyMarks }]);
  assert.deepEqual(store.load('a')!.retries, []);
  assert.deepEqual(store.load('a')!.keyMarks, []);
  store.remove('a');
  assert.equal(store.load('a'), null);
  assert.deepEqual(store.deadLetters.list('a', 10), []);
  assert.equal(store.load('b')!.retries.length, 1);
  store.close();
});

test('what batches consist of is there before the rest, and those that finished are told apart', () => {
  const path = join(temporaryFolder(), 'delivery.db');
  const store = DeliveryStore.open(path);
  store.save([CHANGE]);
  const [first] = CHANGE.retries;
  store.save([], [{ streamId: 'a', batches: [{ ...first!, batchId: 9, members: [LATE, AT] }], finished: [6] }]);
  store.close();
  const again = DeliveryStore.open(path);
  const loaded = again.load('a')!;
  assert.deepEqual(loaded.retries, [{ ...first!, batchId: 9, members: [LATE, AT] }]);
  assert.deepEqual([loaded.finished, loaded.finishedBatches], [[AT, LATE], [6]]);
  assert.equal(loaded.progress.lastBatchId, 9);
  again.close();
});

test('parked events are given back by lane, in order, without those that are read at the start', () => {
  const store = DeliveryStore.open(join(temporaryFolder(), 'delivery.db'));
  const parked = [1, 2, 3, 4].map((seq) => ({
    ...EVENT,
    seq,
    position: { ...AT, ordinal: seq },
    lane: seq === 4 ? 'other' : '1',
  }));
  const retry = { ...CHANGE.retries[0]!, members: [parked[0]!.position] };
  store.save([{ ...CHANGE, retries: [retry], parked }]);
  const { members, lanes, lastSeq } = store.load('a')!.parked;
  assert.deepEqual(members, [parked[0]]);
  assert.deepEqual(
    lanes.map(({ lane, count, afterSeq }) => [lane, count, afterSeq]),
    [
      ['1', 2, 1],
      ['other', 1, 0],
    ],
  );
  assert.equal(lastSeq, 4);
  assert.deepEqual(store.readParked('a', 16_400, '1', 1, 10), parked.slice(1, 3));
  store.save([{ ...CHANGE, endedParked: [1, 2, 3, 4] }]);
  assert.deepEqual(store.load('a')!.parked.lanes, []);
  store.close();
});

test('a save is all or nothing', () => {
  const store = DeliveryStore.open(join(temporaryFolder(), 'delivery.db'));
  const broken = { ...CHANGE, streamId: 'b', deadLetters: [{ ...LETTER, reason: null as unknown as string }] };
  assert.throws(() => store.save([CHANGE, broken]));
  assert.equal(store.load('a'), null);
  store.close();
});

test('a file of a later version is refused', () => {
  const path = join(temporaryFolder(), 'delivery.db');
  DeliveryStore.open(path).close();
  const db = new Database(path);
  db.pragma('user_version = 99');
  db.close();
  assert.throws(() => DeliveryStore.open(path), /version 99/);
});
