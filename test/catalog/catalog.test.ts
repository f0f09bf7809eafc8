import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { DataDirectory, DataDirectoryInUseError } from '../../src/catalog/data-directory.ts';
import { MAX_HISTORY_ENTRIES } from '../../src/catalog/catalog-store.ts';
import { encodeDefinition } from '../../src/catalog/definition-json.ts';
import { NO_CHANGES, type OptionChanges } from '../../src/model/option-changes.ts';
import { SecretValue } from '../../src/model/secret.ts';
import type { StreamAlteration } from '../../src/model/staged-change.ts';
import { exampleStream } from '../support/example-stream.ts';
import { openTestCatalog } from '../support/test-catalog.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { change, createEndpoint, createStream, ITEMS, ORDERS } from './changes.ts';

const ADD = { kind: 'add-tables', database: 'postgres', when: null } as const;
const AT = { source: { systemId: '7300000000000000001', databaseOid: 5 }, startLsn: 0xffff_ffff_0000_0001n };

test('a stream comes back as it was stored and armed, after the file was closed and opened', () => {
  const { catalog, path } = openTestCatalog();
  change(catalog, createStream('orders', { comment: 'mine' }));
  const made = catalog.stream('orders')!;
  assert.deepEqual([made.isArmed, made.unarmedTables, catalog.armedStreams()], [false, [ORDERS.oid], []]);
  catalog.markArmed({ streamId: made.id, oids: [ORDERS.oid], at: AT });
  const armed = catalog.stream('orders')!;
  assert.deepEqual(armed.definition, { ...made.definition, ...AT });
  catalog.close();
  const { catalog: again } = openTestCatalog({}, path);
  assert.deepEqual(again.streams(), [armed]);
  assert.deepEqual(again.armedStreams(), [armed.definition]);
  assert.equal(again.stream('orders')!.definition.comment, 'mine');
});

test('OR REPLACE keeps identity, position, owner and pause; a table that comes in is to be armed', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createStream('s'));
  const old = catalog.stream('s')!;
  catalog.markArmed({ streamId: old.id, oids: [ORDERS.oid], at: AT });
  change(catalog, { kind: 'alter-stream', name: 's', alteration: { kind: 'state', state: 'paused' } });
  const { definition: paused } = catalog.stream('s')!;
  change(catalog, createStream('s', { tables: [ITEMS, ORDERS], owner: 'bob' }, true), 'bob');
  const { definition, unarmedTables, isArmed } = catalog.stream('s')!;
  assert.deepEqual({ ...definition, tables: [] }, { ...paused, tables: [] });
  assert.deepEqual([definition.tables, unarmedTables, isArmed], [[ITEMS, ORDERS], [ITEMS.oid], true]);
});

test('an armed stream stays where it is, whatever is staged while it is armed', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createStream('s'));
  catalog.stage('10', { kind: 'comment-stream', name: 's', comment: 'c' }, 'alice');
  catalog.markArmed({ streamId: catalog.stream('s')!.id, oids: [ORDERS.oid], at: AT });
  catalog.applyStaged('10');
  const { definition, isArmed, unarmedTables } = catalog.stream('s')!;
  assert.deepEqual([definition.comment, isArmed, unarmedTables, definition.startLsn], ['c', true, [], AT.startLsn]);
});

test('alterations change what they say and nothing else', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createStream('s'));
  const before = catalog.stream('s')!.definition;
  const alter = (alteration: StreamAlteration) => change(catalog, { kind: 'alter-stream', name: 's', alteration });
  alter({ kind: 'set', settings: {}, changes: { ...NO_CHANGES, set: { maxInFlight: 3 } } });
  alter({ kind: 'owner', owner: 'bob' });
  alter({ kind: 'add-tables', database: 'postgres', tables: [ITEMS], when: null });
  alter({ kind: 'drop-tables', tables: [ORDERS] });
  alter({ kind: 'rename', newName: 't' });
  assert.equal(catalog.stream('s'), null);
  assert.deepEqual(catalog.stream('t')!.definition, {
    ...before,
    name: 't',
    owner: 'bob',
    tables: [ITEMS],
    options: { ...before.options, maxInFlight: 3 },
    givenOptions: ['maxInFlight'],
  });
});

