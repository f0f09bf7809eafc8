// Question: how many requests can be in flight at once, and what memory do they take, where each receiver takes a second? Fifty
// streams of one table, 200 requests each, for a minute.
//
//   npm run bench:in-flight [-- --streams 50] [--each 200] [--seconds 60] [--delay 1000]
import { parseArgs } from 'node:util';
import { BenchStage, pause } from './bench-stage.ts';
import { peakResidentBytes } from './process-stat.ts';

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '50' },
    each: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '60' },
    delay: { type: 'string', default: '1000' },
  },
});
const streams = Number(values.streams);
const rows = Math.ceil((Number(values.each) * Number(values.seconds) * 1000) / Number(values.delay));
const stage = await BenchStage.start({ fsync: 'off' });
try {
  const { direct, client, url, walhook } = stage;
  await direct.query('CREATE TABLE bench (id bigint PRIMARY KEY, body text)');
  for (let i = 0; i < streams; i++) {
    await client.query(
      `CREATE CDC STREAM s${i} ON bench TO WEBHOOK '${url}delay/${values.delay}' WITH (max_in_flight = ${values.each})`,
    );
  }
  await direct.query(`INSERT INTO bench SELECT i, repeat('x', 64) FROM generate_series(1, ${rows}) AS i`);
  const startMs = performance.now();
  const endMs = startMs + Number(values.seconds) * 1000;
  while (performance.now() < endMs && (await stage.counted()).requests < rows * streams) await pause(500);
  const during = await stage.counted();
  const perSecond = during.requests / ((performance.now() - startMs) / 1000);
  for (let i = 0; i < streams; i++) await stage.reached(`s${i}`, 'events_delivered', rows);
  const { requests } = await stage.counted();
  console.log(
    `at most ${during.mostOpen} in flight at once, ${perSecond.toFixed(0)} requests/s; in the end ${rows * streams} events, ` +
      `${requests} requests, none lost; peak resident memory of walhook ` +
      `${(peakResidentBytes(walhook.pid) / 1024 / 1024).toFixed(0)} MB`,
  );
} finally {
  await stage.stop();
}
