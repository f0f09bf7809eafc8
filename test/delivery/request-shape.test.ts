import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/logger.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import type { Transformed, Transformer } from '../../src/delivery/transformer.ts';
import { DeliveryStore } from '../../src/log/delivery-store.ts';
import type { ResolvedStream } from '../../src/model/resolved-stream.ts';
import { SecretValue } from '../../src/model/secret.ts';
import type { StreamTransform } from '../../src/model/stream.ts';
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
import { SeededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

// Which events may share a request, what becomes of those that are too large, and that a sink which cannot send is not asked.

const tableOf = (oid: number, schema: string, name: string): TestRelation => ({
  oid,
  schema,
  name,
  identity: 'd',
  columns: [
    { name: 'id', type: 23, key: true },
    { name: 'note', type: 25 },
  ],
});
const ORDERS = tableOf(16_400, 'public', 'orders');
const ODD = tableOf(16_401, 'a/b', '../größe');
const DOTS = tableOf(16_402, '..', 'x');

class RecordingSink implements Sink {
  readonly sent: SinkBatch[] = [];
  readonly problem: string | null;
  answer: (batch: SinkBatch) => Outcome = () => ({ class: 'ok', status: 200, failed: [] });

  constructor(problem: string | null = null) {
    this.problem = problem;
  }

  send(batch: SinkBatch): Promise<Outcome> {
    this.sent.push(batch);
    return Promise.resolve(this.answer(batch));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const OK: Outcome = { class: 'ok', status: 200, failed: [] };
const FAILED: Outcome = {
  class: 'transient',
  status: 500,
  code: 'http_500',
  reason: 'HTTP 500',
  retryAfterMs: null,
};

function stage(chunks: ChunkWriter, transformer: Transformer | null = null, folder = temporaryFolder()) {
  chunks.cut();
  const clock = new VirtualClock();
  const store = DeliveryStore.open(join(folder, 'delivery.db'));
  const sink = new RecordingSink();
  const at: { sink: RecordingSink; streams: ResolvedStream[] } = { sink, streams: [] };
  const delivery = new Delivery({
    source: new MemoryChunkSource(chunks.chunks),
    store,
    createSink: (stream) => {
      at.streams.push(stream);
      return at.sink;
    },
    clock,
    random: new SeededRandom(1),
    logger: silentLogger,
    ...(transformer && { transformer }),
  });
  const stop = new AbortController();
  const running = delivery.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.advance(5_000);
    await running;
    store.close();
  };
  return { at, clock, store, delivery, end };
}

const TABLES = [ORDERS, ODD, DOTS].map(({ oid, schema, name }) => ({
  oid,
  schema,
  name,
  keyColumns: ['id'],
  columns: null,
  where: null,
}));

function mixedLog(): ChunkWriter {
  const chunks = new ChunkWriter();
  for (const relation of [ORDERS, ODD, DOTS]) chunks.define(relation);
  chunks.begin(1_767_607_200_000_000n);
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['1', 'a']));
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['2', 'b']));
  chunks.change(ODD.oid, insertMessage(ODD.oid, ['1', 'c']));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['3', 'd']));
  chunks.change(ORDERS.oid, deleteMessage(ORDERS.oid, 'K', ['4', null]));
  chunks.change(DOTS.oid, insertMessage(DOTS.oid, ['1', 'e']));
  chunks.change(ORDERS.oid, truncateMessage(ORDERS.oid));
  chunks.commit();
  return chunks;
}

function sentTo(sink: RecordingSink): (readonly [path: string, events: number])[] {
  return sink.sent.map(({ path, events }) => [path, events]);
}

test('events whose path differs share no request', async () => {
  const on = stage(mixedLog());
  const pathTemplate = '/{database}/{stream}/{schema}/{table}/{op}?t={table}';
  on.delivery.configure([
    streamDefinition({ name: 'my stream', tables: TABLES, options: { batchMaxEvents: 100, pathTemplate } }),
  ]);
  await on.clock.advance(1_000);
  assert.deepEqual(sentTo(on.at.sink), [
    ['/shop/my%20stream/public/orders/insert?t=orders', 2],
    ['/shop/my%20stream/a%2Fb/..%2Fgr%C3%B6%C3%9Fe/insert?t=..%2Fgr%C3%B6%C3%9Fe', 1],
    ['/shop/my%20stream/public/orders/update?t=orders', 1],
    ['/shop/my%20stream/public/orders/delete?t=orders', 1],
    ['/shop/my%20stream/%252E%252E/x/insert?t=x', 1],
    ['/shop/my%20stream/public/orders/truncate?t=orders', 1],
  ]);
  await on.end();
});

