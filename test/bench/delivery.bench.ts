// Question: how many events per second reach an endpoint from a backlog, captured, delivered, acknowledged and with the
// cursor durable, in batches of 100 to a receiver on the same machine? The peer is undici alone, posting ready-made
// bodies of the same size to the same receiver in the same run.
//
//   npm run bench:delivery [-- --events 1000000] [--rounds 3]

import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { Pool } from 'undici';
import { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { median } from './median.ts';
import { WalhookChild } from './walhook-child.ts';

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

const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
chmodSync(folder, 0o711);
const receiver = fork(join(import.meta.dirname, 'counting-receiver.ts'));
const receiverPort = await new Promise<number>((resolve) =>
  receiver.once('message', (message) => resolve(message as number)),
);
const url = `http://127.0.0.1:${receiverPort}/`;

/** What the receiver has counted. */
async function counted(): Promise<{ requests: number; bytes: number; sample: string }> {
  return (await (await fetch(`${url}counted`)).json()) as { requests: number; bytes: number; sample: string };
}

async function undiciAlone(bodies: number, body: string): Promise<number> {
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

const server = await LocalPostgres.start({
  dataDir: join(folder, 'postgres'),
  settings: { max_wal_size: '8GB', fsync: 'off' },
});
const walhook = new WalhookChild(server.url(), join(folder, 'walhook'));
try {
  await walhook.start();
  const direct = new pg.Client({ connectionString: server.url() });
  await direct.connect();
  const client = new pg.Client({ connectionString: walhook.sqlUrl });
  await client.connect();
  await direct.query('CREATE TABLE bench (id bigint PRIMARY KEY, customer int, total numeric(10,2), note text)');
  await client.query(
    `CREATE CDC STREAM bench ON bench TO WEBHOOK '${url}' WITH (batch_max_events = ${batch}, max_in_flight = ${inFlight})`,
  );
  const ours: number[] = [];
  const peer: number[] = [];
  const status = async (): Promise<Map<string, string | null>> => {
    const { rows } = await client.query<{ property: string; value: string | null }>('SHOW CDC STREAM STATUS bench');
    return new Map(rows.map((row) => [row.property, row.value]));
  };
  for (let round = 0; round < rounds; round++) {
    await client.query('ALTER CDC STREAM bench PAUSE');
    const before = Number((await status()).get('events_captured'));
    await direct.query(
      `INSERT INTO bench SELECT $1::bigint * 10000000 + i, i % 1000, i / 100.0, md5(i::text) || md5((i + 1)::text)
       FROM generate_series(1, $2::int) AS i`,
      [round, events],
    );
    while (Number((await status()).get('events_captured')) < before + events)
      await new Promise((r) => setTimeout(r, 100));
    const requestsBefore = (await counted()).requests;
    const delivered = Number((await status()).get('events_delivered'));
    const started = performance.now();
    await client.query('ALTER CDC STREAM bench RESUME');
    while (Number((await status()).get('events_delivered')) < delivered + events)
      await new Promise((r) => setTimeout(r, 20));
    const seconds = (performance.now() - started) / 1000;
    ours.push(events / seconds);
    const { sample, requests } = await counted();
    const seen = requests - requestsBefore;
    if (seen * batch < events) throw new Error(`the receiver has seen ${seen} requests only`);
    peer.push(await undiciAlone(Math.ceil(events / batch), sample));
    console.log(
      `round ${round + 1}: walhook ${ours.at(-1)!.toFixed(0)} events/s, undici alone ${peer.at(-1)!.toFixed(0)} events/s`,
    );
  }
  console.log(
    `median of ${rounds}: walhook ${median(ours).toFixed(0)} events/s; undici alone ${median(peer).toFixed(0)} events/s; ` +
      `ratio ${(median(ours) / median(peer)).toFixed(2)}; batch ${batch}, in flight ${inFlight}, ${events} events, ` +
      `peak resident memory of walhook ${(walhook.peakResidentBytes() / 1024 / 1024).toFixed(0)} MB`,
  );
  await direct.end();
  await client.end();
} finally {
  await walhook.stop();
  await server.stop('immediate');
  receiver.kill();
  rmSync(folder, { recursive: true, force: true });
}
