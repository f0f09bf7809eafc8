// Question: how much memory does a transaction of 10,000,000 rows take while it is captured and delivered, and how long do
// other streams wait meanwhile? The server sends nothing else while it sends the transaction; after that, another stream's changes
// must not wait for the delivery of these.
//
//   npm run bench:large-transaction [-- --rows 10000000]
import { parseArgs } from 'node:util';
import { BenchStage, pause } from './bench-stage.ts';
import { peakResidentBytes } from './process-stat.ts';

const { values } = parseArgs({ options: { rows: { type: 'string', default: '10000000' } } });
const rows = Number(values.rows);
const stage = await BenchStage.start({ fsync: 'off' });
try {
  const { direct, client, url, walhook } = stage;
  await direct.query('CREATE TABLE big (id bigint PRIMARY KEY, note text); CREATE TABLE small (id bigint PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM big ON big TO WEBHOOK '${url}' WITH (batch_max_events = 100)`);
  await client.query(`CREATE CDC STREAM small ON small TO WEBHOOK '${url}'`);
  await direct.query(`INSERT INTO big SELECT i, md5(i::text) || md5(i::text) FROM generate_series(1, ${rows}) AS i`);
  const startMs = performance.now();
  await stage.reached('big', 'events_captured', rows);
  const capturedMs = performance.now() - startMs;
  console.log(`${rows} rows captured after ${(capturedMs / 1000).toFixed(1)} s`);
  const waits: number[] = [];
  for (let id = 1; Number((await stage.status('big')).get('events_delivered')) < rows; id++) {
    const sentMs = performance.now();
    await direct.query('INSERT INTO small VALUES ($1)', [id]);
    await stage.reached('small', 'events_delivered', id);
    waits.push(performance.now() - sentMs);
    await pause(100);
  }
  const deliveredMs = performance.now() - startMs;
  waits.sort((a, b) => a - b);
  console.log(
    `delivered after ${(deliveredMs / 1000).toFixed(1)} s; meanwhile ${waits.length} changes of another stream took ` +
      `${waits[Math.floor(waits.length / 2)]?.toFixed(0)} ms in the middle, ${waits.at(-1)?.toFixed(0)} ms at most (looked at every 20 ms); ` +
      `peak resident memory of walhook ${(peakResidentBytes(walhook.pid) / 1024 / 1024).toFixed(0)} MB`,
  );
} finally {
  await stage.stop();
}