const ROUTED = { 'X-Team': 'static', 'X-Route': '{database}.{stream}/{schema}.{table}', 'X-Op': 'op={op}; {"a":1}' };

function routesOf(sink: RecordingSink): (readonly [headers: SinkBatch['headers'], events: number])[] {
  return sink.sent.map(({ headers, events }) => [headers, events]);
}

test('events whose headers differ share no request; names are plain ASCII in them', async () => {
  const on = stage(mixedLog());
  on.delivery.configure([streamDefinition({ tables: TABLES, options: { batchMaxEvents: 100, headers: ROUTED } })]);
  await on.clock.advance(1_000);
  const route = (table: string, op: string): SinkBatch['headers'] => ({
    'X-Route': `shop.orders_cdc_stream/${table}`,
    'X-Op': `op=${op}; {"a":1}`,
  });
  assert.deepEqual(routesOf(on.at.sink), [
    [route('public.orders', 'insert'), 2],
    [route('a/b...%2Fgr%C3%B6%C3%9Fe', 'insert'), 1],
    [route('public.orders', 'update'), 1],
    [route('public.orders', 'delete'), 1],
    [route('...x', 'insert'), 1],
    [route('public.orders', 'truncate'), 1],
  ]);
  await on.end();
});

const TENANTS: TestRelation = {
  oid: 16_403,
  schema: 'public',
  name: 'tenants',
  identity: 'd',
  columns: [
    { name: 'tenant', type: 25, key: true },
    { name: 'id', type: 20, key: true },
    { name: 'note', type: 25 },
  ],
};
const OF_TENANTS = {
  oid: TENANTS.oid,
  schema: 'public',
  name: 'tenants',
  keyColumns: ['tenant', 'id'],
  columns: null,
  where: null,
};

function tenantsLog(): ChunkWriter {
  const chunks = new ChunkWriter();
  chunks.define(TENANTS);
  chunks.begin(1_767_607_200_000_000n);
  chunks.change(TENANTS.oid, insertMessage(TENANTS.oid, ['a/../b', '9007199254740993', 'x']));
  chunks.change(TENANTS.oid, insertMessage(TENANTS.oid, ['a/../b', '2', 'x']));
  chunks.change(TENANTS.oid, insertMessage(TENANTS.oid, ['größe\r\nX: y', '3', 'x']));
  chunks.change(TENANTS.oid, deleteMessage(TENANTS.oid, 'K', ['a/../b', '2', null]));
  chunks.change(TENANTS.oid, truncateMessage(TENANTS.oid));
  chunks.commit();
  return chunks;
}

test('columns of the key route an event: encoded, every digit as it is, empty where there is no key', async () => {
  for (const numbers of ['string', 'number'] as const) {
    const on = stage(tenantsLog());
    const headers = { 'X-Tenant': '{key.tenant}' };
    const options = { batchMaxEvents: 100, maxInFlight: 1, numbers, pathTemplate: '/{key.tenant}', headers };
    on.delivery.configure([streamDefinition({ tables: [OF_TENANTS], options })]);
    await on.clock.advance(1_000);
    assert.deepEqual(
      on.at.sink.sent.map(({ path, headers: routed, events }) => [path, routed!['X-Tenant'], events]),
      [
        ['/a%2F..%2Fb', 'a/../b', 2],
        ['/gr%C3%B6%C3%9Fe%0D%0AX%3A%20y', 'gr%C3%B6%C3%9Fe%0D%0AX%3A%20y', 1],
        ['/a%2F..%2Fb', 'a/../b', 1],
        ['/', '', 1],
      ],
    );
    await on.end();
    const byId = stage(tenantsLog());
    byId.delivery.configure([
      streamDefinition({ tables: [OF_TENANTS], options: { ...options, headers: {}, pathTemplate: '/{key.id}' } }),
    ]);
    await byId.clock.advance(1_000);
    assert.deepEqual(byId.at.sink.sent.map(({ path }) => path).slice(0, 3), ['/9007199254740993', '/2', '/3']);
    await byId.end();
  }
});

