import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/logger.ts';
import { ChangeFilter } from '../../src/delivery/change-filter.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import { MISSING } from '../../src/filters/compile.ts';
import { DeliveryStore } from '../../src/log/delivery-store.ts';
import type { StreamOperation, StreamTable } from '../../src/model/stream.ts';
import { readRelation } from '../../src/postgres/pgoutput.ts';
import type { SinkBatch } from '../../src/sinks/sink.ts';
import { typePredicate } from '../../src/sql/predicate/type-predicate.ts';
import { MemoryChunkSource, streamDefinition } from '../support/delivery-fakes.ts';
import {
  ChunkWriter,
  deleteMessage,
  frame,
  type Identity,
  insertMessage,
  relationMessage,
  type TestRelation,
  truncateMessage,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-frames.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const OID = 16_400;
const COLUMNS = [
  { name: 'id', typeOid: 23, typeName: 'integer', collation: null },
  { name: 'status', typeOid: 25, typeName: 'text', collation: null },
];

function relationOf(identity: Identity): TestRelation {
  const isFull = identity === 'f';
  return {
    oid: OID,
    schema: 'public',
    name: 'orders',
    identity,
    columns: [
      { name: 'id', type: 23, key: true },
      { name: 'status', type: 25, ...(isFull ? { key: true } : {}) },
    ],
  };
}

function tableOf(where: string | null, when: string | null = null): StreamTable {
  const filter = {
    where: where === null ? null : typePredicate(where, 1, COLUMNS, 'where'),
    when: when === null ? null : typePredicate(when, 1, COLUMNS, 'when'),
  };
  return { oid: OID, schema: 'public', name: 'orders', keyColumns: ['id'], columns: null, where, filter };
}

interface Rules {
  readonly where?: string;
  readonly when?: string;
  readonly operations?: readonly StreamOperation[];
  readonly identity?: Identity;
}

function judge({ where, when, operations, identity = 'f' }: Rules, message: Buffer): unknown {
  const described = relationMessage(relationOf(identity));
  const relation = readRelation(described, 0, described.length);
  const filter = ChangeFilter.of(tableOf(where ?? null, when ?? null), { operations: operations ?? null }, relation);
  assert.ok(filter !== null, 'there is a filter');
  return filter.judge(frame(1n, message), 0);
}

const insert = insertMessage(OID, ['1', 'open']);
const full = (old: string | null, row: string | null | typeof UNCHANGED): Buffer =>
  updateMessage(OID, ['1', row], { kind: 'O', row: ['1', old] });
const sure = (operation: string): unknown => ({ operation, doubt: null });
const unsure = (operation: string): unknown => ({ operation, doubt: MISSING });
const only = (...names: StreamOperation['name'][]): StreamOperation[] => names.map((name) => ({ name, columns: null }));
const ofStatus: readonly StreamOperation[] = [{ name: 'update', columns: ['status'] }];
const OPEN = { where: `status = 'open'` };
const MOVED = { when: 'OLD.status IS DISTINCT FROM NEW.status' };

const cases: readonly (readonly [name: string, rules: Rules, message: Buffer, verdict: unknown])[] = [
  ['WHERE, inserted inside', OPEN, insert, sure('insert')],
  ['WHERE, inserted with a null', OPEN, insertMessage(OID, ['1', null]), sure('dropped')],
  ['WHERE, deleted inside', OPEN, deleteMessage(OID, 'O', ['1', 'open']), sure('delete')],
  ['WHERE, deleted outside', OPEN, deleteMessage(OID, 'O', ['1', 'shut']), sure('dropped')],
  ['WHERE, entering', OPEN, full('shut', 'open'), sure('insert')],
  ['WHERE, leaving', OPEN, full('open', null), sure('delete')],
  ['WHERE, a large value from the old row', OPEN, full('open', UNCHANGED), sure('update')],
  ['WHERE, the old value unknown', { ...OPEN, identity: 'd' }, deleteMessage(OID, 'K', ['1', null]), unsure('delete')],
  [
    'WHERE on the key, which stays',
    { where: 'id > 1', identity: 'd' },
    updateMessage(OID, ['1', 'x']),
    sure('dropped'),
  ],
  ['WHEN, changed', MOVED, full('open', 'shut'), sure('update')],
  ['WHEN, the same', MOVED, full('open', 'open'), sure('dropped')],
  ['WHEN, inserted', MOVED, insert, sure('insert')],
  [
    'WHEN sees the old row of one that enters',
    { ...OPEN, when: `OLD.status = 'shut'` },
    full('shut', 'open'),
    sure('insert'),
  ],
  ['WHEN in doubt', { ...MOVED, identity: 'd' }, updateMessage(OID, ['1', 'x']), unsure('update')],
  ['an operation that is not listed', { operations: only('update') }, insert, sure('dropped')],
  [
    'OPERATIONS go by what the client did',
    { ...OPEN, operations: only('update') },
    full('shut', 'open'),
    sure('insert'),
  ],
  ['TRUNCATE, listed', { operations: only('truncate') }, truncateMessage(OID), null],
  ['TRUNCATE, not listed', { operations: only('insert') }, truncateMessage(OID), sure('dropped')],
  ['TRUNCATE has no rows', OPEN, truncateMessage(OID), null],
  ['UPDATE OF, changed', { operations: ofStatus }, full('a', 'b'), sure('update')],
  ['UPDATE OF, the same', { operations: ofStatus }, full('a', 'a'), sure('dropped')],
  [
    'UPDATE OF, large and untouched',
    { operations: ofStatus, identity: 'd' },
    updateMessage(OID, ['1', UNCHANGED]),
    sure('dropped'),
  ],
  ['UPDATE OF, unknown', { operations: ofStatus, identity: 'd' }, updateMessage(OID, ['1', 'a']), unsure('update')],
];
for (const [name, rules, message, verdict] of cases) {
  test(name, () => assert.deepEqual(judge(rules, message), verdict));
}

test('without filters nothing is asked', () => {
  const described = relationMessage(relationOf('d'));
  const relation = readRelation(described, 0, described.length);
  const { filter: _, ...table } = tableOf(null);
  assert.equal(ChangeFilter.of(table, { operations: null }, relation), null);
});

test('the cursor passes what is filtered, before, between and after events, and the log may go', async () => {
  const writer = new ChunkWriter();
  writer.define(relationOf('f'));
  for (const status of ['shut', 'open', 'shut', 'shut']) {
    writer.begin(1_767_607_200_123_456n);
    writer.change(OID, insertMessage(OID, ['1', status]));
    writer.commit();
    writer.cut();
  }
  const clock = new VirtualClock();
  const store = DeliveryStore.open(join(temporaryFolder(), 'delivery.db'));
  const sent: SinkBatch[] = [];
  const delivery = new Delivery({
    source: new MemoryChunkSource(writer.chunks),
    store,
    createSink: () => ({
      send: (batch) => {
        sent.push(batch);
        return Promise.resolve({ class: 'ok', status: 200, failed: [] });
      },
      close: () => Promise.resolve(),
    }),
    clock,
    random: new SeededRandom(1),
    logger: silentLogger,
  });
  const stop = new AbortController();
  const running = delivery.run(stop.signal);
  const definition = streamDefinition({ tables: [tableOf(`status = 'open'`)] });
  delivery.configure([definition]);
  await clock.advance(200);
  assert.equal(sent.length, 1);
  const [status] = delivery.status();
  assert.deepEqual([status?.eventsFiltered, status?.eventsDelivered, status?.eventsCaptured], [3, 1, 4]);
  assert.equal(delivery.lowestNeededChunk(), writer.chunks.length + 1);
  const progress = store.load(definition.id)!.progress;
  assert.deepEqual(progress.cursor, writer.chunks.at(-1)!.header.last);
  assert.equal(progress.counters.eventsFiltered, 3);
  stop.abort();
  await clock.advance(5_000);
  await running;
  store.close();
});
