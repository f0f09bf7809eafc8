import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { RawClient, reportsOf, say, statusOf, tagsOf, textRowsOf, typesOf } from '../support/raw-client.ts';
import { connect, serverVersion } from '../support/test-database.ts';
import { startPair, startProxy, TEST_INFO } from './proxy.ts';

// Law: a statement that defines something is checked on the client's own session, says what is wrong where it is wrong,
// and does what it says or nothing.

const { server, direct, proxy } = await startPair();
const admin = await connect(server.url());
await admin.query(`
  create table orders (id int primary key, status text, total numeric, body text);
  create table items (id int primary key, order_id int, status text);
  create table notes (id int, body text);
  alter table notes replica identity full;
  create schema other; create table other.items (id int primary key);
  create role owner_a; create role owner_b; create role cdc_viewer; create role cdc_admin;
  create role a_viewer in role cdc_viewer; create role an_admin in role cdc_admin;
  grant select on all tables in schema public to owner_a;
  grant create on schema public to owner_a;
  create table mine (id int primary key); alter table mine owner to owner_a;
  create table hers (id int primary key); alter table hers owner to owner_b; grant select on hers to an_admin;
`);
const { streams } = proxy;

beforeEach(() => streams.clear());

const HOOK = `TO WEBHOOK 'https://example.com/hook'`;

class Session {
  readonly #client: RawClient;

  constructor(client: RawClient) {
    this.#client = client;
  }

  /** Runs them; the last may not fail. Gives its rows. */
  async run(...statements: readonly string[]): Promise<(string | null)[][]> {
    let rows: (string | null)[][] = [];
    for (const sql of statements) {
      const answer = await this.#client.query(sql);
      assert.deepEqual(reportsOf(answer), [], sql);
      rows = textRowsOf(answer);
    }
    return rows;
  }

