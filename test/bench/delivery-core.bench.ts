/*
  Questions: how many events per second does delivery alone take from chunks in memory to an HTTP receiver in another
  process, acknowledgements stored; and what share is that of undici posting ready-made bodies of the same size to the same
  receiver? Not asked: capture, the log's reading, a receiver that works.

    node test/bench/delivery-core.bench.ts [events]
*/
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'undici';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import type { Chunk } from '../../src/log/chunk.ts';
import { DeliveryStore } from '../../src/log/delivery-store.ts';
import { AddressGuard, parseEgressAllow } from '../../src/sinks/address-guard.ts';
import { WebhookSink } from '../../src/sinks/webhook/webhook-sink.ts';
import { MemoryChunkSource, streamDefinition } from '../support/delivery-fakes.ts';
import { ChunkWriter, insertMessage, type TestRelation } from '../support/pgoutput-frames.ts';

const ROWS_PER_TRANSACTION = 100;
const CHUNK_ROWS = 1_500;

const ORDERS: TestRelation = {
  oid: 16_400,
  schema: 'public',
  name: 'orders',
  identity: 'd',
  columns: [
    { name: 'id', type: 20, key: true },
    { name: 'status', type: 25 },
    { name: 'amount', type: 1700 },
    { name: 'created_at', type: 1184 },
    { name: 'note', type: 25 },
  ],
};

function makeChunks(rows: number): Chunk[] {
  const writer = new ChunkWriter();
  writer.define(ORDERS);
  for (let id = 1; id <= rows;) {
    writer.begin(1_767_607_200_123_456n + BigInt(id), 700 + id);
    for (let i = 0; i < ROWS_PER_TRANSACTION && id <= rows; i++, id++) {
      const note = `order number ${id} of the benchmark, not long`;
      const row = [String(id), 'open', `${id % 1000}.25`, '2026-01-05 10:00:00.123456+00', note];
      writer.change(ORDERS.oid, insertMessage(ORDERS.oid, row));
    }
    writer.commit();
    if ((id - 1) % CHUNK_ROWS === 0) writer.cut();
  }
  writer.cut();
  return writer.chunks;
}

async function startReceiver(): Promise<{ url: string; stop: () => void }> {
  const child = fork(join(import.meta.dirname, 'receiver-process.ts'));
  const port = await new Promise<number>((resolve) => child.once('message', (message) => resolve(message as number)));
  return { url: `http://127.0.0.1:${port}/hook`, stop: () => child.disconnect() };
}

interface Run {
  readonly seconds: number;
  readonly requests: number;
  readonly bodyBytes: number;
  readonly cpuMicros: number;
}

async function deliver(chunks: Chunk[], events: number, url: string, batch: number, inFlight: number): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
  const store = DeliveryStore.open(join(folder, 'delivery.db'));
  let requests = 0;
  let bodyBytes = 0;
  const delivery = new Delivery({
    source: new MemoryChunkSource(chunks),
    store,
    createSink: ({ options, secrets = {} }) => {
      const sink = new WebhookSink({
        url,
        options,
        secrets,
        userAgent: 'walhook/0.0.0',
        guard: new AddressGuard(parseEgressAllow(['127.0.0.1'])),
        clock: systemClock,
      });
      return {
        send: (request, signal) => {
          requests++;
          bodyBytes += request.body.length;
          return sink.send(request, signal);
        },
        close: () => sink.close(),
      };
    },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const stop = new AbortController();
  const options = { batchMaxEvents: batch, maxInFlight: inFlight };
  const startedMs = performance.now();
  const cpu = process.cpuUsage();
  delivery.configure([streamDefinition({ options })]);
  const running = delivery.run(stop.signal);
  while (delivery.status()[0]!.eventsDelivered < events) await new Promise((resolve) => setTimeout(resolve, 5));
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  stop.abort();
  await running;
  store.close();
  rmSync(folder, { recursive: true });
  return { seconds, requests, bodyBytes, cpuMicros: user + system };
}

async function undiciAlone(url: string, requests: number, bytes: number, inFlight: number): Promise<number> {
  const pool = new Pool(new URL(url).origin, { connections: inFlight, pipelining: 1, allowH2: false });
  const body = Buffer.alloc(bytes, 'x');
  const headers = { 'content-type': 'application/json' };
  let left = requests;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) {
        const response = await pool.request({ path: '/hook', method: 'POST', headers, body });
        await response.body.dump();
      }
    }),
  );
  const seconds = (performance.now() - startedMs) / 1000;
  await pool.close();
  return requests / seconds;
}

const events = Number(process.argv[2] ?? 400_000);
const only = process.argv[3];
const receiver = await startReceiver();
for (const [batch, inFlight, count] of [
  [100, 16, events],
  [1, 64, Math.ceil(events / 10)],
] as const) {
  if (only !== undefined && Number(only) !== batch) continue;
  const chunks = makeChunks(count);
  await deliver(chunks.slice(0, 4), Math.min(count, 4 * CHUNK_ROWS), receiver.url, batch, inFlight);
  const run = await deliver(chunks, count, receiver.url, batch, inFlight);
  const size = Math.round(run.bodyBytes / run.requests);
  const alone = await undiciAlone(receiver.url, run.requests, size, inFlight);
  const rate = run.requests / run.seconds;
  console.log(
    `batch ${batch}, ${inFlight} in flight: ${Math.round(count / run.seconds)} events/s, ${Math.round(rate)} requests/s of ` +
      `${size} bytes, ${(run.cpuMicros / count).toFixed(1)} µs CPU per event; undici alone ${Math.round(alone)} requests/s; ratio ${(rate / alone).toFixed(2)}`,
  );
}
receiver.stop();
