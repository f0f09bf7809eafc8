import { join } from 'node:path';
import { silentLogger } from '../../src/base/logger.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import type { WindowLimits } from '../../src/delivery/scheduler.ts';
import type { Transformer } from '../../src/delivery/transformer.ts';
import { DeliveryStore } from '../../src/log/delivery-store.ts';
import type { Chunk } from '../../src/log/chunk.ts';
import type { StreamDefinition } from '../../src/model/stream.ts';
import type { Outcome, Sink, SinkBatch } from '../../src/sinks/sink.ts';
import { MemoryChunkSource } from './delivery-fakes.ts';
import { ChunkWriter, insertMessage, type TestRelation } from './pgoutput-frames.ts';
import { SeededRandom } from './seeded-random.ts';
import { temporaryFolder } from './test-database.ts';
import { VirtualClock } from './virtual-clock.ts';

export const ORDERS: TestRelation = {
  oid: 16_400,
  schema: 'public',
  name: 'orders',
  identity: 'd',
  columns: [
    { name: 'id', type: 23, key: true },
    { name: 'status', type: 25 },
  ],
};
export const MICROS = 1_767_607_200_123_456n;

/** A receiver that answers as it is told, and remembers. */
export class FakeSink implements Sink {
  readonly sent: SinkBatch[] = [];
  takesRecords = false;
  /** May be changed at any time. */
  answer: (batch: SinkBatch) => Outcome | Promise<Outcome> = () => ({ class: 'ok', status: 200, failed: [] });
  shownHead?: Sink['shownHead'] & {};
  closed = false;

  async send(batch: SinkBatch): Promise<Outcome> {
    this.sent.push(batch);
    return await this.answer(batch);
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  events(): { id: string; op: string; after: { id: number; status: string } }[] {
    return this.sent.flatMap(({ body }) => JSON.parse(body.toString('utf8')) as never);
  }
}

/** Delivery from chunks in memory, on a clock of its own. */
export class Stage {
  readonly clock = new VirtualClock();
  readonly sink = new FakeSink();
  readonly delivery: Delivery;
  readonly store: DeliveryStore;
  readonly #stop = new AbortController();
  readonly running: Promise<void>;

  constructor(
    chunks: Chunk[],
    path: string,
    visible = chunks.length,
    limits?: WindowLimits,
    transformer: Transformer | null = null,
  ) {
    this.source = new MemoryChunkSource(chunks, visible);
    this.store = DeliveryStore.open(path);
    this.delivery = new Delivery({
      source: this.source,
      store: this.store,
      createSink: () => this.sink,
      clock: this.clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      ...(limits === undefined ? {} : { limits }),
      ...(transformer && { transformer }),
    });
    this.running = this.delivery.run(this.#stop.signal);
  }

  readonly source: MemoryChunkSource;

  configure(...definitions: StreamDefinition[]): void {
    this.delivery.configure(definitions);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.clock.advance(5_000);
    await this.running;
    this.store.close();
  }
}

export function stage(chunks: Chunk[], visible?: number): Stage {
  return new Stage(chunks, join(temporaryFolder(), 'delivery.db'), visible);
}

export function writer(): ChunkWriter {
  const chunks = new ChunkWriter();
  chunks.define(ORDERS);
  return chunks;
}

export function insertRows(chunks: ChunkWriter, from: number, count: number): void {
  chunks.begin(MICROS);
  for (let id = from; id < from + count; id++)
    chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, [String(id), 'open']));
  chunks.commit();
}
