import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { type DeadLetter, DeliveryStore, type ProgressChange } from '../../src/log/delivery-store.ts';
import { temporaryFolder } from '../support/test-database.ts';

const MAX = 2n ** 64n - 1n;
const AT = { commitLsn: 0x10n, lsn: 0x8n, ordinal: 0 };
const LATE = { commitLsn: MAX, lsn: MAX - 1n, ordinal: 4_294_967_295 };

const LETTER: DeadLetter = {
  eventId: '019b8d99-697b-784c-89f9-d00bc3b9c762',
  position: AT,
  schema: 'public',
  table: 'orders',
  key: '{"id":1}',
  payload: Buffer.from('{}'),
  reason: 'HTTP 422',
  attempts: 5,
  lastStatus: 422,
  firstAttemptMs: 1,
  diedAtMs: 2,
};

const CHANGE: ProgressChange = {
  streamId: 'a',
  progress: {
    cursor: AT,
    acknowledged: [{ first: AT, last: LATE }],
    lastBatchId: 7,
    haltedReason: 'HTTP 410',
    counters: {
      eventsDelivered: 1,
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
};

test('what was saved is there after the file is opened again, to the last bit of a position', () => {
  const path = join(temporaryFolder(), 'delivery.db');
  const store = DeliveryStore.open(path);
  store.save([CHANGE]);
  store.close();
  const again = DeliveryStore.open(path);
  assert.deepEqual(again.load('a'), { progress: CHANGE.progress, retries: CHANGE.retries });
  assert.deepEqual(again.deadLetters('a', 10), [LETTER]);
  assert.equal(again.load('b'), null);
  again.close();
});

test('a retry that ended is gone, and a removed stream leaves nothing', () => {
  const store = DeliveryStore.open(join(temporaryFolder(), 'delivery.db'));
  store.save([CHANGE, { ...CHANGE, streamId: 'b' }]);
  store.save([{ ...CHANGE, retries: [], endedRetries: [6], deadLetters: [] }]);
  assert.deepEqual(store.load('a')!.retries, []);
  store.remove('a');
  assert.equal(store.load('a'), null);
  assert.deepEqual(store.deadLetters('a', 10), []);
  assert.equal(store.load('b')!.retries.length, 1);
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
