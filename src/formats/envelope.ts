import type { EnvelopeName } from '../model/stream.ts';
import type { Relation } from '../postgres/pgoutput.ts';
import { CLOUD_EVENT_BATCH_TYPE, CLOUD_EVENT_TYPE, CloudEventEncoder } from './cloud-events.ts';
import { DebeziumEncoder } from './debezium.ts';
import type { EventEncoder } from './encoder.ts';
import type { EventIds } from './event-id.ts';
import { FlatEncoder } from './flat.ts';
import { NativeEncoder, type NativeOptions } from './native.ts';

/** What shapes the events of a stream. */
export interface EnvelopeOptions extends NativeOptions {
  readonly envelope: EnvelopeName;
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
