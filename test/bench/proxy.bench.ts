// What does a proxy in front of PostgreSQL cost? The same work direct, through pgbouncer (session pooling), haproxy
// (TCP mode) and walhook, in alternation; medians, and walhook's ratio to each of them (above 1: walhook is better).
//
//   node test/bench/proxy.bench.ts [--seconds 3] [--rounds 3] [--clients 1,8,32,64]
//                                  [--parts select,tpcb,connect,latency,bulk] [--also pipe,unix]
//
// The -S cells run on pgbench's default scale (13 MB): pgbouncer keeps its server's processes from run to run, all others
// begin with new ones, and with more data the page faults of new processes would be what is measured.
//
// Needs pgbench, pgbouncer and haproxy of Debian (scripts/install-debian.sh).
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { BULK, BULK_ROWS, prepareBulk } from './bulk-client.ts';
import { median } from './median.ts';
import { pgbench, pgbenchLatency } from './pgbench.ts';
import { direct, haproxy, pgbouncer, pipe, walhook, type Target } from './proxy-peers.ts';

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '1,8,32,64' },
    parts: { type: 'string', default: 'select,tpcb,connect,latency,bulk' },
    also: { type: 'string', default: '' },
  },
});
const rounds = Number(args.rounds);
const clientCounts = args.clients.split(',');
const parts = new Set(args.parts.split(','));

/** A row of the table: what is measured, in which unit, and whether more of it is better. */
interface Cell {
  readonly name: string;
  readonly isRate: boolean;
  readonly digits: number;
  readonly prepare?: (serverPort: number) => Promise<unknown>;
  readonly measure: (target: Target) => Promise<number>;
}

function selectCells(): Cell[] {
  return ['simple', 'extended', 'prepared'].flatMap((mode) =>
    clientCounts.map((clients) => ({
      ...rateCell(`-S ${mode} ${clients}`),
      measure: (target: Target) => rate(target, ['-n', '-S', '-M', mode, '-c', clients, '-T', args.seconds]),
    })),
  );
}

function otherCells(folder: string): Cell[] {
  const cells: Cell[] = [];
  if (parts.has('tpcb')) {
    cells.push({
      ...rateCell('TPC-B 8'),
      // As many branches as clients, as pgbench's manual asks for.
      prepare: (port) => pgbench(port, ['-i', '-q', '-s', '8']),
      measure: (target) => rate(target, ['-n', '-c', '8', '-T', args.seconds]),
    });
  }
  if (parts.has('connect')) {
    cells.push({
      ...rateCell('-C 8'),
      measure: (target) => rate(target, ['-n', '-S', '-C', '-c', '8', '-T', args.seconds]),
    });
  }
  if (parts.has('latency')) {
    for (const quantile of ['median', 'p99'] as const) {
      cells.push({
        name: `latency ${quantile}, ms`,
        isRate: false,
        digits: 4,
        measure: async (target) => {
          const latency = await pgbenchLatency(target.port, Number(args.seconds), folder);
          return quantile === 'median' ? latency.medianMs : latency.p99Ms;
        },
      });
    }
  }
  if (parts.has('bulk')) {
    for (const [name, run] of Object.entries(BULK)) {
      cells.push({ name: `${name}, s`, isRate: false, digits: 3, measure: (target) => run(target.port) });
    }
  }
  return cells;
}

function rateCell(name: string): Omit<Cell, 'measure'> {
  return { name: `${name}, tps`, isRate: true, digits: 0 };
}

async function rate(target: Target, options: readonly string[]): Promise<number> {
  return (await pgbench(target.port, options)).transactionsPerSecond;
}

/** Each round begins with another target, so that none always comes after the same one. */
async function measureCell(cell: Cell, targets: readonly Target[]): Promise<number[]> {
  await cell.prepare?.(server.port);
  const results = targets.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < targets.length; i++) {
      const index = (i + round) % targets.length;
      results[index]!.push(await cell.measure(targets[index]!));
    }
  }
  return results.map(median);
}

/** How many times as good as the peer. */
function ratio(cell: Cell, ours: number, peer: number): number {
  return cell.isRate ? ours / peer : peer / ours;
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

const PEERS = ['direct', 'pgbouncer', 'haproxy'];

async function run(targets: readonly Target[], cells: readonly Cell[]): Promise<void> {
  const ours = targets.findIndex((target) => target.name === 'walhook');
  const ratios = PEERS.map((): number[] => []);
  const heads = [...targets.map((target) => target.name), ...PEERS.map((peer) => `/ ${peer}`)];
  console.log(`| | ${heads.join(' | ')} |\n| --- |${' ---: |'.repeat(heads.length)}`);
  for (const cell of cells) {
    const medians = await measureCell(cell, targets);
    const numbers = medians.map((value) => value.toFixed(cell.digits));
    const cellRatios = PEERS.map((peer, i) => {
      const value = ratio(cell, medians[ours]!, medians[targets.findIndex((target) => target.name === peer)]!);
      if (cell.name.startsWith('-S')) ratios[i]!.push(value);
      return value.toFixed(2);
    });
    console.log(`| ${cell.name} | ${[...numbers, ...cellRatios].join(' | ')} |`);
  }
  if (!parts.has('select')) return;
  const means = ratios.map((values) => geometricMean(values).toFixed(3));
  console.log(`| geometric mean of -S | ${targets.map(() => '').join(' | ')} | ${means.join(' | ')} |`);
}

const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
chmodSync(folder, 0o755);
const socketFolder = join(folder, 'socket');
mkdirSync(socketFolder);
chmodSync(socketFolder, 0o777);
const server = await LocalPostgres.start({
  dataDir: join(folder, 'data'),
  settings: {
    max_connections: '400',
    unix_socket_directories: socketFolder,
    shared_buffers: '512MB',
    synchronous_commit: 'off',
    max_wal_size: '4GB',
  },
});
const targets: Target[] = [];
try {
  const upstream = { port: server.port, socketFolder };
  const also = new Set(args.also.split(','));
  targets.push(direct(upstream), await pgbouncer(upstream, folder), await haproxy(upstream, folder));
  targets.push(await walhook(upstream, folder));
  if (also.has('unix')) targets.push(await walhook(upstream, folder, 'unix'));
  if (also.has('pipe')) targets.push(await pipe(upstream));
  await pgbench(server.port, ['-i', '-q']);
  if (parts.has('bulk')) await prepareBulk(server.port);
  console.log(
    `${rounds} rounds of ${args.seconds} s; bulk: ${BULK_ROWS} rows of 1 kB; ratios: how many times as good as the peer walhook is`,
  );
  await run(targets, [...(parts.has('select') ? selectCells() : []), ...otherCells(folder)]);
} finally {
  for (const target of targets) await target.stop();
  await server.stop('immediate');
  rmSync(folder, { recursive: true, force: true });
}
