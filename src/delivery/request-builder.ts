import { must } from '../base/assert.ts';
import { AvroValueError } from '../formats/avro-row.ts';
import { ByteWriter } from '../formats/byte-writer.ts';
import { mediaType } from '../formats/envelope.ts';
import { formatUuid, ID_BYTES, requestId } from '../formats/event-id.ts';
import { framedValues } from '../formats/message-encoder.ts';
import type { StoredEventRow } from '../log/stored-event-row.ts';
import type { EnvelopeName } from '../model/stream.ts';
import type { StreamOptions } from '../model/stream-options.ts';
import type { SinkBatch } from '../sinks/sink.ts';
import type { DeliveryEvent, EventOrigin } from './delivery-event.ts';
import { encodeKept } from './kept-messages.ts';
import { RecordList, type RecordShape } from './record-list.ts';
import type { Route, Routes } from './routes.ts';

const OPEN = 0x5b;
const COMMA = 0x2c;
const CLOSE = 0x5d;

/** How a stream's requests are made. */
export interface RequestShape {
  readonly envelope: EnvelopeName;
  /** As an array even if it comes to one event. */
  readonly array: boolean;
  readonly maxBytes: number;
  readonly maxEventBytes: number;
  readonly onOversize: StreamOptions['onOversize'];
  readonly routes: Routes;
  /** Null: a request is one body; otherwise it is records, and their values one after the other. */
  readonly records: RecordShape | null;
}

/** The shape of a request that has so many events for certain. */
export function unlimited(shape: RequestShape, events: number): RequestShape {
  return { ...shape, array: shape.array || (events > 1 && shape.records === null), maxBytes: Infinity };
}

/**
 * Makes request bodies: one event as an object, or several as an array, where an event of two records has two elements; alone
 * it is an array of them. One builder serves all streams, one request at a time.
 */
export class RequestBuilder {
  readonly #out = new ByteWriter(256 * 1024);
  readonly #ids = new ByteWriter(16 * 1024);
  readonly #records = new RecordList();
  #shape: RequestShape | null = null;
  #count = 0;
  /** JSON values: at least as many as events. */
  #values = 0;
  #route: Route | null = null;
  #isOversize = false;
  /** Why the last event has no form in the format. */
  #fault: string | null = null;
  #isReplay = false;
  #source: EventOrigin | null = null;
  #oneTable = true;

  get count(): number {
    return this.#count;
  }

  /** Why no request can have the path and the headers that the events are to have, or null. */
  get fault(): string | null {
    return this.#route?.fault ?? null;
  }

  /** The one event of the request is too large to be sent at all. */
  get isOversize(): boolean {
    return this.#isOversize;
  }

  begin(shape: RequestShape): void {
    this.#out.clear();
    this.#ids.clear();
    this.#records.clear();
    this.#shape = shape;
    this.#count = 0;
    this.#values = 0;
    this.#route = null;
    this.#isOversize = false;
    this.#isReplay = false;
    this.#source = null;
    this.#oneTable = true;
    if (shape.array) this.#out.byte(OPEN);
  }

