import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, startPostgres, temporaryFolder, serverVersion } from '../support/test-database.ts';
import { arm, eventually, loggedChanges, startCapture } from './capture-harness.ts';

// What an application can do in a transaction, and what of it is in the log: what was committed, in its order, once.

const server = await startPostgres({ settings: { max_prepared_transactions: '5' } });
const admin = await connect(server.url());

/** The changes that `work` makes, of the tables named; a last insert into `mark` tells that all has come. */
async function changesOf(tables: readonly string[], work: () => Promise<unknown>): Promise<unknown[][]> {
  await admin.query('DROP TABLE IF EXISTS mark; CREATE TABLE mark (id int PRIMARY KEY)');
  const slotName = `s_${tables[0]!}`;
  for (const [i, table] of ['mark', ...tables].entries()) await arm(admin, table, i === 0, slotName);
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder, { slotName });
  await work();
  await admin.query('INSERT INTO mark VALUES (1)');
  const end = ['insert', 'mark', { id: 1 }];
  await eventually('the end', () => JSON.stringify(loggedChanges(folder).at(-1)) === JSON.stringify(end));
  await running.stop();
  return loggedChanges(folder).slice(0, -1);
}

const LARGE = `(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 2000) i)`;

for (const [identity, setup] of [
  ['default', ''],
  ['full', 'ALTER TABLE docs REPLICA IDENTITY FULL'],
  ['index', 'CREATE UNIQUE INDEX docs_code ON docs (code); ALTER TABLE docs REPLICA IDENTITY USING INDEX docs_code'],
] as const) {
  test(`large values and keys that change, replica identity ${identity}`, async () => {
    await admin.query(`DROP TABLE IF EXISTS docs; CREATE TABLE docs (id int PRIMARY KEY, code int NOT NULL, title text, body text);
      ALTER TABLE docs ALTER body SET STORAGE EXTERNAL; ${setup}`);
    const changes = await changesOf(['docs'], async () => {
      await admin.query(`INSERT INTO docs VALUES (1, 11, 'a', ${LARGE})`);
      await admin.query(`UPDATE docs SET title = 'b'`);
      await admin.query('UPDATE docs SET id = 2');
      await admin.query('UPDATE docs SET code = 12');
      await admin.query(`UPDATE docs SET body = 'short'`);
      await admin.query('DELETE FROM docs');
    });
    const { rows } = await admin.query<{ body: string }>(`SELECT ${LARGE} AS body`);
    const { body } = rows[0]!;
    // undefined: the column is not in the message; the library has it so for a value that did not change, too.
    const row = (id: number, code: number, title: string, text: string | undefined) => ({
      id,
      code,
      title,
      body: text,
    });
    const kept = identity === 'full' ? body : undefined;
    const olds = {
      default: [null, { id: 1 }, null, null, { id: 2 }],
      index: [null, null, { code: 11 }, null, { code: 12 }],
      full: [
        row(1, 11, 'a', body),
        row(1, 11, 'b', body),
        row(2, 11, 'b', body),
        row(2, 12, 'b', body),
        row(2, 12, 'b', 'short'),
      ],
    }[identity];
    assert.deepEqual(
      plain(changes),
      plain([
        ['insert', 'docs', row(1, 11, 'a', body)],
        ['update', 'docs', row(1, 11, 'b', kept), olds[0]],
        ['update', 'docs', row(2, 11, 'b', kept), olds[1]],
        ['update', 'docs', row(2, 12, 'b', kept), olds[2]],
        ['update', 'docs', row(2, 12, 'b', 'short'), olds[3]],
        ['delete', 'docs', olds[4]],
      ]),
    );
  });
}

/** Without what is undefined or null in rows: what of an old key is no part of it. */
function plain(changes: readonly unknown[]): unknown {
  return JSON.parse(JSON.stringify(changes, (_, value: unknown) => value ?? undefined));
}

test('TRUNCATE of several tables is one change, with what CASCADE reaches', async () => {
  await admin.query(`CREATE TABLE owner (id int PRIMARY KEY); CREATE TABLE pet (id int PRIMARY KEY, owner int REFERENCES owner);
    CREATE TABLE alone (id int PRIMARY KEY)`);
  const changes = await changesOf(['owner', 'pet', 'alone'], async () => {
    await admin.query('INSERT INTO owner VALUES (1); INSERT INTO pet VALUES (1, 1)');
    await admin.query('TRUNCATE owner CASCADE');
    await admin.query('TRUNCATE alone, owner, pet RESTART IDENTITY');
    await admin.query('BEGIN; TRUNCATE alone; ROLLBACK');
  });
  assert.deepEqual(changes, [
    ['insert', 'owner', { id: 1 }],
    ['insert', 'pet', { id: 1, owner: 1 }],
    ['truncate', ['owner', 'pet']],
    ['truncate', ['alone', 'owner', 'pet']],
  ]);
});

test('prepared transactions come when they are committed, and only then; messages are no changes', async () => {
  await admin.query('CREATE TABLE twice (id int PRIMARY KEY)');
  const changes = await changesOf(['twice'], async () => {
    await admin.query(`BEGIN; INSERT INTO twice VALUES (1); PREPARE TRANSACTION 'kept'`);
    await admin.query(`BEGIN; INSERT INTO twice VALUES (2); PREPARE TRANSACTION 'dropped'`);
    await admin.query('INSERT INTO twice VALUES (3)');
    await admin.query(`SELECT pg_logical_emit_message(true, 'app', 'x'), pg_logical_emit_message(false, 'app', 'y')`);
    await admin.query(`BEGIN; SELECT pg_logical_emit_message(true, 'app', 'x'); INSERT INTO twice VALUES (4); COMMIT`);
    await admin.query(`ROLLBACK PREPARED 'dropped'`);
    await admin.query(`COMMIT PREPARED 'kept'`);
  });
  assert.deepEqual(
    changes,
    [3, 4, 1].map((id) => ['insert', 'twice', { id }]),
  );
});

test('subtransactions that are rolled back leave nothing, however deep, also above the memory of decoding', async () => {
  await admin.query('CREATE TABLE deep (id int PRIMARY KEY, fill text)');
  await admin.query(`ALTER ROLE postgres SET logical_decoding_work_mem = '64kB'`);
  const changes = await changesOf(['deep'], async () => {
    await admin.query(`DO $$ BEGIN
      FOR i IN 1..400 LOOP
        BEGIN
          INSERT INTO deep VALUES (i, repeat('x', 1000));
          IF i % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF;
          BEGIN INSERT INTO deep VALUES (i + 1000, ''); RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
      END LOOP; END $$`);
  });
  const { rows } = await admin.query<{ id: number }>('SELECT id FROM deep ORDER BY id');
  assert.equal(rows.length, 267);
  assert.deepEqual(
    changes.map(([, , row]) => (row as { id: number }).id),
    rows.map(({ id }) => id),
  );
});

test('generated columns: stored ones are sent, as they were computed, from 18 on; virtual ones are not', async () => {
  const isSent = (await serverVersion(admin)) >= 180_000;
  const virtual = isSent ? ', thrice int GENERATED ALWAYS AS (id * 3) VIRTUAL' : '';
  await admin.query(`CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED${virtual})`);
  const changes = await changesOf(['made'], async () => {
    await admin.query('INSERT INTO made VALUES (1); UPDATE made SET id = 2');
  });
  assert.deepEqual(plain(changes), [
    ['insert', 'made', { id: 1, ...(isSent && { twice: 2 }) }],
    ['update', 'made', { id: 2, ...(isSent && { twice: 4 }) }, { id: 1 }],
  ]);
});
