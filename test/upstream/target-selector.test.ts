import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { SessionAttrs } from '../../src/postgres/connection-url.ts';
import { HostOrder } from '../../src/upstream/host-order.ts';
import type { Role } from '../../src/upstream/roles.ts';
import { mismatch, standbyMismatch } from '../../src/upstream/roles.ts';
import { TargetSelector } from '../../src/upstream/target-selector.ts';
import type { UpstreamHost } from '../../src/upstream/upstream-config.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const host = (name: string): UpstreamHost => ({ name, target: { host: name, port: 5432 } });
const [A, B, C] = [host('a'), host('b'), host('c')];
const HOSTS = [A, B, C];
const PRIMARY: Role = { isStandby: false, isReadOnly: false };
const READ_ONLY: Role = { isStandby: false, isReadOnly: true };
const STANDBY: Role = { isStandby: true, isReadOnly: true };

/** Servers that answer when the test lets them. */
class Servers {
  readonly clock = new VirtualClock();
  readonly selector: TargetSelector;
  probes = 0;
  #waiting = new Map<UpstreamHost, PromiseWithResolvers<Role>>();

  constructor(wanted: SessionAttrs) {
    const probe = (asked: UpstreamHost): Promise<Role> => {
      this.probes++;
      const answer = Promise.withResolvers<Role>();
      this.#waiting.set(asked, answer);
      return answer.promise;
    };
    this.selector = new TargetSelector({ hosts: HOSTS, wanted, clock: this.clock, probe });
  }

  answer(asked: UpstreamHost, role: Role | Error): void {
    const waiting = this.#waiting.get(asked);
    if (role instanceof Error) waiting?.reject(role);
    else waiting?.resolve(role);
  }

  /** The names of the targets, when the servers answer so. */
  async targets(...roles: readonly [UpstreamHost, Role | Error][]): Promise<string> {
    const targets = this.selector.targets();
    for (const [asked, role] of roles) this.answer(asked, role);
    const { hosts, secondBest } = await targets;
    return [...hosts, ...secondBest].map(({ name }) => name).join('');
  }
}

suite('roles', () => {
  const attrs: SessionAttrs[] = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'];
  const fit = (role: Role): string[] => attrs.filter((each) => mismatch(each, role) === null);
  test('what each server fits', () => {
    assert.deepEqual(fit(PRIMARY), ['any', 'read-write', 'primary']);
    assert.deepEqual(fit(READ_ONLY), ['any', 'read-only', 'primary']);
    assert.deepEqual(fit(STANDBY), ['any', 'read-only', 'standby', 'prefer-standby']);
  });
  test('what a session at its start may contradict', () => {
    const wrong = (isStandby: boolean): string[] => attrs.filter((each) => standbyMismatch(each, isStandby) !== null);
    assert.deepEqual(wrong(true), ['read-write', 'primary']);
    assert.deepEqual(wrong(false), ['standby']);
  });
});

suite('the selector', () => {
  test('answers as soon as the primary is known, and believes it for a while', async () => {
    const servers = new Servers('primary');
    assert.equal(await servers.targets([B, PRIMARY]), 'b');
    servers.answer(A, STANDBY);
    servers.answer(C, STANDBY);
    assert.deepEqual(await servers.selector.targets(), { hosts: [B], secondBest: [], isFresh: false });
    assert.equal(servers.probes, 3);
    await servers.clock.advance(30_000);
    assert.equal(await servers.targets([A, PRIMARY], [B, STANDBY], [C, STANDBY]), 'a');
    assert.equal(servers.probes, 6);
  });

  test('asks once for all who wait', async () => {
    const servers = new Servers('read-write');
    const all = Promise.all(Array.from({ length: 100 }, () => servers.selector.targets()));
    servers.answer(C, PRIMARY);
    assert.ok((await all).every(({ hosts }) => hosts[0] === C));
    assert.equal(servers.probes, 3);
  });

  test('gives standbys in the order of the list, waiting for those before', async () => {
    const servers = new Servers('standby');
    const targets = servers.selector.targets();
    let isDecided = false;
    void targets.then(() => (isDecided = true));
    servers.answer(B, STANDBY);
    await servers.clock.advance(1_000);
    assert.equal(isDecided, false);
    servers.answer(A, STANDBY);
    assert.deepEqual((await targets).hosts, [A, B]);
  });

  test('does not wait for one that failed the last time', async () => {
    const servers = new Servers('standby');
    assert.equal(await servers.targets([A, new Error('down')], [B, STANDBY], [C, PRIMARY]), 'b');
    servers.selector.invalidate();
    assert.equal(await servers.targets([B, STANDBY]), 'b');
    assert.equal(servers.probes, 6);
    // It is back: known as soon as it answers.
    servers.answer(A, STANDBY);
    await servers.clock.advance(0);
    assert.deepEqual((await servers.selector.targets()).hosts, [A, B]);
  });

  test('prefers a standby, and falls back to a primary', async () => {
    const servers = new Servers('prefer-standby');
    assert.equal(await servers.targets([A, PRIMARY], [B, PRIMARY], [C, STANDBY]), 'cab');
    servers.selector.invalidate();
    assert.equal(await servers.targets([A, PRIMARY], [B, PRIMARY], [C, new Error('down')]), 'ab');
  });

  test('names every server when none is right, and asks again the next time', async () => {
    const servers = new Servers('read-write');
    await assert.rejects(servers.targets([A, STANDBY], [B, new Error('down')], [C, READ_ONLY]), {
      name: 'UpstreamUnreachableError',
      message:
        'could not connect to the upstream server at a: session is read-only; at b: down; at c: session is read-only',
    });
    assert.equal(await servers.targets([B, PRIMARY]), 'b');
  });
});

suite('the order of hosts', () => {
  const names = (hosts: readonly UpstreamHost[]): string => hosts.map(({ name }) => name).join('');

  test('is that of the list, with what failed last', async () => {
    const clock = new VirtualClock();
    const order = new HostOrder(HOSTS, false, clock, new SeededRandom(1));
    assert.equal(names(order.next()), 'abc');
    order.failed(A);
    assert.equal(names(order.next()), 'bca');
    order.failed(B);
    assert.equal(names(order.next()), 'cab');
    order.reached(A);
    assert.equal(names(order.next()), 'acb');
    await clock.advance(30_000);
    // One alone tries it in its place again.
    assert.deepEqual([names(order.next()), names(order.next())], ['abc', 'acb']);
    order.reached(B);
    assert.equal(names(order.next()), 'abc');
  });

  test('is each order alike when it is random, with what failed still last', () => {
    const order = new HostOrder(HOSTS, true, new VirtualClock(), new SeededRandom(2));
    const counts = new Map<string, number>();
    for (let i = 0; i < 6_000; i++) {
      const each = names(order.next());
      counts.set(each, (counts.get(each) ?? 0) + 1);
    }
    assert.equal(counts.size, 6);
    for (const [each, count] of counts) assert.ok(count > 850 && count < 1_150, `${each}: ${count}`);
    order.failed(A);
    for (let i = 0; i < 20; i++) assert.match(names(order.next()), /a$/);
  });
});
