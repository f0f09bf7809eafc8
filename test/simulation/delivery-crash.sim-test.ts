import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { silentLogger } from '../../src/base/logger.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import type { Chunk } from '../../src/log/chunk.ts';
import { DeliveryStore } from '../../src/log/delivery-store.ts';
import { decodePositions } from '../../src/log/position-bytes.ts';
import type { Outcome, Sink, SinkBatch } from '../../src/sinks/sink.ts';
import { MemoryChunkSource, streamDefinition } from '../support/delivery-fakes.ts';
import {
  ChunkWriter,
  deleteMessage,
  insertMessage,
  type TestRelation,
  truncateMessage,
  updateMessage,
} from '../support/pgoutput-frames.ts';
import { seedsOf } from '../support/seeds.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

// A crash at any point loses nothing: every change arrives; a change whose acknowledgement was stored never comes again; a
// change that comes again has the id it had, and so has the batch that it is in; a key's changes first arrive in order; a
// retry waits out its time across it; what was parked behind a key that fails comes back in order.

const TABLES: readonly TestRelation[] = [16_400, 16_500].map((oid) => ({
  oid,
  schema: 'public',
  name: `t${oid}`,
  identity: 'd',
  columns: [
    { name: 'id', type: 23, key: true },
    { name: 'n', type: 23 },
  ],
}));
const OTHER: TestRelation = { ...TABLES[0]!, oid: 16_600, name: 'other' };

interface Change {
  readonly table: string;
  readonly keys: readonly string[];
  /** What the receiver sees it by: a number of its own in the row, or its place for what has none. */
  readonly seq: string;
}

function keysOf(event: NativeEvent): string[] {
  const keys = [event.key, event.old_key].flatMap((key) => (key ? [`${event.table}:${key.id}`] : []));
  return event.op === 'truncate' ? [`${event.table}:*`] : keys;
}

interface NativeEvent {
  readonly id: string;
  readonly op: string;
  readonly table: string;
  readonly key: { readonly id: number } | null;
  readonly old_key?: { readonly id: number };
  readonly lsn: string;
}

/** A log of random transactions; returns it with what has to arrive, in commit order. */
function makeLog(random: SeededRandom): { chunks: Chunk[]; expected: Change[] } {
  const writer = new ChunkWriter();
  const expected: Change[] = [];
  for (const table of [...TABLES, OTHER]) writer.define(table);
  let sequence = 0;
  for (let transaction = 0; transaction < 40; transaction++) {
    writer.begin(1_767_607_200_000_000n + BigInt(transaction) * 1000n, 700 + transaction);
    for (let i = random.below(8); i >= 0; i--) {
      if (random.chance(0.1)) writer.cut();
      const table = random.chance(0.2) ? OTHER : TABLES[random.below(2)]!;
      const id = random.below(10);
      const n = String(sequence++);
      const kind = random.float();
      const same = random.chance(0.2) && i > 0 && sequence > 1 && kind < 0.7;
      let keys = [`${table.name}:${id}`];
      let position;
      if (kind < 0.7) position = writer.change(table.oid, insertMessage(table.oid, [String(id), n]), same);
      else if (kind < 0.85) {
        const old = random.below(10);
        if (old !== id) keys = [`${table.name}:${id}`, `${table.name}:${old}`];
        const message = updateMessage(table.oid, [String(id), n], { kind: 'K', row: [String(old), null] });
        position = writer.change(table.oid, message);
      } else if (kind < 0.97) position = writer.change(table.oid, deleteMessage(table.oid, 'K', [String(id), null]));
      else {
        keys = [`${table.name}:*`];
        position = writer.change(table.oid, truncateMessage(table.oid));
      }
      const seq = `${position.commitLsn}/${position.lsn}/${position.ordinal}`;
      if (table !== OTHER) expected.push({ table: table.name, keys, seq });
    }
    writer.commit();
    if (random.chance(0.3)) writer.cut();
  }
  writer.cut();
  return { chunks: writer.chunks, expected };
}

class Receiver implements Sink {
  readonly random: SeededRandom;
  readonly clock: () => number;
  readonly arrivals: { readonly event: NativeEvent; readonly acknowledged: boolean }[] = [];
  /** When a request that failed in this life may come again. */
  readonly due = new Map<string, number>();
  /** Request ids by event id: a batch never changes, as none is taken apart here. */
  readonly #requestOf = new Map<string, string>();
  readonly #pending = new Set<() => void>();

