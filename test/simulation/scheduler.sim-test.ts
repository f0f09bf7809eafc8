import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seedsOf } from '../support/seeds.ts';
import { SchedulerWorld } from './scheduler-world.ts';

// Whatever the receiver answers: every event ends acknowledged or dead; a key's events first go out in order, one request at a
// time; no attempt before it is due, nor while the circuit or a rate forbids it; a batch that is tried again has its members;
// nothing waits for ever; what is parked comes back in order; what is skipped is sent no more; limits hold. SIM_SEED repeats one seed; SIM_SEEDS runs as many,
// from SIM_FROM on.

test('with seeded faults nothing is lost, reordered, early or starved', () => {
  const { seeds, isOne } = seedsOf('SIM_SEEDS', 200);
  const seen = {
    events: 0,
    skipped: 0,
    dead: 0,
    opened: 0,
    halts: 0,
    gaps: 0,
    blocked: 0,
    held: 0,
    parked: 0,
    unparked: 0,
  };
  for (const seed of seeds) {
    const world = new SchedulerWorld(seed);
    try {
      world.run();
    } catch (error) {
      throw new Error(`SIM_SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
    seen.events += world.events.length;
    for (const [what, count] of Object.entries(world.seen)) seen[what as keyof typeof world.seen] += count;
  }
  // Each of the things that may happen did, or the test shows less than it says.
  for (const [what, count] of Object.entries(seen)) assert.ok(isOne || count > 0, `no seed came to ${what}`);
});
