import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { loadTracing, NO_TRACING } from '../../src/base/tracing.ts';

// Law: without an SDK there is no tracer; with one, spans are whole traces, whose ids a receiver gets.

const REGISTRY = Symbol.for('opentelemetry.js.api.1');
const registry = globalThis as { [REGISTRY]?: object };

test('nobody has registered an SDK, or one of metrics alone', async () => {
  assert.equal(await loadTracing(), NO_TRACING);
  registry[REGISTRY] = { version: '1.9.0', metrics: {} };
  assert.equal(await loadTracing(), NO_TRACING);
  delete registry[REGISTRY];
});

test('an SDK of an older API is not used, and that is said', async () => {
  registry[REGISTRY] = { version: '1.0.0', trace: { getTracer: () => assert.fail('it may be another one') } };
  const { tracer, problem } = await loadTracing();
  assert.equal(tracer, null);
  assert.match(problem ?? '', /older @opentelemetry\/api/);
  delete registry[REGISTRY];
});

test('what begins and ends is exported, with the ids that went out', async () => {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  const { tracer, problem } = await loadTracing();
  assert.equal(problem, null);
  const [good, bad] = [tracer!.start('a', 'client', { one: 1 }), tracer!.start('b', 'server', {})];
  good.end({ two: 'x' }, null);
  bad.end({}, 'timeout');
  await tracer!.flush();
  const [first, second] = exporter.getFinishedSpans();
  const { traceId, spanId } = first!.spanContext();
  assert.equal(good.traceparent, `00-${traceId}-${spanId}-01`);
  assert.deepEqual([first!.name, first!.kind, first!.attributes], ['a', SpanKind.CLIENT, { one: 1, two: 'x' }]);
  assert.deepEqual(first!.status, { code: SpanStatusCode.UNSET });
  assert.deepEqual(
    [second!.kind, second!.status],
    [SpanKind.SERVER, { code: SpanStatusCode.ERROR, message: 'timeout' }],
  );
  assert.notEqual(second!.spanContext().traceId, traceId);
  assert.deepEqual([first!.parentSpanContext, second!.parentSpanContext], [undefined, undefined]);
  trace.disable();
});

test('a trace that is not sampled says so', async () => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ sampler: new AlwaysOffSampler() }));
  const { tracer } = await loadTracing();
  assert.match(tracer!.start('a', 'client', {}).traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  trace.disable();
});

test('whoever collects them may be away or fail', async () => {
  let failing = (): Promise<void> => Promise.reject(new Error('away'));
  const processor = {
    forceFlush: () => failing(),
    shutdown: async () => undefined,
    onStart: () => {},
    onEnd: () => {},
  };
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
  const { tracer } = await loadTracing();
  await tracer!.flush();
  failing = () => new Promise(() => undefined);
  await tracer!.flush();
  trace.disable();
});
