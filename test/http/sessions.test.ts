import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sessions, type ConsoleSession } from '../../src/http/console/sessions.ts';
import { SignInLimit } from '../../src/http/console/sign-in-limit.ts';
import type { SqlAccount } from '../../src/http/console/sql-account.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const HOUR_MS = 3_600_000;

function account(closed: string[] = []): SqlAccount {
  const execute = (): Promise<never> => Promise.reject(new Error('nobody asks'));
  return {
    user: 'u',
    database: 'd',
    access: 'client',
    open: () => ({ execute, close: () => closed.push('closed') }),
  };
}

test('a session that is not used, or is a day old, is over, and lets go of its connections', () => {
  const closed: string[] = [];
  const sessions = new Sessions(new SeededRandom(1));
  const idle = sessions.start('password', account(closed), 0)!;
  assert.equal(sessions.find(idle.id, 8 * HOUR_MS), idle);
  assert.equal(sessions.find(idle.id, 16 * HOUR_MS), idle);
  assert.equal(sessions.find(idle.id, 24 * HOUR_MS + 1), null);
  assert.deepEqual(closed, ['closed', 'closed']);
  assert.equal(idle.ended.signal.aborted, true);
  const unused = sessions.start('password', account(), 0)!;
  assert.equal(sessions.find(unused.id, 8 * HOUR_MS + 1), null);
  assert.equal(sessions.size, 0);
});

test('whoever has not signed in makes room for others, and never the other way round', () => {
  const sessions = new Sessions(new SeededRandom(2));
  const signedIn = sessions.start('password', account(), 0)!;
  const first = sessions.start('anybody', account(), 1)!;
  const others: ConsoleSession[] = [];
  for (let at = 2; at < 300; at++) others.push(sessions.start('anybody', account(), at)!);
  assert.equal(sessions.size, 200);
  assert.equal(sessions.find(first.id, 300), null);
  assert.equal(sessions.find(signedIn.id, 300), signedIn);
  for (let at = 0; at < 199; at++) assert.notEqual(sessions.start('token', account(), 301), null);
  assert.equal(sessions.start('anybody', account(), 302), null);
  assert.equal(sessions.start('password', account(), 302), null);
  assert.equal(sessions.size, 200);
});

test('every session has an id and a secret of its own', () => {
  const sessions = new Sessions(new SeededRandom(3));
  const made = Array.from({ length: 20 }, (_, at) => sessions.start('anybody', account(), at)!);
  assert.equal(new Set(made.flatMap(({ id, csrf }) => [id, csrf])).size, 40);
});

test('ten attempts at once for each address, fifty for all, then as time goes by', async () => {
  const limit = new SignInLimit();
  const attempt = async (address: string, nowMs: number): Promise<boolean> =>
    (await limit.attempt(address, nowMs, async () => true)) === true;
  let made = 0;
  for (let tries = 0; tries < 20; tries++) if (await attempt('192.0.2.1', 0)) made++;
  assert.equal(made, 10);
  assert.equal(await attempt('192.0.2.1', 5_900), false);
  assert.equal(await attempt('192.0.2.1', 6_100), true);
  made = 0;
  for (let address = 0; address < 100; address++) if (await attempt(`198.51.100.${address}`, 6_100)) made++;
  assert.ok(made > 30 && made <= 50, `${made}`);
});

test('no more than eight at the same time', async () => {
  const limit = new SignInLimit();
  const { promise, resolve } = Promise.withResolvers<true>();
  const running = Array.from({ length: 9 }, (_, at) => limit.attempt(`192.0.2.${at}`, 0, () => promise));
  resolve(true);
  assert.deepEqual((await Promise.all(running)).filter((result) => result === null).length, 1);
  assert.equal(await limit.attempt('192.0.2.9', 0, async () => true), true);
});
