import type { LookupFunction } from 'node:net';
import { assert, must } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import { parseBrokers } from '../../model/brokers.ts';
import type { ResolvedSecrets } from '../../model/resolved-stream.ts';
import type { KafkaDestination } from '../../model/stream.ts';
import type { StreamOptions } from '../../model/stream-options.ts';
import type { AddressGuard } from '../address-guard.ts';
import type { FailureOutcome, Outcome, Sink, SinkBatch, SinkRecord, SourceTable } from '../sink.ts';
import { Cluster } from './cluster.ts';
import type { CompressionName } from './compression.ts';
import { codeFault, faultOf, KafkaFault } from './kafka-fault.ts';
import { type KafkaCredentialOptions, makeKafkaCredentials } from './kafka-credentials.ts';
import { partitionOf } from './partitioner.ts';
import { MAX_BATCH_BYTES, Producer } from './producer.ts';
import { type BatchRecord, recordBytes } from './record-batch.ts';
import { RecordHeaders } from './record-headers.ts';
import type { TopicMetadata } from './requests.ts';
import { TopicNames } from './topic-names.ts';

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
  readonly lookup?: LookupFunction;
  /** The brokers have refused the credentials: one may look whether they have changed. */
  readonly onRefused?: () => void;
}

const REFUSED_CODES: ReadonlySet<string> = new Set(['sasl_failed', 'tls_error', 'topic_authorization']);
/** `AclOperation.WRITE`, as a bit. https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/acl/AclOperation.java */
const MAY_WRITE = 1 << 4;

const PROBE_WITHIN_MS = 5_000;
const PROBE_EVERY_MS = 200;

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
  readonly #underWay = new Set<(outcome: Outcome) => void>();
  #nextPartition = 0;
  #closed = false;

  constructor(sinkOptions: KafkaSinkOptions) {
    const { destination, options, secrets, stream, database, guard, lookup, clock, random } = sinkOptions;
    const { compression, connectTimeoutMs, topicTemplate, acks } = options;
    const made = makeKafkaCredentials(options, secrets);
    const credentials = 'problem' in made ? { sasl: null, secureContext: null } : made;
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
      (error: unknown) => faultOf(error).failure,
    );
    return Promise.race([cancelled, checked]);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#producer.close();
    this.#cluster.close();
    for (const finish of this.#underWay) finish({ class: 'cancelled' });
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
        const { remedy } = faultOf(error);
        if (remedy !== 'again' || clock.monotonicMs() >= untilMs) throw error;
        await clock.sleep(PROBE_EVERY_MS, signal);
      }
    }
  }

  async #check(topics: readonly string[]): Promise<void> {
    const answer = await this.#cluster.inspect(topics);
    for (const topic of answer.topics) {
      if (topic.error !== 0) throw aboutTopic(codeFault(topic.error), topic.name);
      const mayWrite = topic.operations === null || (topic.operations & MAY_WRITE) !== 0;
      if (!mayWrite) throw aboutTopic(codeFault(TOPIC_AUTHORIZATION), topic.name);
      if (topic.leaders.includes(-1)) throw aboutTopic(NO_LEADER, topic.name);
    }
    await this.#producer.probe();
  }

  async #produce(batch: SinkBatch): Promise<Outcome> {
    const records = must(batch.records, 'a sink of records is given them');
    const deadlineMs = this.#options.clock.monotonicMs() + this.#options.options.requestTimeoutMs;
    const names = records.map((record) => this.#topics.topic(record));
    const topics = await this.#lookUp(new Set(names));
    const failures = new Map<number, FailureOutcome>();
    const placed: Placed[] = [];
    for (const [i, record] of records.entries()) {
      const topic = topics.get(names[i]!)!;
      if (topic instanceof KafkaFault) failures.set(record.event, topic.failure);
      else placed.push(this.#place(batch, record, topic));
    }
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

  #faultOfTopic(name: string): KafkaFault {
    return aboutTopic(codeFault(this.#cluster.errorOf(name) ?? UNKNOWN_TOPIC), name);
  }

  #place(batch: SinkBatch, record: SinkRecord, { name, leaders }: TopicMetadata): Placed {
    const { key, value } = record;
    const partition = this.#partition(record, Math.max(1, leaders.length));
    return {
      event: record.event,
      topic: name,
      partition,
      record: { key, value, headers: this.#headers.headers(batch, record) },
    };
  }

  #partition({ key, order, schema, table }: SinkRecord, count: number): number {
    const { partitioner } = this.#options.options;
    if (partitioner === 'round_robin') return (this.#nextPartition = (this.#nextPartition + 1) % 2 ** 31) % count;
    const by = order === null ? (key ?? Buffer.from(`${schema}.${table}`, 'utf8')) : Buffer.from(order, 'utf8');
    return partitionOf(partitioner, by, count);
  }
}

const NO_LEADER = new KafkaFault('transient', 'no_leader', 'a partition has no leader now', 'again');
const UNKNOWN_TOPIC = 3;
const TOPIC_AUTHORIZATION = 29;

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
