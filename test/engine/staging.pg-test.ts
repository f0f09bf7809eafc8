import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { findSlot } from '../../src/capture/slot.ts';
import { listedTables, PUBLICATION } from '../../src/capture/publication.ts';
import { NO_CHANGES } from '../../src/model/option-changes.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { createStream, startEngine, tableOf, transactionOf, type RunningEngine } from './engine-harness.ts';

// The law: a stream that was made in a transaction of the client's is there, and captured, when the transaction is
// committed, and was never there when it was rolled back, whatever dies in between.

const KILLS = 20;
const CHILD = join(import.meta.dirname, 'staging-child.ts');
const NEVER = new AbortController().signal;
const server = await startPostgres({ settings: { max_prepared_transactions: '2' } });
const admin = await connect(server.url());

async function withEngine(use: (running: RunningEngine) => Promise<void>, timeoutMs?: number): Promise<void> {
  const running = startEngine(server.url(), temporaryFolder(), timeoutMs);
  try {
    await use(running);
    for (const { name } of running.catalog.streams()) await running.engine.dropStreams([name], false, 'postgres');
    // A short time for a stream to be armed is one for what is no longer needed to be dropped, too.
    await waitFor('the slot is gone', async () => (await findSlot(admin, running.slotName)) === null);
  } finally {
    await running.stop();
  }
}

test('a stream that no slot is left for is refused with 53400, and leaves nothing behind', async () => {
  await withEngine(async ({ engine, catalog }) => {
    await admin.query('CREATE TABLE slotless (id int PRIMARY KEY)');
    await admin.query(`SELECT pg_create_physical_replication_slot('filler_' || n)
                         FROM generate_series(1, current_setting('max_replication_slots')::int) n`);
    const change = createStream('slotless_stream', [await tableOf(admin, 'slotless')], 'http://127.0.0.1:1/');
    await assert.rejects(engine.execute(change, 'postgres', NEVER), { code: '53400' });
    await waitFor('the publication is gone', async () => (await listedTables(admin, PUBLICATION)).length === 0);
    await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
    await engine.execute(change, 'postgres', NEVER);
    assert.equal(catalog.streams().length, 1);
  });
});

test('table and stream made in one transaction: the first write after COMMIT is captured', async () => {
  const receiver = await startReceiver();
  await withEngine(async ({ engine, catalog }) => {
    const client = await connect(server.url());
    await client.query('BEGIN; CREATE TABLE made (id int PRIMARY KEY)');
    const xid = await transactionOf(client);
    const change = createStream('made_stream', [await tableOf(client, 'made')], receiver.url);
    assert.deepEqual((await engine.stage(xid, change, 'postgres')).notices, []);
    assert.equal(engine.definition('made_stream', xid)?.name, 'made_stream');
    assert.deepEqual(await engine.reports(), []);
    await client.query('COMMIT');
    assert.deepEqual(await engine.commit(xid, NEVER), []);
    await client.query('INSERT INTO made VALUES (1)');
    await waitFor('the event', () => receiver.requests.length === 1);
    assert.equal((await engine.report('made_stream')).definition.name, 'made_stream');
    assert.deepEqual(catalog.stream('made_stream')!.unarmedTables, []);
  });
});

test('ROLLBACK leaves nothing; ROLLBACK TO leaves what came before', async () => {
  await withEngine(async ({ engine, catalog }) => {
    const client = await connect(server.url());
    await client.query('CREATE TABLE kept (id int PRIMARY KEY)');
    const table = await tableOf(client, 'kept');
    await client.query('BEGIN');
    const first = await transactionOf(client);
    await engine.stage(first, createStream('gone', [table], 'http://127.0.0.1:9/'), 'postgres');
    await client.query('ROLLBACK');
    engine.rollback(first);
    assert.deepEqual([catalog.streams(), catalog.stagedTransactions()], [[], []]);
    await client.query('BEGIN');
    const second = await transactionOf(client);
    const { mark } = await engine.stage(second, createStream('kept', [table], 'http://127.0.0.1:9/'), 'postgres');
    await client.query('SAVEPOINT s');
    await engine.stage(second, createStream('undone', [table], 'http://127.0.0.1:9/'), 'postgres');
    engine.unstage(second, mark);
    await client.query('ROLLBACK TO s; COMMIT');
    assert.deepEqual(await engine.commit(second, NEVER), []);
    assert.deepEqual(
      catalog.armedStreams().map(({ name }) => name),
      ['kept'],
    );
  });
});

