import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startReceiver } from '../support/json-receiver.ts';
import { streamStatus } from '../support/stream-status.ts';
import { connect, serverVersion, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: while a table changes its shape, each event has the columns that the row had when it was committed.

const server = await startPostgres();
const direct = await connect(server.url());
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
let client = await connect(walhook.sqlUrl());
const receiver = await startReceiver();

/** What came of a table in short: `<operation> <schema>.<table> <row>`. */
async function arrived(path: string, count: number): Promise<string[]> {
  await waitFor(`${count} events at ${path}`, () => receiver.to(path).length >= count);
  return receiver.to(path).map(({ body }) => {
    return `${String(body['op'])} ${String(body['schema'])}.${String(body['table'])} ${JSON.stringify(body['after'])}`;
  });
}

async function property(stream: string, name: string): Promise<string | null> {
  return (await streamStatus(client, stream)).get(name) ?? null;
}

test('columns come, go, get other names and types, and an enum another value, also within a transaction', async () => {
  await direct.query(`CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE shape (id int PRIMARY KEY, v text, m mood)`);
  await client.query(`CREATE CDC STREAM shape ON shape TO WEBHOOK '${receiver.url}/shape'`);
  for (const sql of [
    `INSERT INTO shape VALUES (1, 'a', 'sad')`,
    `ALTER TABLE shape ADD COLUMN more int DEFAULT 7`,
    `INSERT INTO shape VALUES (2, 'b', NULL)`,
    `UPDATE shape SET v = 'c' WHERE id = 1`,
    `ALTER TABLE shape RENAME COLUMN v TO w; ALTER TYPE mood ADD VALUE 'happy'`,
    `INSERT INTO shape VALUES (3, 'd', 'happy', 8)`,
    `ALTER TABLE shape ALTER COLUMN more TYPE text USING 'n' || more`,
    `INSERT INTO shape VALUES (4, 'e', NULL, 'n9')`,
    `BEGIN; INSERT INTO shape VALUES (5, 'f', NULL, 'x'); ALTER TABLE shape DROP COLUMN w;
     INSERT INTO shape VALUES (6, NULL, 'y'); ALTER TABLE shape ADD COLUMN v bool; INSERT INTO shape VALUES (7, NULL, 'z', true);
     COMMIT`,
    `BEGIN; ALTER TABLE shape ADD COLUMN never int; INSERT INTO shape VALUES (8); ROLLBACK`,
    `INSERT INTO shape VALUES (9)`,
    `ALTER TABLE shape DROP COLUMN id CASCADE; ALTER TABLE shape ADD COLUMN k serial PRIMARY KEY; INSERT INTO shape (v) VALUES (false)`,
  ]) {
    await direct.query(sql);
  }
  const rows = (await arrived('/shape', 10)).map((line) => line.replace(' public.shape', ''));
  // In order by key: keys are delivered beside each other.
  assert.deepEqual(rows.sort(), [
    'insert {"id":1,"v":"a","m":"sad"}',
    'insert {"id":2,"v":"b","m":null,"more":7}',
    'insert {"id":3,"w":"d","m":"happy","more":8}',
    'insert {"id":4,"w":"e","m":null,"more":"n9"}',
    'insert {"id":5,"w":"f","m":null,"more":"x"}',
    'insert {"id":6,"m":null,"more":"y"}',
    'insert {"id":7,"m":null,"more":"z","v":true}',
    'insert {"id":9,"m":null,"more":"7","v":null}',
    'insert {"m":null,"more":"7","v":false,"k":9}',
    'update {"id":1,"v":"c","m":"sad","more":7}',
  ]);
  await client.query('DROP CDC STREAM shape');
});

test('a list follows the names of its tables, and tells of one that is gone', async () => {
  await direct.query(
    'CREATE TABLE first (id int PRIMARY KEY); CREATE TABLE second (id int PRIMARY KEY); CREATE SCHEMA attic',
  );
  await client.query(`CREATE CDC STREAM listed ON first, second TO WEBHOOK '${receiver.url}/listed'`);
  await direct.query(
    'INSERT INTO first VALUES (1); ALTER TABLE first RENAME TO premier; INSERT INTO premier VALUES (2)',
  );
  await direct.query('ALTER TABLE premier SET SCHEMA attic; INSERT INTO attic.premier VALUES (3)');
  assert.deepEqual((await arrived('/listed', 3)).sort(), [
    'insert attic.premier {"id":3}',
    'insert public.first {"id":1}',
    'insert public.premier {"id":2}',
  ]);
  const shown = async (): Promise<string> => JSON.stringify((await client.query('SHOW CREATE CDC STREAM listed')).rows);
  await waitFor('the new name', async () => (await shown()).includes('attic.premier'));
  await direct.query('DROP TABLE second; CREATE TABLE second (id int PRIMARY KEY); INSERT INTO second VALUES (1)');
  const reason = async (): Promise<string | null> => property('listed', 'status_reason');
  await waitFor('the reason', async () =>
    (await reason())?.startsWith('table public.second was dropped and made anew: '),
  );
  assert.equal(await property('listed', 'status'), 'running');
  await client.query((await reason())!.replace(/^.*?: /, ''));
  await waitFor('the rest', async () => (await reason())?.startsWith('table public.second was dropped: '));
  assert.equal((await shown()).match(/public\.second/g)?.length, 1, 'the statement can be run');
  await client.query((await reason())!.replace(/^.*?: /, ''));
  await waitFor('no reason', async () => (await reason()) === null);
  await direct.query('INSERT INTO attic.premier VALUES (4); INSERT INTO second VALUES (2)');
  assert.deepEqual((await arrived('/listed', 5)).slice(3).sort(), [
    'insert attic.premier {"id":4}',
    'insert public.second {"id":2}',
  ]);
  await client.query('DROP CDC STREAM listed');
});

test('a stream whose only table is gone has failed, and each word of advice leads on', async () => {
  await direct.query('CREATE TABLE lone (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM lone ON lone TO WEBHOOK '${receiver.url}/lone'`);
  const state = async (): Promise<string> =>
    `${await property('lone', 'status')} ${(await property('lone', 'status_reason')) ?? ''}`;
  await direct.query('DROP TABLE lone');
  await waitFor(
    'the reason',
    async () => (await state()) === 'failed table public.lone was dropped: DROP CDC STREAM lone',
  );
  await direct.query('CREATE TABLE lone (id int PRIMARY KEY)');
  const anew = 'failed table public.lone was dropped and made anew: ALTER CDC STREAM lone ADD TABLE public.lone';
  await waitFor('the new one', async () => (await state()) === anew);
  await client.query('ALTER CDC STREAM lone ADD TABLE public.lone');
  const left = 'running table public.lone was dropped: ALTER CDC STREAM lone DROP TABLE public.lone';
  await waitFor('the old one', async () => (await state()) === left);
  await client.query('ALTER CDC STREAM lone DROP TABLE public.lone');
  await waitFor('nothing', async () => (await state()) === 'running ');
  await direct.query('INSERT INTO lone VALUES (9)');
  assert.deepEqual(await arrived('/lone', 1), ['insert public.lone {"id":9}']);
  await client.query('DROP CDC STREAM lone');
});

test('of two tables that have had a name, the one that is renamed stays when the name is taken out', async () => {
  await direct.query('CREATE TABLE swap (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM swap ON swap TO WEBHOOK '${receiver.url}/swap'`);
  await direct.query('ALTER TABLE swap RENAME TO swapped; CREATE TABLE swap (id int PRIMARY KEY)');
  await client.query('ALTER CDC STREAM swap ADD TABLE swap');
  await client.query('ALTER CDC STREAM swap DROP TABLE swap');
  await direct.query('INSERT INTO swap VALUES (1); INSERT INTO swapped VALUES (2)');
  assert.deepEqual(await arrived('/swap', 1), ['insert public.swapped {"id":2}']);
  await client.query('DROP CDC STREAM swap');
});

test('a table that loses its identity is published no more, so that the application can go on, until it is mended', async () => {
  await direct.query('CREATE TABLE losing (id int CONSTRAINT losing_key PRIMARY KEY); INSERT INTO losing VALUES (1)');
  await client.query(`CREATE CDC STREAM losing ON losing TO WEBHOOK '${receiver.url}/losing'`);
  await direct.query('ALTER TABLE losing DROP CONSTRAINT losing_key');
  await waitFor('UPDATE to work again', () =>
    direct.query('UPDATE losing SET id = 2').then(
      () => true,
      () => false,
    ),
  );
  await direct.query('DELETE FROM losing; INSERT INTO losing VALUES (3)');
  const reason = async (): Promise<string | null> => property('losing', 'status_reason');
  const said = await waitFor('the reason', async () => {
    const found = await reason();
    return found?.includes('are lost') === true ? found : null;
  });
  assert.equal(await property('losing', 'status'), 'paused');
  assert.match(said, /^changes of public\.losing after .* are lost: table public\.losing has no replica identity/);
  await direct.query(/ALTER TABLE public\.losing REPLICA IDENTITY FULL;/.exec(said)![0]);
  // Published again, with a place for the gap.
  await waitFor('it to be published', async () =>
    / and before [0-9A-F]+\/[0-9A-F]+ are lost/.test((await reason()) ?? ''),
  );
  await direct.query('INSERT INTO losing VALUES (4); UPDATE losing SET id = 5 WHERE id = 4');
  assert.equal(receiver.to('/losing').length, 0);
  await client.query('ALTER CDC STREAM losing RESUME');
  assert.deepEqual(await arrived('/losing', 2), ['insert public.losing {"id":4}', 'update public.losing {"id":5}']);
  await waitFor('no reason', async () => (await reason()) === null);
  await client.query('DROP CDC STREAM losing');
});

test('partitions come and go while rows flow: what is in the table when it is committed comes, once', async () => {
  await direct.query(`CREATE TABLE parts (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10); CREATE TABLE loose (note text, id int NOT NULL)`);
  await client.query(`CREATE CDC STREAM parts ON parts TO WEBHOOK '${receiver.url}/parts'`);
  // Before, what the walsender has left out of a table it goes on leaving out of the partition. At least that is told.
  const isTold = (await serverVersion(direct)) < 150_000;
  await direct.query(`INSERT INTO parts VALUES (1, 'a')`);
  await arrived('/parts', 1);
  for (const sql of [
    `INSERT INTO loose VALUES ('before', 11)`,
    'ALTER TABLE parts ATTACH PARTITION loose FOR VALUES FROM (10) TO (20)',
    `INSERT INTO parts VALUES (12, 'b')`,
    `INSERT INTO loose VALUES ('c', 13)`,
    `UPDATE parts SET id = 14 WHERE id = 1`,
    'ALTER TABLE parts DETACH PARTITION low',
    `INSERT INTO low VALUES (2, 'gone')`,
    'CREATE TABLE high PARTITION OF parts FOR VALUES FROM (20) TO (30)',
    `INSERT INTO parts VALUES (21, 'd')`,
    ...(isTold ? [] : ['DROP TABLE loose']),
    `INSERT INTO high VALUES (22, 'end')`,
  ]) {
    await direct.query(sql);
  }
  if (isTold) {
    const said = await waitFor('the gap', async () => {
      const reason = await property('parts', 'status_reason');
      return reason?.includes(' and before ') === true ? reason : null;
    });
    assert.match(said, /are lost: .*table public\.parts had a partition attached/);
    await client.query('ALTER CDC STREAM parts RESUME');
    await direct.query(`INSERT INTO parts VALUES (23, 'more')`);
    await waitFor('what comes after it', () =>
      receiver.to('/parts').some(({ body }) => (body['key'] as { id: number }).id === 23),
    );
    await client.query('DROP CDC STREAM parts');
    return;
  }
  const lines = await arrived('/parts', 7);
  assert.deepEqual(lines.sort(), [
    'delete public.parts null',
    'insert public.parts {"id":1,"note":"a"}',
    'insert public.parts {"id":12,"note":"b"}',
    'insert public.parts {"id":13,"note":"c"}',
    'insert public.parts {"id":14,"note":"a"}',
    'insert public.parts {"id":21,"note":"d"}',
    'insert public.parts {"id":22,"note":"end"}',
  ]);
  await client.query('DROP CDC STREAM parts');
});

/** Every kind of change of columns, each with a row before it and one after. */
const RESHAPES: [sql: string, said: RegExp, told: object][] = [
  ['ADD COLUMN more int DEFAULT 7', /column more added/, { added: ['more'], dropped: [], retyped: [] }],
  ['ALTER COLUMN more TYPE text', /column more of another type/, { added: [], dropped: [], retyped: ['more'] }],
  [
    'RENAME COLUMN more TO less',
    /column less added, column more dropped/,
    { added: ['less'], dropped: ['more'], retyped: [] },
  ],
  ['DROP COLUMN less', /column less dropped/, { added: [], dropped: ['less'], retyped: [] }],
];

test('schema_change_policy = pause: what is behind a change of columns waits for RESUME, also over a crash', async () => {
  await direct.query('CREATE TABLE paused (id serial PRIMARY KEY); CREATE TABLE other (id serial PRIMARY KEY)');
  await client.query(
    `CREATE CDC STREAM paused ON paused, other TO WEBHOOK '${receiver.url}/paused' WITH (schema_change_policy = pause)`,
  );
  await direct.query('INSERT INTO paused DEFAULT VALUES');
  // A crash has some of them sent again.
  const came = (): number => new Set(receiver.to('/paused').map(({ body }) => body['id'])).size;
  const comes = (count: number) => waitFor(`${count} events`, () => came() === count);
  let count = 1;
  for (const [sql, said] of RESHAPES) {
    await comes(count);
    // What comes with no change of columns, and a change of columns that is taken back, stop nothing.
    await direct.query('INSERT INTO paused DEFAULT VALUES');
    await direct.query('BEGIN; ALTER TABLE paused ADD COLUMN never int; ROLLBACK');
    await direct.query('INSERT INTO paused DEFAULT VALUES');
    await direct.query(
      `ALTER TABLE paused ${sql}; INSERT INTO paused DEFAULT VALUES; INSERT INTO other DEFAULT VALUES`,
    );
    await waitFor('it to pause', async () => (await property('paused', 'status')) === 'paused');
    assert.match((await property('paused', 'status_reason')) ?? '', said);
    // All that is before it, and nothing behind it.
    await comes((count += 2));
    await walhook.kill();
    await walhook.start();
    client = await connect(walhook.sqlUrl());
    await waitFor('it to be paused still', async () => (await property('paused', 'status')) === 'paused');
    await client.query('ALTER CDC STREAM paused RESUME');
    await comes((count += 2));
    await waitFor('it to run', async () => (await property('paused', 'status')) === 'running');
  }
  await client.query('DROP CDC STREAM paused');
});

type Columns = readonly { readonly name: string; readonly type_oid: number }[];

interface SchemaChange extends Readonly<Record<'added' | 'dropped' | 'retyped' | 'columns', Columns>> {
  readonly table_name: string;
}

test('schema_change_policy = emit: the change of columns is an event of its own, between the rows, whatever is repeated', async () => {
  client = await connect(walhook.sqlUrl());
  await direct.query('CREATE TABLE told (id serial PRIMARY KEY)');
  receiver.answer = ({ path }) => (path === '/told' ? 503 : 204);
  await client.query(
    `CREATE CDC STREAM told ON told TO WEBHOOK '${receiver.url}/told'
       WITH (schema_change_policy = emit, initial_backoff = '10ms', max_backoff = '50ms', circuit_breaker = false)`,
  );
  for (const [sql] of RESHAPES) {
    await direct.query(`INSERT INTO told DEFAULT VALUES; ALTER TABLE told ${sql}`);
  }
  await direct.query('INSERT INTO told DEFAULT VALUES');
  await waitFor('an attempt', () => receiver.to('/told').length > 0);
  await walhook.kill();
  await walhook.start();
  client = await connect(walhook.sqlUrl());
  const refused = receiver.to('/told').length;
  receiver.answer = () => 204;
  const said = (): readonly string[] => {
    const lines = new Map<string, string>();
    for (const { body } of receiver.to('/told').slice(refused)) {
      const { table, after } = body as { table: string; after: SchemaChange };
      const names = (columns: Columns): string => columns.map(({ name }) => name).join();
      const { added, dropped, retyped, columns } = after;
      const line =
        table === 'schema_change'
          ? `${after.table_name}: +${names(added)} -${names(dropped)} ~${names(retyped)} = ${names(columns)}`
          : JSON.stringify(after);
      lines.set(String(body['id']), line);
    }
    return [...lines.values()];
  };
  await waitFor('all of it', () => said().length >= 9);
  assert.deepEqual(said(), [
    '{"id":1}',
    'told: +more - ~ = id,more',
    '{"id":2,"more":7}',
    'told: + - ~more = id,more',
    '{"id":3,"more":"7"}',
    'told: +less -more ~ = id,less',
    '{"id":4,"less":"7"}',
    'told: + -less ~ = id',
    '{"id":5}',
  ]);
  await client.query('DROP CDC STREAM told');
});

test('columns that a stream does not send, and rows that are read, are no change of its columns', async () => {
  client = await connect(walhook.sqlUrl());
  await direct.query('CREATE TABLE part (id serial PRIMARY KEY, v text); INSERT INTO part DEFAULT VALUES');
  await client.query(
    `CREATE CDC STREAM part ON part (id) TO WEBHOOK '${receiver.url}/part' WITH (schema_change_policy = pause)`,
  );
  await direct.query('INSERT INTO part DEFAULT VALUES; ALTER TABLE part ADD COLUMN w int');
  await client.query('BACKFILL CDC STREAM part');
  await arrived('/part', 3);
  await direct.query(
    'INSERT INTO part DEFAULT VALUES; ALTER TABLE part DROP COLUMN v; INSERT INTO part DEFAULT VALUES',
  );
  await arrived('/part', 5);
  assert.equal(await property('part', 'status'), 'running');
  await client.query('DROP CDC STREAM part');
});
