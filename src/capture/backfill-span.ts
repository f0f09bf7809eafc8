import type { Span, Tracer } from '../base/tracing.ts';
import type { Backfill, BackfillStatus } from '../model/backfill.ts';

/** How far a stream's newest backfill is. */
interface Progress extends Pick<BackfillStatus, 'state' | 'rowsDone'> {
  readonly backfill: Backfill;
}

/** A span each time a backfill is begun or gone on with, until it is done or cancelled or the connection ends. */
export class BackfillSpan {
  readonly #tracer: Tracer | null;
  readonly #progressOf: (backfill: Backfill) => Progress | undefined;
  /** Of what is read now. */
  #reading: { readonly backfill: Backfill; readonly span: Span } | null = null;

  /** `tracer` null: nobody collects traces. `progressOf`: of the stream of a backfill, as it is now. */
  constructor(tracer: Tracer | null, progressOf: (backfill: Backfill) => Progress | undefined) {
    this.#tracer = tracer;
    this.#progressOf = progressOf;
  }

  /** This one is read from now on; null: none. */
  reads(backfill: Backfill | null): void {
    if (this.#tracer === null || this.#reading?.backfill.id === backfill?.id) return;
    if (this.#reading !== null) {
      const { backfill: last, span } = this.#reading;
      const progress = this.#progressOf(last);
      const { state, rowsDone } = progress?.backfill.id === last.id ? progress : { state: 'replaced', rowsDone: 0 };
      span.end({ 'walhook.state': state, 'walhook.rows': rowsDone }, null);
    }
    this.#reading = null;
    if (backfill === null) return;
    const { id, streamId, tables } = backfill;
    const facts = { 'walhook.backfill_id': id, 'walhook.stream_id': streamId, 'walhook.tables': tables.length };
    this.#reading = { backfill, span: this.#tracer.start('backfill', 'internal', facts) };
  }
}