test('a dead letter that is sent again goes where it went', async () => {
  const on = stage(tenantsLog());
  const definition = streamDefinition({ tables: [OF_TENANTS], options: { pathTemplate: '/{key.tenant}/{key.id}' } });
  on.at.sink.answer = ({ path }) => (path.endsWith('/3') ? { ...FAILED, class: 'rejected', status: 422 } : OK);
  on.delivery.configure([definition]);
  await on.clock.advance(3_600_000);
  const [first] = on.at.sink.sent.filter(({ path }) => path.endsWith('/3'));
  on.at.sink.answer = () => OK;
  on.delivery.control({ kind: 'retry-dead-letters', streamId: definition.id, id: null });
  await on.clock.advance(1_000);
  const last = on.at.sink.sent.at(-1)!;
  assert.deepEqual([last.path, last.requestId, last.isReplay], [first!.path, first!.requestId, true]);
  await on.end();
});

test('headers are the event’s, so that each attempt has those of the first, also after a restart', async () => {
  const folder = temporaryFolder();
  const log = mixedLog();
  const seen: SinkBatch[] = [];
  for (const life of [1, 2]) {
    const on = stage(log, null, folder);
    const isLast = life === 2;
    on.at.sink.answer = (batch) => {
      seen.push(batch);
      return isLast ? { class: 'ok', status: 200, failed: [] } : FAILED;
    };
    on.delivery.configure([
      streamDefinition({ tables: TABLES, options: { batchMaxEvents: 100, headers: ROUTED, circuitBreaker: false } }),
    ]);
    await on.clock.advance(isLast ? 60_000 : 1_500);
    if (isLast) assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
    await on.end();
  }
  const byRequest = Map.groupBy(seen, ({ requestId }) => requestId);
  assert.ok([...byRequest.values()].some((attempts) => attempts.length > 2));
  for (const attempts of byRequest.values()) {
    for (const { headers, body } of attempts) {
      assert.deepEqual(headers, attempts[0]!.headers);
      assert.equal(String(body), String(attempts[0]!.body));
    }
  }
});

for (const [what, options, reason] of [
  ['headers', { headers: { 'X-Long': '{table}'.repeat(400) } }, "the event's headers come to more than 4096 bytes"],
  ['a path', { pathTemplate: `/${'{table}'.repeat(400)}` }, "the event's path comes to more than 8000 bytes"],
] as const) {
  test(`${what} of more bytes than a receiver takes: its events are rejected, and no others`, async () => {
    const on = stage(mixedLog());
    const definition = streamDefinition({ tables: TABLES, options: { batchMaxEvents: 100, ...options } });
    on.delivery.configure([definition]);
    await on.clock.advance(1_000_000);
    const sent = new Map<string, number>();
    for (const { headers, path, events } of on.at.sink.sent) {
      const route = headers?.['X-Long'] ?? path.slice(1);
      sent.set(route, (sent.get(route) ?? 0) + events);
    }
    assert.deepEqual(Object.fromEntries(sent), { ['orders'.repeat(400)]: 5, ['x'.repeat(400)]: 1 });
    const [letter, ...others] = on.store.deadLetters.list(definition.id, 10);
    assert.deepEqual([letter!.reason, letter!.lastStatus, letter!.attempts, others], [reason, null, 5, []]);
    await on.end();
  });
}

