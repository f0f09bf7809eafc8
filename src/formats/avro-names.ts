import { writeLong, writeText } from './avro-binary.ts';
import type { AvroRow } from './avro-row.ts';
import type { ByteWriter } from './byte-writer.ts';

/** An array of the names of columns, as the record's fields are named. */
export function writeNames(out: ByteWriter, row: AvroRow, columns: readonly number[]): void {
  if (columns.length > 0) {
    writeLong(out, columns.length);
    for (const i of columns) {
      const name = Buffer.from(row.field(i), 'latin1');
      writeText(out, name, 0, name.length);
    }
  }
  out.byte(0);
}
