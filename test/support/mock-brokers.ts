import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { KafkaClient } from 'kafka-crab-js';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { type BrokerAddress, parseBrokers } from '../../src/model/brokers.ts';
import { AddressGuard, parseEgressAllow } from '../../src/sinks/address-guard.ts';
import { KafkaWriter } from '../../src/sinks/kafka/bytes.ts';
import { Connection } from '../../src/sinks/kafka/connection.ts';
import { API, readMetadata } from '../../src/sinks/kafka/requests.ts';
import { waitFor } from './wait-for.ts';

/** librdkafka's mock cluster in a process of its own; resolves to its brokers, `host:port[,…]`. */
export async function startMockBrokers(count = 3): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'mock-brokers-process.ts'), String(count)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // It ends a little after this process: readers that librdkafka has not let go of would tell of an earlier end at length.
  child.unref();
  (child.stdin as Socket).unref();
  let brokers: string | null = null;
  for (const stream of [child.stdout, child.stderr]) {
    (stream as Socket).unref();
    createInterface({ input: stream }).on('line', (line) => {
      brokers ??= /Mock cluster \S+ bootstrap\.servers=([\d.:,]+)/.exec(line)?.[1] ?? null;
    });
  }
  return waitFor('the mock cluster', () => brokers);
}

/** Brokers make a topic, with four partitions, when somebody asks for it who says that they may; the sink does not. */
export async function createTopics(brokers: string, topics: readonly string[]): Promise<void> {
  const [{ host, port }] = parseBrokers(brokers) as [BrokerAddress];
  const connection = await Connection.open(host, port, {
    clientId: 'test',
    guard: new AddressGuard(parseEgressAllow(['127.0.0.1'])),
    connectTimeoutMs: 10_000,
    tls: null,
    sasl: null,
    clock: systemClock,
    random: systemRandom,
  });
  const ask = new KafkaWriter();
  ask.array(topics, (topic) => ask.string(topic));
  const body = ask.boolean(true).finish();
  await waitFor('the topics', async () => {
    const answer = readMetadata(4, await connection.request(API.metadata, 4, body, 10_000));
    return answer.topics.every(({ error, leaders }) => error === 0 && !leaders.includes(-1));
  });
  connection.close();
}

/** Of a topic of the mock cluster's. */
const PARTITIONS = [0, 1, 2, 3];

/** A message as librdkafka reads it. */
export interface ReadMessage {
  readonly topic: string;
  readonly partition: number;
  readonly key: string | null;
  /** Null: a tombstone. */
  readonly payload: string | null;
  /** The same as bytes. */
  readonly bytes: { readonly key: Buffer | null; readonly payload: Buffer | null };
  readonly headers: Readonly<Record<string, string>>;
}

/** Reads topics from their beginnings with librdkafka. */
export class TopicReader {
  readonly messages: ReadMessage[] = [];
  readonly #consumer: ReturnType<KafkaClient['createConsumer']>;
  #done = false;
  #running: Promise<void> = Promise.resolve();

  private constructor(brokers: string) {
    const client = new KafkaClient({ brokers, clientId: 'reader', logLevel: 'off' });
    this.#consumer = client.createConsumer({
      groupId: `reader-${Math.random()}`,
      enableAutoCommit: false,
      configuration: { 'auto.offset.reset': 'earliest' },
    });
  }

  static async open(brokers: string, topics: readonly string[]): Promise<TopicReader> {
    const reader = new TopicReader(brokers);
    const partitionOffset = PARTITIONS.map((partition) => ({ partition, offset: { position: 'Beginning' as const } }));
    await reader.#consumer.subscribe(
      topics.map((topic) => ({ topic, allOffsets: { position: 'Beginning' }, partitionOffset })),
    );
    reader.#running = reader.#run();
    return reader;
  }

  /** Resolves when so many have been read, and reads no more. */
  async read(count: number): Promise<readonly ReadMessage[]> {
    try {
      await waitFor(`${count} messages`, () => this.messages.length >= count, 60_000);
    } finally {
      this.#done = true;
      await this.#running;
      await this.#consumer.disconnect();
    }
    return this.messages;
  }

  async #run(): Promise<void> {
    while (!this.#done) {
      for (const { topic, partition, key, payload, headers = {}, isTombstone } of await this.#consumer.recvBatch(
        1000,
        100,
      )) {
        this.messages.push({
          topic,
          partition,
          key: key === undefined ? null : key.toString(),
          payload: isTombstone === true ? null : payload.toString(),
          bytes: { key: key ?? null, payload: isTombstone === true ? null : payload },
          headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.toString()])),
        });
      }
    }
  }
}
