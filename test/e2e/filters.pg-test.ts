import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { streamStatus } from '../support/stream-status.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

// Filters as a client says them, and what the endpoint then gets. Every test ends its changes with one that passes, so that
// what has not come by then is not coming.

interface Event {
  readonly op: string;
  readonly key: Record<string, unknown> | null;
  readonly before: Record<string, unknown> | null;
  readonly after: Record<string, unknown> | null;
  readonly unchanged_toast?: readonly string[];
}

const receiver = await WebhookReceiver.start();
after(() => receiver.stop());
const server = await startPostgres();
const dataDir = join(temporaryFolder(), 'data');
const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start();
let client = await connect(walhook.sqlUrl());

function eventsOf(path: string): Event[] {
  return receiver.requests
    .filter((request) => request.path === path)
    .flatMap(({ body }) => {
      const parsed = JSON.parse(body.toString('utf8')) as Event | Event[];
      return Array.isArray(parsed) ? parsed : [parsed];
    });
}

async function arrived(path: string, count: number): Promise<Event[]> {
  await waitFor(`${count} events at ${path}`, () => eventsOf(path).length >= count);
  return eventsOf(path);
}

/** Operation and key in short: `insert 1`. */
function short(events: readonly Event[]): string[] {
  return events.map(({ op, key }) => `${op} ${String(key?.['id'])}`);
}

async function refusal(sql: string): Promise<{ code: string; message: string; position: string; hint: string }> {
  try {
    await client.query(sql);
  } catch (error) {
    return error as never;
  }
  throw new Error(`not refused: ${sql}`);
}

test('WHERE: rows outside are dropped, an update that enters is an insert and one that leaves is a delete', async () => {
  await client.query('CREATE TABLE orders (id int PRIMARY KEY, status text, amount numeric, note text)');
  await client.query('ALTER TABLE orders REPLICA IDENTITY FULL');
  await client.query(`CREATE CDC STREAM open_orders ON orders WHERE (status = 'open' AND amount > 10)
    TO WEBHOOK '${receiver.url('/where')}'`);
  await client.query(`INSERT INTO orders VALUES (1, 'open', 20), (2, 'draft', 20), (3, NULL, 20), (4, 'open', 5)`);
  await client.query(`UPDATE orders SET note = 'still outside' WHERE id = 2`);
  await client.query(`UPDATE orders SET status = 'open' WHERE id = 2`);
  await client.query(`UPDATE orders SET note = 'inside' WHERE id = 2`);
  await client.query(`UPDATE orders SET status = NULL WHERE id = 2`);
  await client.query('DELETE FROM orders WHERE id IN (1, 2, 3)');
  await client.query(`INSERT INTO orders VALUES (9, 'open', 10.01)`);
  const events = await arrived('/where', 6);
  assert.deepEqual(short(events).toSorted(), ['delete 1', 'delete 2', 'insert 1', 'insert 2', 'insert 9', 'update 2']);
  const second = events.filter(({ key }) => key?.['id'] === 2);
  assert.deepEqual(short(second), ['insert 2', 'update 2', 'delete 2']);
  assert.deepEqual(second[0], {
    ...second[0],
    before: null,
    after: { id: 2, status: 'open', amount: '20', note: 'still outside' },
  });
  assert.deepEqual(second[2]!.after, null);
  assert.deepEqual(second[2]!.before, { id: 2, status: 'open', amount: '20', note: 'inside' });
  await waitFor('the counts', async () => (await streamStatus(client, 'open_orders')).get('events_delivered') === '6');
  const status = await streamStatus(client, 'open_orders');
  assert.equal(status.get('events_filtered'), '6');
  assert.equal(status.get('events_captured'), '12');
  assert.equal(status.get('pending_events'), '0');
  assert.equal(status.get('filter_doubts'), '0');
});

test('WHEN sees both rows, and UPDATE OF lets only updates through that change a column of its', async () => {
  await client.query('CREATE TABLE jobs (id int PRIMARY KEY, state text, tries int, seen int)');
  await client.query('ALTER TABLE jobs REPLICA IDENTITY FULL');
  await client.query(`CREATE CDC STREAM moved ON jobs TO WEBHOOK '${receiver.url('/when')}'
    WHEN (OLD.state IS DISTINCT FROM NEW.state)`);
  await client.query(`CREATE CDC STREAM tried ON jobs TO WEBHOOK '${receiver.url('/of')}'
    OPERATIONS (UPDATE OF tries, state, DELETE)`);
  await client.query(`INSERT INTO jobs VALUES (1, 'new', 0, 0), (2, NULL, 0, 0)`);
  await client.query('UPDATE jobs SET seen = 1');
  await client.query('UPDATE jobs SET tries = 1 WHERE id = 1');
  await client.query(`UPDATE jobs SET state = 'done' WHERE id = 1`);
  await client.query('DELETE FROM jobs');
  // Of row 2 the state is null before and after, inserted and deleted.
  assert.deepEqual(short(await arrived('/when', 3)), ['insert 1', 'update 1', 'delete 1']);
  assert.deepEqual(short(await arrived('/of', 4)).toSorted(), ['delete 1', 'delete 2', 'update 1', 'update 1']);
  await client.query(`INSERT INTO jobs VALUES (3, 'new')`);
  assert.deepEqual(short(await arrived('/when', 4)).at(-1), 'insert 3');
});

