import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { confirmableLsn, type ConfirmState } from '../../src/capture/confirm.ts';
import { serverError } from '../../src/capture/error-response.ts';
import { CaptureFault, faultOf } from '../../src/capture/fault.ts';
import { CHUNK_BYTES, flushDecision } from '../../src/capture/flush-policy.ts';
import { liveness, statusIntervalMs } from '../../src/capture/liveness.ts';
import { standbyStatusFrame } from '../../src/capture/standby-status.ts';
import { slotQuestion } from '../../src/capture/slot.ts';

test('what may be confirmed', () => {
  const cases: [string, ConfirmState, bigint][] = [
    ['idle: the server may forget what it has passed', state(100n, 500n, 0, false), 500n],
    ['idle, before the first keepalive', state(100n, 0n, 0, false), 100n],
    ['something is not durable yet', state(100n, 500n, 1, false), 100n],
    ['a transaction is still coming in', state(100n, 500n, 0, true), 100n],
    ['the keepalive is older than the last commit', state(100n, 90n, 0, false), 100n],
    ['nothing is known', state(0n, 0n, 0, false), 0n],
  ];
  for (const [name, input, expected] of cases) assert.equal(confirmableLsn(input), expected, name);
});

function state(durableLsn: bigint, serverLsn: bigint, pendingBytes: number, isTransactionOpen: boolean): ConfirmState {
  return { durableLsn, serverLsn, pendingBytes, isTransactionOpen };
}

test('nothing beyond the durable log is confirmed while anything is pending, and it never goes back', () => {
  const lsn = fc.bigInt({ min: 0n, max: 2n ** 63n });
  fc.assert(
    fc.property(lsn, lsn, fc.nat(), fc.boolean(), (durable, server, pendingBytes, isTransactionOpen) => {
      const confirmed = confirmableLsn(state(durable, server, pendingBytes, isTransactionOpen));
      assert.ok(confirmed >= durable);
      if (pendingBytes > 0 || isTransactionOpen) assert.equal(confirmed, durable);
    }),
  );
});

test('a status goes out at a third of the timeout and at least every ten seconds', () => {
  const cases: [number, number][] = [
    [60_000, 10_000],
    [30_000, 10_000],
    [3_000, 1_000],
    [1, 1],
    [0, 10_000],
  ];
  for (const [timeoutMs, expected] of cases) assert.equal(statusIntervalMs(timeoutMs), expected);
});

test('silence is asked about, then is death, unless it was us who did not listen', () => {
  const cases: [number, number, number, ReturnType<typeof liveness>][] = [
    // wal_sender_timeout, since bytes came, lateness of the check
    [60_000, 0, 0, 'alive'],
    [60_000, 4_999, 0, 'alive'],
    [60_000, 5_000, 0, 'ask'],
    [60_000, 120_000, 0, 'ask'],
    [60_000, 120_001, 0, 'dead'],
    [60_000, 120_001, 10_001, 'reset'],
    [0, 120_001, 0, 'dead'],
    [3_000, 6_001, 0, 'dead'],
    [3_000, 6_001, 1_001, 'reset'],
  ];
  for (const [walSenderTimeoutMs, sinceReceivedMs, latenessMs, expected] of cases) {
    assert.equal(liveness({ walSenderTimeoutMs, sinceReceivedMs, latenessMs }), expected);
  }
});

test('whole transactions are logged at once, part of one when it is a chunk', () => {
  assert.equal(flushDecision({ bytes: 0, isTransactionOpen: false }), 'nothing');
  assert.equal(flushDecision({ bytes: 1, isTransactionOpen: false }), 'log');
  assert.equal(flushDecision({ bytes: 1, isTransactionOpen: true }), 'wait');
  assert.equal(flushDecision({ bytes: CHUNK_BYTES, isTransactionOpen: true }), 'log');
});

test('the standby status has the layout of the protocol', () => {
  const frame = standbyStatusFrame({
    receivedLsn: 0x0102n,
    confirmedLsn: 0x0101n,
    nowMs: 946_684_800_001,
    wantsAnswer: true,
  });
  assert.equal(
    frame.toString('hex'),
    '64' + '00000026' + '72' + '0000000000000102' + '0000000000000101' + '0000000000000101' + '00000000000003e8' + '01',
  );
});

test('an ErrorResponse gives its code and message, whatever else it has', () => {
  const error = serverError(Buffer.from('SFEHLER\0VERROR\0C55006\0Mbesetzt\0Ffile.c\0\0'));
  assert.deepEqual([error.code, error.message], ['55006', 'besetzt']);
  for (const body of ['', 'C', 'C55006', '\0', 'M\0C\0'])
    assert.ok(serverError(Buffer.from(body)) instanceof Error, body);
});

test('errors are typed by what is done about them, by code and never by text', () => {
  const cases: [string, string, string][] = [
    ['55006', 'slot-in-use', 'reconnect'],
    ['57P03', 'server-unavailable', 'reconnect'],
    ['53300', 'server-unavailable', 'reconnect'],
    ['ECONNREFUSED', 'connection-lost', 'reconnect'],
    ['55000', 'slot-lost', 'gap'],
    ['53400', 'no-slots-left', 'stop'],
    ['42704', 'publication-missing', 'gap'],
    ['28P01', 'not-permitted', 'stop'],
    ['42501', 'not-permitted', 'stop'],
  ];
  for (const [code, reason, kind] of cases) {
    const fault = faultOf(Object.assign(new Error('irgendein Text'), { code }));
    assert.deepEqual([fault.reason, fault.kind], [reason, kind], code);
  }
  // As long as an SQLSTATE, and none.
  const pipe = Object.assign(new Error('write EPIPE'), { code: 'EPIPE', errno: -32, syscall: 'write' });
  assert.equal(faultOf(pipe).reason, 'connection-lost');
  const fault = new CaptureFault('silent', 'quiet', null);
  assert.equal(faultOf(fault), fault);
  assert.equal(faultOf('no error at all').reason, 'connection-lost');
});

test('a slot name is asked for as it is only where Postgres takes it', () => {
  assert.match(slotQuestion('walhook_0'), /'walhook_0'/);
  assert.throws(() => slotQuestion("x'; drop table t"), { reason: 'slot-unfit' });
});