test('a stream that cannot be armed is a WARNING of COMMIT, failed with its reason, and is armed once it can be', async () => {
  await withEngine(async ({ engine }) => {
    const client = await connect(server.url());
    await client.query('BEGIN; CREATE TABLE keyless (id int)');
    const xid = await transactionOf(client);
    await engine.stage(
      xid,
      createStream('late', [await tableOf(client, 'keyless')], 'http://127.0.0.1:9/'),
      'postgres',
    );
    await client.query('COMMIT');
    const [warning] = await engine.commit(xid, NEVER);
    assert.deepEqual([warning?.severity, warning?.code], ['WARNING', '01000']);
    assert.match(warning!.detail!, /no replica identity/);
    const { status, statusReason } = await engine.report('late');
    assert.equal(status, 'failed');
    assert.match(statusReason!, /no replica identity/);
    await client.query('ALTER TABLE keyless REPLICA IDENTITY FULL');
    await waitFor('the stream to run', async () => (await engine.report('late')).status === 'running');
  });
});

test('a COMMIT waits for the slot no longer than its time; the stream is armed when the old transaction has ended', async () => {
  await withEngine(async ({ engine }) => {
    const old = await connect(server.url());
    await old.query('BEGIN; CREATE TABLE old_one (id int)');
    const client = await connect(server.url());
    await client.query('BEGIN; CREATE TABLE waits (id int PRIMARY KEY)');
    const xid = await transactionOf(client);
    await engine.stage(xid, createStream('waits', [await tableOf(client, 'waits')], 'http://127.0.0.1:9/'), 'postgres');
    await client.query('COMMIT');
    const [warning] = await engine.commit(xid, NEVER);
    assert.match(warning!.message, /committed, but its changes are not captured yet/);
    assert.equal((await engine.report('waits')).status, 'starting');
    // Nor is anybody kept from staging while the slot waits: that is how it would wait for ever.
    const other = await transactionOf(old);
    await engine.stage(
      other,
      createStream('other', [await tableOf(old, 'old_one')], 'http://127.0.0.1:9/'),
      'postgres',
    );
    engine.rollback(other);
    await old.query('ROLLBACK');
    await waitFor('the stream to run', async () => (await engine.report('waits')).status === 'running');
  }, 200);
});

test('tables come and go, and the name changes, while events are delivered; the position stays', async () => {
  const receiver = await startReceiver();
  await withEngine(async ({ engine, catalog }) => {
    await admin.query('CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE two (id int PRIMARY KEY)');
    const [one, two] = [await tableOf(admin, 'one'), await tableOf(admin, 'two')];
    const execute = (change: Parameters<typeof engine.execute>[0]) => engine.execute(change, 'postgres', NEVER);
    await execute(createStream('both', [one], receiver.url));
    const { id } = catalog.stream('both')!;
    const sent = (): string[] =>
      receiver.requests.map(({ body }) => {
        const { stream, table, after } = body as unknown as { stream: string; table: string; after: { id: number } };
        return `${stream} ${table} ${after.id}`;
      });
    const arrives = (event: string) => waitFor(event, () => sent().includes(event));
    await admin.query('INSERT INTO one VALUES (1); INSERT INTO two VALUES (1)');
    await arrives('both one 1');
    const alter = (
      alteration: Extract<Parameters<typeof execute>[0], { kind: 'alter-stream' }>['alteration'],
      name = 'both',
    ) => execute({ kind: 'alter-stream', name, alteration });
    await alter({ kind: 'add-tables', database: 'postgres', tables: [two], when: null });
    assert.deepEqual(
      await listedTables(admin, PUBLICATION),
      [one.oid, two.oid].sort((a, b) => a - b),
    );
    await admin.query('INSERT INTO two VALUES (2); INSERT INTO one VALUES (2)');
    await arrives('both two 2');
    await arrives('both one 2');
    await alter({ kind: 'drop-tables', tables: [one] });
    assert.deepEqual(await listedTables(admin, PUBLICATION), [two.oid]);
    await alter({ kind: 'rename', newName: 'renamed' });
    await admin.query('INSERT INTO one VALUES (3); INSERT INTO two VALUES (3)');
    await arrives('renamed two 3');
    assert.deepEqual([...new Set(sent())].sort(), ['both one 1', 'both one 2', 'both two 2', 'renamed two 3']);
    assert.equal(catalog.stream('renamed')!.id, id);
    await waitFor('the four to be counted', async () => {
      return (await engine.report('renamed')).delivery.eventsDelivered >= 4;
    });
    const gone = { kind: 'add-tables', database: 'postgres', tables: [{ ...one, oid: 1 }], when: null } as const;
    await assert.rejects(alter(gone, 'renamed'), { code: '42P01' });
    assert.deepEqual(catalog.stream('renamed')!.definition.tables, [two]);
  });
});

