// Question: with single-row transactions of 8 writers (pgbench, as fast as they go), does capture keep up, and how long
// after its commit is a transaction durable in the log? Commit times are the server's own, on the same clock; they are
// taken before the server's own flush, which is therefore in the latency.
//
//   npm run bench:capture-latency [-- --seconds 15] [--writers 8] [--rate 0]
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { armTable } from '../../src/capture/arm.ts';
import { Capture } from '../../src/capture/capture.ts';
import { PUBLICATION } from '../../src/capture/publication.ts';
import { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { ChangeLog } from '../../src/log/change-log.ts';
import { LOG_FILE } from '../../src/log/schema.ts';
import { FRAME, frameBytes, readBegin, TAG } from '../../src/postgres/pgoutput.ts';
import { upstreamOf } from '../support/upstreams.ts';
import { pgbench } from './pgbench.ts';
import { describeTimes } from './quantiles.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '15' },
    writers: { type: 'string', default: '8' },
    rate: { type: 'string', default: '0' },
  },
});

const SLOT = 'bench';
const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
chmodSync(folder, 0o711);
const server = await LocalPostgres.start({ dataDir: join(folder, 'data'), settings: { max_wal_size: '8GB' } });
const log = ChangeLog.open(join(folder, LOG_FILE));
const admin = new pg.Client({ connectionString: server.url() });
const stopping = new AbortController();
try {
  await admin.connect();
  await admin.query('CREATE TABLE bench (id bigserial PRIMARY KEY, body text NOT NULL)');
  const { rows } = await admin.query<{ oid: string }>(`SELECT 'bench'::regclass::oid::bigint AS oid`);
  await armTable(admin, {
    slotName: SLOT,
    publicationName: PUBLICATION,
    tableOid: Number(rows[0]!.oid),
    isFirst: true,
  });

  const script = join(folder, 'insert.sql');
  writeFileSync(script, `INSERT INTO bench (body) VALUES (repeat('x', 64));\n`);
  const load = (): ReturnType<typeof pgbench> =>
    pgbench(
      server.port,
      ['-n', '-f', script, '-c', values.writers, '-T', values.seconds].concat(
        values.rate === '0' ? [] : ['-R', values.rate],
      ),
    );
  const alone = await load();

  const nowMicros = (): number => (performance.timeOrigin + performance.now()) * 1000;
  const pending: number[] = [];
  const latenciesMs: number[] = [];
  let durable = 0;
  const capture = new Capture({
    upstream: upstreamOf(server.url()),
    slotName: SLOT,
    publicationName: PUBLICATION,
    log,
    sink: {
      wantsData: () => true,
      onChunk: (_, data) => {
        for (let at = 0; data !== null && at < data.length; at += frameBytes(data, at)) {
          const message = at + FRAME.message;
          if (data[message] === TAG.begin) pending.push(Number(readBegin(data, message).commitTimeMicros));
        }
      },
      onDurable: () => {
        const now = nowMicros();
        for (const commitMicros of pending) latenciesMs.push((now - commitMicros) / 1000);
        durable += pending.length;
        pending.length = 0;
      },
      onDiscarded: () => (pending.length = 0),
    },
    clock: systemClock,
    logger: silentLogger,
  });
  const running = capture.run(stopping.signal);
  const count = async (): Promise<number> =>
    Number((await admin.query<{ n: string }>('SELECT count(*) AS n FROM bench')).rows[0]!.n);
  // What was written before is captured first, and not measured.
  const before = await count();
  while (durable < before) await systemClock.sleep(20);
  latenciesMs.length = 0;
  const beside = await load();
  const atEnd = durable;
  const total = await count();
  const endedMs = performance.now();
  while (durable < total) await systemClock.sleep(1);
  const behindMs = performance.now() - endedMs;
  stopping.abort();
  await running;
  console.log(
    `pgbench alone ${alone.transactionsPerSecond.toFixed(0)} transactions/s, beside capture ` +
      `${beside.transactionsPerSecond.toFixed(0)} (ratio ${(beside.transactionsPerSecond / alone.transactionsPerSecond).toFixed(2)}); ` +
      `when pgbench ended ${total - atEnd} of ${total - before} were not durable, and all were ${behindMs.toFixed(0)} ms later`,
  );
  console.log(`commit to durable: ${describeTimes(latenciesMs)}`);
} finally {
  stopping.abort();
  await admin.end();
  log.close();
  await server.stop('immediate');
  rmSync(folder, { recursive: true, force: true });
}
