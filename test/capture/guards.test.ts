import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkBeforeStreaming, type GuardInput } from '../../src/capture/guards.ts';
import type { SlotState } from '../../src/capture/slot.ts';

const slot: SlotState = {
  plugin: 'pgoutput',
  database: 'shop',
  isActive: false,
  activePid: null,
  confirmedLsn: 100n,
  walStatus: 'reserved',
  isInvalidated: false,
};

const healthy: GuardInput = {
  reached: { systemId: '1', databaseOid: 5 },
  databaseName: 'shop',
  walLevel: 'logical',
  flushLsn: 1_000n,
  timeline: { reached: 1, logged: 1, leftLsn: null },
  slotName: 'walhook_1',
  slot,
  publicationName: 'walhook',
  hasPublication: true,
  logged: { systemId: '1', databaseOid: 5 },
  logEnd: { lastId: 3, last: null, open: null, confirmLsn: 200n },
};

const open = { commitLsn: 1_100n, commitTimeMicros: 0n, xid: 1, seq: 1, lastLsn: 1_050n, lastOrdinal: 0 };

test('the stream begins only where it continues the log', () => {
  const cases: [string, Partial<GuardInput>, string | null][] = [
    ['all is well', {}, null],
    [
      'a new log',
      { logged: null, logEnd: { ...healthy.logEnd, confirmLsn: 0n }, slot: { ...slot, confirmedLsn: 900n } },
      null,
    ],
    ['the slot is exactly where the log is', { slot: { ...slot, confirmedLsn: 200n } }, null],
    ['wal_level was changed', { walLevel: 'replica' }, 'wal-level'],
    ['another server', { reached: { systemId: '2', databaseOid: 5 } }, 'other-server'],
    ['another database', { reached: { systemId: '1', databaseOid: 6 } }, 'other-server'],
    ['a standby was promoted that had all', { timeline: { reached: 2, logged: 1, leftLsn: 200n } }, null],
    [
      'a standby was promoted that lacked some',
      { timeline: { reached: 2, logged: 1, leftLsn: 199n } },
      'other-history',
    ],
    ['back on the old timeline', { timeline: { reached: 1, logged: 2, leftLsn: null } }, 'other-history'],
    ['the server is behind what it confirmed', { flushLsn: 199n }, 'other-history'],
    ['the server is behind a transaction it sent', { logEnd: { ...healthy.logEnd, open } }, 'other-history'],
    ['the slot is gone', { slot: null }, 'slot-missing'],
    ['the slot was invalidated', { slot: { ...slot, isInvalidated: true, walStatus: 'lost' } }, 'slot-lost'],
    ['the slot is of another plugin', { slot: { ...slot, plugin: 'test_decoding' } }, 'slot-unfit'],
    ['the slot is of another database', { slot: { ...slot, database: 'other' } }, 'slot-unfit'],
    ['the publication is gone', { hasPublication: false }, 'publication-missing'],
    ['the slot was moved on', { slot: { ...slot, confirmedLsn: 201n } }, 'slot-ahead'],
  ];
  for (const [name, change, reason] of cases) {
    const fault = checkBeforeStreaming({ ...healthy, ...change });
    assert.equal(fault?.reason ?? null, reason, name);
    if (fault) {
      const stops = ['wal-level', 'other-server', 'slot-unfit'].includes(fault.reason);
      assert.equal(fault.kind, stops ? 'stop' : 'gap', name);
      assert.ok(fault.remedy, `${name}: says what to do`);
    }
  }
});
