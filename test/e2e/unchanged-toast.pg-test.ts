import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: with unchanged_toast = fetch a large value that an UPDATE left alone is in the event as the row has it when the
// event is sent, and listed, so that nobody takes it for what it was; where it cannot be had, the event is as without.

const server = await startPostgres();
const direct = await connect(server.url());
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const client = await connect(walhook.sqlUrl());
const receiver = await startReceiver();

const TITLE = "SET title = coalesce(title, '') || '!'";

interface Event {
  readonly op: string;
  readonly before: object;
  readonly after: Readonly<Record<string, unknown>>;
  readonly unchanged_toast?: readonly string[];
  readonly before_complete?: boolean;
}

async function events(path: string, count: number): Promise<readonly Event[]> {
  await waitFor(`${count} events at ${path}`, () => receiver.to(path).length >= count);
  return receiver.to(path).map(({ body }) => body as unknown as Event);
}

/** A table whose large columns are kept out of line, with one row, and a stream on it. */
async function make(name: string, columns: string, values: string, options: string, more = ''): Promise<void> {
  await direct.query(`CREATE TABLE ${name} (${columns}); INSERT INTO ${name} VALUES (${values})`);
  const { rows } = await direct.query<{ attname: string }>(
    `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND attstorage = 'x' AND attname LIKE 'large%'`,
    [name],
  );
  for (const { attname } of rows) await direct.query(`ALTER TABLE ${name} ALTER ${attname} SET STORAGE EXTERNAL`);
  await direct.query(`DELETE FROM ${name}; INSERT INTO ${name} VALUES (${values})`);
  await client.query(
    `CREATE CDC STREAM ${name} ON ${name} TO WEBHOOK '${receiver.url}/${name}' ${more} WITH (unchanged_toast = fetch${options})`,
  );
}

test('values of every kind, by a key of several columns, are as the log would have them', async () => {
  await make(
    'kinds',
    'a text, b int, title text, large_t text, large_j jsonb, large_b bytea, large_a text[], PRIMARY KEY (b, a)',
    `'it''s "1"', 7, '', repeat('é', 4000), jsonb_build_object('k', repeat('v', 9000)), decode(repeat('ff', 5000), 'hex'),
     array_fill('x'::text, ARRAY[4000])`,
    '',
  );
  await direct.query(`UPDATE kinds ${TITLE}`);
  await direct.query('UPDATE kinds SET large_t = large_t || $1, large_j = large_j || $2, large_b = large_b || $3', [
    '',
    '{}',
    Buffer.alloc(0),
  ]);
  const [fetched, logged] = await events('/kinds', 2);
  const large = ['large_t', 'large_j', 'large_b', 'large_a'];
  assert.deepEqual(fetched!.unchanged_toast?.toSorted(), large.toSorted());
  assert.equal(fetched!.before_complete, false);
  assert.deepEqual(logged!.unchanged_toast, ['large_a']);
  for (const name of large) assert.deepEqual(fetched!.after[name], logged!.after[name], name);
  assert.equal((fetched!.after['large_t'] as string).length, 4000);
  await client.query('DROP CDC STREAM kinds');
});

test('what cannot be had is left out, as without the option', async () => {
  await make(
    'gone',
    'id int PRIMARY KEY, title text, large text',
    `1, '', repeat('x', 5000)`,
    ", batch_max_bytes = '20kB'",
  );
  const pausing = async (sql: string): Promise<void> => {
    await client.query('ALTER CDC STREAM gone PAUSE');
    await direct.query(sql);
    await client.query('ALTER CDC STREAM gone RESUME');
  };
  // A row that is there, with a newer value.
  await pausing(`UPDATE gone ${TITLE}; UPDATE gone SET large = repeat('y', 6000)`);
  const newer = (await events('/gone', 2))[0]!;
  assert.deepEqual([(newer.after['large'] as string).length, newer.unchanged_toast], [6000, ['large']]);
  const without = (event: Event): void => {
    assert.deepEqual(event.after['large'], undefined);
    assert.deepEqual(event.unchanged_toast, ['large']);
  };
  // One that is too large for the request.
  await direct.query(`UPDATE gone SET large = repeat('z', 30000)`);
  await direct.query(`UPDATE gone ${TITLE}`);
  without((await events('/gone', 4))[3]!);
  await direct.query(`UPDATE gone SET large = repeat('x', 5000)`);
  // A column that has another name by now.
  await pausing(`UPDATE gone ${TITLE}; ALTER TABLE gone RENAME large TO big`);
  without((await events('/gone', 6))[5]!);
  await direct.query('ALTER TABLE gone RENAME big TO large');
  // Another table of the same name.
  await pausing(`UPDATE gone ${TITLE}; ALTER TABLE gone RENAME TO other; CREATE TABLE gone (LIKE other);
    INSERT INTO gone SELECT * FROM other`);
  without((await events('/gone', 7))[6]!);
  await direct.query('DROP TABLE gone; ALTER TABLE other RENAME TO gone');
  // A row that is gone.
  await pausing(`UPDATE gone ${TITLE}; DELETE FROM gone`);
  without((await events('/gone', 8))[7]!);
  await client.query('DROP CDC STREAM gone');
});

test('an upstream that cannot be asked holds nothing up', async () => {
  await make('locked', 'id int PRIMARY KEY, title text, large text', `1, '', repeat('x', 5000)`, '');
  await client.query('ALTER CDC STREAM locked PAUSE');
  await direct.query(`UPDATE locked ${TITLE}`);
  const locker = await connect(server.url());
  await locker.query('BEGIN; LOCK TABLE locked');
  await client.query('ALTER CDC STREAM locked RESUME');
  const [event] = await events('/locked', 1);
  assert.deepEqual([event!.after['title'], event!.after['large'], event!.unchanged_toast], ['!', undefined, ['large']]);
  await locker.query('ROLLBACK');
  await direct.query(`UPDATE locked ${TITLE}`);
  assert.equal(((await events('/locked', 2))[1]!.after['large'] as string).length, 5000);
  await client.query('DROP CDC STREAM locked');
});

test('other envelopes have the value, in batches too', async () => {
  for (const envelope of ['debezium', 'flat', 'cloudevents']) {
    const name = `as_${envelope}`;
    await make(
      name,
      'id int PRIMARY KEY, title text, large text',
      `1, '', repeat('x', 5000)`,
      ", batch_max_events = 10, batch_max_delay = '100ms'",
      `ENVELOPE ${envelope}`,
    );
    await direct.query(`UPDATE ${name} ${TITLE}`);
    await waitFor(`the event at /${name}`, () => receiver.to(`/${name}`).length > 0);
    const said = JSON.stringify(receiver.to(`/${name}`)[0]!.body);
    assert.ok(said.includes('x'.repeat(5000)), envelope);
    await client.query(`DROP CDC STREAM ${name}`);
  }
});
