import type { LookupFunction } from 'node:net';
import { assert, must } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import { parseBrokers } from '../../model/brokers.ts';
import type { Requirement } from '../../model/requirement.ts';
import type { ResolvedSecrets } from '../../model/resolved-stream.ts';
import type { KafkaDestination } from '../../model/stream.ts';
import type { StreamOptions } from '../../model/stream-options.ts';
import type { AddressGuard } from '../address-guard.ts';
import type { FailureOutcome, Outcome, Sink, SinkBatch, SinkRecord, SourceTable } from '../sink.ts';
import { Cluster } from './cluster.ts';
import type { CompressionName } from './compression.ts';
import { codeFault, faultOf, KafkaFault } from './kafka-fault.ts';
import { type KafkaCredentialOptions, type KafkaCredentials, makeKafkaCredentials } from './kafka-credentials.ts';
import { brokersRow, problemRow, producerRow, registryRow, topicFault, topicRow } from './inspection.ts';
import { partitionOf } from './partitioner.ts';
import { MAX_BATCH_BYTES, Producer } from './producer.ts';
import { type BatchRecord, recordBytes } from './record-batch.ts';
import { RecordHeaders } from './record-headers.ts';
import type { TopicMetadata } from './requests.ts';
import { SchemaIds } from './schema-ids.ts';
import { SchemaRegistry, SchemaRegistryError } from './schema-registry.ts';
import { TopicNames } from './topic-names.ts';
import { UnreadyRecords } from './unready-records.ts';

/** The options of a stream that are Kafka's. */
export type KafkaOptions = KafkaCredentialOptions &
  Pick<
    StreamOptions,
    | 'acks'
    | 'clientId'
    | 'compression'
    | 'connectTimeoutMs'
    | 'partitioner'
    | 'requestTimeoutMs'
    | 'schemaRegistrySubjects'
    | 'schemaRegistryUrl'
    | 'tlsInsecureSkipVerify'
    | 'topicTemplate'
  >;

export interface KafkaSinkOptions {
  readonly destination: KafkaDestination;
  readonly stream: string;
  readonly database: string;
  readonly options: KafkaOptions;
  /** Of each option that names a secret. */
  readonly secrets: ResolvedSecrets;
  readonly guard: AddressGuard;
  readonly clock: Clock;
  readonly random: Random;
  /** For the schema registry. */
  readonly userAgent: string;
  readonly lookup?: LookupFunction;
  /** The brokers have refused the credentials: one may look whether they have changed. */
  readonly onRefused?: () => void;
}

const REFUSED_CODES: ReadonlySet<string> = new Set([
  'sasl_failed',
  'tls_error',
  'topic_authorization',
  'schema_registry_401',
  'schema_registry_403',
  'schema_registry_tls_error',
]);
const PROBE_WITHIN_MS = 5_000;
const PROBE_EVERY_MS = 200;
/** How long the schema registry may take for an answer. */
const REGISTRY_TIMEOUT_MS = 10_000;

/** A record on its way, and where it goes. */
interface Placed {
  readonly event: number;
  readonly topic: string;
  readonly partition: number;
  readonly record: BatchRecord;
}

/** Records of one partition that go together. */
interface Run {
  readonly placed: Placed[];
  bytes: number;
}

/** Produces events to topics, each as a message of its own. What is together in a batch may go to several topics and partitions. */
export class KafkaSink implements Sink {
  readonly takesRecords = true;
  readonly problem: string | null;
  readonly #options: KafkaSinkOptions;
  readonly #cluster: Cluster;
  readonly #producer: Producer;
  readonly #topics: TopicNames;
  readonly #headers = new RecordHeaders();
  /** Null: no record has a schema. */
  readonly #registry: SchemaRegistry | null;
  readonly #schemaIds: SchemaIds | null;
  readonly #underWay = new Set<(outcome: Outcome) => void>();
  #nextPartition = 0;
  #closed = false;

