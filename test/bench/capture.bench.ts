// How fast does capture bring a slot's content into the durable log, against pg_recvlogical writing the same content to
// a file? The walsender is a third process, decoding is its work, and it is the same for all.
//
//   node test/bench/capture.bench.ts [--rows 1000000] [--row-bytes 100] [--transaction-rows 10000] [--rounds 3]
//                                    [--server embedded|debian] [--fail-below 0.8]
//
// pg_recvlogical comes from Debian's postgresql-client; it is looked for in the PATH and in /usr/lib/postgresql.
import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, statSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import pg from 'pg';
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { armTable } from '../../src/capture/arm.ts';
import { Capture } from '../../src/capture/capture.ts';
import { PUBLICATION } from '../../src/capture/publication.ts';
import { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { ChangeLog } from '../../src/log/change-log.ts';
import { LOG_FILE } from '../../src/log/schema.ts';
import { upstreamOf } from '../support/upstreams.ts';

const { values: args } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    'row-bytes': { type: 'string', default: '100' },
    'transaction-rows': { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '3' },
    server: { type: 'string', default: 'embedded' },
    'fail-below': { type: 'string', default: '0' },
  },
});
const rows = Number(args.rows);
const rounds = Number(args.rounds);
const DEBIAN_BINARIES = globSync('/usr/lib/postgresql/*/bin').sort().at(-1);
const BASE_SLOT = 'bench_base';
/** Of a row, in text: a bigint and a timestamptz. */
const FIXED_BYTES = 36;

interface Run {
  readonly seconds: number;
  readonly bytes: number;
  /** Of our own process, in seconds; null where the work is done elsewhere. */
  readonly cpuSeconds: number | null;
}

interface Bench {
  readonly server: LocalPostgres;
  readonly admin: pg.Client;
  readonly folder: string;
  /** Where the content ends. */
  readonly endLsn: string;
}

async function measure(work: () => Promise<number>): Promise<Run> {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const bytes = await work();
  const seconds = (performance.now() - startMs) / 1000;
  const used = process.cpuUsage(cpu);
  return { seconds, bytes, cpuSeconds: (used.user + used.system) / 1e6 };
}

async function runRecvlogical({ server, folder, endLsn }: Bench, slot: string): Promise<Run> {
  const file = join(folder, `${slot}.out`);
  const binary = DEBIAN_BINARIES === undefined ? 'pg_recvlogical' : join(DEBIAN_BINARIES, 'pg_recvlogical');
  const options = ['-o', 'proto_version=1', '-o', `publication_names=${PUBLICATION}`];
  const run = await measure(async () => {
    const common = ['-d', server.url(), '-S', slot, '--start', '-f', file, '-E', endLsn, '--no-loop'];
    await promisify(execFile)(binary, [...common, ...options]);
    return statSync(file).size;
  });
  rmSync(file);
  return { ...run, cpuSeconds: null };
}

async function runCapture({ server, folder }: Bench, slot: string): Promise<Run> {
  const logFolder = mkdtempSync(join(folder, 'log-'));
  const log = ChangeLog.open(join(logFolder, LOG_FILE));
  const stopping = new AbortController();
  const done = Promise.withResolvers<void>();
  let changes = 0;
  let bytes = 0;
  const capture = new Capture({
    upstream: upstreamOf(server.url()),
    slotName: slot,
    publicationName: PUBLICATION,
    log,
    sink: {
      wantsData: () => false,
      onChunk: (header) => {
        changes += header.changes;
        bytes += header.bytes;
      },
      onDurable: () => (changes >= rows ? done.resolve() : undefined),
      onDiscarded: () => undefined,
    },
    clock: systemClock,
    logger: silentLogger,
  });
  let running: Promise<void> = Promise.resolve();
  const run = await measure(async () => {
    running = capture.run(stopping.signal);
    await Promise.race([done.promise, running]);
    return bytes;
  });
  stopping.abort();
  await running;
  log.close();
  rmSync(logFolder, { recursive: true });
  return run;
}

/** The peer library decodes every row into an object and stores nothing. */
async function runLibrary({ server }: Bench, slot: string): Promise<Run> {
  const service = new LogicalReplicationService(
    { connectionString: server.url() },
    { acknowledge: { auto: false, timeoutSeconds: 0 } },
  );
  const done = Promise.withResolvers<void>();
  let changes = 0;
  service.on('data', (_lsn: string, message: { tag: string }) => {
    if (message.tag === 'insert' && ++changes >= rows) done.resolve();
  });
  service.on('error', (error: Error) => done.reject(error));
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [PUBLICATION] });
  const run = await measure(async () => {
    service.subscribe(plugin, slot).catch((error: Error) => done.reject(error));
    await done.promise;
    return 0;
  });
  await service.destroy();
  return run;
}