  constructor(random: SeededRandom, clock: () => number) {
    this.random = random;
    this.clock = clock;
  }

  send(batch: SinkBatch): Promise<Outcome> {
    const body = JSON.parse(batch.body.toString('utf8')) as NativeEvent | NativeEvent[];
    const events = Array.isArray(body) ? body : [body];
    const notBefore = this.due.get(batch.requestId);
    assert.ok(notBefore === undefined || this.clock() >= notBefore, 'a retry came before its time');
    for (const { id } of events) {
      assert.equal(this.#requestOf.get(id) ?? batch.requestId, batch.requestId, 'a batch changed its members');
      this.#requestOf.set(id, batch.requestId);
    }
    const outcome = this.#outcome();
    for (const event of events) this.arrivals.push({ event, acknowledged: outcome.class === 'ok' });
    // Answers come in any order, when the test says so.
    return new Promise((resolve) => {
      this.#pending.add(() => {
        const waitMs = outcome.class === 'ok' || outcome.class === 'cancelled' ? null : outcome.retryAfterMs;
        if (waitMs !== null) this.due.set(batch.requestId, this.clock() + waitMs);
        resolve(outcome);
      });
    });
  }

  /** The sender is gone: its requests under way are answered to nobody, and what it was told is forgotten. */
  crash(): void {
    this.#pending.clear();
    this.due.clear();
  }

  answerSome(): void {
    for (const answer of this.#pending) {
      if (this.random.chance(0.4)) continue;
      this.#pending.delete(answer);
      answer();
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #outcome(): Outcome {
    if (!this.random.chance(0.25)) return { class: 'ok', status: 200, failed: [] };
    const kind = this.random.chance(0.3) ? 'overloaded' : 'transient';
    const retryAfterMs = 200 + this.random.below(2_000);
    return { class: kind, status: 503, code: 'http_503', reason: 'HTTP 503', retryAfterMs };
  }
}

async function runSeed(seed: number, path: string): Promise<{ restarts: number; parked: number }> {
  const random = new SeededRandom(seed);
  const { chunks, expected } = makeLog(random);
  const clock = new VirtualClock();
  const receiver = new Receiver(random, () => clock.now());
  const definition = streamDefinition({
    tables: TABLES.map(({ oid, schema, name }) => ({
      oid,
      schema,
      name,
      keyColumns: ['id'],
      columns: null,
      where: null,
    })),
    options: {
      batchMaxEvents: random.chance(0.4) ? 1 : 1 + random.below(10),
      maxInFlight: 1 + random.below(6),
      initialBackoffMs: 100,
      maxBackoffMs: 1_000,
    },
  });
  let appended = 0;
  let durable = 0;
  let restarts = 0;
  let parked = 0;
  const limits = { events: random.chance(0.5) ? 1_000 : 5 + random.below(20), bytes: 1e6, outsideBytes: 1_500 };
  for (let life = 0; ; life++) {
    assert.ok(life < 60, 'it never comes to an end');
    const store = DeliveryStore.open(path);
    // What was appended and not durable is lost in the crash, and comes again.
    appended = durable;
    const source = new MemoryChunkSource(chunks, durable);
    const save = store.save.bind(store);
    store.save = (changes, batches) => {
      for (const change of changes) parked += change.parked.length;
      save(changes, batches);
    };
    const parts = { source, store, createSink: () => receiver, clock, random, logger: silentLogger, limits };
    const delivery = new Delivery(parts);
    const stop = new AbortController();
    let crashed = false;
    let failure: unknown = null;
    const stopped = delivery.run(stop.signal).catch((error: unknown) => {
      if (!crashed) failure = error;
    });
    const stored = store.load(definition.id);
    const onDisk = parkedLsns(path);
    receiver.crash();
    const arrivedBefore = receiver.arrivals.length;
    delivery.configure([definition]);
    const steps = random.below(60);
    let finished = false;
    for (let step = 0; step < steps || life >= 12; step++) {
      assert.ok(step < 5_000, 'it never comes to an end');
      if (appended < chunks.length && random.chance(0.5)) {
        const { header, data, relationMessages } = chunks[appended++]!;
        const withData = random.chance(0.7);
        delivery.chunkAppended(header, withData ? data : null, withData ? relationMessages : null);
      }
      if (durable < appended && random.chance(0.6)) {
        durable = durable + 1 + random.below(appended - durable);
        source.visible = durable;
        delivery.durable(durable);
      }
      receiver.answerSome();
      if (failure !== null) throw failure as Error;
      const [before] = delivery.status();
      await clock.advance(before!.circuitState === 'closed' ? random.below(120) : random.below(20_000));
      const [status] = delivery.status();
      if (durable === chunks.length && status!.pendingEvents === 0) {
        finished = true;
        break;
      }
    }
    checkNothingAgain(stored, onDisk, receiver, arrivedBefore);
    if (finished) await clock.advance(100);
    // A crash: nothing more is stored. Closing the file first makes the save at the end of `run` fail.
    crashed = true;
    store.close();
    stop.abort();
    await clock.advance(5_000);
    await stopped;
    if (finished) break;
    restarts++;
  }
  checkArrivals(receiver, expected);
  return { restarts, parked };
}

