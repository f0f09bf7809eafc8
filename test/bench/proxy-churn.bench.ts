// Clients that come and go: does walhook keep anything of them? Each client connects to a real server through walhook,
// asks (the server, or walhook itself), and leaves: by Terminate, without a word, in the middle of an answer, or
// cancelled. Memory and descriptors of walhook's process over time; at the end every client has left.
//
//   node test/bench/proxy-churn.bench.ts [--minutes 10] [--clients 500]
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { systemClock } from '../../src/base/clock.ts';
import { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { encodeCancelRequest } from '../../src/wire/startup.ts';
import { median } from './median.ts';
import { openFiles, residentBytes } from './process-stat.ts';
import { WalhookChild } from './walhook-child.ts';

const { values: args } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, clients: { type: 'string', default: '500' } },
});
const MEGABYTE = 1024 * 1024;
const SAMPLES = 30;
const totalMs = Number(args.minutes) * 60_000;

type Visit = (client: pg.Client) => Promise<unknown>;

const streamOf = (client: pg.Client): Socket =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream;

/** How a client spends its time, and how it leaves. */
const VISITS: readonly Visit[] = [
  async (client) => {
    await client.query('SELECT 1');
    await client.end();
  },
  async (client) => {
    await client.query('SHOW CDC STREAMS');
    await client.query({ name: 'one', text: 'SELECT $1::int', values: [1] });
    await client.end();
  },
  async (client) => {
    await client.query('BEGIN');
    streamOf(client).destroy();
  },
  async (client) => {
    void client.query(`SELECT repeat('x', 1000) FROM generate_series(1, 20000)`).catch(() => undefined);
    await systemClock.sleep(5);
    streamOf(client).destroy();
  },
  async (client) => {
    const sleeping = client.query('SELECT pg_sleep(60)').catch(() => undefined);
    await cancel(client);
    await sleeping;
    await client.end();
  },
];

async function cancel(client: pg.Client): Promise<void> {
  const { processID, secretKey, port } = client as unknown as Record<'processID' | 'secretKey' | 'port', number>;
  const key = Buffer.alloc(8);
  key.writeInt32BE(processID, 0);
  key.writeInt32BE(secretKey, 4);
  // A cancel that comes before the statement does nothing.
  await systemClock.sleep(20);
  const socket = connect({ port, host: '127.0.0.1' });
  socket.end(encodeCancelRequest(key));
  socket.resume();
  await once(socket, 'close');
}

async function visitor(index: number, url: string, until: number): Promise<void> {
  for (let i = index; systemClock.monotonicMs() < until; i++) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    await VISITS[i % VISITS.length]!(client);
    visits++;
  }
}

let visits = 0;
const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
chmodSync(folder, 0o755);
const clients = Number(args.clients);
const server = await LocalPostgres.start({
  dataDir: join(folder, 'data'),
  settings: { max_connections: String(clients + 100), shared_buffers: '128MB' },
});
const walhook = new WalhookChild(`${server.url()}?sslmode=disable`, join(folder, 'walhook'));
await walhook.start();
try {
  const resident: number[] = [];
  const report = (): void => {
    resident.push(residentBytes(walhook.pid) / MEGABYTE);
    const [seconds, megabytes] = [systemClock.monotonicMs() - startMs, resident.at(-1)!];
    console.log(
      `${(seconds / 1000).toFixed(0).padStart(5)} s ${String(visits).padStart(8)} visits ${megabytes.toFixed(0).padStart(5)} MB ${String(openFiles(walhook.pid)).padStart(6)} descriptors`,
    );
  };
  const startMs = systemClock.monotonicMs();
  const before = openFiles(walhook.pid);
  report();
  const until = startMs + totalMs;
  const all = Promise.all(Array.from({ length: clients }, (_, index) => visitor(index, walhook.sqlUrl, until)));
  for (let i = 0; i < SAMPLES; i++) {
    await systemClock.sleep(totalMs / SAMPLES);
    report();
  }
  await all;
  await systemClock.sleep(5_000);
  report();
  const after = openFiles(walhook.pid);
  // The first third is left out: the heap grows to its size in it.
  const third = Math.floor(SAMPLES / 3);
  const [middle, last] = [resident.slice(third, 2 * third), resident.slice(2 * third, SAMPLES)].map(median);
  console.log(
    `descriptors ${before} before, ${after} after; median memory ${middle!.toFixed(0)} MB in the second third, ${last!.toFixed(0)} MB in the last`,
  );
  if (after > before) process.exitCode = 1;
} finally {
  await walhook.stop();
  await server.stop('immediate');
  rmSync(folder, { recursive: true, force: true });
}
