import { formatUuid, ID_BYTES } from '../formats/event-id.ts';
import type { PeekedRequest } from '../model/delivery-control.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import type { RequestBuilder, RequestShape } from './request-builder.ts';

/** The request that would be made of the first of `events`, and of how many of them. */
export function peekRequest(
  builder: RequestBuilder,
  shape: RequestShape,
  events: readonly DeliveryEvent[],
  attempts: number,
  dueAtMs: number | null,
): readonly [request: PeekedRequest, count: number] {
  builder.begin({
    ...shape,
    records: null,
    array: shape.array || ((attempts > 0 || shape.records !== null) && events.length > 1),
  });
  for (const event of events) if (!builder.append(event)) break;
  const { request, ids } = builder.finish('', attempts + 1, null);
  const peeked = {
    requestId: request.requestId,
    eventIds: Array.from({ length: ids.length / ID_BYTES }, (_, i) => formatUuid(ids, i * ID_BYTES)),
    events: request.events,
    attempt: request.attempt,
    dueAtMs,
    path: request.path ?? '',
    body: request.body.toString('utf8'),
  };
  return [peeked, request.events];
}