test('a change of headers while a batch waits to be stored or sent is in its first request', async () => {
  const on = stage(mixedLog());
  const options = (headers: Record<string, string>) => ({ batchMaxEvents: 100, headers });
  const define = (headers: Record<string, string>) => streamDefinition({ tables: TABLES, options: options(headers) });
  let isFirst = true;
  on.delivery.configure([define({ 'X-T': 'old-{table}' })]);
  on.at.sink.answer = () => {
    if (isFirst) on.delivery.configure([define({ 'X-Other': '{op}', 'X-Static': 's' })]);
    isFirst = false;
    return { class: 'ok', status: 200, failed: [] };
  };
  await on.clock.advance(1_000);
  const [first, ...others] = on.at.sink.sent;
  assert.deepEqual(Object.keys(first!.headers!), ['X-T']);
  assert.ok(others.length > 0);
  for (const { headers } of others) assert.deepEqual(Object.keys(headers!), ['X-Other']);
  assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
  await on.end();
});

test('without a template they share one, whatever their table', async () => {
  const on = stage(mixedLog());
  on.delivery.configure([streamDefinition({ tables: TABLES, options: { batchMaxEvents: 100 } })]);
  await on.clock.advance(1_000);
  assert.deepEqual(sentTo(on.at.sink), [
    ['', 6],
    ['', 1],
  ]);
  assert.deepEqual(
    on.at.sink.sent.map(({ table }) => table?.name ?? null),
    [null, 'orders'],
  );
  await on.end();
});

test('a batch that waits for its retry is taken apart when its events go different ways since', async () => {
  const on = stage(mixedLog());
  const options = { batchMaxEvents: 100, initialBackoffMs: 1_000 };
  on.at.sink.answer = () => FAILED;
  on.delivery.configure([streamDefinition({ tables: TABLES, options })]);
  await on.clock.advance(100);
  assert.deepEqual(sentTo(on.at.sink), [['', 6]]);
  on.at.sink.sent.length = 0;
  on.at.sink.answer = () => ({ class: 'ok', status: 200, failed: [] });
  on.delivery.configure([streamDefinition({ tables: TABLES, options: { ...options, pathTemplate: '/{table}' } })]);
  await on.clock.advance(5_000);
  const paths = new Map<string, number>();
  for (const [path, events] of sentTo(on.at.sink)) paths.set(path, (paths.get(path) ?? 0) + events);
  assert.deepEqual(Object.fromEntries(paths), { '/orders': 5, '/..%2Fgr%C3%B6%C3%9Fe': 1, '/x': 1 });
  assert.ok(
    on.at.sink.sent.every(({ attempt }) => attempt <= 2),
    'taking apart is no attempt',
  );
  assert.equal(on.delivery.status()[0]!.pendingEvents, 0);
  await on.end();
});

function largeLog(): ChunkWriter {
  const chunks = new ChunkWriter();
  chunks.define(ORDERS);
  chunks.begin(1_767_607_200_000_000n);
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['1', 'small']));
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['2', 'x'.repeat(2_000)]));
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['3', 'small']));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['2', 'small']));
  chunks.commit();
  return chunks;
}

interface Event {
  readonly id: string;
  readonly key: { readonly id: number };
  readonly after: { readonly note: string } | null;
  readonly thin?: true;
  readonly full_bytes?: number;
}

function eventsOf(sink: RecordingSink): Event[] {
  return sink.sent.flatMap(({ body }) => JSON.parse(body.toString('utf8')) as Event | Event[]);
}

const OVERSIZE = { batchMaxEvents: 10, maxEventBytes: 1_024 };

test('on_oversize = thin sends what is known of the event without its row, among the others', async () => {
  const on = stage(largeLog());
  on.delivery.configure([streamDefinition({ options: { ...OVERSIZE, onOversize: 'thin' } })]);
  await on.clock.advance(1_000);
  const [first, thin, third, last] = eventsOf(on.at.sink);
  assert.deepEqual([first!.after?.note, third!.after?.note, last!.after?.note], ['small', 'small', 'small']);
  assert.equal(thin!.after, null);
  assert.equal(thin!.thin, true);
  assert.deepEqual(thin!.key, { id: 2 });
  const whole = stage(largeLog());
  whole.delivery.configure([streamDefinition({ options: { ...OVERSIZE, onOversize: 'send' } })]);
  await whole.clock.advance(1_000);
  const sentWhole = eventsOf(whole.at.sink);
  assert.equal(sentWhole[1]!.after?.note.length, 2_000);
  assert.equal(thin!.full_bytes, Buffer.byteLength(JSON.stringify(sentWhole[1])));
  assert.deepEqual(
    eventsOf(on.at.sink).map(({ id }) => id),
    sentWhole.map(({ id }) => id),
  );
  await on.end();
  await whole.end();
});

