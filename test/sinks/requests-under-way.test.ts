import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestsUnderWay } from '../../src/sinks/webhook/requests-under-way.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** Requests that end, or are given up, each as `log` says. */
class Requests {
  readonly clock = new VirtualClock();
  readonly log: string[] = [];
  readonly underWay = new RequestsUnderWay(this.clock, 1_000);

  begin(name: string, signal: AbortSignal): () => void {
    const request = {
      startedMs: this.clock.monotonicMs(),
      signal,
      abandon: (reason: Error) => {
        this.log.push(`${name} ${reason.name} at ${this.clock.monotonicMs()}`);
        this.underWay.delete(request);
      },
    };
    this.underWay.add(request);
    return () => this.underWay.delete(request);
  }
}

test('each request has its time, whenever it began and whatever became of those before it', async () => {
  const requests = new Requests();
  const { signal } = new AbortController();
  const endFirst = requests.begin('first', signal);
  await requests.clock.advance(300);
  requests.begin('second', signal);
  requests.begin('third', signal);
  await requests.clock.advance(300);
  endFirst();
  requests.begin('fourth', signal);
  await requests.clock.advance(10_000);
  assert.deepEqual(requests.log, [
    'second DeadlineError at 1300',
    'third DeadlineError at 1300',
    'fourth DeadlineError at 1600',
  ]);
  requests.begin('fifth', signal);
  await requests.clock.advance(10_000);
  assert.equal(requests.log.at(-1), 'fifth DeadlineError at 11600', 'also after there was none');
});

test('a signal gives up its own requests, and close all that are left', async () => {
  const requests = new Requests();
  const [one, other] = [new AbortController(), new AbortController()];
  requests.begin('a', one.signal);
  requests.begin('b', other.signal);
  const endC = requests.begin('c', one.signal);
  endC();
  requests.begin('d', one.signal);
  one.abort();
  assert.deepEqual(requests.log, ['a CancelledError at 0', 'd CancelledError at 0']);
  requests.underWay.close();
  assert.deepEqual(requests.log.slice(2), ['b CancelledError at 0']);
  other.abort();
  await requests.clock.advance(10_000);
  assert.equal(requests.log.length, 3);
});

test('requests that have ended leave no timer and no listener behind each', () => {
  const requests = new Requests();
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  signal.addEventListener = ((...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  }) as typeof signal.addEventListener;
  for (let i = 0; i < 1_000; i++) requests.begin('one', signal)();
  assert.equal(listeners, 1);
  assert.equal(requests.clock.timers, 1);
});
