import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { deduplicate, type DeduplicationStore, WebhookError } from '../../src/receiver/receiver.ts';

/** Registers the tests that every store passes. `isBusyAllowed`: it may refuse what is being applied, instead of waiting. */
export function testStore<Context>(
  name: string,
  open: () => Promise<DeduplicationStore<Context>>,
  isBusyAllowed = false,
): void {
  const events = (count: number) => Array.from({ length: count }, () => ({ id: randomUUID() }));

  test(`${name}: each event is applied once, in order, however requests repeat and overlap`, async () => {
    const store = await open();
    const seen: string[] = [];
    const apply = deduplicate(store, ({ id }: { id: string }) => void seen.push(id));
    const all = events(10);
    assert.deepEqual(await apply(all.slice(0, 6)), { applied: 6, duplicates: 0 });
    assert.deepEqual(await apply(all.slice(0, 6)), { applied: 0, duplicates: 6 });
    assert.deepEqual(await apply([all[8]!, all[2]!, all[7]!, all[8]!, all[6]!]), { applied: 3, duplicates: 2 });
    assert.deepEqual(await apply([]), { applied: 0, duplicates: 0 });
    assert.deepEqual(
      seen,
      [...all.slice(0, 6), all[8]!, all[7]!, all[6]!].map(({ id }) => id),
    );
  });

  test(`${name}: where the handler fails nothing of the request is remembered`, async () => {
    const store = await open();
    const [one, two, three] = events(3) as [{ id: string }, { id: string }, { id: string }];
    let isBroken = true;
    const seen: string[] = [];
    const apply = deduplicate(store, ({ id }: { id: string }) => {
      if (isBroken && id === two.id) throw new Error('the handler is broken');
      seen.push(id);
    });
    await assert.rejects(apply([one, two, three]), /the handler is broken/);
    assert.deepEqual(seen, [one.id]);
    isBroken = false;
    assert.deepEqual(await apply([one, two, three]), { applied: 3, duplicates: 0 });
  });

  test(`${name}: of requests that come at once one applies an event`, async () => {
    const store = await open();
    const all = events(20);
    const counts = new Map<string, number>();
    let most = 0;
    const underWay = new Map<string, number>();
    const apply = deduplicate(store, async ({ id }: { id: string }) => {
      const now = (underWay.get(id) ?? 0) + 1;
      underWay.set(id, now);
      most = Math.max(most, now);
      await new Promise((resolve) => setImmediate(resolve));
      underWay.set(id, now - 1);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    });
    const request = async (part: readonly { id: string }[]): Promise<void> => {
      try {
        await apply(part);
      } catch (error) {
        // As walhook does with a 503.
        if (!isBusyAllowed || !(error instanceof WebhookError) || error.code !== 'in_progress') throw error;
        await new Promise((resolve) => setTimeout(resolve, 1));
        await request(part);
      }
    };
    await Promise.all(Array.from({ length: 30 }, (_, i) => request(all.slice(i % 10, (i % 10) + 10))));
    assert.equal(most, 1);
    assert.deepEqual(new Set(counts.values()), new Set([1]));
    assert.equal(counts.size, 19);
  });
}
