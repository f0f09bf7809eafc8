import type { SinkBatch } from '../sinks/sink.ts';
import { ChangeEvent } from './change-event.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import { type RequestBuilder, type RequestShape, unlimited } from './request-builder.ts';
import type { ValueFetcher } from './unchanged-values.ts';

export interface FillParts {
  readonly values: ValueFetcher;
  readonly builder: RequestBuilder;
  readonly shape: RequestShape;
  readonly signal: AbortSignal;
}

/**
 * The request of these events with what Postgres has left out of them, as the rows have it now: the same events and ids. It
 * is asked for with each attempt and kept with none, so that what a stream holds stays what the log has. What would be too
 * large with its values is sent without them.
 */
export async function fillRequest(
  request: SinkBatch,
  events: readonly DeliveryEvent[],
  { values, builder, shape, signal }: FillParts,
): Promise<SinkBatch> {
  const asking = events.map((event) => (event instanceof ChangeEvent ? event.question() : null));
  const questions = asking.filter((question) => question !== null);
  if (questions.length === 0) return request;
  const answers = [...(await values.fetch(questions, shape.maxBytes, signal))];
  const filled = events.map((event, i) => {
    const answer = asking[i] === null ? null : answers.shift();
    return answer && event instanceof ChangeEvent ? event.filled(answer) : event;
  });
  if (filled.every((event, i) => event === events[i])) return request;
  const onOversize = shape.onOversize === 'send' ? 'send' : 'dead_letter';
  builder.begin({ ...unlimited(shape, events.length), onOversize });
  const isWhole = filled.every((event) => builder.append(event)) && !builder.isOversize;
  return isWhole ? builder.finish(request.stream, request.attempt, request.gap ?? null).request : request;
}