test('on_oversize = dead_letter keeps the event whole, without an attempt, and goes on', async () => {
  const on = stage(largeLog());
  const definition = streamDefinition({ options: { ...OVERSIZE, onOversize: 'dead_letter' } });
  on.delivery.configure([definition]);
  await on.clock.advance(1_000);
  assert.deepEqual(
    eventsOf(on.at.sink).map(({ key, after }) => [key.id, after?.note]),
    [
      [1, 'small'],
      [3, 'small'],
      [2, 'small'],
    ],
  );
  const [status] = on.delivery.status();
  assert.deepEqual(
    [status!.deadLetters, status!.eventsDelivered, status!.pendingEvents, status!.eventsCaptured],
    [1, 3, 0, 4],
  );
  assert.equal(status!.lastError, 'the event has more than 1024 bytes (max_event_bytes)');
  const [letter] = on.store.deadLetters.list(definition.id, 10);
  assert.equal(letter!.attempts, 0);
  assert.equal(letter!.reason, 'the event has more than 1024 bytes (max_event_bytes)');
  assert.equal((JSON.parse(letter!.payload.toString('utf8')) as Event).after?.note.length, 2_000);
  await on.end();
});

test('a sink that cannot send is not asked: status says why, and what waits goes out once it can', async () => {
  const on = stage(largeLog());
  on.at.sink = new RecordingSink('signing_secret: secret "s": it is not set');
  const secret = { signingSecret: { kind: 'secret', name: 's' } } as const;
  const lost = { values: [], problem: 'it is not set' };
  on.delivery.configure([{ ...streamDefinition({ options: secret }), secrets: { signingSecret: lost } }]);
  await on.clock.advance(60_000);
  const [status] = on.delivery.status();
  assert.equal(on.at.sink.sent.length, 0);
  assert.equal(status!.blockedReason, 'signing_secret: secret "s": it is not set');
  assert.equal(status!.lastError, 'signing_secret: secret "s": it is not set');
  assert.equal(status!.pendingEvents, 4);
  on.at.sink = new RecordingSink();
  const found = { values: [new SecretValue('v')], problem: null };
  on.delivery.configure([{ ...streamDefinition({ options: secret }), secrets: { signingSecret: found } }]);
  await on.clock.advance(100);
  assert.equal(on.at.sink.sent.length, 4);
  assert.deepEqual(
    on.at.sink.sent.map(({ attempt }) => attempt),
    [1, 1, 1, 1],
  );
  assert.equal(on.delivery.status()[0]!.blockedReason, null);
  await on.end();
});

test('a sink is made anew when what shapes its requests changes, and only then', async () => {
  const on = stage(largeLog());
  const signed = (text: string, options = {}): ResolvedStream => ({
    ...streamDefinition({ options }),
    secrets: { signingSecret: { values: [new SecretValue(text)], problem: null } },
  });
  on.delivery.configure([signed('one')]);
  on.delivery.configure([signed('one', { maxInFlight: 3, maxEventBytes: 5_000 })]);
  assert.equal(on.at.streams.length, 1);
  on.delivery.configure([signed('two')]);
  assert.equal(on.at.streams.length, 2);
  on.delivery.configure([signed('two', { compression: 'gzip' })]);
  assert.equal(on.at.streams.length, 3);
  await on.end();
});

function keyChangeLog(note = 'x'): ChunkWriter {
  const chunks = new ChunkWriter();
  chunks.define(ORDERS);
  chunks.begin(1_767_607_200_000_000n);
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['1', note]));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['2', note], { kind: 'K', row: ['1', null] }));
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['9', note]));
  chunks.commit();
  return chunks;
}

const opsOf = ({ body }: SinkBatch): unknown => {
  const parsed = JSON.parse(body.toString('utf8')) as { op: string } | { op: string }[];
  return Array.isArray(parsed) ? parsed.map(({ op }) => op) : parsed.op;
};

