import { KafkaReader, KafkaWriter } from './bytes.ts';

/*
  The six requests that a producer needs, in versions that every broker from Kafka 1.0 on knows, 4.x among them (KIP-896).
  https://kafka.apache.org/protocol#protocol_messages
*/

export const API = {
  produce: 0,
  metadata: 3,
  saslHandshake: 17,
  apiVersions: 18,
  initProducerId: 22,
  saslAuthenticate: 36,
} as const;

export type ApiKey = (typeof API)[keyof typeof API];

/** From the oldest to the newest that is spoken here. */
export const SPOKEN: Readonly<Record<ApiKey, readonly [min: number, max: number]>> = {
  // 7 knows zstd, 8 says what is wrong with a record.
  [API.produce]: [3, 8],
  // 8 says what one may do with a topic.
  [API.metadata]: [4, 8],
  [API.saslHandshake]: [1, 1],
  [API.apiVersions]: [0, 0],
  [API.initProducerId]: [0, 1],
  [API.saslAuthenticate]: [0, 1],
};

/*
  Request => length:INT32 api_key:INT16 api_version:INT16 correlation_id:INT32 client_id:NULLABLE_STRING body
*/
export function requestHead(
  api: ApiKey,
  version: number,
  correlationId: number,
  clientId: string,
  bodyBytes: number,
): Buffer {
  const head = new KafkaWriter(64).int32(0).int16(api).int16(version).int32(correlationId).string(clientId).finish();
  head.writeInt32BE(head.length - 4 + bodyBytes, 0);
  return head;
}

/*
  ApiVersions Response (Version: 0) => error_code [api_keys]
    api_keys => api_key:INT16 min_version:INT16 max_version:INT16
*/
export function readApiVersions(bytes: Buffer): {
  readonly error: number;
  readonly versions: ReadonlyMap<number, readonly [min: number, max: number]>;
} {
  const reader = new KafkaReader(bytes);
  const error = reader.int16();
  const entries = reader.array(() => [reader.int16(), [reader.int16(), reader.int16()]] as const);
  return { error, versions: new Map(entries) };
}

/*
  Metadata Request (Version: 4) => [topics:STRING] allow_auto_topic_creation:BOOLEAN
  Metadata Request (Version: 8) => … include_cluster_authorized_operations:BOOLEAN include_topic_authorized_operations:BOOLEAN
*/
export function writeMetadata(version: number, topics: readonly string[], withOperations: boolean): Buffer {
  const writer = new KafkaWriter();
  writer.array(topics, (topic) => writer.string(topic));
  // A topic that is not there is somebody's mistake: it is not made.
  writer.boolean(false);
  if (version >= 8) writer.boolean(false).boolean(withOperations);
  return writer.finish();
}

export interface BrokerAddress {
  readonly id: number;
  readonly host: string;
  readonly port: number;
}

export interface TopicMetadata {
  readonly name: string;
  readonly error: number;
  /** The leader of each partition, by its number; −1: it has none now. */
  readonly leaders: readonly number[];
  /** A bit for each operation of `AclOperation` that is allowed; null: the broker does not say. */
  readonly operations: number | null;
}

export interface Metadata {
  readonly brokers: readonly BrokerAddress[];
  readonly topics: readonly TopicMetadata[];
}

const NOT_SAID = -0x80000000;

/*
  Metadata Response (Version: 4) => throttle_time_ms:INT32 [brokers] cluster_id:NULLABLE_STRING controller_id:INT32 [topics]
    brokers => node_id:INT32 host:STRING port:INT32 rack:NULLABLE_STRING
    topics => error_code:INT16 name:STRING is_internal:BOOLEAN [partitions]
      partitions => error_code:INT16 partition:INT32 leader:INT32 [replicas:INT32] [isr:INT32]
  5: … [offline_replicas:INT32] at a partition's end; 7: leader_epoch:INT32 behind leader
  8: … topic_authorized_operations:INT32 at a topic's end, cluster_authorized_operations:INT32 at the end
*/
export function readMetadata(version: number, bytes: Buffer): Metadata {
  const reader = new KafkaReader(bytes);
  reader.int32();
  const brokers = reader.array(() => {
    const broker = { id: reader.int32(), host: reader.string() ?? '', port: reader.int32() };
    reader.string();
    return broker;
  });
  reader.string();
  reader.int32();
  const topics = reader.array(() => readTopic(version, reader));
  return { brokers, topics };
}

function readTopic(version: number, reader: KafkaReader): TopicMetadata {
  const error = reader.int16();
  const name = reader.string() ?? '';
  reader.boolean();
  const partitions = reader.array(() => {
    reader.int16();
    const partition = reader.int32();
    const leader = reader.int32();
    if (version >= 7) reader.int32();
    reader.array(() => reader.int32());
    reader.array(() => reader.int32());
    if (version >= 5) reader.array(() => reader.int32());
    return { partition, leader };
  });
  const operations = version >= 8 ? reader.int32() : NOT_SAID;
  const byNumber = new Map(partitions.map(({ partition, leader }) => [partition, leader]));
  return {
    name,
    error,
    leaders: Array.from({ length: partitions.length }, (_, partition) => byNumber.get(partition) ?? -1),
    operations: operations === NOT_SAID ? null : operations,
  };
}

