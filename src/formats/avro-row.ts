import type { Relation } from '../postgres/pgoutput.ts';
import { NULL_BRANCH, VALUE_BRANCH } from './avro-binary.ts';
import {
  type AvroField,
  avroNames,
  type AvroSchema,
  type DefinedNames,
  nullable,
  recordSchema,
} from './avro-schema.ts';
import { type AvroType, avroType, type AvroTypes } from './avro-value.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { ChangeRows } from './change-rows.ts';
import { NULL, type TupleView, UNCHANGED } from './tuple.ts';

/** A value has no form in its column's Avro type. The message says which column, and nothing of the value. */
export class AvroValueError extends Error {
  override readonly name = 'AvroValueError';
}

interface Column extends AvroType {
  readonly name: string;
  /** As Avro has it. */
  readonly field: string;
}

/**
 * The rows and keys of one relation definition as records. Every column of a row is `["null", T]` with the default null, also one
 * that is NOT NULL: of an old row only the key may be known, and schemas that gain or lose columns stay compatible both ways. A
 * key's columns are never null.
 */
export class AvroRow {
  readonly #columns: readonly Column[];
  readonly #rows: ChangeRows;
  readonly #namespace: string;
  readonly #isConnect: boolean;

  /** `taken`: names of fields that stand beside the columns. */
  constructor(
    relation: Relation,
    rows: ChangeRows,
    namespace: string,
    types: AvroTypes,
    taken: readonly string[] = [],
  ) {
    const fields = avroNames(
      relation.columns.map(({ name }) => name),
      taken,
    );
    this.#columns = relation.columns.map((column, i) => ({
      ...avroType(column, types),
      name: column.name,
      field: fields[i]!,
    }));
    this.#rows = rows;
    this.#namespace = namespace;
    this.#isConnect = types === 'debezium';
  }

  /** As Avro names column `i`. */
  field(i: number): string {
    return this.#columns[i]!.field;
  }

  /** The record of a row, with `more` fields behind the columns. */
  rowSchema(defined: DefinedNames, name: string, more: readonly AvroField[] = []): AvroSchema {
    return this.#record(defined, name, (inner) => [
      ...this.#rows.sent.map((i) => {
        const { field, schema } = this.#columns[i]!;
        return { ...nullable(field, schema(inner)), ...this.#origin(i) };
      }),
      ...more,
    ]);
  }

  /** The record of a key; null where the table has none. */
  keySchema(defined: DefinedNames): AvroSchema | null {
    const { keyColumns } = this.#rows;
    if (keyColumns.length === 0) return null;
    return this.#record(defined, 'Key', (inner) =>
      keyColumns.map((i) => {
        const { field, schema } = this.#columns[i]!;
        return { name: field, type: schema(inner), ...this.#origin(i) };
      }),
    );
  }

  #record(defined: DefinedNames, name: string, fields: (defined: DefinedNames) => readonly AvroField[]): AvroSchema {
    const properties = this.#isConnect ? { 'connect.name': `${this.#namespace}.${name}` } : {};
    return recordSchema(defined, this.#namespace, name, fields, properties);
  }

  /** What a column is called where Avro does not take its name. */
  #origin(i: number): { readonly doc?: string } {
    const { name, field } = this.#columns[i]!;
    return name === field ? {} : { doc: `column ${JSON.stringify(name)}` };
  }

  /** A row, whose columns that are not known are null. Throws `AvroValueError`. */
  writeRow(out: ByteWriter, data: Buffer, row: TupleView): void {
    const { sent } = this.#rows;
    for (let n = 0; n < sent.length; n++) this.#writeNullable(out, data, row, sent[n]!);
  }

  /** A row of which only some columns are told. */
  writeSome(out: ByteWriter, data: Buffer, row: TupleView, told: readonly boolean[]): void {
    for (const i of this.#rows.sent) {
      if (told[i] === true) this.#writeNullable(out, data, row, i);
      else out.byte(NULL_BRANCH);
    }
  }

  #writeNullable(out: ByteWriter, data: Buffer, row: TupleView, i: number): void {
    const start = row.starts[i]!;
    if (start <= NULL) {
      out.byte(NULL_BRANCH);
      return;
    }
    out.byte(VALUE_BRANCH);
    const column = this.#columns[i]!;
    if (!column.write(out, data, start, row.ends[i]!)) throw valueError(column.name);
  }

  /** A row with placeholders: for what Postgres left out as unchanged, and of one that is `thin` for all that can be long. */
  writePlaceheld(out: ByteWriter, data: Buffer, row: TupleView, thin: boolean, isKey: readonly boolean[]): void {
    const { sent } = this.#rows;
    for (let n = 0; n < sent.length; n++) {
      const i = sent[n]!;
      const start = row.starts[i]!;
      const column = this.#columns[i]!;
      const isLeftOut = thin && start > NULL && !column.isShort && !isKey[i]! && column.unavailable !== null;
      if (start !== UNCHANGED && !isLeftOut) {
        this.#writeNullable(out, data, row, i);
        continue;
      }
      if (column.unavailable === null) {
        throw new AvroValueError(
          `column "${column.name}" has a large value that did not change, which Postgres does not send; unchanged_toast = fetch asks for it`,
        );
      }
      out.byte(VALUE_BRANCH);
      out.raw(column.unavailable);
    }
  }

  writeKey(out: ByteWriter, data: Buffer, row: TupleView): void {
    const { keyColumns } = this.#rows;
    for (let n = 0; n < keyColumns.length; n++) {
      const i = keyColumns[n]!;
      const start = row.starts[i]!;
      const column = this.#columns[i]!;
      if (start <= NULL) throw new AvroValueError(`column "${column.name}" of the key is not known`);
      if (!column.write(out, data, start, row.ends[i]!)) throw valueError(column.name);
    }
  }
}

function valueError(column: string): AvroValueError {
  return new AvroValueError(`column "${column}" has a value that its Avro type cannot hold`);
}
