/** Remembers which events have been applied. `Context` is what the handler is given to apply one with. */
export interface DeduplicationStore<Context> {
  /**
   * Calls `work` with those of `ids` that are not remembered, in their order, and remembers them once it resolves. Where
   * it rejects none is remembered. An id is never given to two calls of `work` at once. Where every id is remembered `work`
   * is not called.
   */
  apply(ids: readonly string[], work: (fresh: readonly string[], context: Context) => Promise<void>): Promise<void>;
}

export interface Deduplicated {
  readonly applied: number;
  readonly duplicates: number;
}

/**
 * Makes of `handler`, which applies one event, what applies the events of a request, each of them once however often it
 * comes: in their order, one after the other. It rejects with what the handler rejects with, and then none of the
 * request's events counts as applied: answer with an error, and they come again.
 */
export function deduplicate<Event extends { readonly id: string }, Context>(
  store: DeduplicationStore<Context>,
  handler: (event: Event, context: Context) => Promise<void> | void,
): (events: readonly Event[]) => Promise<Deduplicated> {
  return async (events) => {
    // The first of an id: a request has none twice, but who knows what is between.
    const byId = new Map<string, Event>();
    for (const event of events) if (!byId.has(event.id)) byId.set(event.id, event);
    let applied = 0;
    await store.apply([...byId.keys()], async (fresh, context) => {
      for (const id of fresh) {
        await handler(byId.get(id)!, context);
        applied++;
      }
    });
    return { applied, duplicates: events.length - applied };
  };
}
