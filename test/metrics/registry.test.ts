import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRICS } from '../../src/metrics/names.ts';
import { Metrics } from '../../src/metrics/registry.ts';

test('a scrape shows what the parts say just then, and forgets what is gone', async () => {
  let streams = ['a', 'b'];
  const metrics = new Metrics((set) => {
    for (const name of streams) set('eventsDelivered', 7, name);
    set('captureUp', 1);
  });
  const first = await metrics.expose();
  assert.match(first, /^walhook_delivery_events_delivered_total\{stream="a"\} 7$/m);
  assert.match(first, /^walhook_capture_streaming 1$/m);
  streams = ['b'];
  const second = await metrics.expose();
  assert.doesNotMatch(second, /stream="a"/);
  assert.match(second, /^walhook_delivery_events_delivered_total\{stream="b"\} 7$/m);
});

test('names follow the rule and are used once', () => {
  const names = Object.values(METRICS).map((metric) => metric.name);
  assert.equal(new Set(names).size, names.length);
  for (const metric of Object.values(METRICS)) {
    assert.match(metric.name, /^walhook(_[a-z]+)+$/);
    assert.equal(metric.name.endsWith('_total'), metric.kind === 'counter', metric.name);
  }
});
