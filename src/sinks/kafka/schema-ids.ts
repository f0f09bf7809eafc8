import type { Clock } from '../../base/clock.ts';
import type { StreamOptions } from '../../model/stream-options.ts';
import type { FailureOutcome, SinkRecord } from '../sink.ts';
import { SchemaRegistryError } from './schema-registry.ts';

/*
  A key or a value with its schema:

    Byte(0) Int32(the schema's id) Avro

  https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
*/

const HEAD_BYTES = 5;

/** Schemas of topics that are known at once. */
const MAX_KEPT = 10_000;
/** So long a refusal holds: the events of one schema do not ask for it one by one. */
const REFUSAL_MS = 4_000;

/** Where ids come from. Rejects with `SchemaRegistryError`. */
export interface Registers {
  register(subject: string, schema: string, timeoutMs: number): Promise<number>;
}

type Part = 'key' | 'value';

interface Known {
  /** Null: not yet. */
  id: number | null;
  asked: Promise<void> | null;
  refusal: { readonly failure: FailureOutcome; readonly untilMs: number } | null;
}

/** The ids of the schemas that a stream's records have, each asked for once. */
export class SchemaIds {
  readonly #registry: Registers;
  readonly #subjects: StreamOptions['schemaRegistrySubjects'];
  readonly #clock: Clock;
  /** By part, schema and topic. The schemas of a table are the same strings, whose hashes are made once. */
  readonly #known = { key: new Map<string, Map<string, Known>>(), value: new Map<string, Map<string, Known>>() };
  #count = 0;

  constructor(registry: Registers, subjects: StreamOptions['schemaRegistrySubjects'], clock: Clock) {
    this.#registry = registry;
    this.#subjects = subjects;
    this.#clock = clock;
  }

  /** Asks for what the record's topic needs and is not known; null: nothing is missing. It never rejects. */
  missing({ schemas, key }: SinkRecord, topic: string, timeoutMs: number): Promise<void> | null {
    if (schemas === undefined) return null;
    const value = this.#missing('value', schemas.value, topic, timeoutMs);
    const ofKey = schemas.key === null || key === null ? null : this.#missing('key', schemas.key, topic, timeoutMs);
    if (value === null || ofKey === null) return value ?? ofKey;
    return Promise.all([value, ofKey]).then(() => {});
  }

  #missing(part: Part, schema: string, topic: string, timeoutMs: number): Promise<void> | null {
    const known = this.#of(part, schema, topic);
    if (known.id !== null) return null;
    if (known.refusal !== null && known.refusal.untilMs > this.#clock.monotonicMs()) return null;
    known.asked ??= this.#ask(known, part, schema, topic, timeoutMs).finally(() => (known.asked = null));
    return known.asked;
  }

  async #ask(known: Known, part: Part, schema: string, topic: string, timeoutMs: number): Promise<void> {
    try {
      known.id = await this.#registry.register(this.#subject(part, schema, topic), schema, timeoutMs);
    } catch (error) {
      if (!(error instanceof SchemaRegistryError)) throw error;
      const { failure } = error;
      const holdsMs = failure.class === 'rejected' ? REFUSAL_MS : 0;
      known.refusal = { failure, untilMs: this.#clock.monotonicMs() + holdsMs };
    }
  }

  /** As Confluent's strategies name them: TopicName, RecordName, TopicRecordName. */
  #subject(part: Part, schema: string, topic: string): string {
    if (this.#subjects === 'topic') return `${topic}-${part}`;
    const { namespace, name } = JSON.parse(schema) as { readonly namespace: string; readonly name: string };
    return this.#subjects === 'record' ? `${namespace}.${name}` : `${topic}-${namespace}.${name}`;
  }

  #of(part: Part, schema: string, topic: string): Known {
    let topics = this.#known[part].get(schema);
    if (topics === undefined) this.#known[part].set(schema, (topics = new Map()));
    let known = topics.get(topic);
    if (known !== undefined) return known;
    if (++this.#count > MAX_KEPT) {
      this.#known.key.clear();
      this.#known.value.clear();
      this.#known[part].set(schema, (topics = new Map()));
      this.#count = 1;
    }
    known = { id: null, asked: null, refusal: null };
    topics.set(topic, known);
    return known;
  }

  /** Key and value with the ids of their schemas, once nothing of them is missing; or why there is no id. */
  framed(
    { schemas, key, value }: SinkRecord,
    topic: string,
  ): { readonly key: Buffer | null; readonly value: Buffer | null } | FailureOutcome {
    if (schemas === undefined) return { key, value };
    const valueHead = value === null ? null : this.#of('value', schemas.value, topic);
    const keyHead = key === null || schemas.key === null ? null : this.#of('key', schemas.key, topic);
    for (const head of [keyHead, valueHead]) {
      if (head !== null && head.id === null) return head.refusal?.failure ?? FORGOTTEN;
    }
    return { key: framedBytes(keyHead?.id ?? null, key), value: framedBytes(valueHead?.id ?? null, value) };
  }
}

/** More schemas at once than are kept. */
const FORGOTTEN: FailureOutcome = {
  class: 'transient',
  status: null,
  code: 'schema_registry_forgotten',
  reason: 'schema registry: too many schemas are in use at once',
  retryAfterMs: null,
};

function framedBytes(id: number | null, bytes: Buffer | null): Buffer | null {
  if (id === null || bytes === null) return bytes;
  const framed = Buffer.allocUnsafe(HEAD_BYTES + bytes.length);
  framed[0] = 0;
  framed.writeInt32BE(id, 1);
  bytes.copy(framed, HEAD_BYTES);
  return framed;
}
