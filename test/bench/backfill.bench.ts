// Question: how many rows of a table per second does a backfill bring into the durable log, compared with what
// COPY … TO STDOUT gives psql, which throws it away? The stream is paused: delivery is another question.
//
//   npm run bench:backfill [-- --rows 1000000] [--rounds 3]
import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { BenchStage, secondsOf } from './bench-stage.ts';
import { median } from './median.ts';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '1000000' }, rounds: { type: 'string', default: '3' } },
});
const rows = Number(values.rows);
const stage = await BenchStage.start();
try {
  const { direct, client, server } = stage;
  await direct.query('CREATE TABLE bench (id bigint PRIMARY KEY, customer int, total numeric(10,2), note text)');
  await direct.query(
    `INSERT INTO bench SELECT i, i % 1000, i / 100.0, md5(i::text) || md5((i + 1)::text) FROM generate_series(1, ${rows}) AS i`,
  );
  await direct.query('VACUUM ANALYZE bench');
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = 1; round <= Number(values.rounds); round++) {
    const copy = secondsOf(() =>
      promisify(execFile)('sh', ['-c', `psql '${server.url()}' -qc 'COPY bench TO STDOUT' > /dev/null`]),
    );
    peer.push(rows / (await copy));
    await client.query(`CREATE CDC STREAM bench ON bench TO WEBHOOK '${stage.url}'`);
    await client.query('ALTER CDC STREAM bench PAUSE');
    const backfill = secondsOf(async () => {
      await client.query('BACKFILL CDC STREAM bench');
      await stage.reached('bench', 'events_captured', rows);
    });
    ours.push(rows / (await backfill));
    // With it goes what is in the log: a reading waits while the log is full.
    await client.query('DROP CDC STREAM bench');
    console.log(`round ${round}: COPY ${peer.at(-1)!.toFixed(0)} rows/s, backfill ${ours.at(-1)!.toFixed(0)} rows/s`);
  }
  console.log(
    `medians: COPY TO STDOUT ${median(peer).toFixed(0)} rows/s, backfill ${median(ours).toFixed(0)} rows/s; ` +
      `ratio ${(median(ours) / median(peer)).toFixed(2)} (${rows} rows)`,
  );
} finally {
  await stage.stop();
}
