// Question: how many events per second reach an endpoint from a backlog, captured, delivered, acknowledged and with the
// cursor durable, in batches of 100 to a receiver on the same machine? The peer is undici alone, posting ready-made
// bodies of the same size to the same receiver in the same run.
//
//   npm run bench:delivery [-- --events 1000000] [--rounds 3]

import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { BenchStage } from './bench-stage.ts';
import { median } from './median.ts';
import { peakResidentBytes } from './process-stat.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '3' },
    batch: { type: 'string', default: '100' },
    'in-flight': { type: 'string', default: '16' },
  },
});
const events = Number(values.events);
const rounds = Number(values.rounds);
const batch = Number(values.batch);
const inFlight = Number(values['in-flight']);

async function undiciAlone(url: string, bodies: number, body: string): Promise<number> {
  const pool = new Pool(url, { connections: inFlight, allowH2: false });
  const payload = Buffer.from(body);
  let left = bodies;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) {
        const { body: answer } = await pool.request({
          path: '/',
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: payload,
        });
        await answer.dump();
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  await pool.close();
  return (bodies * batch) / seconds;
}

const stage = await BenchStage.start({ fsync: 'off' });
try {
  const { direct, client, walhook, url } = stage;
  await direct.query('CREATE TABLE bench (id bigint PRIMARY KEY, customer int, total numeric(10,2), note text)');
  await client.query(
    `CREATE CDC STREAM bench ON bench TO WEBHOOK '${url}' WITH (batch_max_events = ${batch}, max_in_flight = ${inFlight})`,
  );
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await client.query('ALTER CDC STREAM bench PAUSE');
    const before = Number((await stage.status('bench')).get('events_captured'));
    await direct.query(
      `INSERT INTO bench SELECT $1::bigint * 10000000 + i, i % 1000, i / 100.0, md5(i::text) || md5((i + 1)::text)
       FROM generate_series(1, $2::int) AS i`,
      [round, events],
    );
    await stage.reached('bench', 'events_captured', before + events);
    const requestsBefore = (await stage.counted()).requests;
    const delivered = Number((await stage.status('bench')).get('events_delivered'));
    const started = performance.now();
    await client.query('ALTER CDC STREAM bench RESUME');
    await stage.reached('bench', 'events_delivered', delivered + events);
    const seconds = (performance.now() - started) / 1000;
    ours.push(events / seconds);
    const { sample, requests } = await stage.counted();
    const seen = requests - requestsBefore;
    if (seen * batch < events) throw new Error(`the receiver has seen ${seen} requests only`);
    peer.push(await undiciAlone(url, Math.ceil(events / batch), sample));
    console.log(
      `round ${round + 1}: walhook ${ours.at(-1)!.toFixed(0)} events/s, undici alone ${peer.at(-1)!.toFixed(0)} events/s`,
    );
  }
  console.log(
    `median of ${rounds}: walhook ${median(ours).toFixed(0)} events/s; undici alone ${median(peer).toFixed(0)} events/s; ` +
      `ratio ${(median(ours) / median(peer)).toFixed(2)}; batch ${batch}, in flight ${inFlight}, ${events} events, ` +
      `peak resident memory of walhook ${(peakResidentBytes(walhook.pid) / 1024 / 1024).toFixed(0)} MB`,
  );
} finally {
  await stage.stop();
}