test('a condition that is changed while the stream runs holds for what comes after', async () => {
  await client.query('CREATE TABLE levels (id int PRIMARY KEY, level int)');
  await client.query(`CREATE CDC STREAM high ON levels TO WEBHOOK '${receiver.url('/level')}' WHEN (NEW.level > 10)`);
  await client.query('INSERT INTO levels VALUES (1, 5), (2, 15)');
  assert.deepEqual(short(await arrived('/level', 1)), ['insert 2']);
  await client.query('ALTER CDC STREAM high SET WHEN (NEW.level <= 10)');
  await client.query('INSERT INTO levels VALUES (3, 15), (4, 5)');
  assert.deepEqual(short(await arrived('/level', 2)), ['insert 2', 'insert 4']);
});

test('a column list: events have its columns alone; TRUNCATE only where it is asked for', async () => {
  await client.query('CREATE TABLE people (id int PRIMARY KEY, name text, secret text, born date)');
  await client.query(`CREATE CDC STREAM names ON people (id, name) TO WEBHOOK '${receiver.url('/list')}'
    OPERATIONS (INSERT, UPDATE)`);
  await client.query(`INSERT INTO people VALUES (1, 'Ada', 'x', '1815-12-10')`);
  await client.query(`UPDATE people SET name = 'Ada L.', secret = 'y'`);
  await client.query('TRUNCATE people');
  await client.query(`INSERT INTO people VALUES (2, 'Bob', 'z', NULL)`);
  const events = await arrived('/list', 3);
  // Of different keys, in any order.
  assert.deepEqual(
    events.filter(({ key }) => key?.['id'] === 1).map(({ op, after: row }) => [op, row]),
    [
      ['insert', { id: 1, name: 'Ada' }],
      ['update', { id: 1, name: 'Ada L.' }],
    ],
  );
  assert.deepEqual(
    events.filter(({ key }) => key?.['id'] === 2).map(({ op, after: row }) => [op, row]),
    [['insert', { id: 2, name: 'Bob' }]],
  );
});

test('columns come and go under a filter; one that it reads and that is gone lets everything through, counted', async () => {
  await client.query('CREATE TABLE parts (junk int, id int PRIMARY KEY, kind text)');
  await client.query('ALTER TABLE parts REPLICA IDENTITY FULL');
  await client.query(`CREATE CDC STREAM wheels ON parts WHERE (kind = 'wheel') TO WEBHOOK '${receiver.url('/alter')}'`);
  await client.query(`INSERT INTO parts VALUES (0, 1, 'wheel'), (0, 2, 'door')`);
  await client.query('ALTER TABLE parts DROP COLUMN junk, ADD COLUMN size int');
  await client.query(`INSERT INTO parts VALUES (3, 'door', 1), (4, 'wheel', 1)`);
  assert.deepEqual(short(await arrived('/alter', 2)), ['insert 1', 'insert 4']);
  await client.query('ALTER TABLE parts DROP COLUMN kind');
  await client.query('INSERT INTO parts VALUES (5, 1)');
  assert.deepEqual(short(await arrived('/alter', 3)).at(-1), 'insert 5');
  const status = await streamStatus(client, 'wheels');
  assert.equal(status.get('filter_doubts'), '1');
  assert.match(status.get('last_filter_doubt') ?? '', /^public\.parts: a column that a filter reads was not sent/);
});

test('a large value that an update does not touch: the old row has it; without one the event is sent', async () => {
  await client.query('CREATE TABLE texts (id int PRIMARY KEY, body text, n int)');
  await client.query('ALTER TABLE texts ALTER body SET STORAGE EXTERNAL');
  await client.query('ALTER TABLE texts REPLICA IDENTITY FULL');
  await client.query(
    `CREATE CDC STREAM long_texts ON texts WHERE (body LIKE 'a%') TO WEBHOOK '${receiver.url('/toast')}'`,
  );
  await client.query(
    `CREATE CDC STREAM new_texts ON texts TO WEBHOOK '${receiver.url('/doubt')}' WHEN (NEW.body LIKE 'a%')`,
  );
  await client.query(`INSERT INTO texts VALUES (1, repeat('a', 10000)), (2, repeat('b', 10000))`);
  await client.query('UPDATE texts SET n = 1');
  assert.deepEqual(short(await arrived('/toast', 2)), ['insert 1', 'update 1']);
  assert.deepEqual(short(await arrived('/doubt', 2)), ['insert 1', 'update 1']);
  await client.query('ALTER TABLE texts REPLICA IDENTITY DEFAULT');
  await client.query('UPDATE texts SET n = 2 WHERE id = 2');
  assert.deepEqual(short(await arrived('/doubt', 3)).at(-1), 'update 2');
  assert.equal((await streamStatus(client, 'new_texts')).get('filter_doubts'), '1');
});