test('an event of two records is two elements of a batch, and alone an array of two: one event all the same', async () => {
  for (const [batchMaxEvents, expected] of [
    [100, [['c'], ['d', 'c', 'c']]],
    [1, ['c', ['d', 'c'], 'c']],
  ] as const) {
    const on = stage(keyChangeLog());
    on.delivery.configure([streamDefinition({ envelope: 'debezium', options: { batchMaxEvents, maxInFlight: 1 } })]);
    await on.clock.advance(1_000);
    assert.deepEqual(on.at.sink.sent.map(opsOf).flat(), expected.flat(2));
    assert.deepEqual(
      on.at.sink.sent.reduce((sum, { events }) => sum + events, 0),
      3,
    );
    const [status] = on.delivery.status();
    assert.deepEqual([status!.eventsDelivered, status!.eventsCaptured, status!.pendingEvents], [3, 3, 0]);
    const alone = on.at.sink.sent.find(({ events, body }) => events === 1 && body.includes('"op":"d"'));
    if (batchMaxEvents === 1) assert.deepEqual(opsOf(alone!), ['d', 'c']);
    await on.end();
  }
});

test('an event of two records that has no room left in a batch goes whole into the next', async () => {
  const on = stage(keyChangeLog('y'.repeat(300)));
  on.delivery.configure([
    streamDefinition({ envelope: 'debezium', options: { batchMaxEvents: 100, batchMaxBytes: 2_500, maxInFlight: 1 } }),
  ]);
  await on.clock.advance(1_000);
  const ops = on.at.sink.sent.map(opsOf) as string[][];
  assert.deepEqual(ops.flat().sort(), ['c', 'c', 'c', 'd']);
  for (const batch of ops)
    assert.equal(batch.includes('d') && batch[batch.indexOf('d') + 1] !== 'c', false, String(batch));
  await on.end();
});

test('a dead letter of two records is an array of them', async () => {
  const on = stage(keyChangeLog('z'.repeat(2_000)));
  const definition = streamDefinition({
    envelope: 'debezium',
    options: { maxEventBytes: 1_024, onOversize: 'dead_letter' },
  });
  on.delivery.configure([definition]);
  await on.clock.advance(1_000);
  const letters = on.store.deadLetters.list(definition.id, 10);
  const payloads = letters.map(({ payload }) => JSON.parse(Buffer.from(payload).toString('utf8')) as unknown);
  assert.equal(payloads.length, 3);
  assert.deepEqual(
    payloads.map((payload) => (Array.isArray(payload) ? payload.length : 1)).toSorted((a, b) => a - b),
    [1, 1, 2],
  );
  await on.end();
});

test('a changed envelope is taken where the stream stands', async () => {
  const on = stage(keyChangeLog());
  on.at.sink.answer = () => ({ class: 'transient', status: 503, code: 'http_503', reason: 'no', retryAfterMs: null });
  on.delivery.configure([streamDefinition({ options: { maxInFlight: 1 } })]);
  await on.clock.advance(100);
  const before = on.at.sink.sent.splice(0);
  assert.ok(before.every(({ contentType }) => contentType === 'application/json'));
  on.at.sink.answer = () => ({ class: 'ok', status: 200, failed: [] });
  on.delivery.configure([streamDefinition({ envelope: 'cloudevents', options: { maxInFlight: 1 } })]);
  await on.clock.advance(10_000);
  assert.ok(on.at.sink.sent.every(({ contentType }) => contentType === 'application/cloudevents+json'));
  assert.equal(on.at.sink.sent.length, 3);
  const ids = on.at.sink.sent.map(({ requestId }) => requestId);
  assert.ok(before.length > 0 && before.every(({ requestId }) => ids.includes(requestId)), 'ids do not change');
  await on.end();
});

/** What each body becomes, and when: by hand. */
class HeldTransformer implements Transformer {
  readonly asked: { readonly streamId: string; readonly body: string; readonly max: number }[] = [];
  readonly #answers: ((transformed: Transformed) => void)[] = [];