const REFUSED: readonly [string, Parameters<typeof change>[1], string][] = [
  ['a name that is taken', createStream('s'), '42710'],
  [
    'a rename to a name that is taken',
    { kind: 'alter-stream', name: 's', alteration: { kind: 'rename', newName: 'u' } },
    '42710',
  ],
  ['a stream that is not there', { kind: 'comment-stream', name: 'nobody', comment: null }, '42704'],
  [
    'the last table',
    { kind: 'alter-stream', name: 's', alteration: { kind: 'drop-tables', tables: [ORDERS] } },
    '55000',
  ],
  [
    'a table that is no part',
    { kind: 'alter-stream', name: 's', alteration: { kind: 'drop-tables', tables: [ITEMS] } },
    '42704',
  ],
  ['a table twice', { kind: 'alter-stream', name: 's', alteration: { ...ADD, tables: [ITEMS, ITEMS] } }, '42710'],
  ['an endpoint that is in use', { kind: 'drop-endpoints', names: ['e'], ifExists: false }, '2BP01'],
  [
    'a stream among others that is not there',
    { kind: 'drop-streams', names: ['s', 'nobody'], ifExists: false },
    '42704',
  ],
];

for (const [what, wanted, code] of REFUSED) {
  test(`${what} is refused with ${code}, and nothing has changed`, () => {
    const { catalog } = openTestCatalog();
    change(catalog, createEndpoint('e'));
    change(catalog, createStream('s'));
    change(catalog, createStream('u', { destination: { kind: 'endpoint', name: 'e' } as never }));
    const before = catalog.streams();
    assert.throws(() => change(catalog, wanted), { name: 'PgError', code });
    assert.deepEqual(catalog.streams(), before);
    // Nor is a lock left behind.
    change(catalog, { kind: 'drop-streams', names: ['s', 'u'], ifExists: false });
    change(catalog, { kind: 'drop-endpoints', names: ['e'], ifExists: false });
  });
}

test('IF EXISTS and IF NOT EXISTS make a NOTICE of what would be an error', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createEndpoint('e'));
  const said = [
    change(catalog, createEndpoint('e', { ifNotExists: true })),
    change(catalog, { kind: 'drop-endpoints', names: ['f'], ifExists: true }),
    change(catalog, { kind: 'drop-streams', names: ['f'], ifExists: true }),
    change(catalog, { kind: 'drop-secrets', names: ['f'], ifExists: true }),
  ];
  assert.deepEqual(
    said.flat().map(({ severity, message }) => [severity, message]),
    [
      ['NOTICE', 'CDC endpoint "e" already exists, skipping'],
      ['NOTICE', 'CDC endpoint "f" does not exist, skipping'],
      ['NOTICE', 'CDC stream "f" does not exist, skipping'],
      ['NOTICE', 'CDC secret "f" does not exist, skipping'],
    ],
  );
});

test('an endpoint is replaced and altered in place, option by option', () => {
  const { catalog, path } = openTestCatalog();
  change(catalog, createEndpoint('e', { options: { requestTimeoutMs: 1, headers: { 'X-A': '1', 'X-B': '2' } } }));
  const { id } = catalog.endpoint('e')!;
  const alter = (changes: Partial<OptionChanges>, url: string | null = null) => {
    const alteration = { kind: 'set', url, changes: { ...NO_CHANGES, ...changes } } as const;
    return change(catalog, { kind: 'alter-endpoint', name: 'e', alteration });
  };
  alter({ set: { connectTimeoutMs: 3 }, reset: ['requestTimeoutMs'], setHeaders: { 'x-b': '3' } });
  assert.deepEqual(catalog.endpoint('e')!.options, { connectTimeoutMs: 3, headers: { 'X-A': '1', 'x-b': '3' } });
  alter({ resetHeaders: ['x-A'] }, 'https://third.example.com/');
  alter({ resetHeaders: ['X-B'], reset: ['connectTimeoutMs'] });
  assert.deepEqual([catalog.endpoint('e')!.options, catalog.endpoint('e')!.url], [{}, 'https://third.example.com/']);
  assert.throws(() => alter({ set: { bearerToken: new SecretValue('a'), basicAuth: new SecretValue('b') } }), {
    code: '22023',
  });
  change(catalog, createEndpoint('e', { orReplace: true, url: 'https://other.example.com/', owner: 'bob' }), 'bob');
  catalog.close();
  const { catalog: again } = openTestCatalog({}, path);
  const { createdAtMs: _, ...endpoint } = again.endpoints()[0]!.definition;
  assert.deepEqual(endpoint, { id, name: 'e', url: 'https://other.example.com/', options: {}, owner: 'alice' });
});

