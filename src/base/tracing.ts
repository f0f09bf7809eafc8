import type * as OpenTelemetry from '@opentelemetry/api';

/** What is said of a span: names and counts of bounded number, never a row's value, a text of a client's or a URL. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

export type SpanKind = 'client' | 'server' | 'internal';

/** Something that takes its time, for whoever collects traces. */
export interface Span {
  /**
   * For who is called in the course of it, in the form of the header `traceparent`.
   * https://www.w3.org/TR/trace-context/#traceparent-header
   */
  readonly traceparent: string;
  /** `failure`: a short constant; null: it has done what it should. To be called once. */
  end(facts: SpanFacts, failure: string | null): void;
}

export interface Tracer {
  /** Begins a trace of its own. */
  start(name: string, kind: SpanKind, facts: SpanFacts): Span;
  /** Has what has ended sent to where it is collected, as far as that is done within two seconds. Never rejects. */
  flush(): Promise<void>;
}

export interface Tracing {
  /** Null: nobody collects traces. */
  readonly tracer: Tracer | null;
  /** Why nobody does although somebody wants to; or null. */
  readonly problem: string | null;
}

export const NO_TRACING: Tracing = { tracer: null, problem: null };

const NAME = 'walhook';
const FLUSH_TIMEOUT_MS = 2_000;

/*
  Where an SDK that is registered stands, in each thread for itself; all of major version 1 of the API have it there.
  https://github.com/open-telemetry/opentelemetry-js/blob/main/api/src/internal/global-utils.ts
*/
const REGISTRY = Symbol.for('opentelemetry.js.api.1');

/**
 * The traces of this thread: those of the OpenTelemetry SDK that was registered in it before (by `node --import`, say, which loads
 * a module in each thread). Without one, the API is not even loaded, and need not be installed.
 */
export async function loadTracing(): Promise<Tracing> {
  const registered = (globalThis as { [REGISTRY]?: { readonly trace?: OpenTelemetry.TracerProvider } })[REGISTRY]
    ?.trace;
  if (registered === undefined) return NO_TRACING;
  let api: typeof OpenTelemetry;
  try {
    api = await import('@opentelemetry/api');
  } catch {
    return { tracer: null, problem: 'an OpenTelemetry SDK is registered, but @opentelemetry/api is not to be found' };
  }
  const provider = api.trace.getTracerProvider();
  if (provider !== registered) {
    return {
      tracer: null,
      problem: 'the OpenTelemetry SDK is registered with an older @opentelemetry/api than walhook finds',
    };
  }
  return { tracer: new OpenTelemetryTracer(api, provider), problem: null };
}

class OpenTelemetryTracer implements Tracer {
  readonly #api: typeof OpenTelemetry;
  readonly #provider: OpenTelemetry.TracerProvider;
  readonly #tracer: OpenTelemetry.Tracer;

  constructor(api: typeof OpenTelemetry, provider: OpenTelemetry.TracerProvider) {
    this.#api = api;
    this.#provider = provider;
    this.#tracer = provider.getTracer(NAME);
  }

  start(name: string, kind: SpanKind, facts: SpanFacts): Span {
    const { SpanKind: kinds, SpanStatusCode } = this.#api;
    const kindOf = { client: kinds.CLIENT, server: kinds.SERVER, internal: kinds.INTERNAL }[kind];
    const span = this.#tracer.startSpan(name, { kind: kindOf, attributes: { ...facts }, root: true });
    const { traceId, spanId, traceFlags } = span.spanContext();
    return {
      traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
      end: (more, failure) => {
        span.setAttributes({ ...more });
        if (failure !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
        span.end();
      },
    };
  }

  async flush(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, FLUSH_TIMEOUT_MS);
    // The API knows of no flush; what is behind it does, itself or behind a proxy.
    const proxy = this.#provider as { getDelegate?: () => Flushing };
    const flushing = (proxy.getDelegate?.() ?? proxy) as Flushing;
    try {
      await Promise.race([flushing.forceFlush?.(), late.promise]);
    } catch {
      // Whoever collects them has not come by, which is no matter of ours.
    } finally {
      clearTimeout(timer);
    }
  }
}

interface Flushing {
  forceFlush?: () => Promise<void>;
}
