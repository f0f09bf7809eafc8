// Question: what do 200 streams on one database cost capture? The same rows, in the same transactions, spread over as many
// tables as there are streams; the clock runs until they are in the durable log. Delivery is held, as it is the same work however many
// streams share it.
//
//   npm run bench:streams [-- --streams 200] [--rows 600000] [--rounds 3]
import { parseArgs } from 'node:util';
import { BenchStage, pause, secondsOf } from './bench-stage.ts';
import { median } from './median.ts';

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '200' },
    rows: { type: 'string', default: '600000' },
    rounds: { type: 'string', default: '3' },
  },
});
const rows = Number(values.rows);

/** Rows per second into the log, with the server decoding at the same time, `streams` of them being there. */
async function captured(streams: number): Promise<number> {
  const stage = await BenchStage.start();
  const { direct, client } = stage;
  try {
    for (let i = 0; i < streams; i++) {
      await direct.query(`CREATE TABLE bench_${i} (id bigint PRIMARY KEY, body text)`);
      await client.query(`CREATE CDC STREAM bench_${i} ON bench_${i} TO WEBHOOK '${stage.url}'`);
      await client.query(`ALTER CDC STREAM bench_${i} PAUSE`);
    }
    const rates: number[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      // The clock runs from the commit that has all of it, which the server only then begins to send.
      await direct.query('BEGIN');
      for (let i = 0; i < streams; i++) {
        const from = round * rows;
        const sql = `INSERT INTO bench_${i} SELECT g, repeat('x', 64) FROM generate_series($1::int, $2::int) g`;
        await direct.query(sql, [from + 1, from + Math.floor(rows / streams)]);
      }
      await direct.query('COMMIT');
      const before = Number((await stage.status('bench_0')).get('events_captured'));
      const share = Math.floor(rows / streams);
      const seconds = await secondsOf(async () => {
        const last = `bench_${streams - 1}`;
        await stage.reached(last, 'events_captured', (streams === 1 ? before : round * share) + share);
      });
      rates.push((share * streams) / seconds);
      await pause(500);
    }
    return median(rates);
  } finally {
    await stage.stop();
  }
}

const one = await captured(1);
const many = await captured(Number(values.streams));
console.log(
  `captured rows/s: 1 stream ${one.toFixed(0)}, ${values.streams} streams ${many.toFixed(0)}; ratio ${(many / one).toFixed(2)}`,
);