test('an error while computing lets the event through', async () => {
  await client.query('CREATE TABLE ratios (id int PRIMARY KEY, a int, b int)');
  await client.query(`CREATE CDC STREAM ratios ON ratios WHERE (a / b > 1) TO WEBHOOK '${receiver.url('/fault')}'
    OPERATIONS (INSERT)`);
  await client.query('INSERT INTO ratios VALUES (1, 4, 2), (2, 1, 2), (3, 1, 0)');
  assert.deepEqual(short(await arrived('/fault', 2)).toSorted(), ['insert 1', 'insert 3']);
  assert.equal((await streamStatus(client, 'ratios')).get('last_filter_doubt'), 'public.ratios: division by zero');
});

test('SHOW CREATE gives the statement back', async () => {
  const create = async (name: string): Promise<string> => {
    const { rows } = await client.query<{ create_statement: string }>(`SHOW CREATE CDC STREAM ${name}`);
    return rows[0]!.create_statement;
  };
  await client.query(`CREATE CDC STREAM again ON jobs (id, state) WHERE (state <> 'it''s' AND tries IN (1, 2))
    TO WEBHOOK '${receiver.url('/again')}' OPERATIONS (INSERT, UPDATE OF state) WHEN (NEW.tries > 1)`);
  const first = await create('again');
  assert.match(first, /WHERE \(state <> 'it''s' AND tries IN \(1, 2\)\)/);
  await client.query('DROP CDC STREAM again');
  await client.query(first);
  assert.equal(await create('again'), first);
});

const S = `TO WEBHOOK '${receiver.url('/none')}'`;
const refused: readonly (readonly [sql: string, code: string, at: string | null, says: RegExp])[] = [
  [`CREATE CDC STREAM r ON orders WHERE (statu = 'x') ${S}`, '42703', 'statu ', /column "statu" does not exist/],
  [`CREATE CDC STREAM r ON orders WHERE (id = 1 AND now() > '2026-01-01') ${S}`, '42P17', 'now()', /now/],
  [`CREATE CDC STREAM r ON orders ${S} WHEN (NEW.amount LIKE 'a')`, '42883', 'LIKE', /operator does not exist/],
  [`CREATE CDC STREAM r ON orders (id, nothing) ${S}`, '42703', 'nothing', /column "nothing" of relation "orders"/],
  [`CREATE CDC STREAM r ON people (id, age) ${S}`, '42703', 'age', /column "age"/],
  [`CREATE CDC STREAM r ON people (name) ${S}`, '42P17', 'name)', /must contain its key/],
  [`CREATE CDC STREAM r ON people WHERE (name = 'x') ${S}`, '55000', `name = `, /needs the old value of column "name"/],
  [`CREATE CDC STREAM r ON people ${S} WHEN (OLD.name = 'x')`, '55000', 'OLD.', /needs the old value of column "name"/],
  [`CREATE CDC STREAM r ON people ${S} OPERATIONS (UPDATE OF name)`, '55000', 'name)', /UPDATE OF needs the old value/],
  [`CREATE CDC STREAM r ON people ${S} OPERATIONS (UPDATE OF age)`, '42703', 'age)', /column "age"/],
];
for (const [sql, code, at, says] of refused) {
  test(`refused with ${code}: ${sql.replace(S, '…')}`, async () => {
    const error = await refusal(sql);
    assert.equal(error.code, code);
    assert.match(error.message, says);
    if (at !== null) assert.equal(error.position, String(sql.indexOf(at) + 1));
    if (code === '55000') assert.match(error.hint, /REPLICA IDENTITY FULL/);
  });
}

test('a stream of which everything is filtered runs, and counts nothing again after a restart', async () => {
  await client.query('CREATE TABLE noise (id int PRIMARY KEY, n int)');
  await client.query(`CREATE CDC STREAM silence ON noise WHERE (n < 0) TO WEBHOOK '${receiver.url('/silence')}'
    OPERATIONS (INSERT)`);
  await client.query('INSERT INTO noise SELECT i, i FROM generate_series(1, 20000) AS i');
  await waitFor(
    'all to be filtered',
    async () => (await streamStatus(client, 'silence')).get('events_filtered') === '20000',
  );
  assert.equal((await streamStatus(client, 'silence')).get('pending_events'), '0');
  assert.equal((await streamStatus(client, 'silence')).get('status'), 'running');
  await client.end();
  await walhook.stop();
  await walhook.start();
  client = await connect(walhook.sqlUrl());
  await client.query('INSERT INTO noise VALUES (20001, 1), (20002, -1)');
  assert.deepEqual(short(await arrived('/silence', 1)), ['insert 20002']);
  assert.equal((await streamStatus(client, 'silence')).get('events_filtered'), '20001');
});
