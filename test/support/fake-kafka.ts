import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { KafkaReader, KafkaWriter } from '../../src/sinks/kafka/bytes.ts';
import { API } from '../../src/sinks/kafka/requests.ts';

/** One partition's batch of a produce request. */
export interface ReceivedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly producerId: bigint;
  readonly epoch: number;
  readonly sequence: number;
  readonly count: number;
}

/** What is done with a produce request: the error of each of its partitions, or no answer. */
export type ProduceFault = number | 'hang-up' | 'silence';

export interface FakeTopic {
  readonly partitions: number;
  readonly error?: number;
  readonly operations?: number;
}

/**
 * A broker for faults that no real one has when it is asked to. It keeps what it receives, and answers as `faults` says, one
 * for each produce request, and afterwards as a healthy one.
 */
export class FakeKafka {
  readonly received: ReceivedBatch[] = [];
  /** By API key, how often. */
  readonly requests = new Map<number, number>();
  readonly faults: ProduceFault[] = [];
  readonly topics = new Map<string, FakeTopic>([['t', { partitions: 1 }]]);
  /** What metadata say of the broker's address; null: the truth. */
  advertised: { readonly host: string; readonly port: number } | null = null;
  /** Sent in the place of any answer. */
  nonsense: Buffer | null = null;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #producers = 0n;

  static async start(tls: TlsOptions | null = null): Promise<FakeKafka> {
    const fake = new FakeKafka();
    const serve = (socket: Socket): void => fake.#serve(socket);
    const server = tls === null ? createServer(serve) : createTlsServer(tls, serve);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    fake.#port = (server.address() as AddressInfo).port;
    after(() => {
      for (const socket of fake.#sockets) socket.destroy();
      server.close();
    });
    return fake;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Ends every connection, as a broker that restarts. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    let unread = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      unread = Buffer.concat([unread, bytes]);
      while (unread.length >= 4 && unread.length >= 4 + unread.readInt32BE(0)) {
        const length = unread.readInt32BE(0);
        this.#handle(socket, unread.subarray(4, 4 + length));
        unread = unread.subarray(4 + length);
      }
    });
  }

  #handle(socket: Socket, request: Buffer): void {
    const reader = new KafkaReader(request);
    const [api, version, correlationId] = [reader.int16(), reader.int16(), reader.int32()];
    reader.string();
    this.requests.set(api, (this.requests.get(api) ?? 0) + 1);
    if (this.nonsense !== null) {
      socket.write(this.nonsense);
      return;
    }
    const body = this.#answer(socket, api, version, reader);
    if (body === null) return;
    socket.write(
      new KafkaWriter()
        .int32(body.length + 4)
        .int32(correlationId)
        .raw(body)
        .finish(),
    );
  }

  #answer(socket: Socket, api: number, version: number, reader: KafkaReader): Buffer | null {
    const out = new KafkaWriter();
    switch (api) {
      case API.apiVersions:
        out.int16(0).array([0, 3, 17, 18, 22, 36], (key) => out.int16(key).int16(0).int16(8));
        return out.finish();
      case API.metadata:
        return this.#metadata(
          version,
          reader.array(() => reader.string()!),
        );
      case API.initProducerId:
        return out
          .int32(0)
          .int16(0)
          .int64(++this.#producers)
          .int16(0)
          .finish();
      default:
        return this.#produce(socket, version, reader);
    }
  }

  #metadata(version: number, topics: readonly string[]): Buffer {
    const out = new KafkaWriter().int32(0);
    const { host, port } = this.advertised ?? { host: '127.0.0.1', port: this.#port };
    out.array([1], (id) => out.int32(id).string(host).int32(port).string(null));
    out.string('fake').int32(1);
    out.array(topics, (name) => {
      const { partitions, error = 0, operations } = this.topics.get(name) ?? { partitions: 0, error: 3 };
      out.int16(error).string(name).boolean(false);
      out.array(
        Array.from({ length: partitions }, (_, i) => i),
        (partition) => {
          out.int16(0).int32(partition).int32(1);
          if (version >= 7) out.int32(0);
          for (let lists = version >= 5 ? 3 : 2; lists > 0; lists--) out.array([], () => undefined);
        },
      );
      if (version >= 8) out.int32(operations ?? -0x80000000);
    });
    if (version >= 8) out.int32(-0x80000000);
    return out.finish();
  }

  #produce(socket: Socket, version: number, reader: KafkaReader): Buffer | null {
    reader.string();
    reader.int16();
    reader.int32();
    const fault = this.faults.shift() ?? 0;
    const out = new KafkaWriter();
    const topics = reader.array(() => ({
      topic: reader.string()!,
      batches: reader.array(() => ({ partition: reader.int32(), records: Buffer.from(reader.bytes()) })),
    }));
    for (const { topic, batches } of topics) {
      for (const { partition, records } of batches) {
        this.received.push({
          topic,
          partition,
          producerId: records.readBigInt64BE(43),
          epoch: records.readInt16BE(51),
          sequence: records.readInt32BE(53),
          count: records.readInt32BE(57),
        });
      }
    }
    if (fault === 'hang-up') socket.destroy();
    if (typeof fault !== 'number') return null;
    out.array(topics, ({ topic, batches }) => {
      out.string(topic).array(batches, ({ partition }) => {
        out.int32(partition).int16(fault).int64(0n).int64(-1n);
        if (version >= 5) out.int64(0n);
        if (version >= 8) out.int32(0).string(null);
      });
    });
    return out.int32(0).finish();
  }
}