  transform(streamId: string, _: StreamTransform, body: Buffer, max: number): Promise<Transformed> {
    this.asked.push({ streamId, body: body.toString('utf8'), max });
    return new Promise((resolve) => this.#answers.push(resolve));
  }

  answer(transformed: Transformed): void {
    this.#answers.shift()!(transformed);
  }
}

const FAULT = { fault: 'no such thing', offset: null, isSyntax: false };
const TRANSFORM = { language: 'jsonpath', text: '$.key' } as const;

test('a body is transformed on its way, under the id that it has; what cannot be is rejected and never sent', async () => {
  const transformer = new HeldTransformer();
  const on = stage(keyChangeLog(), transformer);
  on.delivery.configure([
    streamDefinition({ transform: TRANSFORM, options: { maxInFlight: 1, maxEventBytes: 2_000 } }),
  ]);
  await on.clock.advance(10);
  assert.deepEqual(
    transformer.asked.map(({ max }) => max),
    [2_000],
  );
  const { body } = transformer.asked[0]!;
  assert.equal(on.at.sink.sent.length, 0, 'nothing is sent before it is transformed');
  transformer.answer({ body: Buffer.from('{"made":1}') });
  await on.clock.advance(10);
  const [sent] = on.at.sink.sent;
  assert.deepEqual([sent!.body.toString('utf8'), sent!.contentType], ['{"made":1}', 'application/json']);
  assert.equal(sent!.requestId, (JSON.parse(body) as { id: string }).id);
  transformer.answer(FAULT);
  await on.clock.advance(10);
  assert.equal(on.at.sink.sent.length, 1);
  const [status] = on.delivery.status();
  assert.equal(status!.lastError, 'the transform failed: no such thing');
  assert.equal(status!.circuitState, 'closed');
  await on.end();
});

test('of a batch that cannot be transformed the offender is found, and the rest goes out', async () => {
  const transformer = new HeldTransformer();
  const on = stage(largeLog(), transformer);
  on.delivery.configure([streamDefinition({ transform: TRANSFORM, options: { batchMaxEvents: 10 } })]);
  await on.clock.advance(10);
  for (let rounds = 0; rounds < 20; rounds++) {
    for (const { body } of transformer.asked.splice(0)) {
      transformer.answer(body.includes('xxxx') ? FAULT : { body: Buffer.from(body) });
    }
    await on.clock.advance(1_000);
  }
  assert.deepEqual(
    eventsOf(on.at.sink)
      .map(({ key }) => key.id)
      .toSorted((a, b) => a - b),
    [1, 3],
    'key 2 waits behind its event that fails',
  );
  await on.end();
});

test('what is transformed when the stream ends is not sent', async () => {
  const transformer = new HeldTransformer();
  const on = stage(keyChangeLog(), transformer);
  on.delivery.configure([streamDefinition({ transform: TRANSFORM, options: { maxInFlight: 1 } })]);
  await on.clock.advance(10);
  on.delivery.configure([]);
  transformer.answer({ body: Buffer.from('1') });
  await on.clock.advance(10);
  assert.equal(on.at.sink.sent.length, 0);
  await on.end();
});

test('what is transformed when the sink cannot send any more waits until it can, without an attempt', async () => {
  const transformer = new HeldTransformer();
  const on = stage(keyChangeLog(), transformer);
  const of = (secret: string | null) =>
    streamDefinition({
      transform: TRANSFORM,
      options: { maxInFlight: 1, bearerToken: secret === null ? null : new SecretValue(Buffer.from(secret)) },
    });
  on.delivery.configure([of(null)]);
  await on.clock.advance(10);
  const able = on.at.sink;
  on.at.sink = new RecordingSink('its secret cannot be had');
  on.delivery.configure([of('x')]);
  transformer.answer({ body: Buffer.from('1') });
  await on.clock.advance(1_000);
  assert.equal(able.sent.length + on.at.sink.sent.length, 0);
  on.at.sink = able;
  on.delivery.configure([of(null)]);
  await on.clock.advance(1_000);
  transformer.answer({ body: Buffer.from('2') });
  await on.clock.advance(10);
  assert.deepEqual(
    able.sent.map(({ body, attempt }) => [body.toString('utf8'), attempt]),
    [['2', 1]],
  );
  await on.end();
});
