import { formatUuid, ID_BYTES } from '../formats/event-id.ts';
import type { PeekedRequest } from '../model/delivery-control.ts';
import type { HeaderPair, SinkBatch } from '../sinks/sink.ts';
import type { Entry } from './batch.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import type { RequestBuilder, RequestShape } from './request-builder.ts';

export interface PeekParts {
  readonly builder: RequestBuilder;
  readonly shape: RequestShape;
  readonly stream: string;
  readonly head: (request: SinkBatch) => readonly HeaderPair[] | null;
}

/** The request that would be made of the first of `entries`, and of how many of them. */
export function peekRequest(
  { builder, shape, stream, head }: PeekParts,
  entries: readonly Pick<Entry<DeliveryEvent>, 'event' | 'gap'>[],
  attempts: number,
  dueAtMs: number | null,
): readonly [request: PeekedRequest, count: number] {
  builder.begin({
    ...shape,
    records: null,
    array: shape.array || ((attempts > 0 || shape.records !== null) && entries.length > 1),
  });
  for (const [at, { event, gap }] of entries.entries()) {
    // Of a new batch only the first may carry a gap.
    if ((at > 0 && attempts === 0 && gap !== null) || !builder.append(event)) break;
  }
  const { request, ids } = builder.finish(stream, attempts + 1, entries[0]?.gap ?? null);
  const peeked = {
    requestId: request.requestId,
    eventIds: Array.from({ length: ids.length / ID_BYTES }, (_, i) => formatUuid(ids, i * ID_BYTES)),
    events: request.events,
    attempt: request.attempt,
    dueAtMs,
    path: request.path,
    headers: head(request),
    body: request.body.toString('utf8'),
  };
  return [peeked, request.events];
}
