import type { OptionSet } from './option-changes.ts';
import { type OptionKey, SCHEMA_REGISTRY_OPTION_KEYS } from './stream-options.ts';
import type { Destination, EnvelopeName, FormatName, StreamScope } from './stream.ts';

/*
  What a stream's format has to do with its destination, its envelope and its options.
*/

export interface FormattedStream extends OptionSet {
  readonly format: FormatName;
  readonly destination: Destination;
  readonly envelope: EnvelopeName;
  /** Whether there is one. */
  readonly transform: unknown;
  readonly scope: StreamScope['kind'];
  /** How many there are. */
  readonly tables: number;
}

export interface FormatConflict {
  readonly condition: 'feature_not_supported' | 'invalid_parameter_value';
  readonly message: string;
  readonly hint: string;
  /** The options that it is about, and otherwise the format itself. */
  readonly keys: readonly OptionKey[];
}

/** Why the format cannot stand with the rest, or null. `nameOf`: how an option is written. */
export function formatConflict(stream: FormattedStream, nameOf: (key: OptionKey) => string): FormatConflict | null {
  return stream.format === 'avro' ? avroConflict(stream, nameOf) : registryConflict(stream, nameOf);
}

function avroConflict(
  { destination, envelope, transform, options, givenOptions, scope, tables }: FormattedStream,
  nameOf: (key: OptionKey) => string,
): FormatConflict | null {
  if (destination.kind !== 'kafka') {
    return unsupported(
      `FORMAT AVRO is not supported TO ${destination.kind.toUpperCase()}`,
      'Use FORMAT JSON, or TO KAFKA.',
    );
  }
  if (envelope === 'cloudevents') {
    const hint = 'Use ENVELOPE NATIVE, DEBEZIUM or FLAT.';
    return unsupported('FORMAT AVRO is not supported with ENVELOPE CLOUDEVENTS', hint);
  }
  if (transform !== null) {
    return unsupported(
      'FORMAT AVRO is not supported with TRANSFORM',
      'Use FORMAT JSON: what a transform writes is JSON.',
    );
  }
  if (givenOptions.includes('numbers')) {
    const message = `option "${nameOf('numbers')}" belongs to FORMAT JSON`;
    return invalid(message, 'In Avro a number has the type of its column.', ['numbers']);
  }
  const url = nameOf('schemaRegistryUrl');
  if (options.schemaRegistryUrl === '') {
    return invalid(`FORMAT AVRO needs ${url}`, `WITH (${url} = 'https://…'): readers look up the schemas there.`);
  }
  if (!URL.canParse(options.schemaRegistryUrl)) {
    return invalid(`invalid value for option "${url}"`, 'It is no URL.', ['schemaRegistryUrl']);
  }
  const mayBeMany = tables > 1 || scope !== 'tables';
  if (mayBeMany && destination.topic !== null && options.schemaRegistrySubjects === 'topic') {
    const hint = `WITH (${nameOf('topicTemplate')} = '{schema}.{table}') instead of TOPIC, or ${nameOf('schemaRegistrySubjects')} = 'topic_record'.`;
    return invalid('tables of one topic have other schemas, and so need a subject each', hint);
  }
  return null;
}

function registryConflict({ givenOptions }: OptionSet, nameOf: (key: OptionKey) => string): FormatConflict | null {
  const stranger = SCHEMA_REGISTRY_OPTION_KEYS.find((key) => givenOptions.includes(key));
  if (stranger === undefined) return null;
  return invalid(`option "${nameOf(stranger)}" belongs to FORMAT AVRO`, 'Add FORMAT AVRO, or leave it out.', [
    stranger,
  ]);
}

function unsupported(message: string, hint: string): FormatConflict {
  return { condition: 'feature_not_supported', message, hint, keys: [] };
}

function invalid(message: string, hint: string, keys: readonly OptionKey[] = []): FormatConflict {
  return { condition: 'invalid_parameter_value', message, hint, keys };
}
