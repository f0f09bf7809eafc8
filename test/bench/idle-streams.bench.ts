// Question: what do 1,000 streams on 100 tables cost while nothing happens, and how soon does one change reach the ten streams of
// its table?
//
//   npm run bench:idle-streams [-- --streams 1000] [--tables 100] [--seconds 30]
import { parseArgs } from 'node:util';
import { BenchStage, pause } from './bench-stage.ts';
import { cpuSeconds, residentBytes } from './process-stat.ts';
import { describeTimes } from './quantiles.ts';

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '1000' },
    tables: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '30' },
  },
});
const tables = Number(values.tables);
const perTable = Number(values.streams) / tables;
const seconds = Number(values.seconds);
const stage = await BenchStage.start();
try {
  const { direct, client, url, walhook } = stage;
  for (let table = 0; table < tables; table++) {
    await direct.query(`CREATE TABLE t${table} (id bigint PRIMARY KEY)`);
    for (let i = 0; i < perTable; i++) {
      await client.query(`CREATE CDC STREAM s${table}_${i} ON t${table} TO WEBHOOK '${url}'`);
    }
  }
  await pause(5_000);
  const before = cpuSeconds(walhook.pid);
  await pause(seconds * 1000);
  const share = ((cpuSeconds(walhook.pid) - before) / seconds) * 100;
  const requests = async (): Promise<number> => (await stage.counted()).requests;
  const times: number[] = [];
  let sent = await requests();
  for (let i = 1; i <= 50; i++) {
    await direct.query(`INSERT INTO t${i % tables} VALUES ($1)`, [i]);
    const startMs = performance.now();
    sent += perTable;
    while ((await requests()) < sent) await pause(1);
    times.push(performance.now() - startMs);
    await pause(50);
  }
  console.log(
    `${values.streams} streams on ${tables} tables: idle ${share.toFixed(1)} % of a core, ` +
      `${(residentBytes(walhook.pid) / 1024 / 1024).toFixed(0)} MB; a change to all ${perTable} streams of its table: ${describeTimes(times)}`,
  );
} finally {
  await stage.stop();
}
