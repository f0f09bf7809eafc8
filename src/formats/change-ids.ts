import { FRAME, type Relation, TAG } from '../postgres/pgoutput.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { EncodableChange } from './change.ts';
import { type ChangeRows, newRow } from './change-rows.ts';
import { type EventIds, ID_BYTES, UUID_TEXT_BYTES, writeReadId, writeUuidText } from './event-id.ts';

/** The ids of one relation's changes. */
export class ChangeIds {
  readonly #ids: EventIds;
  readonly #relationOid: number;
  readonly #rows: ChangeRows;

  constructor(ids: EventIds, relation: Relation, rows: ChangeRows) {
    this.#ids = ids;
    this.#relationOid = relation.oid;
    this.#rows = rows;
  }

  /** Appends the 16 bytes of the change's id. */
  append(ids: ByteWriter, change: EncodableChange): void {
    const { data, offset, transaction, ordinal, backfill = null } = change;
    ids.reserve(ID_BYTES);
    if (backfill === null) {
      const truncatedOid = data[offset + FRAME.message] === TAG.truncate ? this.#relationOid : 0;
      this.#ids.write(ids.bytes, ids.length, transaction, data, offset, ordinal, truncatedOid);
    } else {
      writeReadId(ids.bytes, ids.length, backfill, this.#relationOid, this.#readKey(change));
    }
    ids.length += ID_BYTES;
  }

  /** What tells the row from the others of its backfill. */
  #readKey({ data, offset, ordinal }: EncodableChange): Buffer {
    const { keyColumns } = this.#rows;
    if (keyColumns.length === 0) {
      const place = Buffer.alloc(12);
      data.copy(place, 0, offset + FRAME.startLsn, offset + FRAME.startLsn + 8);
      place.writeUInt32BE(ordinal, 8);
      return place;
    }
    this.#rows.readInsert(data, offset + FRAME.message + 5);
    const parts: Buffer[] = [];
    for (const i of keyColumns) {
      const text = newRow.starts[i]! < 0 ? Buffer.alloc(0) : data.subarray(newRow.starts[i], newRow.ends[i]);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(text.length);
      parts.push(length, text);
    }
    return Buffer.concat(parts);
  }
}

/** Writes the id that was appended last as text, without quotes. */
export function writeLastId(out: ByteWriter, ids: ByteWriter): void {
  out.reserve(UUID_TEXT_BYTES);
  writeUuidText(out.bytes, out.length, ids.bytes, ids.length - ID_BYTES);
  out.length += UUID_TEXT_BYTES;
}
