import { appendFileSync } from 'node:fs';
import { trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';

// Loaded by `node --import` in each thread of a program: what it traces is appended to the file that TRACES_FILE names, a line a span.

/** A span as the tests read it. */
export interface WrittenSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly hasParent: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly status: { readonly code: number; readonly message?: string };
}

const exporter: SpanExporter = {
  export(spans, done) {
    for (const span of spans) appendFileSync(process.env['TRACES_FILE']!, `${JSON.stringify(written(span))}\n`);
    done({ code: 0 });
  },
  shutdown: () => Promise.resolve(),
};

function written(span: ReadableSpan): WrittenSpan {
  const { traceId, spanId } = span.spanContext();
  const { name, kind, attributes, status, parentSpanContext } = span;
  return { name, kind, traceId, spanId, hasParent: parentSpanContext !== undefined, attributes, status };
}

// So slow that what is there at the end is there by a flush.
const processor = new BatchSpanProcessor(exporter, { scheduledDelayMillis: 600_000 });
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