test('the history says who did what, newest first, also of what is gone, and shows no query of a URL', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createStream('s'));
  const destination = { kind: 'webhook', url: 'https://u:p@example.com/x?token=planted-in-url' } as const;
  const options = { maxInFlight: 2, requestTimeoutMs: 5 };
  change(
    catalog,
    {
      kind: 'alter-stream',
      name: 's',
      alteration: { kind: 'set', settings: { destination }, changes: { ...NO_CHANGES, set: options } },
    },
    'bob',
  );
  change(catalog, { kind: 'alter-stream', name: 's', alteration: { kind: 'rename', newName: 't' } }, 'bob');
  change(catalog, { kind: 'drop-streams', names: ['t'], ifExists: false }, 'carol');
  const shown = (name: string) =>
    catalog.history('stream', name, 10).map(({ actor, action, detail }) => [actor, action, detail]);
  for (const name of ['s', 't']) {
    assert.deepEqual(shown(name), [
      ['carol', 'drop', null],
      ['bob', 'rename', 's to t'],
      ['bob', 'alter', 'destination https://example.com/x?token=***, max_in_flight, request_timeout'],
      ['alice', 'create', 'public.orders'],
    ]);
  }
  assert.equal(catalog.history('stream', 's', 1).length, 1);
});

test('the history of one stream is bounded', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createStream('s'));
  for (let n = 0; n < MAX_HISTORY_ENTRIES + 5; n++) {
    catalog.stage('10', { kind: 'comment-stream', name: 's', comment: `${n}` }, 'alice');
    if (n % 500 === 0) catalog.applyStaged('10');
  }
  catalog.applyStaged('10');
  const entries = catalog.history('stream', 's', 10_000);
  assert.equal(entries.length, MAX_HISTORY_ENTRIES);
  assert.ok(entries.every(({ action }) => action === 'comment'));
});

test('the instance keeps its id', () => {
  const { catalog, path } = openTestCatalog();
  const id = catalog.instanceId();
  assert.equal(catalog.instanceId(), id);
  catalog.close();
  const { catalog: again } = openTestCatalog({}, path);
  assert.equal(again.instanceId(), id);
});

test('each database has a slot of its own, and what is open in it; one that has neither stream nor slot is none', () => {
  const { catalog, path } = openTestCatalog();
  assert.deepEqual(catalog.databases(), []);
  const shop = catalog.inDatabase('shop');
  const gap = { id: 'g', reason: 'slot-lost', message: 'm', fromLsn: '0/1', toLsn: null, atMs: 1 } as const;
  shop.isArmed = true;
  shop.openGap = gap;
  change(catalog, createStream('there', { database: 'blog' }));
  assert.match(shop.slotName, /^walhook_[0-9a-f]{16}$/);
  assert.notEqual(catalog.inDatabase('blog').slotName, shop.slotName);
  catalog.close();
  const { catalog: again } = openTestCatalog({}, path);
  assert.deepEqual(again.databases(), ['blog', 'shop']);
  const [blog, same] = [again.inDatabase('blog'), again.inDatabase('shop')];
  assert.deepEqual([blog.isArmed, blog.openGap, same.isArmed, same.openGap], [false, null, true, gap]);
  assert.equal(same.slotName, shop.slotName);
  assert.deepEqual([blog.streams().map(({ name }) => name), same.streams()], [['there'], []]);
  same.isArmed = false;
  assert.deepEqual(again.databases(), ['blog']);
});

test('a gap, and a beginning anew, are of one database', () => {
  const { catalog } = openTestCatalog();
  for (const database of ['shop', 'blog']) {
    change(catalog, createStream(database, { database }));
    catalog.markArmed({ streamId: catalog.stream(database)!.id, oids: [ORDERS.oid], at: AT });
  }
  const ids = new Set(catalog.streams().map(({ id }) => id));
  const gap = { id: 'g', reason: 'slot-lost', message: 'm', fromLsn: '0/1', toLsn: null, atMs: 1 } as const;
  catalog.inDatabase('blog').announceGap(gap, ids);
  catalog.inDatabase('blog').beginAnew({ ...AT, startLsn: 9n });
  const [blog, shop] = catalog.armedStreams();
  assert.deepEqual([blog!.heldGap, blog!.startLsn, blog!.source.epoch], [gap, 9n, 1]);
  assert.deepEqual([shop!.heldGap, shop!.startLsn, shop!.source.epoch], [null, AT.startLsn, undefined]);
});

