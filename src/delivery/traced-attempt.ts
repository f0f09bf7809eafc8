import type { Span, Tracer } from '../base/tracing.ts';
import type { ResolvedStream } from '../model/resolved-stream.ts';
import type { Outcome, SinkBatch } from '../sinks/sink.ts';

/** Begins the span of one attempt; null: nobody collects traces. */
export function attemptSpan(
  tracer: Tracer | null,
  { name, database }: Pick<ResolvedStream, 'name' | 'database'>,
  { requestId, attempt, events, isReplay = false }: SinkBatch,
): Span | null {
  if (tracer === null) return null;
  return tracer.start(`deliver ${name}`, 'client', {
    'walhook.stream': name,
    'walhook.database': database,
    'walhook.request_id': requestId,
    'walhook.attempt': attempt,
    'walhook.events': events,
    'walhook.replay': isReplay,
  });
}

/** Ends it with what became of the attempt. */
export function endAttempt(span: Span, outcome: Outcome): void {
  if (outcome.class === 'cancelled') {
    span.end({ 'walhook.outcome': 'cancelled' }, null);
    return;
  }
  const { status } = outcome;
  span.end(
    {
      'walhook.outcome': outcome.class,
      'walhook.status_class': status === null ? 'none' : `${Math.floor(status / 100)}xx`,
      ...(status === null ? {} : { 'http.response.status_code': status }),
      ...(outcome.class === 'ok' ? { 'walhook.events_failed': outcome.failed.length } : { 'error.type': outcome.code }),
    },
    outcome.class === 'ok' ? null : outcome.code,
  );
}