/* InitProducerId Request (Version: 0) => transactional_id:NULLABLE_STRING transaction_timeout_ms:INT32 */
export function writeInitProducerId(): Buffer {
  return new KafkaWriter().string(null).int32(0x7fffffff).finish();
}

export interface ProducerIdentity {
  readonly id: bigint;
  readonly epoch: number;
}

/* InitProducerId Response (Version: 0) => throttle_time_ms:INT32 error_code:INT16 producer_id:INT64 producer_epoch:INT16 */
export function readInitProducerId(bytes: Buffer): { readonly error: number; readonly identity: ProducerIdentity } {
  const reader = new KafkaReader(bytes);
  reader.int32();
  return { error: reader.int16(), identity: { id: reader.int64(), epoch: reader.int16() } };
}

/* SaslHandshake Request (Version: 1) => mechanism:STRING */
export function writeSaslHandshake(mechanism: string): Buffer {
  return new KafkaWriter().string(mechanism).finish();
}

/* SaslHandshake Response (Version: 1) => error_code:INT16 [mechanisms:STRING] */
export function readSaslHandshake(bytes: Buffer): { readonly error: number; readonly mechanisms: readonly string[] } {
  const reader = new KafkaReader(bytes);
  return { error: reader.int16(), mechanisms: reader.array(() => reader.string() ?? '') };
}

/* SaslAuthenticate Request (Version: 0) => auth_bytes:BYTES */
export function writeSaslAuthenticate(bytes: Buffer): Buffer {
  return new KafkaWriter(bytes.length + 4).bytes(bytes).finish();
}

export interface SaslAnswer {
  readonly error: number;
  readonly message: string | null;
  readonly bytes: Buffer;
  /** After so long one has to log in again; 0: never. */
  readonly lifetimeMs: number;
}

/* SaslAuthenticate Response (Version: 0) => error_code:INT16 error_message:NULLABLE_STRING auth_bytes:BYTES; 1: session_lifetime_ms:INT64 */
export function readSaslAuthenticate(version: number, bytes: Buffer): SaslAnswer {
  const reader = new KafkaReader(bytes);
  const answer = { error: reader.int16(), message: reader.string(), bytes: reader.bytes() };
  return { ...answer, lifetimeMs: version >= 1 ? Number(reader.int64()) : 0 };
}

export interface ProducedBatch {
  readonly topic: string;
  readonly partition: number;
  /** A RecordBatch. */
  readonly records: Buffer;
}

/*
  Produce Request (Version: 3) => transactional_id:NULLABLE_STRING acks:INT16 timeout_ms:INT32 [topic_data]
    topic_data => name:STRING [partition_data]
      partition_data => index:INT32 records:RECORDS
*/
export function writeProduce(acks: number, timeoutMs: number, batches: readonly ProducedBatch[]): readonly Buffer[] {
  const topics = Map.groupBy(batches, ({ topic }) => topic);
  const parts: Buffer[] = [];
  let writer = new KafkaWriter().string(null).int16(acks).int32(timeoutMs).int32(topics.size);
  for (const [topic, ofTopic] of topics) {
    writer.string(topic).int32(ofTopic.length);
    for (const { partition, records } of ofTopic) {
      writer.int32(partition).int32(records.length);
      // The batches themselves are not copied.
      parts.push(writer.finish(), records);
      writer = new KafkaWriter();
    }
  }
  // Without batches, or behind the last of them, there may be something left.
  return writer.length === 0 ? parts : [...parts, writer.finish()];
}

export interface ProduceAnswer {
  readonly topic: string;
  readonly partition: number;
  readonly error: number;
  readonly message: string | null;
}

/*
  Produce Response (Version: 3) => [responses] throttle_time_ms:INT32
    responses => name:STRING [partition_responses]
      partition_responses => index:INT32 error_code:INT16 base_offset:INT64 log_append_time_ms:INT64
  5: log_start_offset:INT64 behind them; 8: [record_errors => batch_index:INT32 message:NULLABLE_STRING] error_message:NULLABLE_STRING
*/
export function readProduce(version: number, bytes: Buffer): readonly ProduceAnswer[] {
  const reader = new KafkaReader(bytes);
  return reader
    .array(() => {
      const topic = reader.string() ?? '';
      return reader.array((): ProduceAnswer => {
        const partition = reader.int32();
        const error = reader.int16();
        reader.int64();
        reader.int64();
        if (version >= 5) reader.int64();
        if (version >= 8) {
          reader.array(() => {
            reader.int32();
            reader.string();
          });
        }
        const message = version >= 8 ? reader.string() : null;
        return { topic, partition, error, message };
      });
    })
    .flat();
}
