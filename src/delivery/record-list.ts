import { must } from '../base/assert.ts';
import { AvroValueError } from '../formats/avro-row.ts';
import { ByteWriter } from '../formats/byte-writer.ts';
import { hasTombstones } from '../formats/envelope.ts';
import { formatUuid, ID_BYTES } from '../formats/event-id.ts';
import { endOfValue } from '../formats/json-extent.ts';
import { framedValues } from '../formats/message-encoder.ts';
import type { EnvelopeName, EventOperation, FormatName, StreamDefinition } from '../model/stream.ts';
import { formatLsn } from '../postgres/lsn.ts';
import type { SinkBatch, SinkRecord } from '../sinks/sink.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import { maxTransformedBytes, type Transformed, type Transformer } from './transformer.ts';

/** How a stream's events become records. */
export interface RecordShape {
  readonly envelope: EnvelopeName;
  readonly format: FormatName;
  readonly ordering: StreamDefinition['options']['ordering'];
  /** The order is that of columns which are not the events' keys. */
  readonly hasOwnKey: boolean;
}

/** An event of the batch, and where in the body its values begin. */
interface Span {
  readonly event: DeliveryEvent;
  readonly start: number;
  readonly values: number;
  /** Why there are none; null: there are. */
  readonly fault: string | null;
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

  /** The event's values begin at `start` of the body. `fault`: why it has none. */
  add(event: DeliveryEvent, start: number, values: number, fault: string | null): void {
    this.#spans.push({ event, start, values, fault });
  }

  /** `body`: the events' values, and commas between events. `ids`: of the events, 16 bytes each. */
  finish(shape: RecordShape, body: Buffer, ids: Buffer): readonly SinkRecord[] {
    const records: SinkRecord[] = [];
    const withTombstones = hasTombstones(shape.envelope);
    for (const [at, span] of this.#spans.entries()) {
      const { event } = span;
      const { schema, name: table } = event.source.table;
      const id = formatUuid(ids, at * ID_BYTES);
      const lsn = formatLsn(event.position.lsn);
      const end = at + 1 < this.#spans.length ? this.#spans[at + 1]!.start - 1 : body.length;
      const parts = span.fault === null ? this.#parts(span, shape.format, body, end) : span.fault;
      const common = { id, event: at, schema, table, lsn };
      if (typeof parts === 'string') {
        const order = orderOf(shape, event, false);
        records.push({ ...common, operation: event.operation, key: null, value: null, order, fault: parts });
        continue;
      }
      const schemas = shape.format === 'json' ? null : event.schemas;
      for (const [nth, { operation, key, value }] of parts.entries()) {
        const order = orderOf(shape, event, nth + 1 < parts.length);
        const record = { ...common, operation, key, value, order, ...(schemas !== null && { schemas }) };
        records.push(record);
        if (withTombstones && operation === 'delete' && key !== null) records.push({ ...record, value: null });
      }
    }
    return records;
  }

  /** What the event comes to, or why it comes to nothing. */
  #parts({ event, start, values }: Span, format: FormatName, body: Buffer, end: number): readonly Part[] | string {
    try {
      const key = this.#key(format, (out) => event.encodeKey(out, format));
      if (values === 1) {
        const value = format === 'json' ? body.subarray(start, end) : framedValues(body, start, 1)[0]!;
        return [{ operation: event.operation, key, value }];
      }
      const oldKey = this.#key(format, (out) => event.encodeOldKey(out, format));
      const [before, after] = format === 'json' ? jsonValues(body, start, end) : framedValues(body, start, 2);
      return [
        { operation: 'delete', key: oldKey, value: before! },
        { operation: 'insert', key, value: after! },
      ];
    } catch (error) {
      if (error instanceof AvroValueError) return error.message;
      throw error;
    }
  }

  #key(format: FormatName, write: (out: ByteWriter) => void): Buffer | null {
    this.#keys.clear();
    write(this.#keys);
    const key = this.#keys.copy();
    return (format === 'json' ? key.equals(NULL) : key.length === 0) ? null : key;
  }
}

function jsonValues(body: Buffer, start: number, end: number): readonly [Buffer, Buffer] {
  const between = endOfValue(body, start);
  return [body.subarray(start, between), body.subarray(between + 1, end)];
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
