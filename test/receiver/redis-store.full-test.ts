import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { deduplicate, RedisStore } from '../../src/receiver/receiver.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';
import { testStore } from './store-laws.ts';

// What is remembered in Redis: one handler at a time, and none once an event is done, for as long as it is kept.

const command = await startRedis();
const stores = { leaseSeconds: 30 };

testStore('in Redis', () => Promise.resolve(new RedisStore(command, stores)), true);

const never = (): Promise<void> => new Promise(() => undefined);

test('while a handler has an event, another request is told to come again', async () => {
  const store = new RedisStore(command, stores);
  const [one, two] = [{ id: randomUUID() }, { id: randomUUID() }];
  void deduplicate(store, never)([one]);
  await waitFor('the claim', async () => (await command('GET', `{walhook}:inbox:${one.id}`)) !== null);
  const seen: string[] = [];
  const apply = deduplicate(store, ({ id }: { id: string }) => void seen.push(id));
  await assert.rejects(apply([two, one]), { name: 'WebhookError', code: 'in_progress', status: 503 });
  assert.deepEqual(seen, [], 'all or nothing of a request');
  assert.deepEqual(await apply([two]), { applied: 1, duplicates: 0 });
});

test('a handler that never ends holds its events for the lease, and what it does late changes nothing', async () => {
  const store = new RedisStore(command, { leaseSeconds: 0.05 });
  const event = { id: randomUUID() };
  const late = Promise.withResolvers<void>();
  const first = deduplicate(store, () => late.promise)([event]);
  const again = deduplicate(store, () => undefined);
  await waitFor('the lease to end', async () => (await again([event]).catch(() => null))?.applied === 1);
  late.reject(new Error('late'));
  await assert.rejects(first, /late/);
  assert.deepEqual(await again([event]), { applied: 0, duplicates: 1 });
});

test('keys have the prefix and end when they are not kept any longer', async () => {
  const event = { id: randomUUID() };
  const apply = deduplicate(new RedisStore(command, { prefix: 'mine:', rememberSeconds: 0.05 }), () => undefined);
  assert.deepEqual(await apply([event]), { applied: 1, duplicates: 0 });
  await waitFor('the key to end', async () => (await command('EXISTS', `mine:${event.id}`)) === 0);
  assert.deepEqual(await apply([event]), { applied: 1, duplicates: 0 });
});
