/*
  Question: what does a stream whose template loops for ever cost another stream that has a transform, in the time that a
  body waits and takes; and one that has none, in the time that a turn of the event loop takes? Asked with nothing else, then
  with three that loop, in turn. Not asked: sending.

    npm run bench:transforms [-- rounds]
*/
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/base/clock.ts';
import { TransformPool } from '../../src/engine/transform-pool.ts';
import { median } from './median.ts';

const ROUND_MS = 10_000;
const EVERY_MS = 5;
const ENDLESS = '{% for i in range(100000000) %}{% for j in range(100000000) %}{% endfor %}{% endfor %}1';
const BODY = Buffer.from(`{"op":"insert","key":{"id":"42"},"after":{"id":"42","note":"${'n'.repeat(200)}"}}`);

const pool = new TransformPool(systemClock);
const calm = { language: 'jsonpath', text: '$.after' } as const;

/** p50 and p99 of a stream's transforms and of turns, in ms. */
async function measure(): Promise<readonly number[]> {
  const transforms: number[] = [];
  const turns: number[] = [];
  for (const untilMs = performance.now() + ROUND_MS; performance.now() < untilMs;) {
    const startedMs = performance.now();
    await pool.transform('calm', calm, BODY, 1_000_000);
    transforms.push(performance.now() - startedMs);
    const turnMs = performance.now();
    await new Promise(setImmediate);
    turns.push(performance.now() - turnMs);
    await sleep(EVERY_MS);
  }
  return [transforms, turns].flatMap((values) => {
    const sorted = values.toSorted((a, b) => a - b);
    return [0.5, 0.99].map((share) => sorted[Math.floor(sorted.length * share)]!);
  });
}

const rounds = Number(process.argv[2] ?? 3);
const without: (readonly number[])[] = [];
const beside: (readonly number[])[] = [];
await measure();
for (let round = 0; round < rounds; round++) {
  without.push(await measure());
  let isOver = false;
  const loop = async (name: string): Promise<void> => {
    while (!isOver) await pool.transform(`${name} ${round}`, { language: 'template', text: ENDLESS }, BODY, 1_000);
  };
  for (const name of ['l1', 'l2', 'l3']) void loop(name);
  beside.push(await measure());
  isOver = true;
}
await pool.close();
for (const [i, name] of ['transform p50', 'transform p99', 'turn p50', 'turn p99'].entries()) {
  const [alone, together] = [without, beside].map((runs) => median(runs.map((run) => run[i]!))) as [number, number];
  console.log(`${name.padEnd(14)} ${alone.toFixed(3)} ms alone, ${together.toFixed(3)} ms beside three that loop`);
}
