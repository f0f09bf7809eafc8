import type { EnvelopeName, FormatName } from '../model/stream.ts';
import type { Relation } from '../postgres/pgoutput.ts';
import { CLOUD_EVENT_BATCH_TYPE, CLOUD_EVENT_TYPE, CloudEventEncoder } from './cloud-events.ts';
import { DebeziumEncoder } from './debezium.ts';
import { AvroDebeziumEncoder } from './avro-debezium.ts';
import { AvroFlatEncoder } from './avro-flat.ts';
import { AvroNativeEncoder } from './avro-native.ts';
import type { EventEncoder } from './encoder.ts';
import type { EventIds } from './event-id.ts';
import { FlatEncoder } from './flat.ts';
import type { MessageEncoder } from './message-encoder.ts';
import { NativeEncoder, type NativeOptions } from './native.ts';

/** What shapes the events of a stream. */
export interface EnvelopeOptions extends NativeOptions {
  readonly envelope: EnvelopeName;
  /** Absent: JSON. */
  readonly format?: FormatName;
  readonly stream: string;
  readonly database: string;
}

/**
 * The encoder of one relation definition's changes. `primaryKey`: the key's columns where the replica identity is FULL;
 * `sent`: the names of the columns that are sent, null: all.
 */
export function createEncoder(
  ids: EventIds,
  relation: Relation,
  primaryKey: readonly string[],
  sent: readonly string[] | null,
  options: EnvelopeOptions,
): EventEncoder {
  const { envelope, stream, database } = options;
  switch (envelope) {
    case 'native':
      return new NativeEncoder(ids, relation, stream, primaryKey, sent, options);
    case 'debezium':
      return new DebeziumEncoder(ids, relation, stream, database, primaryKey, sent);
    case 'flat':
      return new FlatEncoder(ids, relation, primaryKey, sent, options.numbers);
    case 'cloudevents':
      return new CloudEventEncoder(ids, relation, stream, primaryKey, sent, options);
  }
}

/** The same in Avro; null: the envelope has no such form. */
export function createAvroEncoder(
  ids: EventIds,
  relation: Relation,
  primaryKey: readonly string[],
  sent: readonly string[] | null,
  { envelope, stream, database, includeTransaction }: EnvelopeOptions,
): MessageEncoder | null {
  switch (envelope) {
    case 'native':
      return new AvroNativeEncoder(ids, relation, stream, primaryKey, sent, includeTransaction);
    case 'debezium':
      return new AvroDebeziumEncoder(ids, relation, stream, database, primaryKey, sent);
    case 'flat':
      return new AvroFlatEncoder(ids, relation, stream, primaryKey, sent);
    case 'cloudevents':
      return null;
  }
}

/** Whether a deleted row is told by its key with nothing behind it as well, where keys are sent apart, so that logs are compacted. */
export function hasTombstones(envelope: EnvelopeName): boolean {
  return envelope === 'debezium' || envelope === 'flat';
}

const JSON_TYPE = 'application/json';

/** The media type of a body: of one event, or of an array. */
export function mediaType(envelope: EnvelopeName, isArray: boolean): string {
  if (envelope !== 'cloudevents') return JSON_TYPE;
  return isArray ? CLOUD_EVENT_BATCH_TYPE : CLOUD_EVENT_TYPE;
}
