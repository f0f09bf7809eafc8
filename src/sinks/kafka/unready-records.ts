import type { FailureOutcome, SinkRecord } from '../sink.ts';

/**
 * Records of a batch that cannot be written, for want of their schemas' ids say. Their events go whole or not at all: no
 * tombstone goes before its delete. And while one of a table has to wait, what comes after it in the table does, too.
 */
export class UnreadyRecords {
  /** By event. */
  readonly failures = new Map<number, FailureOutcome>();
  readonly #waiting = new Map<string, FailureOutcome>();

  /** Why a record that could be written must not go, or null. */
  failureOf({ event, schema, table }: SinkRecord): FailureOutcome | null {
    if (this.failures.size === 0) return null;
    return this.failures.get(event) ?? this.#waiting.get(`${schema}.${table}`) ?? null;
  }

  add({ event, schema, table }: SinkRecord, failure: FailureOutcome): void {
    this.failures.set(event, failure);
    if (failure.class !== 'rejected') this.#waiting.set(`${schema}.${table}`, failure);
  }

  /** Those that may go. */
  without<Placed extends { readonly event: number }>(placed: readonly Placed[]): readonly Placed[] {
    return this.failures.size === 0 ? placed : placed.filter(({ event }) => !this.failures.has(event));
  }
}
