import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRICS } from '../../src/metrics/names.ts';
import { Metrics } from '../../src/metrics/registry.ts';

test('a scrape shows what the parts say just then, and forgets what is gone', async () => {
  let streams = ['a', 'b'];
  const metrics = new Metrics((set) => {
    for (const name of streams) set('eventsDelivered', 7, name);
    set('captureUp', 1, 'shop');
  });
  const first = await metrics.expose();
  assert.match(first, /^walhook_delivery_events_delivered_total\{stream="a"\} 7$/m);
  assert.match(first, /^walhook_capture_streaming{database="shop"} 1$/m);
  streams = ['b'];
  const second = await metrics.expose();
  assert.doesNotMatch(second, /stream="a"/);
  assert.match(second, /^walhook_delivery_events_delivered_total\{stream="b"\} 7$/m);
});

test('a histogram is shown as it was counted, bound by bound', async () => {
  const metrics = new Metrics((set) => {
    set('attemptSeconds', { bounds: [0.5, 1], upTo: [2, 3], count: 4, sum: 7.5 }, 'a');
  });
  const lines = (await metrics.expose())
    .split('\n')
    .filter((line) => line.includes('walhook_delivery_attempt_seconds'));
  assert.deepEqual(lines.slice(1), [
    '# TYPE walhook_delivery_attempt_seconds histogram',
    'walhook_delivery_attempt_seconds_bucket{le="0.5",stream="a"} 2',
    'walhook_delivery_attempt_seconds_bucket{le="1",stream="a"} 3',
    'walhook_delivery_attempt_seconds_bucket{le="+Inf",stream="a"} 4',
    'walhook_delivery_attempt_seconds_sum{stream="a"} 7.5',
    'walhook_delivery_attempt_seconds_count{stream="a"} 4',
  ]);
});

test('names follow the rule and are used once', () => {
  const names = Object.values(METRICS).map((metric) => metric.name);
  assert.equal(new Set(names).size, names.length);
  for (const metric of Object.values(METRICS)) {
    assert.match(metric.name, /^walhook(_[a-z]+)+$/);
    assert.equal(metric.name.endsWith('_total'), metric.kind === 'counter', metric.name);
  }
});
