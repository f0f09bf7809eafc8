import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { startReceiver } from '../support/json-receiver.ts';
import { startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: what is retained can be sent again, each event with its id, and says that it is.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
const client = new pg.Client({ connectionString: walhook.sqlUrl() });
client.on('error', () => undefined);
await client.connect();
after(() => client.end().catch(() => undefined));

async function insert(table: string, id: number): Promise<{ lsn: string; time: string }> {
  const sql = 'SELECT pg_current_wal_insert_lsn()::text AS lsn, clock_timestamp()::text AS time';
  const { rows } = await client.query<{ lsn: string; time: string }>(sql);
  await client.query(`INSERT INTO ${table} VALUES ($1)`, [id]);
  return rows[0]!;
}

const seen = (path: string): [id: number, eventId: unknown, isReplay: boolean][] =>
  receiver
    .to(path)
    .map(({ body, headers }) => [(body.key as { id: number }).id, body.id, headers['x-cdc-replay'] === 'true']);

test('REPLAY by time, from an LSN, and to one: the same ids, and the header', async () => {
  await client.query(`CREATE TABLE r (id int PRIMARY KEY)`);
  await client.query(`CREATE CDC STREAM r_stream ON r TO WEBHOOK '${receiver.url}/r' WITH (retention = '1h')`);
  const marks = [];
  for (let id = 1; id <= 5; id++) marks.push(await insert('r', id));
  await waitFor('the events', () => seen('/r').length === 5);
  const ids = new Map(seen('/r').map(([id, eventId]) => [id, eventId]));
  assert.ok(seen('/r').every(([, , isReplay]) => !isReplay));

  const again = async (sql: string, expected: readonly number[]): Promise<void> => {
    const before = seen('/r').length;
    const { command } = await client.query(sql);
    assert.equal(command, 'REPLAY', sql);
    const { rows } = await client.query<{ detail: string }>('SHOW CDC STREAM HISTORY r_stream');
    assert.equal(rows[0]?.detail, `${expected.length} events`, sql);
    await waitFor('the replay', () => seen('/r').length === before + expected.length);
    const events = seen('/r').slice(before);
    assert.deepEqual(
      events.map(([id]) => id).toSorted((a, b) => a - b),
      expected,
    );
    for (const [id, eventId, isReplay] of events) assert.deepEqual([eventId, isReplay], [ids.get(id), true]);
  };
  // Its progress is stored a moment after the answer.
  await waitFor('nothing pending', async () => {
    const { rows } = await client.query<{ pending_events: string }>('SHOW CDC STREAMS');
    return rows[0]?.pending_events === '0';
  });
  await again(`REPLAY CDC STREAM r_stream FROM LSN '${marks[2]!.lsn}'`, [3, 4, 5]);
  await again(`REPLAY CDC STREAM r_stream FROM LSN '${marks[1]!.lsn}' TO LSN '${marks[3]!.lsn}'`, [2, 3]);
  await again(`REPLAY CDC STREAM r_stream SINCE '${marks[3]!.time}'`, [4, 5]);
  await again(`REPLAY CDC STREAM r_stream FROM LSN '0/0'`, [1, 2, 3, 4, 5]);
  await again(`REPLAY CDC STREAM r_stream SINCE 'infinity'`, []);
  await insert('r', 6);
  await waitFor('the next event', () => seen('/r').some(([id]) => id === 6));
  assert.deepEqual(
    seen('/r')
      .filter(([id]) => id === 6)
      .map(([, , isReplay]) => isReplay),
    [false],
  );
  await assert.rejects(client.query(`REPLAY CDC STREAM r_stream SINCE 'yesterdayish'`), { code: '22007' });
  await assert.rejects(client.query(`REPLAY CDC STREAM nothing SINCE 'today'`), { code: '42704' });
  const { rows } = await client.query<{ action: string }>('SHOW CDC STREAM HISTORY r_stream');
  assert.equal(rows.filter(({ action }) => action === 'replay').length, 5);
  // Also across a restart: how far the replay is is durable.
  receiver.answer = () => 'hang';
  await client.query(`REPLAY CDC STREAM r_stream FROM LSN '0/0'`);
  await waitFor('a request', () => seen('/r').length > 18);
  await walhook.kill();
  receiver.answer = () => 204;
  const before = seen('/r').length;
  await walhook.start();
  await waitFor(
    'all of it',
    () =>
      new Set(
        seen('/r')
          .slice(before)
          .map(([id]) => id),
      ).size === 6,
  );
  assert.ok(
    seen('/r')
      .slice(before)
      .every(([, , isReplay]) => isReplay),
  );
});
