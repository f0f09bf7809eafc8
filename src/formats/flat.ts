import { FRAME, type Relation } from '../postgres/pgoutput.ts';
import type { ByteWriter } from './byte-writer.ts';
import { ChangeIds } from './change-ids.ts';
import type { EncodableChange } from './change.ts';
import { ChangeRows, newRow, oldRow } from './change-rows.ts';
import type { EventEncoder } from './encoder.ts';
import type { EventIds } from './event-id.ts';
import { JSON_NULL, jsonStringBytes } from './json-text.ts';
import { type ValueKind, valueKind, writeValue } from './json-value.ts';
import { writeLsnNumber } from './lsn-number.ts';
import { NULL, type TupleView } from './tuple.ts';

/*
  The FLAT envelope: Supermetal's own format, the row itself with two members after it.
  https://docs.supermetal.io/docs/main/targets/kafka/#supermetal

    <column>…     the row after the change, or as a backfill has read it; of a DELETE the key, or the old row where the table has no key
    _sm_version   larger for every later change of the same key: the LSN of the change as a number. (Supermetal has
                  nanoseconds there, which a clock that is set back does not keep in order.)
    _sm_deleted   true for a DELETE

  An UPDATE that changes the key is two objects: the old key deleted, and the new row. A TRUNCATE is `_sm_version` and
  `_sm_deleted: true` with no column. A large value that an UPDATE did not touch and that Postgres does not send is absent, as
  every column is whose value is not known.

  Of an event that is too large for its stream the key is sent, with `"_sm_thin":true,"_sm_full_bytes":…` at the end.
*/

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

const VERSION = ascii('"_sm_version":');
const LIVE = ascii(',"_sm_deleted":false');
const DELETED = ascii(',"_sm_deleted":true');
const THIN = ascii(',"_sm_thin":true,"_sm_full_bytes":');

interface Column {
  /** `"name":` */
  readonly member: Buffer;
  readonly type: ValueKind;
}

/** Writes the changes of one relation definition as rows of one stream. */
export class FlatEncoder implements EventEncoder {
  readonly #ids: ChangeIds;
  readonly #columns: readonly Column[];
  readonly #rows: ChangeRows;
  /** Of a deleted row. */
  readonly #deleted: readonly number[];

  constructor(
    ids: EventIds,
    relation: Relation,
    primaryKey: readonly string[],
    sent: readonly string[] | null,
    numbers: 'string' | 'number',
  ) {
    this.#columns = relation.columns.map(({ name, typeOid }) => ({
      member: Buffer.concat([jsonStringBytes(name), ascii(':')]),
      type: valueKind(typeOid, numbers),
    }));
    this.#rows = new ChangeRows(relation, primaryKey, sent);
    this.#ids = new ChangeIds(ids, relation, this.#rows);
    this.#deleted = this.#rows.keyColumns.length > 0 ? this.#rows.keyColumns : this.#rows.sent;
  }

  encode(out: ByteWriter, change: EncodableChange, ids: ByteWriter): number {
    this.#ids.append(ids, change);
    return this.#write(out, change, this.#rows.sent, null);
  }

  encodeThin(out: ByteWriter, change: EncodableChange, ids: ByteWriter, fullBytes: number): number {
    this.#ids.append(ids, change);
    return this.#write(out, change, this.#rows.keyColumns, fullBytes);
  }

  encodeKey(out: ByteWriter, change: EncodableChange): void {
    const row = this.#rows.readKeyRow(change);
    if (row === null || this.#rows.keyColumns.length === 0) out.raw(JSON_NULL);
    else this.#writeKey(out, change.data, row);
  }

  encodeOldKey(out: ByteWriter, change: EncodableChange): void {
    this.#writeKey(out, change.data, this.#rows.readOldKeyRow(change));
  }

  #writeKey(out: ByteWriter, data: Buffer, row: TupleView): void {
    out.byte(0x7b);
    if (this.#writeColumns(out, data, row, this.#rows.keyColumns)) out.length--;
    out.byte(0x7d);
  }

  /** `live`: which columns of a row that is there are written. */
  #write(out: ByteWriter, change: EncodableChange, live: readonly number[], fullBytes: number | null): number {
    switch (this.#rows.readChange(change)) {
      case 'created':
      case 'updated':
      case 'updated-unseen':
        this.#writeObject(out, change, newRow, live, LIVE, fullBytes);
        return 1;
      case 'moved':
        this.#writeObject(out, change, oldRow, this.#rows.keyColumns, DELETED, fullBytes);
        out.byte(0x2c);
        this.#writeObject(out, change, newRow, live, LIVE, fullBytes);
        return 2;
      case 'deleted': {
        const told = fullBytes === null ? this.#deleted : this.#rows.keyColumns;
        this.#writeObject(out, change, oldRow, told, DELETED, fullBytes);
        return 1;
      }
      case 'truncated':
        this.#writeObject(out, change, oldRow, [], DELETED, fullBytes);
        return 1;
    }
  }

  #writeObject(
    out: ByteWriter,
    { data, offset }: EncodableChange,
    row: TupleView,
    columns: readonly number[],
    state: Buffer,
    fullBytes: number | null,
  ): void {
    out.byte(0x7b);
    this.#writeColumns(out, data, row, columns);
    out.raw(VERSION);
    writeLsnNumber(out, data, offset + FRAME.startLsn);
    out.raw(state);
    if (fullBytes !== null) {
      out.raw(THIN);
      out.unsigned(fullBytes);
    }
    out.byte(0x7d);
  }

  /** Writes those that are known, each with a comma behind it, and tells whether there was one. */
  #writeColumns(out: ByteWriter, data: Buffer, row: TupleView, columns: readonly number[]): boolean {
    const begin = out.length;
    for (let n = 0; n < columns.length; n++) {
      const i = columns[n]!;
      const start = row.starts[i]!;
      if (start < NULL) continue;
      const { member, type } = this.#columns[i]!;
      out.raw(member);
      if (start === NULL) out.raw(JSON_NULL);
      else writeValue(out, type, data, start, row.ends[i]!);
      out.byte(0x2c);
    }
    return out.length > begin;
  }
}