test('an endpoint that is altered is where the next event goes', async () => {
  const [first, second] = [await startReceiver(), await startReceiver()];
  await withEngine(async ({ engine }) => {
    await admin.query('CREATE TABLE routed (id int PRIMARY KEY)');
    const execute = (change: Parameters<typeof engine.execute>[0]) => engine.execute(change, 'postgres', NEVER);
    const options = { options: {}, owner: 'postgres', ifNotExists: false, orReplace: false };
    await execute({ kind: 'create-endpoint', name: 'e', url: first.url, ...options });
    const change = createStream('routed', [await tableOf(admin, 'routed')], '');
    assert.ok(change.kind === 'create-stream');
    const destination = { kind: 'endpoint', name: 'e' } as never;
    await execute({ ...change, request: { ...change.request, destination } });
    await admin.query('INSERT INTO routed VALUES (1)');
    await waitFor('the first event', () => first.requests.length === 1);
    await execute({
      kind: 'alter-endpoint',
      name: 'e',
      alteration: { kind: 'set', url: second.url, changes: NO_CHANGES },
    });
    await admin.query('INSERT INTO routed VALUES (2)');
    await waitFor('the second event', () => second.requests.length === 1);
    assert.equal(first.requests.length, 1);
  });
});

test('a prepared transaction is settled when it ends; one that is not of this server is forgotten', async () => {
  await withEngine(async ({ engine, catalog }) => {
    const client = await connect(server.url());
    await client.query('BEGIN; CREATE TABLE prepared (id int PRIMARY KEY)');
    const xid = await transactionOf(client);
    const table = await tableOf(client, 'prepared');
    await engine.stage(xid, createStream('prepared', [table], 'http://127.0.0.1:9/'), 'postgres');
    await client.query("PREPARE TRANSACTION 'p'");
    engine.abandon(xid);
    await engine.stage('9999999999999', createStream('future', [table], 'http://127.0.0.1:9/'), 'postgres');
    engine.abandon('9999999999999');
    await waitFor('the other to be forgotten', () => !catalog.hasStaged('9999999999999'));
    assert.equal(catalog.hasStaged(xid), true);
    await client.query("COMMIT PREPARED 'p'");
    await waitFor('the stream to be armed', () => catalog.armedStreams().length === 1);
    assert.equal(catalog.stream('prepared')!.isArmed, true);
  });
});

test(`${KILLS} kills between staging, the upstream's commit, and the activation settle right`, async (t) => {
  const receiver = await startReceiver();
  const dataDir = temporaryFolder();
  const points = ['committed', 'applied', 'committed', 'staged', 'committed', 'rolled back', 'applied', 'armed'];
  const committed: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const point = points[kill % points.length]!;
    const table = `killed_${kill}`;
    const child = spawn(process.execPath, [CHILD, server.url(), dataDir, table, receiver.url, point], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const isCommitted = point !== 'staged' && point !== 'rolled back';
    if (isCommitted) committed.push(table);
    const running = startEngine(server.url(), dataDir);
    try {
      await waitFor('the transaction to be settled', () => running.catalog.stagedTransactions().length === 0);
      await waitFor('capture to be armed', async () =>
        (await running.engine.reports()).every(({ status }) => status === 'running' || status === 'retrying'),
      );
      const names = running.catalog.armedStreams().map(({ name }) => name);
      assert.deepEqual(names, committed.map((one) => `${one}_stream`).sort(), `after a kill when ${point}`);
      if (!isCommitted) continue;
      await admin.query(`INSERT INTO ${table} VALUES (1)`);
      await waitFor('the event', () => receiver.requests.some(({ body }) => body['table'] === table));
    } finally {
      await running.stop();
    }
  }
  t.diagnostic(`${KILLS} kills, ${committed.length} of them after the commit`);
});
