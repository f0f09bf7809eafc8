// What do sessions lose while the same process delivers 20,000 changes a second? pgbench -S with 8 clients through
// walhook: with nothing else going on, with another walhook process doing the capture and delivery, and with the one
// that relays doing it itself. The load comes in beside the proxy.
//
//   node test/bench/proxy-engine.bench.ts [--changes 20000] [--seconds 8] [--rounds 3] [--clients 8]
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { median } from './median.ts';
import { pgbench } from './pgbench.ts';
import { cpuSeconds } from './process-stat.ts';
import { WalhookChild } from './walhook-child.ts';

const { values: args } = parseArgs({
  options: {
    changes: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '8' },
  },
});
const ROWS_PER_TRANSACTION = 100;
const changes = Number(args.changes);
const seconds = Number(args.seconds);

/** What relays, and what captures and delivers; null: nothing does. */
interface Arrangement {
  readonly name: string;
  readonly relay: WalhookChild;
  readonly engine: WalhookChild | null;
}

interface Outcome {
  readonly tps: number;
  /** CPU seconds per second of the process that relays. */
  readonly relayCpu: number;
  readonly deliveredPerSecond: number;
}

const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
chmodSync(folder, 0o755);
const script = join(folder, 'load.sql');
writeFileSync(
  script,
  `INSERT INTO load (customer, total, note) SELECT i, i / 100.0, md5(i::text) FROM generate_series(1, ${ROWS_PER_TRANSACTION}) i;\n`,
);
const receiver = fork(join(import.meta.dirname, 'counting-receiver.ts'));
const [receiverPort] = (await once(receiver, 'message')) as [number];
const server = await LocalPostgres.start({
  dataDir: join(folder, 'postgres'),
  settings: { synchronous_commit: 'off', max_wal_size: '8GB', shared_buffers: '512MB', max_connections: '200' },
});
const url = `${server.url()}?sslmode=disable`;
const both = new WalhookChild(url, join(folder, 'both'));
const alone = new WalhookChild(url, join(folder, 'alone'));

async function ask(walhook: WalhookChild, text: string): Promise<pg.QueryResult<Record<string, string>>> {
  const client = new pg.Client({ connectionString: walhook.sqlUrl });
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

async function delivered(walhook: WalhookChild): Promise<number> {
  const { rows } = await ask(walhook, 'SHOW CDC STREAM STATUS load');
  return Number(rows.find((row) => row['property'] === 'events_delivered')?.['value']);
}

async function measure({ relay, engine }: Arrangement): Promise<Outcome> {
  if (engine) {
    await ask(
      engine,
      `CREATE CDC STREAM load ON load TO WEBHOOK 'http://127.0.0.1:${receiverPort}/' WITH (batch_max_events = 100)`,
    );
  }
  const rate = ['-R', String(changes / ROWS_PER_TRANSACTION), '-T', String(seconds + 2), '-c', '4', '-n', '-f', script];
  const load = engine ? pgbench(server.port, rate) : Promise.resolve();
  // The load has to be under way.
  if (engine) while ((await delivered(engine)) < changes / 2);
  const [cpu, before, startMs] = [cpuSeconds(relay.pid), engine ? await delivered(engine) : 0, performance.now()];
  const { transactionsPerSecond } = await pgbench(relay.sqlPort, ['-n', '-S', '-c', args.clients, '-T', args.seconds]);
  const elapsed = (performance.now() - startMs) / 1000;
  const relayCpu = (cpuSeconds(relay.pid) - cpu) / elapsed;
  const deliveredPerSecond = engine ? ((await delivered(engine)) - before) / elapsed : 0;
  await load;
  if (engine) await ask(engine, 'DROP CDC STREAM load');
  return { tps: transactionsPerSecond, relayCpu, deliveredPerSecond };
}

try {
  await both.start();
  await alone.start();
  await pgbench(server.port, ['-i', '-q', '-s', '10']);
  await ask(both, 'CREATE TABLE load (id bigserial PRIMARY KEY, customer int, total numeric(10,2), note text)');
  const arrangements: readonly Arrangement[] = [
    { name: 'no changes', relay: both, engine: null },
    { name: 'changes delivered by another process', relay: both, engine: alone },
    { name: 'changes delivered by the same process', relay: both, engine: both },
  ];
  const outcomes = arrangements.map((): Outcome[] => []);
  for (let round = 0; round < Number(args.rounds); round++) {
    for (const [i, arrangement] of arrangements.entries()) outcomes[i]!.push(await measure(arrangement));
  }
  console.log('| | tps | CPU of the relaying process | delivered/s |\n| --- | ---: | ---: | ---: |');
  for (const [i, { name }] of arrangements.entries()) {
    const of = (key: keyof Outcome): number => median(outcomes[i]!.map((outcome) => outcome[key]));
    console.log(
      `| ${name} | ${of('tps').toFixed(0)} | ${of('relayCpu').toFixed(2)} | ${of('deliveredPerSecond').toFixed(0)} |`,
    );
  }
} finally {
  await both.stop();
  await alone.stop();
  await server.stop('immediate');
  receiver.kill();
  rmSync(folder, { recursive: true, force: true });
}