async function withSlot(bench: Bench, name: string, use: (bench: Bench, slot: string) => Promise<Run>): Promise<Run> {
  await bench.admin.query('SELECT pg_copy_logical_replication_slot($1, $2)', [BASE_SLOT, name]);
  const run = await use(bench, name);
  for (;;) {
    const { rows: slots } = await bench.admin.query(
      'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active',
      [name],
    );
    if (slots.length > 0) return run;
    await systemClock.sleep(20);
  }
}

async function load(admin: pg.Client): Promise<string> {
  await admin.query('CREATE TABLE bench (id bigint PRIMARY KEY, at timestamptz NOT NULL, body text NOT NULL)');
  const { rows: found } = await admin.query<{ oid: string }>(`SELECT 'bench'::regclass::oid::bigint AS oid`);
  const names = { slotName: BASE_SLOT, publicationName: PUBLICATION };
  await armTable(admin, { ...names, tableOid: Number(found[0]!.oid), isFirst: true });
  const step = Number(args['transaction-rows']);
  const bodyBytes = Math.max(1, Number(args['row-bytes']) - FIXED_BYTES);
  for (let from = 1; from < rows; from += step) {
    await admin.query(
      `INSERT INTO bench
         SELECT i, now(), left(repeat(md5(i::text), 1 + $3 / 32), $3) FROM generate_series($1::bigint, $2::bigint) i`,
      [from, Math.min(rows - 1, from + step - 1), bodyBytes],
    );
  }
  // The last row comes after the end position, so that pg_recvlogical, which stops at the first message past it, need
  // not wait for a keepalive.
  const { rows: ends } = await admin.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
  await admin.query(`INSERT INTO bench VALUES (0, now(), 'the last')`);
  return ends[0]!.lsn;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function report(name: string, run: Run): void {
  const rate = `${Math.round(rows / run.seconds).toLocaleString('en')} rows/s`.padStart(18);
  const volume = run.bytes === 0 ? '' : `${(run.bytes / run.seconds / 1e6).toFixed(1)} MB/s`.padStart(12);
  const cpu = run.cpuSeconds === null ? '' : `  ${run.cpuSeconds.toFixed(2)} s CPU of ours`;
  console.log(`${name.padEnd(24)}${run.seconds.toFixed(2).padStart(7)} s${rate}${volume}${cpu}`);
}

const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
chmodSync(folder, 0o711);
const binDir = args.server === 'debian' ? DEBIAN_BINARIES : undefined;
const server = await LocalPostgres.start({
  dataDir: join(folder, 'data'),
  ...(binDir === undefined ? {} : { binDir }),
  settings: { max_replication_slots: '20', max_wal_size: '8GB' },
});
try {
  const admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
  const { rows: version } = await admin.query<{ server_version: string }>('SHOW server_version');
  console.log(
    `PostgreSQL ${version[0]!.server_version} (${dirname(server.binDir)}), ${rows} rows of ${args['row-bytes']} bytes, ${args['transaction-rows']} in a transaction`,
  );
  const bench: Bench = { server, admin, folder, endLsn: await load(admin) };
  const seconds: Record<string, number[]> = { recvlogical: [], capture: [], library: [] };
  for (let round = 1; round <= rounds; round++) {
    for (const [name, run] of [
      ['recvlogical', runRecvlogical],
      ['capture', runCapture],
      ['library', runLibrary],
    ] as const) {
      const result = await withSlot(bench, `bench_${name}_${round}`, run);
      report(name, result);
      seconds[name]!.push(result.seconds);
    }
  }
  const [reference, ours, library] = [seconds['recvlogical']!, seconds['capture']!, seconds['library']!].map(median);
  const ratio = reference! / ours!;
  console.log(
    `medians: pg_recvlogical ${reference!.toFixed(2)} s, capture ${ours!.toFixed(2)} s, pg-logical-replication without storage ${library!.toFixed(2)} s`,
  );
  console.log(`capture / pg_recvlogical = ${ratio.toFixed(2)}`);
  await admin.end();
  if (ratio < Number(args['fail-below'])) process.exitCode = 1;
} finally {
  await server.stop('immediate');
  rmSync(folder, { recursive: true, force: true });
}
