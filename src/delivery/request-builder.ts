import { ByteWriter } from '../formats/byte-writer.ts';
import { formatUuid, ID_BYTES, requestId } from '../formats/event-id.ts';
import type { SinkBatch } from '../sinks/sink.ts';
import type { ChangeEvent, EventSource } from './change-event.ts';

const OPEN = 0x5b;
const COMMA = 0x2c;
const CLOSE = 0x5d;

/**
 * Makes request bodies: one event as an object, or several as an array. One builder serves all streams, one request at a
 * time.
 */
export class RequestBuilder {
  readonly #out = new ByteWriter(256 * 1024);
  readonly #ids = new ByteWriter(16 * 1024);
  #array = false;
  #maxBytes = 0;
  #count = 0;
  #source: EventSource | null = null;
  #oneTable = true;

  get count(): number {
    return this.#count;
  }

  /** `array`: as an array even if it comes to one event. */
  begin(array: boolean, maxBytes: number): void {
    this.#out.clear();
    this.#ids.clear();
    this.#array = array;
    this.#maxBytes = maxBytes;
    this.#count = 0;
    this.#source = null;
    this.#oneTable = true;
    if (array) this.#out.byte(OPEN);
  }

  /** Appends an event, unless the body has one already and would grow past its limit. */
  append(event: ChangeEvent): boolean {
    const length = this.#out.length;
    const idsLength = this.#ids.length;
    if (this.#count > 0) this.#out.byte(COMMA);
    event.source.encode(this.#out, event, this.#ids);
    if (this.#count > 0 && this.#out.length + 1 > this.#maxBytes) {
      this.#out.length = length;
      this.#ids.length = idsLength;
      return false;
    }
    this.#count++;
    if (this.#source === null) this.#source = event.source;
    else if (this.#source !== event.source && this.#source.oid !== event.source.oid) this.#oneTable = false;
    return true;
  }

  /** The request, and its events' ids, 16 bytes each. */
  finish(stream: string, attempt: number): { readonly request: SinkBatch; readonly ids: Buffer } {
    if (this.#array) this.#out.byte(CLOSE);
    const ids = this.#ids.copy();
    const request = {
      requestId: requestId(ids),
      body: this.#out.copy(),
      events: this.#count,
      attempt,
      stream,
      table: this.#oneTable && this.#source !== null ? this.#source.table : null,
    };
    return { request, ids };
  }

  /** One event by itself: its id, its body and its key as JSON. */
  single(event: ChangeEvent): { readonly eventId: string; readonly body: Buffer; readonly key: string } {
    this.begin(false, Infinity);
    this.append(event);
    const body = this.#out.copy();
    const eventId = formatUuid(this.#ids.bytes, 0);
    this.#out.clear();
    event.source.encodeKey(this.#out, event);
    return { eventId, body, key: this.#out.copy().toString('utf8') };
  }
}

/** The indexes of the events that `failed` names. */
export function failedMembers(ids: Buffer, failed: readonly string[]): ReadonlySet<number> {
  const names = new Set(failed.map((id) => id.toLowerCase()));
  const members = new Set<number>();
  for (let i = 0; i * ID_BYTES < ids.length; i++) if (names.has(formatUuid(ids, i * ID_BYTES))) members.add(i);
  return members;
}
