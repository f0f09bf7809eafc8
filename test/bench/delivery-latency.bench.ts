// Question: how long after its commit has returned to the writer is a change at the endpoint, at 1,000 single-row
// transactions per second and batches of one; and what do a dead endpoint, one that hangs and one that answers 429 to other streams of
// the same rows change about that?
//
//   npm run bench:delivery-latency [-- --rate 1000] [--seconds 20]
import { parseArgs } from 'node:util';
import { BenchStage, pause } from './bench-stage.ts';
import { writeAtRate } from './paced-writer.ts';
import { describeTimes, quantile } from './quantiles.ts';
import { TimingReceiver } from './timing-receiver.ts';

const { values } = parseArgs({
  options: { rate: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '20' } },
});
const WARM_UP = 1_000;
const stage = await BenchStage.start();
const receiver = await TimingReceiver.start();
let nextId = 1;

/** Milliseconds from each commit's return to its event's arrival. */
async function measured(): Promise<number[]> {
  const committedMs = new Map<number, number>();
  const firstId = nextId;
  const rate = { url: stage.server.url(), table: 'bench', perSecond: Number(values.rate) };
  const count = await writeAtRate({ ...rate, seconds: Number(values.seconds), firstId }, (id) =>
    committedMs.set(id, performance.now()),
  );
  nextId += count;
  while (receiver.arrivedMs.size < nextId - 1) await pause(20);
  const ids = [...committedMs.keys()].filter((id) => id >= firstId + WARM_UP);
  return ids.map((id) => receiver.arrivedMs.get(id)! - committedMs.get(id)!);
}

try {
  const { direct, client, url } = stage;
  await direct.query('CREATE TABLE bench (id bigint PRIMARY KEY, body text DEFAULT md5(random()::text))');
  await client.query(`CREATE CDC STREAM healthy ON bench TO WEBHOOK '${receiver.url}'`);
  const alone = await measured();
  console.log(`alone: ${describeTimes(alone)}`);
  // Port 9 of loopback answers nobody.
  await client.query(`CREATE CDC STREAM dead ON bench TO WEBHOOK 'http://127.0.0.1:9/'`);
  await client.query(`CREATE CDC STREAM hanging ON bench TO WEBHOOK '${url}hang'`);
  await client.query(`CREATE CDC STREAM refused ON bench TO WEBHOOK '${url}status/429'`);
  const beside = await measured();
  console.log(`beside a dead endpoint, one that hangs and one that answers 429: ${describeTimes(beside)}`);
  const ratio = (of: number): string => (quantile(beside, of) / quantile(alone, of)).toFixed(2);
  console.log(`beside / alone: p50 ${ratio(0.5)}, p99 ${ratio(0.99)}; all ${beside.length + WARM_UP} arrived`);
} finally {
  receiver.close();
  await stage.stop();
}