test('a catalog of the first version opens with its streams armed and its history', () => {
  const path = join(temporaryFolder(), 'catalog.db');
  const definition = exampleStream({ startLsn: 0xffff_ffff_0000_0001n });
  const db = new Database(path);
  // As the first release made it.
  db.exec(`CREATE TABLE instance (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE stream (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, definition TEXT NOT NULL) STRICT;
    CREATE TABLE history (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, stream_name TEXT NOT NULL,
      actor TEXT NOT NULL, action TEXT NOT NULL) STRICT;
    CREATE INDEX history_by_stream ON history (stream_name, id);
    INSERT INTO history (at_ms, stream_name, actor, action) VALUES (7, 'orders_cdc_stream', 'alice', 'create');
    INSERT INTO instance VALUES ('armed', 'yes');
    PRAGMA user_version = 1`);
  db.prepare('INSERT INTO stream VALUES (?, ?, ?)').run(definition.id, definition.name, encodeDefinition(definition));
  db.close();
  const { catalog } = openTestCatalog({}, path);
  assert.deepEqual(catalog.armedStreams(), [definition]);
  assert.deepEqual(catalog.stream(definition.name)!.unarmedTables, []);
  assert.deepEqual(catalog.history('stream', definition.name, 9), [
    { atMs: 7, actor: 'alice', action: 'create', detail: null },
  ]);
  const { slotName, isArmed, openGap } = catalog.inDatabase(definition.database);
  assert.deepEqual([catalog.databases(), isArmed, openGap], [[definition.database], true, null]);
  assert.equal(slotName, catalog.onlySlotName());
});

test('a catalog of one database keeps its slot; one that no stream tells of is claimed for the upstream’s', () => {
  const path = join(temporaryFolder(), 'catalog.db');
  openTestCatalog({}, path).catalog.close();
  const db = new Database(path);
  const gap = { id: 'g', reason: 'slot-lost', message: 'm', fromLsn: '0/1', toLsn: null, atMs: 1 };
  // As the third version had it.
  db.exec(`DROP TABLE captured_database; PRAGMA user_version = 3;
    INSERT OR REPLACE INTO instance VALUES ('instance_id', 'an instance'), ('armed', 'yes')`);
  db.prepare(`INSERT INTO instance VALUES ('open_gap', ?)`).run(JSON.stringify(gap));
  db.close();
  const { catalog } = openTestCatalog({}, path);
  catalog.claimUnnamed('shop');
  const shop = catalog.inDatabase('shop');
  // sha256 of the instance's id: a slot of that name is upstream.
  assert.deepEqual([catalog.databases(), shop.slotName, shop.openGap], [['shop'], 'walhook_7bc0579751774d6d', gap]);
});

test('a catalog of a newer version is refused', () => {
  const { catalog, path } = openTestCatalog();
  catalog.close();
  const db = new Database(path);
  db.pragma('user_version = 1000');
  db.close();
  assert.throws(() => openTestCatalog({}, path), /use a newer walhook/);
});

// The holder keeps what it opened: what nothing refers to is closed when memory is collected.
test('a second process is refused the data directory until the first has ended, even by kill -9', async (t) => {
  const folder = temporaryFolder();
  const module = new URL('../../src/catalog/data-directory.ts', import.meta.url).href;
  const holder = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `const { DataDirectory } = await import('${module}'); globalThis.held = DataDirectory.open('${folder}'); console.log('held'); setInterval(() => {}, 1000)`,
  ]);
  t.after(() => holder.kill('SIGKILL'));
  holder.stderr.pipe(process.stderr);
  await once(holder.stdout, 'data');
  assert.throws(
    () => DataDirectory.open(folder),
    (error: unknown) =>
      error instanceof DataDirectoryInUseError &&
      error.message.includes(folder) &&
      error.message.includes(`${holder.pid}`),
  );
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  DataDirectory.open(folder).close();
});

test('a file that cannot be written is 58030, of a change and of a staged one, and nothing has changed', () => {
  const { catalog, path } = openTestCatalog();
  const other = new Database(path);
  other.exec('BEGIN IMMEDIATE');
  const refused = { code: '58030', hint: /nothing was changed/ };
  assert.throws(() => change(catalog, createStream('s')), refused);
  assert.throws(() => catalog.stage('10', createStream('s'), 'alice'), refused);
  assert.deepEqual([catalog.streams(), catalog.stagedTransactions()], [[], []]);
  other.exec('ROLLBACK');
  other.close();
  change(catalog, createStream('s'));
  assert.equal(catalog.streams().length, 1);
});
