import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CircuitBreaker,
  CLOSED_CIRCUIT,
  MAX_OPEN_MS,
  OPEN_MS,
  SLOW_START_STEP_MS,
} from '../../src/delivery/circuit-breaker.ts';
import type { Outcome } from '../../src/sinks/sink.ts';

// Opens at 5 counted failures in a row, or half of 10 or more within a minute; open for 30 s, doubling per failed probe up to
// 10 min; one probe at a time; 3 close it; then the load comes slowly.

const middle = { float: () => 0.5, bytes: (length: number) => new Uint8Array(length) };

function breakerAfter(...outcomes: readonly Outcome['class'][]): CircuitBreaker {
  const breaker = new CircuitBreaker(true, middle);
  for (const outcome of outcomes) breaker.settle(outcome, breaker.start(), 0);
  return breaker;
}

const five = (outcome: Outcome['class']): Outcome['class'][] => Array.from({ length: 5 }, () => outcome);

const cases: [string, Outcome['class'][], 'open' | 'closed'][] = [
  ['five transient failures', five('transient'), 'open'],
  ['five wrong settings of the endpoint', five('misconfigured'), 'open'],
  ['four failures', five('transient').slice(1), 'closed'],
  ['a success among them', ['transient', 'transient', 'ok', 'transient', 'transient', 'transient'], 'closed'],
  ['rejections, which are about the payload', [...five('rejected'), ...five('rejected')], 'closed'],
  ['overloads, which ask for time themselves', [...five('overloaded'), ...five('overloaded')], 'closed'],
  ['what was given up from our side', [...five('cancelled'), ...five('cancelled')], 'closed'],
  ['failures with rejections in between', ['transient', 'rejected', ...five('transient').slice(1)], 'open'],
  ['every second of ten', Array.from({ length: 10 }, (_, i) => (i % 2 ? 'transient' : 'ok')), 'open'],
  ['every second of nine', Array.from({ length: 9 }, (_, i) => (i % 2 ? 'ok' : 'transient')), 'closed'],
];

for (const [what, outcomes, state] of cases) {
  test(`after ${what} it is ${state}`, () => assert.equal(breakerAfter(...outcomes).state, state));
}

test('failures of more than a minute ago do not count towards the half', () => {
  const breaker = new CircuitBreaker(true, middle);
  for (let i = 0; i < 40; i++) breaker.settle(i % 2 ? 'ok' : 'transient', false, i * 15_000);
  assert.equal(breaker.state, 'closed');
});

test('requests of another kind are tried at once, as a probe', () => {
  const breaker = breakerAfter(...five('misconfigured'));
  breaker.probeNow(7);
  assert.deepEqual([breaker.readyAtMs(7, 0), breaker.state, breaker.start()], [7, 'open', true]);
  const closed = breakerAfter('misconfigured');
  closed.probeNow(7);
  assert.deepEqual([closed.readyAtMs(7, 0), closed.state], [0, 'closed']);
});

test('each failed probe doubles the time that it is open, up to ten minutes', () => {
  const breaker = breakerAfter(...five('transient'));
  let nowMs = 0;
  const waits = [];
  for (let probe = 0; probe < 7; probe++) {
    const atMs = breaker.readyAtMs(nowMs, 0);
    waits.push(atMs - nowMs);
    nowMs = atMs;
    assert.equal(breaker.start(), true);
    assert.equal(breaker.state, 'half_open');
    assert.equal(breaker.readyAtMs(nowMs, 1), Infinity, 'one probe at a time');
    breaker.settle('transient', true, nowMs);
  }
  assert.deepEqual(
    waits,
    [1, 2, 4, 8, 16, 20, 20].map((times) => times * OPEN_MS),
  );
  assert.equal(waits.at(-1), MAX_OPEN_MS);
});

test('three probes close it, and the load doubles every ten seconds', () => {
  const breaker = breakerAfter(...five('transient'));
  const nowMs = breaker.readyAtMs(0, 0);
  for (let probe = 0; probe < 3; probe++) {
    assert.equal(breaker.readyAtMs(nowMs, 0), probe === 0 ? nowMs : 0);
    breaker.settle('ok', breaker.start(), nowMs);
  }
  assert.deepEqual(breaker.stored, CLOSED_CIRCUIT);
  assert.equal(breaker.readyAtMs(nowMs, 0), 0);
  assert.equal(breaker.readyAtMs(nowMs, 1), nowMs + SLOW_START_STEP_MS);
  assert.equal(breaker.readyAtMs(nowMs + 25_000, 3), 0);
  assert.equal(breaker.readyAtMs(nowMs + 25_000, 4), nowMs + 3 * SLOW_START_STEP_MS);
  assert.equal(breaker.readyAtMs(nowMs + 200_000, 10_000), 0);
});

test('a probe that says nothing of the endpoint is followed by another', () => {
  const breaker = breakerAfter(...five('transient'));
  const nowMs = breaker.readyAtMs(0, 0);
  breaker.settle('rejected', breaker.start(), nowMs);
  assert.equal(breaker.state, 'half_open');
  assert.equal(breaker.readyAtMs(nowMs, 0), 0);
});

test('what was under way when it opened changes nothing', () => {
  const breaker = breakerAfter(...five('transient'));
  const before = breaker.stored;
  breaker.settle('ok', false, 10);
  breaker.settle('transient', false, 10);
  assert.deepEqual(breaker.stored, before);
});

test('a half-open circuit is half-open after a restart, and three probes close it from there', () => {
  const before = breakerAfter(...five('transient'));
  const nowMs = before.readyAtMs(0, 0);
  for (let probe = 0; probe < 2; probe++) before.settle('ok', before.start(), nowMs);
  const after = new CircuitBreaker(true, middle, before.stored);
  assert.deepEqual([after.state, after.readyAtMs(nowMs, 0)], ['half_open', 0]);
  for (const state of ['half_open', 'half_open', 'closed']) {
    after.settle('ok', after.start(), nowMs);
    assert.equal(after.state, state);
  }
});

test('an open circuit outlives a restart, one that is switched off does not', () => {
  const { stored } = breakerAfter(...five('transient'));
  assert.deepEqual(new CircuitBreaker(true, middle, stored).stored, stored);
  const off = new CircuitBreaker(true, middle, stored);
  off.configure(false);
  assert.deepEqual(off.stored, CLOSED_CIRCUIT);
  for (let i = 0; i < 10; i++) off.settle('transient', false, 0);
  assert.equal(off.state, 'closed');
});