  /** The error of a statement, as SQLSTATE, message and what else it has. */
  async fails(sql: string): Promise<Record<string, string>> {
    const [report] = reportsOf(await this.#client.query(sql));
    assert.ok(report, `${sql} does not fail`);
    return report;
  }

  async notices(sql: string): Promise<string[]> {
    const answer = await this.#client.query(sql);
    assert.deepEqual(reportsOf(answer), [], sql);
    return reportsOf(answer, 'N').map((notice) => `${notice['S']} ${notice['M']}`);
  }

  async answer(sql: string) {
    return this.#client.query(sql);
  }

  close(): void {
    this.#client.close();
  }
}

async function session(role: string | null = null, address = proxy.address): Promise<Session> {
  const client = new Session(await RawClient.start(address, {}));
  if (role !== null) await client.run(`set role ${role}`);
  return client;
}

test('a stream of several tables, each with its columns and its filter, ordered by a key of the user’s', async () => {
  const client = await session();
  await client.run(`CREATE CDC STREAM s ON orders (id, status) WHERE (total > 10), TABLE items ${HOOK}
    WHEN (NEW.status = 'paid') OPERATIONS (INSERT) KEY (status)`);
  const [request] = streams.created;
  assert.deepEqual(
    request!.tables.map(({ name, columns, where, filter }) => [name, columns, where, filter?.when?.columns.length]),
    [
      ['orders', ['id', 'status'], 'total > 10', 1],
      ['items', null, null, 1],
    ],
  );
  assert.deepEqual([request!.orderingKey, request!.when], [['status'], `NEW.status = 'paid'`]);
  assert.deepEqual(await client.run('SHOW CDC STREAM TABLES s'), [
    ['public', 'orders', 'id', 'id, status', 'total > 10'],
    ['public', 'items', 'id', null, null],
  ]);
  assert.match((await client.run('SHOW CREATE CDC STREAM s'))[0]![1]!, / KEY \(status\)$/);
  client.close();
});

const REFUSED: ReadonlyArray<[what: string, sql: string, code: string, at: string | null, hint?: RegExp]> = [
  ['a table twice', `CREATE CDC STREAM s ON items, public.items ${HOOK}`, '42710', 'public.items'],
  ['tables without a name', `CREATE CDC STREAM ON orders, items ${HOOK}`, '42601', null],
  ['a key that is no column', `CREATE CDC STREAM s ON orders ${HOOK} KEY (statu)`, '42703', 'statu', /"status"/],
  ['a key that old rows lack', `CREATE CDC STREAM s ON orders ${HOOK} KEY (status)`, '55000', 'status)', /FULL/],
  [
    'a condition over a column of one table',
    `CREATE CDC STREAM s ON orders, items ${HOOK} OPERATIONS (INSERT) WHEN (NEW.total > 1)`,
    '42703',
    'NEW.total',
  ],
  [
    'a table that does not exist',
    `CREATE CDC STREAM s ON order ${HOOK}`.replace('order ', 'orderz '),
    '42P01',
    'orderz',
    /"orders"/,
  ],
  ['a table of another schema', `CREATE CDC STREAM s ON other.item ${HOOK}`, '42P01', 'other.item', /"items"/],
  ['an endpoint that does not exist', `CREATE CDC STREAM s ON orders TO ENDPOINT biling`, '42704', null, /"billing"/],
  [
    'a secret that does not exist',
    `CREATE CDC ENDPOINT e AS 'https://h' WITH (request_timeout = '1s', "header.X-A" = SECRET s)`,
    '22023',
    'SECRET s',
  ],
  ['ALTER of nothing', 'ALTER CDC STREAM order_stream PAUSE', '42704', null, /"orders_stream"/],
  [
    'a table that is no part',
    'ALTER CDC STREAM orders_stream DROP TABLE items',
    '42704',
    'items',
    /SHOW CDC STREAM TABLES/,
  ],
  ['the last table', 'ALTER CDC STREAM orders_stream DROP TABLE orders', '55000', null, /DROP CDC STREAM/],
  ['a table that is there', 'ALTER CDC STREAM orders_stream ADD TABLE orders', '42710', null],
  [
    'a condition with a mistake',
    `ALTER CDC STREAM orders_stream SET WHEN (NEW.statuz = 'x')`,
    '42703',
    'NEW.statuz',
    /"status"/,
  ],
  ['the endpoint’s name taken', 'ALTER CDC ENDPOINT billing RENAME TO audit', '42710', null],
  ['an endpoint in use', 'DROP CDC ENDPOINT billing', '2BP01', null],
  [
    'an option of streams',
    `CREATE CDC ENDPOINT e AS 'https://h' WITH (batch_max_events = 1)`,
    '42601',
    'batch_max_events',
  ],
  ['a role that does not exist', 'ALTER CDC ENDPOINT billing OWNER TO nobody', '42704', null],
  ['no such endpoint to show', 'SHOW CREATE CDC ENDPOINT bill', '42704', null, /SHOW CDC ENDPOINTS/],
  ['no history', 'SHOW CDC STREAM HISTORY nothing', '42704', null],
];
for (const [what, sql, code, at, hint] of REFUSED) {
  test(`refused, and nothing changed: ${what}`, async () => {
    const client = await session();
    await client.run(
      `CREATE CDC ENDPOINT billing AS 'https://billing.example.com/'; CREATE CDC ENDPOINT audit AS 'https://audit.example.com/'`,
      `CREATE CDC STREAM orders_stream ON orders TO ENDPOINT billing`,
    );
    const before = await client.run('SHOW CREATE CDC STREAM orders_stream');
    const error = await client.fails(sql);
    assert.equal(error['C'], code, JSON.stringify(error));
    if (at !== null) assert.equal(sql.slice(Number(error['P']) - 1).startsWith(at), true, `${error['P']} of ${sql}`);
    if (hint) assert.match(error['H'] ?? '', hint);
    assert.deepEqual(await client.run('SHOW CREATE CDC STREAM orders_stream'), before);
    assert.deepEqual(
      (await client.run('SHOW CDC ENDPOINTS')).map(([name]) => name),
      ['audit', 'billing'],
    );
    client.close();
  });
}

test('tables come and go; the stream’s clauses hold for those that come', async () => {
  const client = await session();
  await client.run(
    `CREATE CDC STREAM s ON orders ${HOOK} OPERATIONS (INSERT) WHEN (NEW.status = 'paid')`,
    `ALTER CDC STREAM s ADD TABLE items WHERE (order_id > 0)`,
  );
  assert.deepEqual(
    (await client.run('SHOW CDC STREAM TABLES s')).map((row) => [row[1], row[4]]),
    [
      ['orders', null],
      ['items', 'order_id > 0'],
    ],
  );
  const error = await client.fails('ALTER CDC STREAM s ADD TABLE other.items');
  assert.deepEqual([error['C'], error['P'], /clauses of the stream/.test(error['D']!)], ['42703', undefined, true]);
  await client.run('ALTER CDC STREAM s DROP TABLE orders');
  assert.deepEqual(
    (await client.run('SHOW CDC STREAM TABLES s')).map((row) => row[1]),
    ['items'],
  );
  client.close();
});

test('a table that is gone upstream can be taken out of the stream', async () => {
  const client = await session();
  await client.run(
    'create table fleeting (id int primary key)',
    `CREATE CDC STREAM s ON orders, fleeting ${HOOK}`,
    'drop table fleeting',
    'ALTER CDC STREAM s DROP TABLE fleeting',
  );
  assert.deepEqual(
    (await client.run('SHOW CDC STREAM TABLES s')).map((row) => row[1]),
    ['orders'],
  );
  client.close();
});

test('destination, condition, format and envelope are changed, and what it was before is gone', async () => {
  const client = await session();
  await client.run(
    `CREATE CDC ENDPOINT e AS 'https://billing.example.com/'`,
    `CREATE CDC STREAM s ON notes ${HOOK} WHEN (NEW.body = 'x')`,
    'ALTER CDC STREAM s SET TO ENDPOINT e',
    `ALTER CDC STREAM s SET WHEN (OLD.body IS DISTINCT FROM NEW.body)`,
    'ALTER CDC STREAM s SET FORMAT JSON',
    'ALTER CDC STREAM s SET ENVELOPE NATIVE',
  );
  const definition = streams.definition('s', null);
  assert.deepEqual(definition.destination, { kind: 'endpoint', name: 'e' });
  assert.equal(definition.when, 'OLD.body IS DISTINCT FROM NEW.body');
  assert.deepEqual(definition.tables[0]!.filter!.when!.columns.map(({ image }) => image).sort(), ['new', 'old']);
  client.close();
});

test('a source that grows: for administrators, with what cannot be captured left out by name', async () => {
  const [client, owner] = [await session(), await session('owner_a')];
  await admin.query('create schema grows; create table grows.a (id int primary key); create table grows.b (id int)');
  assert.deepEqual(await client.notices(`CREATE CDC STREAM s ON TABLES IN SCHEMA grows, other ${HOOK}`), [
    'WARNING table grows.b has no replica identity and is left out',
  ]);
  assert.deepEqual(
    (await client.run('SHOW CDC STREAM TABLES s')).map((row) => row.slice(0, 3)),
    [
      ['grows', 'a', 'id'],
      ['other', 'items', 'id'],
    ],
  );
  assert.match((await client.run('SHOW CREATE CDC STREAM s'))[0]![1]!, / ON TABLES IN SCHEMA grows, other TO /);
  assert.equal((await client.run('SHOW CDC STREAMS'))[0]![1], 'TABLES IN SCHEMA grows, other');
  await client.run(`CREATE CDC STREAM everything ON ALL TABLES ${HOOK}`);
  const all = (await client.run('SHOW CDC STREAM TABLES everything')).map((row) => `${row[0]}.${row[1]}`);
  assert.deepEqual(all, [
    'grows.a',
    'other.items',
    'public.hers',
    'public.items',
    'public.mine',
    'public.notes',
    'public.orders',
  ]);
  assert.equal((await owner.fails(`CREATE CDC STREAM t ON ALL TABLES ${HOOK}`))['C'], '42501');
  const missing = await client.fails(`CREATE CDC STREAM t ON TABLES IN SCHEMA public, grow ${HOOK}`);
  assert.deepEqual([missing['C'], missing['P'], missing['H']], ['3F000', '49', 'did you mean "grows"?']);
  assert.equal((await client.fails(`CREATE CDC STREAM t ON TABLES IN SCHEMA pg_catalog ${HOOK}`))['C'], '42809');
  for (const clause of ['WHEN (NEW.a)', 'KEY (id)', 'OPERATIONS (UPDATE OF id)']) {
    assert.equal((await client.fails(`CREATE CDC STREAM t ON ALL TABLES ${HOOK} ${clause}`))['C'], '0A000', clause);
  }
  assert.equal((await client.fails('ALTER CDC STREAM s ADD TABLE orders'))['C'], '55000');
  client.close();
  owner.close();
});

test('an endpoint: made, shown, altered, renamed under its streams, replaced, dropped', async () => {
  const client = await session();
  assert.deepEqual(
    tagsOf(
      await client.answer(`CREATE CDC ENDPOINT e AS 'https://example.com/in?key=v' WITH (request_timeout = '5s')`),
    ),
    ['CREATE CDC ENDPOINT'],
  );
  await client.run(
    'CREATE CDC STREAM s ON orders TO ENDPOINT e',
    `ALTER CDC ENDPOINT e SET (connect_timeout = DEFAULT)`.replace('= DEFAULT', `= '5s'`),
    `ALTER CDC ENDPOINT e RESET (connect_timeout)`,
    `ALTER CDC ENDPOINT e SET ("header.X-Token" = 'planted')`,
    'ALTER CDC ENDPOINT e RENAME TO billing',
  );
  const [row] = await client.run('SHOW CDC ENDPOINTS');
  assert.deepEqual(row, [
    'billing',
    'https://example.com/in?key=***',
    `request_timeout = '5s', headers = '{"X-Token":"***"}'`,
    'stream s',
    '2026-01-05 10:00:00.123+00',
    'postgres',
  ]);
  const shown = await client.answer('SHOW CREATE CDC ENDPOINT billing');
  assert.match(
    textRowsOf(shown)[0]![1]!,
    /^CREATE CDC ENDPOINT billing AS 'https:\/\/example.com\/in\?key=\*\*\*' WITH/,
  );
  assert.equal(reportsOf(shown, 'N').length, 1);
  assert.match((await client.run('SHOW CREATE CDC STREAM s'))[0]![1]!, /TO ENDPOINT billing/);
  const options = new Map((await client.run('SHOW CDC STREAM OPTIONS s')).map(([name, ...rest]) => [name, rest]));
  assert.deepEqual(options.get('request_timeout')!.slice(0, 2), ['5s', 'endpoint']);
  assert.deepEqual(options.get('batch_max_events')!.slice(0, 2), ['1', 'default']);
  await client.run(
    `CREATE OR REPLACE CDC ENDPOINT billing AS 'https://example.com/v2'`,
    `ALTER CDC ENDPOINT billing AS 'https://example.com/v3' WITH (request_timeout = '1s')`,
  );
  assert.deepEqual(
    (await client.run('SHOW CREATE CDC ENDPOINT billing'))[0]![1],
    `CREATE CDC ENDPOINT billing AS 'https://example.com/v3' WITH (request_timeout = '1s')`,
  );
  assert.deepEqual(await client.notices(`CREATE CDC ENDPOINT IF NOT EXISTS billing AS 'https://example.com/'`), [
    'NOTICE CDC endpoint "billing" already exists, skipping',
  ]);
  await client.run('DROP CDC STREAM s', 'DROP CDC ENDPOINT billing, billing');
  assert.deepEqual(await client.run('SHOW CDC ENDPOINTS'), []);
  client.close();
});

test('a secret: its value is told nobody, not even who made it', async () => {
  const client = await session();
  await client.run(
    `CREATE CDC SECRET k AS 'planted-value'`,
    `CREATE CDC SECRET e FROM ENV 'SIGNING_KEY'`,
    `ALTER CDC SECRET k AS 'planted-value-2' KEEP OLD FOR '1h'`,
  );
  const rows = await client.run('SHOW CDC SECRETS');
  assert.deepEqual(
    rows.map((row) => row.slice(0, 5)),
    [
      ['e', 'env', 'SIGNING_KEY', '1', null],
      ['k', 'value', null, '2', null],
    ],
  );
  assert.doesNotMatch(JSON.stringify(rows), /planted/);
  await client.run('DROP CDC SECRET k, e');
  assert.equal((await client.fails('DROP CDC SECRET k'))['C'], '42704');
  client.close();
});

test('what a transaction has staged it sees itself, and nobody else does', async () => {
  const [client, other] = [await session(), await session()];
  await client.run(
    'begin',
    `CREATE CDC ENDPOINT e AS 'https://h/'`,
    `CREATE CDC SECRET k AS 'v'`,
    'CREATE CDC STREAM s ON orders TO ENDPOINT e',
  );
  const listed = async (one: Session) => [
    (await one.run('SHOW CDC STREAMS')).map(([name]) => name),
    (await one.run('SHOW CDC ENDPOINTS')).map(([name, , , usedBy]) => [name, usedBy]),
    (await one.run('SHOW CDC SECRETS')).map(([name]) => name),
  ];
  assert.deepEqual(await listed(client), [['s'], [['e', 'stream s']], ['k']]);
  assert.equal((await client.run('SHOW CREATE CDC STREAM s')).length, 1);
  assert.deepEqual(await listed(other), [[], [], []]);
  await client.run('savepoint x', 'DROP CDC STREAM s', 'rollback to x');
  assert.deepEqual((await listed(client))[0], ['s']);
  await client.run('rollback');
  assert.deepEqual(await listed(client), [[], [], []]);
  client.close();
  other.close();
});

test('EXPLAIN says what CREATE would do, and does nothing', async () => {
  const client = await session();
  await client.run(`CREATE CDC STREAM first ON orders ${HOOK}`);
  const plan = (
    await client.run(`EXPLAIN CREATE CDC STREAM s ON orders (id, status) WHERE (id > 1), notes
    TO WEBHOOK 'http://example.com/?token=planted' OPERATIONS (INSERT, UPDATE OF id, DELETE)`)
  ).map(([line]) => line);
  assert.deepEqual(plan, [
    'Create CDC Stream s',
    '  Destination: webhook http://example.com/?token=***',
    '  Payload: json, native',
    '  Table public.orders',
    '    Operations: INSERT, UPDATE OF id, DELETE',
    '    Columns: id, status',
    '    Row Filter: (id > 1)',
    '    Order: per id, up to 16 requests at a time',
    '    Before: the replica identity alone: id',
    '    Publication: published already in walhook',
    '  Table public.notes',
    '    Operations: INSERT, UPDATE OF id, DELETE',
    '    Order: one request after another: the table has no key',
    '    Before: the whole old row',
    '    Publication: ALTER PUBLICATION walhook ADD TABLE public.notes',
    '  Capture: running already',
    '  Risks:',
    '    - public.orders: large values that an UPDATE leaves alone are not sent; events list them in unchanged_toast.',
    '    - public.notes is REPLICA IDENTITY FULL: each UPDATE and DELETE writes its whole old row to the WAL.',
    '    - public.notes has no primary key: an event that fails holds up all that come after it.',
    '    - The URL is plain http: what is sent can be read on the way.',
    '    - Without signing_secret a receiver cannot tell who sends to it.',
  ]);
  assert.deepEqual(streams.names, ['first']);
  assert.equal((await client.fails(`EXPLAIN CREATE CDC STREAM first ON orders ${HOOK}`))['C'], '42710');
  assert.equal((await client.fails(`EXPLAIN CREATE CDC STREAM s ON orders ${HOOK} WHEN (NEW.x)`))['C'], '42703');
  client.close();
});

test('PAUSE and RESUME of all are of what the client may change; the others are named', async () => {
  const [client, owner] = [await session(), await session('owner_a')];
  await client.run(`CREATE CDC STREAM a ON orders ${HOOK}; CREATE CDC STREAM b ON items ${HOOK}`);
  await owner.run(`CREATE CDC STREAM c ON mine ${HOOK}`);
  assert.deepEqual(await owner.notices('ALTER CDC STREAM ALL PAUSE'), [
    'WARNING permission denied for CDC stream a, skipping it',
    'WARNING permission denied for CDC stream b, skipping it',
  ]);
  assert.equal(streams.state, 'a running, b running, c paused');
  await client.run('PAUSE CDC STREAM ALL');
  assert.equal(streams.state, 'a paused, b paused, c paused');
  await client.run('ALTER CDC STREAM ALL RESUME');
  assert.equal(streams.state, 'a running, b running, c running');
  assert.equal((await client.fails('begin; ALTER CDC STREAM ALL PAUSE'))['C'], '25001');
  client.close();
  owner.close();
});

// Who may do what: the owner and administrators everything, viewers see, others nothing.
const DENIED = '42501';
const RIGHTS: ReadonlyArray<[sql: string, allowed: ReadonlyArray<'owner_a' | 'owner_b' | 'a_viewer' | 'an_admin'>]> = [
  ['ALTER CDC STREAM s SET (max_in_flight = 2)', ['owner_a', 'an_admin']],
  ['ALTER CDC STREAM s PAUSE', ['owner_a', 'an_admin']],
  [`COMMENT ON CDC STREAM s IS 'x'`, ['owner_a', 'an_admin']],
  ['DROP CDC STREAM s', ['owner_a', 'an_admin']],
  [`ALTER CDC ENDPOINT e AS 'https://elsewhere.example.com/'`, ['owner_a', 'an_admin']],
  ['DROP CDC ENDPOINT free', ['owner_a', 'an_admin']],
  [`CREATE OR REPLACE CDC ENDPOINT e AS 'https://elsewhere.example.com/'`, ['owner_a', 'an_admin']],
  [`ALTER CDC SECRET k AS 'other'`, ['owner_a', 'an_admin']],
  ['DROP CDC SECRET k', ['owner_a', 'an_admin']],
  // Whoever sends a secret somewhere can read it there.
  [`CREATE CDC ENDPOINT n AS 'https://h/' WITH (bearer_token = SECRET k)`, ['owner_a', 'an_admin']],
  ['ALTER CDC ENDPOINT free SET (signing_secret = SECRET k)', ['owner_a', 'an_admin']],
  [`CREATE CDC STREAM n ON hers TO WEBHOOK 'https://h/' WITH (bearer_token = SECRET k)`, ['an_admin']],
  [`CREATE CDC STREAM n ON hers TO WEBHOOK 'https://h/'`, ['owner_b', 'an_admin']],
  ['ALTER CDC STREAM s ADD TABLE hers', ['an_admin']],
  [`CREATE CDC SECRET n AS 'v'`, ['owner_a', 'owner_b', 'a_viewer', 'an_admin']],
  [`CREATE CDC SECRET n FROM ENV 'HOME'`, ['an_admin']],
  [`CREATE CDC SECRET n FROM FILE '/etc/passwd'`, ['an_admin']],
  [`CREATE CDC ENDPOINT n AS 'https://h/'`, ['owner_a', 'owner_b', 'a_viewer', 'an_admin']],
  ['SHOW CDC STREAM STATUS s', ['owner_a', 'a_viewer', 'an_admin']],
  ['SHOW CDC STREAM TABLES s', ['owner_a', 'a_viewer', 'an_admin']],
  ['SHOW CDC STREAM OPTIONS s', ['owner_a', 'a_viewer', 'an_admin']],
  ['SHOW CDC STREAM HISTORY s', ['owner_a', 'a_viewer', 'an_admin']],
  ['SHOW CREATE CDC STREAM s', ['owner_a', 'a_viewer', 'an_admin']],
  ['SHOW CREATE CDC ENDPOINT e', ['owner_a', 'a_viewer', 'an_admin']],
  ['SHOW CDC VERSION', ['owner_a', 'owner_b', 'a_viewer', 'an_admin']],
];
for (const [sql, allowed] of RIGHTS) {
  test(`${sql}: ${allowed.join(', ')}`, async () => {
    for (const role of ['owner_a', 'owner_b', 'a_viewer', 'an_admin'] as const) {
      streams.clear();
      const owner = await session('owner_a');
      await owner.run(
        `CREATE CDC ENDPOINT e AS 'https://h/'; CREATE CDC ENDPOINT free AS 'https://h/'; CREATE CDC SECRET k AS 'v'`,
        'CREATE CDC STREAM s ON mine TO ENDPOINT e',
      );
      owner.close();
      const client = await session(role);
      const [report] = reportsOf(await client.answer(sql));
      assert.equal(report?.['C'] ?? 'ok', allowed.includes(role) ? 'ok' : DENIED, `${role}: ${report?.['M']}`);
      client.close();
    }
  });
}

test('a member of the owning role may do what the owner may', async () => {
  await admin.query('create role member login; grant owner_a to member');
  const [owner, member] = [await session('owner_a'), await session('member')];
  await owner.run(`CREATE CDC STREAM s ON mine ${HOOK}`);
  await member.run('ALTER CDC STREAM s PAUSE', 'DROP CDC STREAM s');
  owner.close();
  member.close();
});

test('OWNER TO takes a role that the client can become', async () => {
  const isNew = (await serverVersion(admin)) >= 160_000;
  await admin.query('create role team; create role plain login');
  await admin.query(`grant team to owner_a ${isNew ? 'with set false' : ''}`);
  const owner = await session('owner_a');
  await owner.run(`CREATE CDC STREAM s ON mine ${HOOK}`);
  if (isNew) {
    assert.equal((await owner.fails('ALTER CDC STREAM s OWNER TO team'))['C'], DENIED);
    await admin.query('grant team to owner_a with set true');
  }
  assert.equal((await owner.fails('ALTER CDC STREAM s OWNER TO plain'))['C'], DENIED);
  await owner.run('ALTER CDC STREAM s OWNER TO team');
  owner.close();
});

test('a secret that was a literal is not shown, SHOW CREATE says so, and what it shows makes no secret of its own', async () => {
  const client = await session();
  const made = `CREATE CDC STREAM s ON orders ${HOOK} WITH (bearer_token = 'planted')`;
  await client.run(made, `CREATE CDC ENDPOINT e AS 'https://h/' WITH (signing_secret = 'planted')`);
  for (const object of ['STREAM s', 'ENDPOINT e']) {
    const shown = await client.answer(`SHOW CREATE CDC ${object}`);
    const text = textRowsOf(shown)[0]![1]!;
    assert.match(text, /= '\*\*\*'/);
    assert.match(reportsOf(shown, 'N')[0]!['M']!, /shown as \*\*\*/);
    const [refused] = reportsOf(await client.answer(text.replace('CREATE', 'CREATE OR REPLACE')));
    assert.deepEqual([refused!['C'], refused!['M']], ['22023', '"***" stands for a secret that is not shown']);
  }
  const [refused] = reportsOf(await client.answer(`CREATE CDC SECRET n AS '***'`));
  assert.equal(refused!['C'], '22023');
  client.close();
});

test('lists have what the client may see', async () => {
  const owner = await session('owner_a');
  await owner.run(
    `CREATE CDC ENDPOINT e AS 'https://h/'; CREATE CDC SECRET k AS 'v'`,
    'CREATE CDC STREAM s ON mine TO ENDPOINT e',
  );
  for (const [role, count] of [
    ['owner_a', 1],
    ['owner_b', 0],
    ['a_viewer', 1],
    ['an_admin', 1],
    ['postgres', 1],
  ] as const) {
    const client = await session(role);
    for (const list of ['STREAMS', 'ENDPOINTS', 'SECRETS']) {
      assert.equal((await client.run(`SHOW CDC ${list}`)).length, count, `${list} of ${role}`);
    }
    client.close();
  }
  owner.close();
});

test('where endpoints are required, a URL in a statement is refused, and administrators alone define endpoints', async () => {
  const strict = await startProxy(direct, { info: { ...TEST_INFO, requireEndpoint: true } });
  const [client, owner] = [await session(null, strict.address), await session('owner_a', strict.address)];
  await client.run(`CREATE CDC ENDPOINT e AS 'https://h/'`);
  for (const sql of [`CREATE CDC STREAM s ON mine ${HOOK}`, `EXPLAIN CREATE CDC STREAM s ON mine ${HOOK}`]) {
    const error = await client.fails(sql);
    assert.deepEqual([error['C'], /SHOW CDC ENDPOINTS/.test(error['H']!)], [DENIED, true]);
  }
  assert.equal((await owner.fails(`CREATE CDC ENDPOINT mine AS 'https://h/'`))['C'], DENIED);
  await owner.run('CREATE CDC STREAM s ON mine TO ENDPOINT e');
  assert.equal((await owner.fails(`ALTER CDC STREAM s SET ${HOOK}`))['C'], DENIED);
  client.close();
  owner.close();
});

test('SHOW CDC SETTINGS and VERSION', async () => {
  const client = await session();
  assert.deepEqual(await client.run('SHOW CDC SETTINGS'), [
    ['listen', '127.0.0.1:0', 'flag', 'Where it listens.', 'f', 'f'],
  ]);
  assert.deepEqual(await client.run('SHOW CDC VERSION'), [['walhook 1.2.3']]);
  client.close();
});

test('Describe tells the columns of each before it runs, and Execute has as many', async () => {
  const client = await RawClient.start(proxy.address, {});
  await client.query(`CREATE CDC ENDPOINT e AS 'https://h/'; CREATE CDC STREAM s ON orders TO ENDPOINT e`);
  for (const sql of [
    'SHOW CDC STREAMS',
    'SHOW CDC STREAM TABLES s',
    'SHOW CDC STREAM OPTIONS s',
    'SHOW CDC STREAM HISTORY s',
    'SHOW CREATE CDC ENDPOINT e',
    'SHOW CDC ENDPOINTS',
    'SHOW CDC SECRETS',
    'SHOW CDC SETTINGS',
    'SHOW CDC VERSION',
    `EXPLAIN CREATE CDC STREAM t ON orders ${HOOK}`,
  ]) {
    client.send(
      say.parse('', sql),
      say.describe('statement', ''),
      say.bind('', '', [], { resultFormats: [1] }),
      say.execute(''),
      say.sync(),
    );
    const answer = await client.ready();
    assert.match(typesOf(answer), /^1tT2D*CZ$/, sql);
    const columns = answer[2]!.body.readInt16BE(0);
    for (const { type, body } of answer) if (type === 'D') assert.equal(body.readInt16BE(0), columns, sql);
    assert.equal(statusOf(answer), 'I');
  }
  client.close();
});
