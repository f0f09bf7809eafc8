/*
  Avro schemas as JSON.
  https://avro.apache.org/docs/1.12.0/specification/#schema-declaration
*/

export type AvroSchema = string | readonly AvroSchema[] | AvroObject;

export interface AvroObject {
  readonly type: AvroSchema;
  readonly [property: string]: unknown;
}

export interface AvroField {
  readonly name: string;
  readonly type: AvroSchema;
  readonly default?: unknown;
}

/** The named types that a schema has defined so far: another time they stand there by their names. */
export type DefinedNames = Set<string>;

/** A record, where it is met first; its name after that. */
export function recordSchema(
  defined: DefinedNames,
  namespace: string,
  name: string,
  fields: (defined: DefinedNames) => readonly AvroField[],
  properties: Readonly<Record<string, unknown>> = {},
): AvroSchema {
  const fullName = `${namespace}.${name}`;
  if (defined.has(fullName)) return fullName;
  defined.add(fullName);
  return { type: 'record', name, namespace, fields: fields(defined), ...properties };
}

/** A field that may be null and is where nobody has said anything: it may come and go as schemas follow each other. */
export function nullable(name: string, type: AvroSchema): AvroField {
  return { name, type: ['null', type], default: null };
}

const FOREIGN = /[^A-Za-z0-9_]/gu;

/** Text as a name: what a name may not have is `_`, as Debezium has it with `field.name.adjustment.mode=avro`. */
export function avroName(text: string): string {
  const name = text.replaceAll(FOREIGN, '_');
  return /^[A-Za-z_]/.test(name) ? name : `_${name}`;
}

/** A name for each of the texts, and none of them twice or among `taken`. */
export function avroNames(texts: readonly string[], taken: readonly string[] = []): readonly string[] {
  // Those that are names as they are keep theirs, whatever stands before them.
  const used = new Set([...taken, ...texts.filter((text) => avroName(text) === text)]);
  return texts.map((text) => {
    const name = avroName(text);
    if (name === text && !taken.includes(text)) return name;
    let free = name;
    for (let n = 2; used.has(free); n++) free = `${name}_${n}`;
    used.add(free);
    return free;
  });
}

/** The namespace of a table's records in a stream's topics. */
export function tableNamespace(stream: string, schema: string, table: string): string {
  return [stream, schema, table].map(avroName).join('.');
}
