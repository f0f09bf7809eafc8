import { must } from '../base/assert.ts';
import { ByteWriter } from '../formats/byte-writer.ts';
import { hasTombstones } from '../formats/envelope.ts';
import { formatUuid, ID_BYTES } from '../formats/event-id.ts';
import { endOfValue } from '../formats/json-extent.ts';
import type { EnvelopeName, EventOperation, StreamDefinition } from '../model/stream.ts';
import { formatLsn } from '../postgres/lsn.ts';
import type { SinkBatch, SinkRecord } from '../sinks/sink.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import { maxTransformedBytes, type Transformed, type Transformer } from './transformer.ts';

/** How a stream's events become records. */
export interface RecordShape {
  readonly envelope: EnvelopeName;
  readonly ordering: StreamDefinition['options']['ordering'];
  /** The order is that of columns which are not the events' keys. */
  readonly hasOwnKey: boolean;
}

/** An event of the batch, and where in the body its values begin. */
interface Span {
  readonly event: DeliveryEvent;
  readonly start: number;
  readonly values: number;
}

/** What of a record its value says. */
interface Part {
  readonly operation: EventOperation;
  readonly key: Buffer | null;
  readonly value: Buffer;
}

const NULL = Buffer.from('null');
const COMMA = Buffer.from(',');
const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');

/** The records of one batch, as its body is written. */
export class RecordList {
  readonly #keys = new ByteWriter(1024);
  #spans: Span[] = [];

  clear(): void {
    this.#spans = [];
  }

  /** The event's values begin at `start` of the body. */
  add(event: DeliveryEvent, start: number, values: number): void {
    this.#spans.push({ event, start, values });
  }

  /** `body`: the events' values with commas between them. `ids`: of the events, 16 bytes each. */
  finish(shape: RecordShape, body: Buffer, ids: Buffer): readonly SinkRecord[] {
    const records: SinkRecord[] = [];
    const withTombstones = hasTombstones(shape.envelope);
    for (const [at, span] of this.#spans.entries()) {
      const { event } = span;
      const { schema, name: table } = event.source.table;
      const id = formatUuid(ids, at * ID_BYTES);
      const lsn = formatLsn(event.position.lsn);
      const end = at + 1 < this.#spans.length ? this.#spans[at + 1]!.start - 1 : body.length;
      const parts = this.#parts(span, body, end);
      for (const [nth, { operation, key, value }] of parts.entries()) {
        const order = orderOf(shape, event, nth + 1 < parts.length);
        const record = { id, event: at, operation, schema, table, lsn, key, value, order };
        records.push(record);
        if (withTombstones && operation === 'delete' && key !== null) records.push({ ...record, value: null });
      }
    }
    return records;
  }

  #parts({ event, start, values }: Span, body: Buffer, end: number): readonly Part[] {
    const key = this.#key((out) => event.encodeKey(out));
    if (values === 1) return [{ operation: event.operation, key, value: body.subarray(start, end) }];
    const between = endOfValue(body, start);
    const oldKey = this.#key((out) => event.encodeOldKey(out));
    return [
      { operation: 'delete', key: oldKey, value: body.subarray(start, between) },
      { operation: 'insert', key, value: body.subarray(between + 1, end) },
    ];
  }

  #key(write: (out: ByteWriter) => void): Buffer | null {
    this.#keys.clear();
    write(this.#keys);
    const key = this.#keys.copy();
    return key.equals(NULL) ? null : key;
  }
}

/** What a record is to keep its order with; null: its key. */
function orderOf({ ordering, hasOwnKey }: RecordShape, event: DeliveryEvent, isBefore: boolean): string | null {
  const { schema, name } = event.source.table;
  switch (ordering) {
    case 'stream':
      return '';
    case 'table':
      return `${schema}.${name}`;
    case 'none':
      return null;
    case 'key':
      if (!hasOwnKey) return null;
      return (isBefore ? event.secondLane : null) ?? event.lane ?? `${schema}.${name}`;
  }
}

/** Transforms each record's value; one that is null stays. */
export async function transformRecords(
  { id, transform, options }: Pick<StreamDefinition, 'id' | 'transform' | 'options'>,
  transformer: Transformer,
  batch: SinkBatch,
): Promise<{ readonly records: readonly SinkRecord[] } | Extract<Transformed, { fault: string }>> {
  const records = must(batch.records, 'the sink takes records');
  const values = records.flatMap(({ value }) => (value === null ? [] : [value]));
  const joined = values.flatMap((value, at) => (at === 0 ? [value] : [COMMA, value]));
  const body = Buffer.concat([OPEN, ...joined, CLOSE]);
  const transformed = await transformer.transform(
    id,
    must(transform, 'there is one'),
    body,
    maxTransformedBytes(options),
  );
  if (!('body' in transformed)) return transformed;
  const made = transformed.body;
  let at = 1;
  const nextValue = (): Buffer => {
    const end = endOfValue(made, at);
    const value = made.subarray(at, end);
    at = end + 1;
    return value;
  };
  return { records: records.map((record) => (record.value === null ? record : { ...record, value: nextValue() })) };
}
