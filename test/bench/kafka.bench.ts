// Question: how many events per second reach a topic of Apache Kafka's from a backlog, captured, delivered, acknowledged by the
// broker and with the cursor durable? The broker is on the same machine. The peer is the sink alone, given ready-made records of
// the same size in the same run.
//
//   npm run bench:kafka [-- --events 500000] [--rounds 3] [--batch 500] [--in-flight 16] [--compression none]

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { DEFAULT_STREAM_OPTIONS } from '../../src/model/stream-options.ts';
import { AddressGuard, parseEgressAllow } from '../../src/sinks/address-guard.ts';
import { KafkaSink } from '../../src/sinks/kafka/kafka-sink.ts';
import type { SinkRecord } from '../../src/sinks/sink.ts';
import { countMessages, KafkaBroker, readTopic } from '../support/kafka-broker.ts';
import { BenchStage } from './bench-stage.ts';
import { median } from './median.ts';
import { cpuSeconds, peakResidentBytes } from './process-stat.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '500000' },
    rounds: { type: 'string', default: '3' },
    batch: { type: 'string', default: '500' },
    'in-flight': { type: 'string', default: '16' },
    compression: { type: 'string', default: 'none' },
  },
});
const events = Number(values.events);
const rounds = Number(values.rounds);
const batch = Number(values.batch);
const inFlight = Number(values['in-flight']);
const compression = values.compression as 'none' | 'gzip' | 'zstd' | 'snappy' | 'lz4';

/** Records of the sample's size, in batches, as many at once as the stream has. */
async function sinkAlone(brokers: string, sample: Pick<SinkRecord, 'key' | 'value'>): Promise<number> {
  const sink = new KafkaSink({
    destination: { kind: 'kafka', brokers, topic: 'alone' },
    stream: 'bench',
    database: 'postgres',
    options: { ...DEFAULT_STREAM_OPTIONS, compression },
    secrets: {},
    guard: new AddressGuard(parseEgressAllow(['127.0.0.1'])),
    clock: systemClock,
    userAgent: 'walhook/bench',
    random: systemRandom,
  });
  const { signal } = new AbortController();
  let next = 0;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < events) {
        const records = Array.from({ length: batch }, (_, event): SinkRecord => {
          const key = Buffer.from(`{"id":"${next++}"}`);
          const id = `019c4ab1-473b-783c-af83-${String(next).padStart(12, '0')}`;
          const named = { operation: 'insert', schema: 'public', table: 'bench', lsn: '0/1A2B3C4' } as const;
          return { id, event, ...named, key, value: sample.value, order: null };
        });
        const fixed = { requestId: '', body: Buffer.alloc(0), contentType: 'application/json', attempt: 1 };
        const outcome = await sink.send(
          { ...fixed, records, events: batch, stream: 'bench', table: null, path: '' },
          signal,
        );
        if (outcome.class !== 'ok' || outcome.failed.length > 0) throw new Error(JSON.stringify(outcome));
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  await sink.close();
  return next / seconds;
}

const stage = await BenchStage.start({ fsync: 'off' });
const broker = await KafkaBroker.start(join(stage.folder, 'kafka'));
try {
  const { direct, client, walhook } = stage;
  for (const topic of ['bench', 'alone']) await broker.createTopic(topic);
  await direct.query('CREATE TABLE bench (id bigint PRIMARY KEY, customer int, total numeric(10,2), note text)');
  await client.query(
    `CREATE CDC STREAM bench ON bench TO KAFKA '${broker.address()}' TOPIC 'bench'
       WITH (batch_max_events = ${batch}, max_in_flight = ${inFlight}, compression = ${compression})`,
  );
  const ours: number[] = [];
  const peer: number[] = [];
  /** Microseconds of the whole process, an event. */
  const cpu: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await client.query('ALTER CDC STREAM bench PAUSE');
    const before = Number((await stage.status('bench')).get('events_captured'));
    await direct.query(
      `INSERT INTO bench SELECT $1::bigint * 10000000 + i, i % 1000, i / 100.0, md5(i::text) || md5((i + 1)::text)
       FROM generate_series(1, $2::int) AS i`,
      [round, events],
    );
    await stage.reached('bench', 'events_captured', before + events);
    const delivered = Number((await stage.status('bench')).get('events_delivered'));
    const cpuBefore = cpuSeconds(walhook.pid);
    const started = performance.now();
    await client.query('ALTER CDC STREAM bench RESUME');
    await stage.reached('bench', 'events_delivered', delivered + events);
    ours.push(events / ((performance.now() - started) / 1000));
    cpu.push(((cpuSeconds(walhook.pid) - cpuBefore) / events) * 1e6);
    const [sample] = await readTopic(broker.address(), 'bench', 1);
    const value = Buffer.from(sample!.payload!);
    peer.push(await sinkAlone(broker.address(), { key: null, value }));
    console.log(
      `round ${round + 1}: walhook ${ours.at(-1)!.toFixed(0)} events/s (${cpu.at(-1)!.toFixed(1)} µs of CPU each), the sink alone ${peer.at(-1)!.toFixed(0)} events/s`,
    );
  }
  const sent = await countMessages(broker.address(), 'bench');
  if (sent !== rounds * events) throw new Error(`${sent} messages are in the topic, not ${rounds * events}`);
  console.log(
    `median of ${rounds}: walhook ${median(ours).toFixed(0)} events/s, ${median(cpu).toFixed(1)} µs of CPU each; the sink alone ${median(peer).toFixed(0)} events/s; ` +
      `ratio ${(median(ours) / median(peer)).toFixed(2)}; batch ${batch}, in flight ${inFlight}, compression ${compression}, ` +
      `${events} events, peak resident memory of walhook ${(peakResidentBytes(walhook.pid) / 1024 / 1024).toFixed(0)} MB`,
  );
} finally {
  await broker.kill();
  await stage.stop();
}
