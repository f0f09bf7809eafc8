import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

// TRANSFORM from the statement to the receiver, and what becomes of those that fail.

const receiver = await WebhookReceiver.start();
after(() => receiver.stop());
const server = await startPostgres();
const dataDir = join(temporaryFolder(), 'data');
const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start();
const client = await connect(walhook.sqlUrl());
await client.query(
  'CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(10,2), note text, tags text[], placed timestamptz)',
);

const bodies = (path: string): string[] =>
  receiver.requests.filter((request) => request.path === path).map(({ body }) => body.toString('utf8'));

async function arrived(path: string, count: number): Promise<readonly string[]> {
  await waitFor(`${count} requests at ${path}`, () => bodies(path).length >= count);
  return bodies(path);
}

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly position?: string;
}

async function refusal(sql: string): Promise<Refusal> {
  try {
    await client.query(sql);
  } catch (error) {
    return error as Refusal;
  }
  throw new Error(`not refused: ${sql}`);
}

test('JSONPATH sends what it selects; TEMPLATE what it writes; both keep every digit', async () => {
  await client.query(`CREATE CDC STREAM rows ON orders TO WEBHOOK '${receiver.url('/rows')}'
    TRANSFORM JSONPATH '$.after' WITH (numbers = number)`);
  await client.query(`CREATE CDC STREAM chat ON orders TO WEBHOOK '${receiver.url('/chat')}' OPERATIONS (INSERT)
    TRANSFORM TEMPLATE $t$
      {"text": {{ ("order " ~ key.id ~ ": " ~ after.note) | tojson }}}$t$`);
  await client.query(`CREATE CDC STREAM batch ON orders TO WEBHOOK '${receiver.url('/batch')}'
    ENVELOPE DEBEZIUM TRANSFORM JSONPATH '$.op' WITH (batch_max_events = 10)`);
  await client.query(`INSERT INTO orders VALUES (9007199254740993, 12.30, 'say "hi"', '{a,b}')`);
  assert.deepEqual(await arrived('/rows', 1), [
    String.raw`{"id":9007199254740993,"total":12.30,"note":"say \"hi\"","tags":["a","b"],"placed":null}`,
  ]);
  assert.deepEqual(
    (await arrived('/chat', 1)).map((body) => JSON.parse(body) as unknown),
    [{ text: 'order 9007199254740993: say "hi"' }],
  );
  assert.deepEqual(await arrived('/batch', 1), ['["c"]']);
  const { rows } = await client.query<{ create_statement: string }>('SHOW CREATE CDC STREAM rows');
  assert.match(rows[0]!.create_statement, /TRANSFORM JSONPATH '\$\.after'/);
  await client.query('DROP CDC STREAM rows, chat, batch');
});

interface Peeked {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

test('a transform is changed while the stream runs, and PEEK shows what it makes', async () => {
  await client.query(`CREATE CDC STREAM changing ON orders TO WEBHOOK '${receiver.url('/changing')}'
    TRANSFORM JSONPATH '$.key.id'`);
  await client.query(`INSERT INTO orders VALUES (1, 1, 'x')`);
  assert.deepEqual(await arrived('/changing', 1), ['"1"']);
  await client.query('ALTER CDC STREAM changing PAUSE');
  await client.query(`ALTER CDC STREAM changing SET TRANSFORM TEMPLATE '{"n": {{ key.id }} }'`);
  await client.query(`INSERT INTO orders VALUES (2, 1, 'x')`);
  await waitFor('the event is there to be seen', async () => {
    const { rows } = await client.query<Peeked>('PEEK CDC STREAM changing');
    if (rows.length !== 1 || rows[0]!.body !== '{"n": 2 }') return false;
    // Of what it makes, and not of what it is given.
    assert.equal(rows[0]!.headers['Content-Length'], '9');
    return true;
  });
  await client.query('ALTER CDC STREAM changing RESUME');
  assert.deepEqual(await arrived('/changing', 2), ['"1"', '{"n": 2 }']);
  await client.query('DROP CDC STREAM changing');
});

test('mistakes are refused at CREATE and ALTER, where they stand', async () => {
  const create = (transform: string) =>
    `CREATE CDC STREAM s ON orders TO WEBHOOK 'http://127.0.0.1:9/' TRANSFORM ${transform}`;
  const cases: readonly (readonly [transform: string, code: string, message: RegExp, detail?: RegExp])[] = [
    [`JSONPATH 'after'`, '42601', /^syntax error in the JSONPath: expected '\$'/],
    [`JSONPATH '$.a['`, '42601', /^syntax error in the JSONPath/],
    [`TEMPLATE '{{ after.id'`, '42601', /^syntax error in the template/],
    [`TEMPLATE '{% for x in y %}'`, '42601', /^syntax error in the template/],
    [`TEMPLATE '{{ nope() }}'`, '22023', /^the template fails/, /not a function/],
    [`TEMPLATE '{{ after.note }}'`, '22023', /^the template fails/, /not written JSON/],
    [
      `TEMPLATE '{% for i in range(100000000) %}{% for j in range(100000000) %}{% endfor %}{% endfor %}'`,
      '22023',
      /^the template fails/,
      /takes longer|memory/,
    ],
  ];
  for (const [transform, code, message, detail] of cases) {
    const sql = create(transform);
    const refused = await refusal(sql);
    assert.equal(refused.code, code, transform);
    assert.match(refused.message, message);
    assert.equal(Number(refused.position), sql.indexOf(`'`, sql.indexOf('TRANSFORM')) + 1, transform);
    if (detail !== undefined) assert.match(refused.detail ?? '', detail);
  }
  await client.query(`CREATE CDC STREAM s ON orders TO WEBHOOK 'http://127.0.0.1:9/'`);
  assert.equal((await refusal(`ALTER CDC STREAM s SET TRANSFORM JSONPATH '$['`)).code, '42601');
  assert.equal((await refusal(`EXPLAIN ${create("JSONPATH 'x'").replace(' s ', ' s2 ')}`)).code, '42601');
  await client.query('DROP CDC STREAM s');
});

test('a template that fails on a row, or loops for ever, is rejected with its reason; other streams go on', async () => {
  await client.query(`CREATE CDC STREAM loops ON orders TO WEBHOOK '${receiver.url('/loops')}' TRANSFORM TEMPLATE
    '{% if after.note == "loop" %}{% for i in range(100000000) %}{% for j in range(100000000) %}{% endfor %}{% endfor %}{% endif %}{% if after.note == "bad" %}no JSON{% else %}{"id": {{ key.id }} }{% endif %}'`);
  await client.query(
    `CREATE CDC STREAM calm ON orders TO WEBHOOK '${receiver.url('/calm')}' TRANSFORM JSONPATH '$.key.id'`,
  );
  await client.query(`INSERT INTO orders VALUES (10, 1, 'bad'), (11, 1, 'loop'), (12, 1, 'fine')`);
  assert.deepEqual([...(await arrived('/calm', 3))].sort(), ['"10"', '"11"', '"12"']);
  assert.deepEqual(await arrived('/loops', 1), ['{"id": 12 }']);
  const reasons = async (): Promise<string> => {
    const { rows } = await client.query<{ error: string | null }>('SHOW CDC DELIVERIES FOR loops');
    return rows.map(({ error }) => error ?? '').join('\n');
  };
  await waitFor('both have failed', async () => {
    const said = await reasons();
    return /the template has not written JSON/.test(said) && /takes longer than/.test(said);
  });
  assert.doesNotMatch(await reasons(), /no JSON[^ ]/, 'nothing of a row');
  await client.query('DROP CDC STREAM loops, calm');
});