/** LSNs of the events that are parked: the cursor has passed them. */
function parkedLsns(path: string): ReadonlySet<bigint> {
  const db = new Database(path, { readonly: true });
  const rows = db.prepare('SELECT position FROM parked').all() as { position: Buffer }[];
  db.close();
  return new Set(rows.map(({ position }) => decodePositions(position)[0]!.lsn));
}

/** Nothing that the store had as acknowledged before this life arrived in it. */
function checkNothingAgain(
  stored: ReturnType<DeliveryStore['load']>,
  onDisk: ReadonlySet<bigint>,
  receiver: Receiver,
  from: number,
): void {
  if (stored === null) return;
  const { cursor, acknowledged } = stored.progress;
  for (const { event } of receiver.arrivals.slice(from)) {
    const [high, low] = event.lsn.split('/').map((half) => BigInt(`0x${half}`));
    const lsn = (high! << 32n) | low!;
    if (onDisk.has(lsn)) continue;
    // In these logs LSNs ascend with commit LSNs, and records of several changes are told apart by the ids below.
    if (cursor !== null) assert.ok(lsn >= cursor.lsn, 'a change at or before the cursor came again');
    for (const { first, last } of acknowledged)
      assert.ok(!(lsn > first.lsn && lsn < last.lsn), 'an acknowledged change came again');
  }
}

function checkArrivals(receiver: Receiver, expected: readonly Change[]): void {
  const firsts = new Map<string, NativeEvent>();
  const taken = new Set<string>();
  for (const { event, acknowledged } of receiver.arrivals) {
    if (!firsts.has(event.id)) firsts.set(event.id, event);
    if (acknowledged) taken.add(event.id);
  }
  assert.equal(firsts.size, expected.length, 'as many ids as changes');
  assert.equal(taken.size, expected.length, 'every change was acknowledged');
  const byKey = (
    list: readonly { readonly keys: readonly string[]; readonly name: string }[],
  ): Map<string, string[]> => {
    const keys = new Map<string, string[]>();
    for (const { keys: own, name } of list) for (const key of own) keys.set(key, [...(keys.get(key) ?? []), name]);
    return keys;
  };
  const lsnOf = (seq: string): bigint => BigInt(seq.split('/')[1]!);
  const arrived = byKey([...firsts.values()].map((event) => ({ keys: keysOf(event), name: String(parse(event.lsn)) })));
  const wanted = byKey(expected.map(({ keys, seq }) => ({ keys, name: String(lsnOf(seq)) })));
  assert.deepEqual(arrived, sortedLike(wanted, arrived), 'the order per key of first arrivals');
}

function parse(lsn: string): bigint {
  const [high, low] = lsn.split('/').map((half) => BigInt(`0x${half}`));
  return (high! << 32n) | low!;
}

function sortedLike(map: Map<string, string[]>, like: Map<string, string[]>): Map<string, string[]> {
  return new Map([...like.keys()].map((key) => [key, map.get(key) ?? []]));
}

test('crashes at random points lose nothing, repeat nothing that was stored, and keep the order per key', async () => {
  const { seeds, isOne } = seedsOf('SIM_CRASH_SEEDS', 40);
  const folder = temporaryFolder();
  let restarts = 0;
  let parked = 0;
  for (const seed of seeds) {
    try {
      const seen = await runSeed(seed, join(folder, `${seed}.db`));
      restarts += seen.restarts;
      parked += seen.parked;
    } catch (error) {
      throw new Error(`SIM_SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  assert.ok(isOne || (restarts > seeds.length && parked > seeds.length), `${restarts} restarts, ${parked} parked`);
});
