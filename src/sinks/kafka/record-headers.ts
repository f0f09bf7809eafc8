import type { SinkBatch, SinkRecord } from '../sink.ts';
import { varintBytes } from './bytes.ts';
import { writeHeaders } from './record-batch.ts';

/** Tables and operations that are kept. */
const MAX_KEPT = 1_000;
const JSON_TYPE = 'application/json';

/** What the headers of a record have that others of the table and the operation have, too. */
interface Shared {
  /** In front of the id's bytes, for an id of so many: the count, the name, the length. */
  readonly idLength: number;
  readonly before: Buffer;
  /** Between the id and the LSN's length. */
  readonly between: Buffer;
}

/**
 * The headers of records: `id`, `op`, `schema`, `table`, `lsn`, and those of a batch. As there are as many as events, what does not
 * differ is made once.
 */
export class RecordHeaders {
  readonly #kept = new Map<string, Shared>();

  headers(batch: Pick<SinkBatch, 'gap' | 'isReplay' | 'contentType'>, record: SinkRecord): Buffer {
    const more = moreHeaders(batch, record);
    if (more.length > 0) return writeHeaders([...commonHeaders(record), ...more]);
    const { id, lsn } = record;
    const { before, between } = this.#shared(record);
    const lsnAt = before.length + id.length + between.length;
    const lengthBytes = varintBytes(lsn.length);
    const bytes = Buffer.allocUnsafe(lsnAt + lengthBytes + lsn.length);
    before.copy(bytes);
    bytes.write(id, before.length, 'latin1');
    between.copy(bytes, before.length + id.length);
    // A zigzag varint of less than 64 is twice the number.
    bytes[lsnAt] = lsn.length * 2;
    bytes.write(lsn, lsnAt + lengthBytes, 'latin1');
    return bytes;
  }

  #shared(record: SinkRecord): Shared {
    const { operation, schema, table, id } = record;
    // A name of Postgres's has no NUL.
    const key = `${operation}\0${schema}\0${table}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.idLength === id.length) return kept;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const all = writeHeaders(commonHeaders({ ...record, lsn: '' }));
    const at = all.indexOf(id, 0, 'latin1');
    const shared = { idLength: id.length, before: all.subarray(0, at), between: all.subarray(at + id.length, -1) };
    this.#kept.set(key, shared);
    return shared;
  }
}

function commonHeaders({ id, operation, schema, table, lsn }: SinkRecord): readonly (readonly [string, string])[] {
  return [
    ['id', id],
    ['op', operation],
    ['schema', schema],
    ['table', table],
    ['lsn', lsn],
  ];
}

function moreHeaders(
  { gap, isReplay, contentType }: Pick<SinkBatch, 'gap' | 'isReplay' | 'contentType'>,
  { event }: SinkRecord,
): readonly (readonly [string, string])[] {
  if (contentType === JSON_TYPE && isReplay !== true && !gap) return NONE;
  const headers: (readonly [string, string])[] = [];
  // https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md#33-structured-content-mode
  if (contentType !== JSON_TYPE) headers.push(['content-type', contentType]);
  if (isReplay === true) headers.push(['replay', 'true']);
  if (event === 0 && gap) headers.push(['gap', gap]);
  return headers;
}

const NONE: readonly (readonly [string, string])[] = [];