  /**
   * Appends an event, unless it belongs into a request of its own: where the body has one already and would grow past its
   * limit, where the event has another route or is a replay, and where it is too large to be sent.
   */
  append(event: DeliveryEvent): boolean {
    const shape = must(this.#shape, 'a request was begun');
    const route = shape.routes.route(event);
    const isFirst = this.#count === 0;
    const isOther = this.#route !== null && this.#route !== route && this.#route.key !== route.key;
    if (!isFirst && (isOther || this.#isOversize || event.isReplay !== this.#isReplay)) return false;
    const length = this.#out.length;
    const idsLength = this.#ids.length;
    if (!isFirst) this.#out.byte(COMMA);
    const values = this.#values;
    const start = this.#out.length;
    const isOversize = this.#encode(event, shape);
    if (!isFirst && (isOversize || this.#out.length + 1 > shape.maxBytes)) {
      this.#out.length = length;
      this.#ids.length = idsLength;
      this.#values = values;
      return false;
    }
    if (shape.records !== null) this.#records.add(event, start, this.#values - values, this.#fault);
    this.#isOversize = isOversize;
    this.#route = route;
    this.#isReplay = event.isReplay;
    this.#count++;
    if (this.#source === null) this.#source = event.source;
    else if (this.#source !== event.source && this.#source.oid !== event.source.oid) this.#oneTable = false;
    return true;
  }

  /** Writes the event, or of one that is too large what its stream wants; true where it is not to be sent. */
  #encode(event: DeliveryEvent, { maxEventBytes, onOversize, records }: RequestShape): boolean {
    const format = records?.format ?? 'json';
    const length = this.#out.length;
    const idsLength = this.#ids.length;
    this.#fault = null;
    if (format !== 'json' && event.schemas === null) {
      event.encode(this.#out, this.#ids);
      return this.#refuse('the event was kept as JSON, when that was the format of its stream', length, idsLength);
    }
    try {
      const values = event.encode(this.#out, this.#ids, format);
      const bytes = this.#out.length - length;
      this.#values += values;
      if (bytes <= maxEventBytes || onOversize === 'send') return false;
      if (onOversize === 'dead_letter') return true;
      this.#values -= values;
      this.#out.length = length;
      this.#ids.length = idsLength;
      this.#values += event.encodeThin(this.#out, this.#ids, bytes, format);
      return false;
    } catch (error) {
      if (error instanceof AvroValueError) return this.#refuse(error.message, length, idsLength);
      throw error;
    }
  }

  /** The event has an id and nothing else. */
  #refuse(fault: string, length: number, idsLength: number): false {
    this.#out.length = length;
    this.#ids.length = idsLength + ID_BYTES;
    this.#values++;
    this.#fault = fault;
    return false;
  }

  /** The request, and its events' ids, 16 bytes each. `gap`: the dead letter right before the first event, if any. */
  finish(stream: string, attempt: number, gap: string | null): { readonly request: SinkBatch; readonly ids: Buffer } {
    const { array, envelope, records } = must(this.#shape, 'a request was begun');
    if (array) this.#out.byte(CLOSE);
    else if (records === null) this.#encloseMany(this.#values);
    const ids = this.#ids.copy();
    const body = this.#out.copy();
    const request = {
      requestId: requestId(ids),
      body,
      ...(records === null ? {} : { records: this.#records.finish(records, body, ids) }),
      contentType: mediaType(envelope, array),
      events: this.#count,
      attempt,
      gap,
      isReplay: this.#isReplay,
      stream,
      table: this.#oneTable && this.#source !== null ? this.#source.table : null,
      path: this.#route?.path ?? '',
      ...(this.#route?.headers ? { headers: this.#route.headers } : {}),
    };
    return { request, ids };
  }

  eventId(event: DeliveryEvent): string {
    this.#out.clear();
    this.#ids.clear();
    event.encode(this.#out, this.#ids);
    return formatUuid(this.#ids.bytes, 0);
  }

  /** One event by itself and in full, to be kept. */
  single(event: DeliveryEvent): StoredEventRow {
    this.#out.clear();
    this.#ids.clear();
    const values = event.encode(this.#out, this.#ids);
    this.#encloseMany(values);
    const payload = this.#out.copy();
    const eventId = formatUuid(this.#ids.bytes, 0);
    this.#out.clear();
    this.#encloseMany(event.encodeThin(this.#out, this.#ids, payload.length));
    const thin = this.#out.copy();
    this.#out.clear();
    event.encodeKey(this.#out);
    const key = this.#out.copy().toString('utf8');
    this.#out.clear();
    if (values > 1) event.encodeOldKey(this.#out);
    return {
      eventId,
      position: event.position,
      commitMs: event.commitMs,
      relationOid: event.source.oid,
      schema: event.source.table.schema,
      tableName: event.source.table.name,
      op: event.operation,
      key,
      oldKey: values > 1 ? this.#out.copy().toString('utf8') : null,
      payload,
      thin,
      messages: this.#keptMessages(event),
      table: event.table,
      keyShape: event.keyShape,
      lane: event.lane,
      secondLane: event.secondLane,
      barrier: event.barrier,
    };
  }

  /** The event in the format of its stream, where that is not JSON. */
  #keptMessages(event: DeliveryEvent): Buffer | null {
    const { schemas } = event;
    if (schemas === null) return null;
    const write = (encode: (out: ByteWriter) => number): readonly Buffer[] => {
      this.#out.clear();
      const values = encode(this.#out);
      return framedValues(this.#out.copy(), 0, values);
    };
    const key = (encode: (out: ByteWriter) => void): Buffer | null => {
      this.#out.clear();
      encode(this.#out);
      return this.#out.length === 0 ? null : this.#out.copy();
    };
    try {
      const values = write((out) => event.encode(out, this.#ids, 'avro'));
      const bytes = values.reduce((sum, { length }) => sum + length, 0);
      const thin = write((out) => event.encodeThin(out, this.#ids, bytes, 'avro'));
      const keys = [key((out) => event.encodeKey(out, 'avro'))];
      if (values.length > 1) keys.unshift(key((out) => event.encodeOldKey(out, 'avro')));
      return encodeKept({ schemas, messages: values.map((value, i) => ({ key: keys[i]!, value, thin: thin[i]! })) });
    } catch (error) {
      if (error instanceof AvroValueError) return null;
      throw error;
    }
  }

  /** Several values that were written as one event are an array. */
  #encloseMany(values: number): void {
    if (values < 2) return;
    const { length } = this.#out;
    this.#out.reserve(2);
    this.#out.bytes.copyWithin(1, 0, length);
    this.#out.bytes[0] = OPEN;
    this.#out.length = length + 1;
    this.#out.byte(CLOSE);
  }
}

/** The indexes of the events that `failed` names. */
export function failedMembers(ids: Buffer, failed: readonly string[]): ReadonlySet<number> {
  const names = new Set(failed.map((id) => id.toLowerCase()));
  const members = new Set<number>();
  for (let i = 0; i * ID_BYTES < ids.length; i++) if (names.has(formatUuid(ids, i * ID_BYTES))) members.add(i);
  return members;
}