  constructor(sinkOptions: KafkaSinkOptions) {
    const { destination, options, secrets, stream, database, guard, lookup, clock, random, userAgent } = sinkOptions;
    const { compression, connectTimeoutMs, topicTemplate, acks } = options;
    const made = makeKafkaCredentials(options, secrets);
    const credentials = 'problem' in made ? NO_CREDENTIALS : made;
    this.problem = 'problem' in made ? made.problem : compression === 'br' ? 'compression: br is for webhooks' : null;
    this.#options = sinkOptions;
    this.#topics = new TopicNames({ topic: destination.topic, template: topicTemplate, stream, database });
    this.#cluster = new Cluster(parseBrokers(destination.brokers), {
      clientId: options.clientId,
      guard,
      lookup,
      connectTimeoutMs,
      tls: options.tls ? { secureContext: credentials.secureContext, skipVerify: options.tlsInsecureSkipVerify } : null,
      sasl: credentials.sasl,
      clock,
      random,
    });
    const codec: CompressionName = compression === 'br' ? 'none' : compression;
    this.#producer = new Producer(this.#cluster, { acks, compression: codec, clock });
    const { schemaRegistryUrl: url, schemaRegistrySubjects: subjects } = options;
    const shared = { guard, lookup, connectTimeoutMs, userAgent, clock };
    this.#registry = url === '' ? null : new SchemaRegistry({ url, ...credentials.registry, ...shared });
    this.#schemaIds = this.#registry === null ? null : new SchemaIds(this.#registry, subjects, clock);
  }

  send(batch: SinkBatch, signal: AbortSignal): Promise<Outcome> {
    assert(this.problem === null, 'nothing is sent without the credentials that it should have');
    if (this.#closed || signal.aborted) return Promise.resolve({ class: 'cancelled' });
    return new Promise((resolve) => {
      const finish = (outcome: Outcome): void => {
        if (!this.#underWay.delete(finish)) return;
        signal.removeEventListener('abort', onAbort);
        if ('code' in outcome && REFUSED_CODES.has(outcome.code)) this.#options.onRefused?.();
        resolve(outcome);
      };
      const onAbort = (): void => finish({ class: 'cancelled' });
      signal.addEventListener('abort', onAbort, { once: true });
      this.#underWay.add(finish);
      this.#produce(batch).then(finish, (error: unknown) => finish(faultOf(error).failure));
    });
  }

  /** Nothing is sent: whether brokers let one in, whether the topics are there, and whether one may write to them. */
  async probe(tables: readonly SourceTable[], signal: AbortSignal): Promise<Outcome> {
    const cancelled = new Promise<Outcome>((resolve) => {
      signal.addEventListener('abort', () => resolve({ class: 'cancelled' }), { once: true });
    });
    const checked = this.#checkPatiently(this.#topics.topicsOf(tables), signal).then(
      (): Outcome => ({ class: 'ok', status: null, failed: [] }),
      outcomeOfError,
    );
    return Promise.race([cancelled, checked]);
  }

  async inspect(tables: readonly SourceTable[]): Promise<readonly Requirement[]> {
    if (this.problem !== null) return [problemRow(this.problem)];
    const found = await failing(this.#cluster.inspect(this.#topics.topicsOf(tables)));
    const ofRegistry =
      this.#registry === null ? [] : [registryRow(await failureOf(this.#registry.probe(this.#registryTimeoutMs)))];
    if ('class' in found) return [brokersRow(found), ...ofRegistry];
    const ofProducer =
      this.#options.options.acks === 'all' ? [producerRow(await failureOf(this.#producer.probe()))] : [];
    return [brokersRow({ brokers: found.brokers.length }), ...found.topics.map(topicRow), ...ofProducer, ...ofRegistry];
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#producer.close();
    this.#cluster.close();
    for (const finish of this.#underWay) finish({ class: 'cancelled' });
    await this.#registry?.close();
  }

  /** A broker that has just started, or a topic that was just made, is given a moment. */
  async #checkPatiently(topics: readonly string[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + PROBE_WITHIN_MS;
    for (;;) {
      try {
        await this.#check(topics);
        return;
      } catch (error) {
        const { remedy } = error instanceof SchemaRegistryError ? NO_REMEDY : faultOf(error);
        if (remedy !== 'again' || clock.monotonicMs() >= untilMs) throw error;
        await clock.sleep(PROBE_EVERY_MS, signal);
      }
    }
  }

  async #check(topics: readonly string[]): Promise<void> {
    const answer = await this.#cluster.inspect(topics);
    for (const topic of answer.topics) {
      const fault = topicFault(topic);
      if (fault !== null) throw aboutTopic(fault, topic.name);
    }
    await this.#producer.probe();
    await this.#registry?.probe(this.#registryTimeoutMs);
  }

  get #registryTimeoutMs(): number {
    return Math.min(REGISTRY_TIMEOUT_MS, this.#options.options.requestTimeoutMs);
  }

  async #produce(batch: SinkBatch): Promise<Outcome> {
    const records = must(batch.records, 'a sink of records is given them');
    const deadlineMs = this.#options.clock.monotonicMs() + this.#options.options.requestTimeoutMs;
    const names = records.map((record) => this.#topics.topic(record));
    const topics = await this.#lookUp(new Set(names));
    await this.#learnSchemas(records, names, topics);
    const failures = new Map<number, FailureOutcome>();
    const unready = new UnreadyRecords();
    const ready: Placed[] = [];
    for (const [i, record] of records.entries()) {
      const topic = topics.get(names[i]!)!;
      if (topic instanceof KafkaFault) failures.set(record.event, topic.failure);
      else {
        const one = unready.failureOf(record) ?? this.#place(batch, record, topic);
        if ('class' in one) unready.add(record, one);
        else ready.push(one);
      }
    }
    const placed = unready.without(ready);
    for (const [event, failure] of unready.failures) failures.set(event, failure);
    await Promise.all(
      runsOf(placed).map(
        ({ placed: piece, bytes }) =>
          new Promise<void>((resolve) => {
            const { topic, partition } = piece[0]!;
            const settle = (failure: FailureOutcome | null): void => {
              if (failure !== null) for (const { event } of piece) failures.set(event, failure);
              resolve();
            };
            const batchRecords = piece.map(({ record }) => record);
            this.#producer.produce({ topic, partition, records: batchRecords, bytes, deadlineMs, settle });
          }),
      ),
    );
    return outcomeOf(batch, records, placed, failures);
  }

  /** What is known of each topic, or why it cannot be written to. */
  async #lookUp(names: ReadonlySet<string>): Promise<ReadonlyMap<string, TopicMetadata | KafkaFault>> {
    const found = new Map<string, TopicMetadata | KafkaFault>();
    const missing: string[] = [];
    for (const name of names) {
      const topic = this.#cluster.topic(name);
      if (topic === null) missing.push(name);
      else found.set(name, topic);
    }
    if (missing.length === 0) return found;
    await this.#cluster.refresh(missing);
    for (const name of missing) found.set(name, this.#cluster.topic(name) ?? this.#faultOfTopic(name));
    return found;
  }

  /** Has the ids of schemas that are not known yet asked for, at once. */
  async #learnSchemas(
    records: readonly SinkRecord[],
    names: readonly string[],
    topics: ReadonlyMap<string, TopicMetadata | KafkaFault>,
  ): Promise<void> {
    const ids = this.#schemaIds;
    if (ids === null) return;
    const missing: Promise<void>[] = [];
    for (const [i, record] of records.entries()) {
      const name = names[i]!;
      const asked = topics.get(name) instanceof KafkaFault ? null : ids.missing(record, name, this.#registryTimeoutMs);
      if (asked !== null) missing.push(asked);
    }
    if (missing.length > 0) await Promise.all(missing);
  }

  #faultOfTopic(name: string): KafkaFault {
    return aboutTopic(codeFault(this.#cluster.errorOf(name) ?? UNKNOWN_TOPIC), name);
  }

  /** Where a record goes, or why it goes nowhere. */
  #place(batch: SinkBatch, record: SinkRecord, { name, leaders }: TopicMetadata): Placed | FailureOutcome {
    if (record.fault !== undefined) return unwritable(record.fault);
    const framed = this.#schemaIds?.framed(record, name) ?? record;
    if ('class' in framed) return framed;
    const { key, value } = framed;
    const partition = this.#partition({ ...record, key }, Math.max(1, leaders.length));
    return {
      event: record.event,
      topic: name,
      partition,
      record: { key, value, headers: this.#headers.headers(batch, record) },
    };
  }

  #partition({ key, order, schema, table }: Omit<SinkRecord, 'value'>, count: number): number {
    const { partitioner } = this.#options.options;
    if (partitioner === 'round_robin') return (this.#nextPartition = (this.#nextPartition + 1) % 2 ** 31) % count;
    const by = order === null ? (key ?? Buffer.from(`${schema}.${table}`, 'utf8')) : Buffer.from(order, 'utf8');
    return partitionOf(partitioner, by, count);
  }
}

const NO_CREDENTIALS: KafkaCredentials = {
  sasl: null,
  secureContext: null,
  registry: { authorization: null, secureContext: null },
};
/** Whatever asking has thrown. */
function outcomeOfError(error: unknown): FailureOutcome {
  return error instanceof SchemaRegistryError ? error.failure : faultOf(error).failure;
}

function failing<T>(work: Promise<T>): Promise<T | FailureOutcome> {
  return work.catch(outcomeOfError);
}

function failureOf(work: Promise<void>): Promise<FailureOutcome | null> {
  return work.then(() => null, outcomeOfError);
}

const NO_REMEDY = { remedy: 'none' } as const;

/** The event has no form in the stream's format. */
function unwritable(reason: string): FailureOutcome {
  return { class: 'rejected', status: null, code: 'format', reason, retryAfterMs: null };
}

const UNKNOWN_TOPIC = 3;

function aboutTopic({ failure, remedy }: KafkaFault, topic: string): KafkaFault {
  return new KafkaFault(failure.class, failure.code, `topic "${topic}": ${failure.reason}`, remedy);
}

/** Runs of records of one partition, in order, none above what a batch may hold unless one record alone is. */
function runsOf(placed: readonly Placed[]): readonly Run[] {
  const runs: Run[] = [];
  const open = new Map<string, Run>();
  for (const one of placed) {
    const partition = `${one.partition}/${one.topic}`;
    const bytes = recordBytes(one.record);
    const last = open.get(partition);
    if (last !== undefined && last.bytes + bytes <= MAX_BATCH_BYTES) {
      last.placed.push(one);
      last.bytes += bytes;
      continue;
    }
    const run = { placed: [one], bytes };
    runs.push(run);
    open.set(partition, run);
  }
  return runs;
}

/**
 * What became of the whole batch. An event that went to several partitions and is not everywhere has to go again, before what
 * came after it: then all of that goes again, too, and who keeps the ids sees that it was there.
 */
function outcomeOf(
  { events }: SinkBatch,
  records: readonly SinkRecord[],
  placed: readonly Placed[],
  failures: ReadonlyMap<number, FailureOutcome>,
): Outcome {
  if (failures.size === 0) return { class: 'ok', status: null, failed: [] };
  const failed = new Set(failures.keys());
  const firstSpread = Math.min(...[...failed].filter((event) => isSpread(event, records, placed)));
  for (const { event } of records) if (event > firstSpread) failed.add(event);
  if (failed.size === events) return gravest([...failures.values()]);
  const ids = records.filter(({ event }) => failed.has(event)).map(({ id }) => id);
  return { class: 'ok', status: null, failed: [...new Set(ids)] };
}

function isSpread(event: number, records: readonly SinkRecord[], placed: readonly Placed[]): boolean {
  const own = placed.filter((one) => one.event === event);
  // Some of its topics are known, and others not.
  if (own.length > 0 && own.length < records.filter((one) => one.event === event).length) return true;
  return own.some(({ topic, partition }) => topic !== own[0]!.topic || partition !== own[0]!.partition);
}

/** Events are given up for a rejection: only where nothing else is wrong is the batch one. */
function gravest(failures: readonly FailureOutcome[]): FailureOutcome {
  return failures.find((failure) => failure.class !== 'rejected') ?? failures[0]!;
}
