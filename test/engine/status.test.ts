import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDLE_CAPTURE, STALLED_MS, emptyDeliveryStatus, reportStream } from '../../src/engine/status.ts';
import { DEFAULT_STREAM_OPTIONS } from '../../src/model/stream-options.ts';
import type { CaptureStatus, DeliveryStatus } from '../../src/model/status.ts';
import { exampleStream } from '../support/example-stream.ts';

// The law: `running` is never shown while events are pending and nothing is being acknowledged.

const NOW = 1_790_000_000_000;
const streaming: CaptureStatus = { ...IDLE_CAPTURE, state: 'streaming' };
const pending = { pendingEvents: 3, oldestPendingCommitMs: NOW - 100 };

const cases: [string, Partial<DeliveryStatus>, Partial<CaptureStatus>, 'running' | 'paused', string, string | null][] =
  [
    ['nothing pending', {}, {}, 'running', 'running', null],
    ['events that just came', pending, {}, 'running', 'running', null],
    ['the user paused it', pending, {}, 'paused', 'paused', null],
    [
      'the endpoint is gone',
      { haltedReason: 'the endpoint answered 410' },
      {},
      'running',
      'paused',
      'the endpoint answered 410',
    ],
    ['a secret cannot be had', { ...pending, blockedReason: 'no secret' }, {}, 'running', 'failed', 'no secret'],
    [
      'a secret cannot be had, and nothing is pending',
      { blockedReason: 'no secret' },
      {},
      'running',
      'failed',
      'no secret',
    ],
    [
      'capture cannot go on',
      {},
      { state: 'failed', error: 'the slot is lost' },
      'running',
      'failed',
      'the slot is lost',
    ],
    ['capture is connecting', {}, { state: 'connecting', error: 'refused' }, 'running', 'starting', 'refused'],
    [
      'the last attempt failed',
      { ...pending, lastError: 'HTTP 500', lastErrorAtMs: NOW - 10, lastDeliveryAtMs: NOW - 20 },
      {},
      'running',
      'retrying',
      'HTTP 500',
    ],
    [
      'an endpoint that is left alone, whatever is pending',
      { circuitState: 'open', lastError: 'HTTP 500' },
      {},
      'running',
      'circuit_open',
      'HTTP 500',
    ],
    [
      'probes that succeed, and nothing pending',
      { circuitState: 'half_open', lastError: 'HTTP 500', lastErrorAtMs: NOW - 20, lastDeliveryAtMs: NOW - 10 },
      {},
      'running',
      'running',
      null,
    ],
    [
      'probes that succeed, and more to come',
      {
        ...pending,
        circuitState: 'half_open',
        lastError: 'HTTP 500',
        lastErrorAtMs: NOW - 20,
        lastDeliveryAtMs: NOW - 10,
      },
      {},
      'running',
      'running',
      null,
    ],
    [
      'a first probe without an answer yet',
      {
        ...pending,
        circuitState: 'half_open',
        inFlight: 1,
        lastError: 'HTTP 500',
        lastErrorAtMs: NOW - 10,
        lastDeliveryAtMs: NOW - 20,
      },
      {},
      'running',
      'retrying',
      'HTTP 500',
    ],
    [
      'a failure that a later success made good',
      { ...pending, lastError: 'HTTP 500', lastErrorAtMs: NOW - 20, lastDeliveryAtMs: NOW - 10 },
      {},
      'running',
      'running',
      null,
    ],
    [
      'an endpoint that hangs',
      { ...pending, inFlight: 1, oldestPendingCommitMs: NOW - STALLED_MS },
      {},
      'running',
      'retrying',
      'the endpoint has not answered yet',
    ],
    [
      'old events of a backlog that is being worked off',
      { ...pending, oldestPendingCommitMs: NOW - 3_600_000, lastDeliveryAtMs: NOW - 10 },
      {},
      'running',
      'running',
      null,
    ],
  ];

for (const [what, delivery, capture, desiredState, status, reason] of cases) {
  test(`${what}: ${status}`, () => {
    const definition = exampleStream({ desiredState });
    const report = reportStream(
      definition,
      { ...emptyDeliveryStatus(definition.id), ...delivery },
      { ...streaming, ...capture },
      NOW,
    );
    assert.deepEqual([report.status, report.statusReason], [status, reason]);
  });
}

const OLD = { pendingEvents: 3, oldestPendingCommitMs: NOW - STALLED_MS, lastDeliveryAtMs: NOW - STALLED_MS };
/** Of a failure that a later success has made good. */
const MADE_GOOD = { lastError: 'HTTP 500', lastErrorAtMs: NOW - 60_000 };

for (const [what, delivery, options, reason] of [
  ['the endpoint', { inFlight: 1 }, {}, 'the endpoint has not answered yet'],
  ['a retry', { nextRetryAtMs: NOW + 1 }, {}, 'HTTP 500'],
  ['an operator', { blockedKeys: 2 }, {}, 'keys that wait for what becomes of their dead letters (on_dead_letter): 2'],
  ['a fuller batch', {}, { batchMaxDelayMs: 60_000 }, 'a fuller batch is waited for (batch_max_delay)'],
  [
    'the rate',
    {},
    { maxBytesPerSecond: 1 },
    'the stream sends no more in this time (max_requests_per_second, max_bytes_per_second)',
  ],
  ['its turn', {}, {}, 'nothing has been sent yet'],
] as const) {
  test(`what waits for ${what} is said to, and not that the endpoint fails`, () => {
    const definition = exampleStream({ options: { ...DEFAULT_STREAM_OPTIONS, ...options } });
    const status = { ...emptyDeliveryStatus(definition.id), ...OLD, ...MADE_GOOD, ...delivery };
    const report = reportStream(definition, status, streaming, NOW);
    assert.deepEqual([report.status, report.statusReason], ['retrying', reason]);
  });
}

test('lag is the age of the oldest pending event, and nothing without one', () => {
  const definition = exampleStream({});
  const empty = emptyDeliveryStatus(definition.id);
  assert.equal(reportStream(definition, empty, streaming, NOW).lagSeconds, 0);
  const late = { ...empty, pendingEvents: 1, oldestPendingCommitMs: NOW - 1500 };
  assert.equal(reportStream(definition, late, streaming, NOW).lagSeconds, 1.5);
});
