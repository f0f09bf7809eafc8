import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AUTHORITY, CLIENT, OTHER_CLIENT } from '../support/certificates.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import { createTopics, startMockBrokers, TopicReader } from '../support/mock-brokers.ts';
import { startKafkaStage } from '../support/kafka-stage.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { waitFor } from '../support/wait-for.ts';

// The law: with FORMAT AVRO every committed change is in its topic with the id of a schema by which another implementation reads
// it, whatever happens to the table and to the registry meanwhile; what no registry takes is dead-lettered with the reason.

const brokers = await startMockBrokers();
await createTopics(brokers, [
  'typed',
  'public.one',
  'public.two',
  'evolving',
  'waiting',
  'kept',
  'unwritable',
  'secret',
  'certified',
  'renewed',
  'native',
  'debezium',
  'flat',
]);
const { walhook, sql } = await startKafkaStage();

interface AvroMessage {
  readonly op: string;
  readonly key: Record<string, unknown> | null;
  readonly value: Record<string, unknown> | null;
  readonly ids: readonly [key: number | null, value: number | null];
  readonly subjects: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
}

/** Reads so many messages, and checks that each says which schema it has. */
async function read(registry: FakeRegistry, topics: readonly string[], count: number): Promise<readonly AvroMessage[]> {
  const reader = await TopicReader.open(brokers, topics);
  return (await reader.read(count)).map(({ bytes, headers }) => {
    const key = bytes.key === null ? null : registry.read(bytes.key);
    const value = bytes.payload === null ? null : registry.read(bytes.payload);
    return {
      op: headers.op!,
      key: (key?.value ?? null) as AvroMessage['key'],
      value: (value?.value ?? null) as AvroMessage['value'],
      ids: [key?.id ?? null, value?.id ?? null],
      subjects: [...(key?.subjects ?? []), ...(value?.subjects ?? [])],
      headers,
    };
  });
}

function create(table: string, to: string, registry: FakeRegistry, clauses = '', options = ''): string {
  return `CREATE CDC STREAM ${table}_stream ON ${table} TO KAFKA '${brokers}' ${to} FORMAT AVRO ${clauses}
    WITH (schema_registry_url = '${registry.url}', initial_backoff = '50ms', max_backoff = '200ms'${options})`;
}

for (const envelope of ['native', 'debezium', 'flat']) {
  test(`the life of a row with ENVELOPE ${envelope.toUpperCase()}`, async () => {
    const registry = await FakeRegistry.start();
    await sql(
      `CREATE TABLE ${envelope} (id bigint PRIMARY KEY, note text)`,
      create(envelope, `TOPIC '${envelope}'`, registry, `ENVELOPE ${envelope}`),
      `INSERT INTO ${envelope} VALUES (1, 'ä'), (9007199254740993, NULL)`,
      `UPDATE ${envelope} SET id = 2 WHERE id = 1`,
      `DELETE FROM ${envelope} WHERE id = 2`,
    );
    const messages = await read(registry, [envelope], envelope === 'native' ? 4 : 7);
    const ops = (id: bigint) =>
      messages.filter(({ key }) => key!.id === id).map(({ op, value }) => (value === null ? 'tombstone' : op));
    assert.deepEqual(ops(9_007_199_254_740_993n), ['insert']);
    if (envelope === 'native') {
      assert.deepEqual(ops(1n), ['insert']);
      assert.deepEqual(ops(2n), ['update', 'delete']);
    } else {
      assert.deepEqual(ops(1n), ['insert', 'delete', 'tombstone']);
      assert.deepEqual(ops(2n), ['insert', 'delete', 'tombstone']);
    }
    assert.deepEqual([...registry.subjects.keys()].toSorted(), [`${envelope}-key`, `${envelope}-value`]);
    const first = messages.find(({ key }) => key!.id === 1n)!;
    const row = envelope === 'flat' ? first.value : (first.value!.after as Record<string, unknown>);
    assert.deepEqual([row!.id, row!.note], [1n, 'ä']);
    // Registered once each, whatever there is of them.
    assert.equal(registry.requests.filter(({ method }) => method === 'POST').length, 2);
  });
}

test('what PostgreSQL prints of every type is what is read', async () => {
  const registry = await FakeRegistry.start();
  await sql(
    `CREATE TYPE mood AS ENUM ('fine')`,
    `CREATE TABLE typed (id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(10, 3), any_n numeric,
       d date, t time, ts timestamp, tz timestamptz, iv interval, u uuid, j jsonb, by bytea, l int[], tx text[], m mood,
       ip inet, r int4range, bi bit(3), mo money)`,
    create('typed', `TOPIC 'typed'`, registry, 'ENVELOPE FLAT'),
    `INSERT INTO typed VALUES (1, true, -5, 9223372036854775807, 1.25, 'NaN', -12345.678, 1e30, '2026-01-05', '10:00:00.5',
       '2026-01-05 10:00:00.123456', '2026-01-05 12:00:00+02', '1 day', '019c4ab1-473b-783c-af83-b22a9aa26cff', '{"a": [1]}',
       '\\x00ff', '{1,NULL}', '{a,"b\\"c"}', 'fine', '10.0.0.1', '[1,3)', '101', '12.50')`,
    `INSERT INTO typed (id) VALUES (2)`,
  );
  const messages = await read(registry, ['typed'], 2);
  const one = messages.find(({ key }) => key!.id === 1)!.value!;
  const { _sm_version, ...row } = one;
  assert.equal(typeof _sm_version, 'bigint');
  assert.deepEqual(row, {
    id: 1,
    b: true,
    i2: -5,
    i8: 2n ** 63n - 1n,
    f4: 1.25,
    f8: NaN,
    n: Buffer.from([0xff, 0x43, 0x9e, 0xb2]),
    any_n: '1000000000000000000000000000000',
    d: 20_458,
    t: 36_000_500_000n,
    ts: 1_767_607_200_123_456n,
    tz: 1_767_607_200_000_000n,
    iv: '1 day',
    u: '019c4ab1-473b-783c-af83-b22a9aa26cff',
    j: '{"a": [1]}',
    by: Buffer.from([0, 255]),
    l: [1, null],
    tx: ['a', 'b"c'],
    m: 'fine',
    ip: '10.0.0.1',
    r: '[1,3)',
    bi: '101',
    mo: '$12.50',
    _sm_deleted: false,
    _sm_unknown: [],
    _sm_full_bytes: null,
  });
  const two = messages.find(({ key }) => key!.id === 2)!.value!;
  assert.ok(Object.entries(two).every(([name, value]) => name === 'id' || name.startsWith('_sm_') || value === null));
});

test('columns come, go and widen while the stream runs, and each message says which it has', async () => {
  const registry = await FakeRegistry.start();
  await sql(
    'CREATE TABLE evolving (id int PRIMARY KEY, a int, b text)',
    create('evolving', `TOPIC 'evolving'`, registry, 'ENVELOPE DEBEZIUM'),
    `INSERT INTO evolving VALUES (1, 1, 'one')`,
    'ALTER TABLE evolving ADD COLUMN c text',
    `INSERT INTO evolving VALUES (2, 2, 'two', 'more')`,
    'ALTER TABLE evolving DROP COLUMN b',
    `INSERT INTO evolving VALUES (3, 3, 'less')`,
    'ALTER TABLE evolving ALTER COLUMN a TYPE bigint',
    `INSERT INTO evolving VALUES (4, 4, 'wide')`,
  );
  const messages = await read(registry, ['evolving'], 4);
  const rows = messages.toSorted((x, y) => Number(x.key!.id) - Number(y.key!.id)).map(({ value }) => value!.after);
  assert.deepEqual(rows, [
    { id: 1, a: 1, b: 'one' },
    { id: 2, a: 2, b: 'two', c: 'more' },
    { id: 3, a: 3, c: 'less' },
    { id: 4, a: 4n, c: 'wide' },
  ]);
  assert.equal(registry.subjects.get('evolving-value')!.length, 4);
  // The key has not changed with them, and so has its schema not, by whose bytes its partition is chosen.
  assert.equal(registry.subjects.get('evolving-key')!.length, 1);
  // Not compatible: text cannot be read as bigint.
  await sql('ALTER TABLE evolving ALTER COLUMN a TYPE text USING a::text', `INSERT INTO evolving VALUES (5, 'x', 'y')`);
  const status = await waitFor('the refusal', async () => {
    const rows = new Map(
      (await sql('SHOW CDC STREAM STATUS evolving_stream')) as readonly (readonly [string, string])[],
    );
    return rows.get('last_error') === null ? null : rows;
  });
  assert.match(
    status.get('last_error')!,
    /^schema registry: subject "evolving-value": HTTP 409: the schema is not compatible/,
  );
  const [attempt] = await sql('SHOW CDC DELIVERIES FOR evolving_stream LIMIT 1');
  assert.ok(attempt!.includes('rejected') && attempt!.includes(409), JSON.stringify(attempt));
  assert.ok(attempt!.some((value) => /incompatible with an earlier schema/.test(String(value))));
  // Once the registry takes it, the event arrives.
  registry.subjects.set('evolving-value', []);
  const again = await read(registry, ['evolving'], 5);
  assert.deepEqual(again.find(({ key }) => key!.id === 5)!.value!.after, { id: 5, a: 'x', c: 'y' });
});

async function status(stream: string): Promise<ReadonlyMap<string, string>> {
  return new Map((await sql(`SHOW CDC STREAM STATUS ${stream}`)) as readonly (readonly [string, string])[]);
}

test('while the registry is away events wait, and arrive when it is back', async () => {
  const registry = await FakeRegistry.start();
  await sql(
    'CREATE TABLE waiting (id int PRIMARY KEY)',
    create('waiting', `TOPIC 'waiting'`, registry, '', ', circuit_breaker = false'),
  );
  await registry.down();
  await sql('INSERT INTO waiting SELECT generate_series(1, 50)');
  const down = await waitFor('the failure', async () => {
    const shown = await status('waiting_stream');
    return shown.get('last_error') === null ? null : shown;
  });
  assert.match(down.get('last_error')!, /^schema registry: connection refused$/);
  assert.equal(down.get('status'), 'retrying');
  assert.equal(down.get('pending_events'), '50');
  await registry.up();
  const messages = await read(registry, ['waiting'], 50);
  assert.equal(new Set(messages.map(({ key }) => key!.id)).size, 50);
  assert.equal((await status('waiting_stream')).get('dead_letters'), '0');
  // It is away again: what has its schema goes on without it.
  await registry.down();
  await sql('INSERT INTO waiting VALUES (51)');
  await registry.up();
  assert.equal((await read(registry, ['waiting'], 51)).length, 51);
});

test('whom the registry does not know waits for other credentials, and loses nothing', async () => {
  const registry = await FakeRegistry.start();
  registry.authorization = `Basic ${Buffer.from('walhook:right').toString('base64')}`;
  const withSecret = create('secret', `TOPIC 'secret'`, registry, '', ', schema_registry_basic_auth = SECRET registry');
  await sql('CREATE TABLE secret (id int PRIMARY KEY)', `CREATE CDC SECRET registry AS 'walhook:wrong'`);
  await assert.rejects(sql(withSecret), {
    code: 'HV00N',
    message: 'Kafka would not take events: schema registry: its subjects: HTTP 401: it does not accept the credentials',
  });
  await sql(withSecret.replace(/\)$/, ', validate = false)'), 'INSERT INTO secret VALUES (1)');
  const refused = await waitFor('the refusal', async () => {
    const shown = await status('secret_stream');
    return shown.get('last_error') === null ? null : shown;
  });
  assert.match(refused.get('last_error')!, /HTTP 401: it does not accept the credentials/);
  assert.equal(refused.get('dead_letters'), '0');
  await sql(`ALTER CDC SECRET registry AS 'walhook:right'`, 'ALTER CDC STREAM secret_stream RESTART');
  assert.equal((await read(registry, ['secret'], 1)).length, 1);
  const said = [...walhook.logLines, JSON.stringify(await sql('SHOW CREATE CDC STREAM secret_stream'))].join('\n');
  assert.doesNotMatch(said, /walhook:right|walhook:wrong/);
});

test('whom a registry asks for a certificate waits until there is one, and loses nothing', async () => {
  const strict = { ...CERTIFICATES.localhost, ca: AUTHORITY, requestCert: true, rejectUnauthorized: true };
  const registry = await FakeRegistry.start(strict);
  await sql(
    'CREATE TABLE certified (id int PRIMARY KEY)',
    `CREATE CDC SECRET root AS '${CERTIFICATES.root}'`,
    `CREATE CDC SECRET client_cert AS '${CLIENT.cert}'`,
    `CREATE CDC SECRET client_key AS '${OTHER_CLIENT.key}'`,
  );
  const created = create('certified', `TOPIC 'certified'`, registry, '', ', schema_registry_tls_ca = SECRET root');
  const reason =
    /schema registry: TLS: a client certificate is asked for \(ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED\)$/;
  await assert.rejects(sql(created), { code: 'HV00N', message: reason });
  await sql(created.replace(/\)$/, ', validate = false)'), 'INSERT INTO certified VALUES (1)');
  const refused = await waitFor('the refusal', async () => {
    const shown = await status('certified_stream');
    return shown.get('last_error') === null ? null : shown;
  });
  assert.match(refused.get('last_error')!, reason);
  assert.deepEqual([refused.get('pending_events'), refused.get('dead_letters')], ['1', '0']);
  const [attempt] = await sql('SHOW CDC DELIVERIES FOR certified_stream LIMIT 1');
  assert.ok(attempt!.includes('misconfigured'), JSON.stringify(attempt));
  const [, , , asked] = (await sql('CHECK CDC')).filter(([name]) =>
    String(name).startsWith('stream certified_stream: '),
  );
  assert.match(String(asked![2]), reason);
  // One of the two is refused; a pair that is none says so, and nothing is tried with it.
  const certificate = 'schema_registry_tls_client_cert = SECRET client_cert';
  await assert.rejects(sql(`ALTER CDC STREAM certified_stream SET (${certificate})`), {
    code: '22023',
    message: 'schema_registry_tls_client_cert and schema_registry_tls_client_key need each other',
  });
  const pair = `${certificate}, schema_registry_tls_client_key = SECRET client_key`;
  await sql(`ALTER CDC STREAM certified_stream SET (${pair})`);
  const unpaired = await waitFor('the pair', async () => {
    const shown = await status('certified_stream');
    return shown.get('status') === 'failed' ? shown : null;
  });
  const mismatch = 'schema_registry_tls_client_key: it is not the key of schema_registry_tls_client_cert';
  assert.equal(unpaired.get('status_reason'), mismatch);
  assert.deepEqual(registry.requests, []);
  await sql(`ALTER CDC SECRET client_key AS '${CLIENT.key}'`);
  assert.equal((await read(registry, ['certified'], 1)).length, 1);
  const definition = JSON.stringify(await sql('SHOW CREATE CDC STREAM certified_stream'));
  assert.ok(definition.includes(pair), definition);
  assert.doesNotMatch([...walhook.logLines, definition].join('\n'), /PRIVATE KEY/);
});

test('what has no form in Avro is dead-lettered with its column, and what others have goes on', async () => {
  const registry = await FakeRegistry.start();
  await sql(
    'CREATE TABLE unwritable (id int PRIMARY KEY, n numeric(5, 2))',
    create(
      'unwritable',
      `TOPIC 'unwritable'`,
      registry,
      'ENVELOPE FLAT',
      `, batch_max_events = 100, max_retry_duration = '1s'`,
    ),
    `INSERT INTO unwritable VALUES (1, 1), (2, 'NaN'), (3, 3)`,
  );
  assert.equal((await read(registry, ['unwritable'], 2)).length, 2);
  const letters = await waitFor('the dead letter', async () => {
    const rows = await sql('SHOW CDC DEAD LETTERS FOR unwritable_stream');
    return rows.length === 0 ? null : rows;
  });
  const [letter] = letters;
  assert.ok(letter!.includes('column "n" has a value that its Avro type cannot hold'), JSON.stringify(letter));
  // It is shown as JSON.
  const payload = letter!.find((value) => typeof value === 'object' && value !== null && 'n' in value);
  assert.equal((payload as { n: string }).n, 'NaN');
});

test('an event that was dead-lettered is sent again as it was, with its schema', async () => {
  const registry = await FakeRegistry.start();
  await sql(
    'CREATE TABLE kept (id int PRIMARY KEY, note text)',
    create('kept', `TOPIC 'kept'`, registry, 'ENVELOPE DEBEZIUM'),
    `INSERT INTO kept VALUES (1, 'there')`,
  );
  await read(registry, ['kept'], 1);
  registry.always = { status: 503 };
  await sql('ALTER TABLE kept ADD COLUMN more int', `UPDATE kept SET id = 2, more = 7`);
  const id = await waitFor('the event', async () => {
    // It shows what is in it, as JSON; the INSERT is there until its acknowledgement has come, which may be after it is read.
    const peeked = JSON.stringify(await sql('PEEK CDC STREAM kept_stream LIMIT 1'));
    return peeked.includes('more') ? peeked.match(/[0-9a-f]{8}-[0-9a-f-]{27}/)?.[0] : null;
  });
  await sql(`ALTER CDC STREAM kept_stream SKIP EVENT '${id}'`);
  registry.always = null;
  await sql('ALTER TABLE kept DROP COLUMN note', 'RETRY CDC DEAD LETTERS FOR kept_stream ALL');
  // In order of each key: they are in partitions of their own.
  const messages = (await read(registry, ['kept'], 4))
    .filter(({ headers }) => headers.id === id)
    .toSorted((a, b) => Number(a.key!.id) - Number(b.key!.id));
  assert.deepEqual(
    messages.map(({ key, value, headers }) => [key, value?.before ?? null, value?.after ?? null, headers.replay]),
    [
      [{ id: 1 }, { id: 1, note: null, more: null }, null, 'true'],
      [{ id: 1 }, null, null, 'true'],
      [{ id: 2 }, null, { id: 2, note: 'there', more: 7 }, 'true'],
    ],
  );
});

test('tables have a topic and a subject each, or a subject each in one topic', async () => {
  const registry = await FakeRegistry.start();
  await sql('CREATE TABLE one (id int PRIMARY KEY)', 'CREATE TABLE two (id int PRIMARY KEY, n text)');
  const both = (to: string, more: string) =>
    `CREATE CDC STREAM both_stream ON one, two TO KAFKA '${brokers}' ${to} FORMAT AVRO
       WITH (schema_registry_url = '${registry.url}'${more})`;
  await assert.rejects(sql(both(`TOPIC 'renewed'`, '')), {
    code: '22023',
    message: 'tables of one topic have other schemas, and so need a subject each',
    hint: /topic_template = '\{schema\}\.\{table\}'/,
  });
  await sql(
    both('', `, topic_template = '{schema}.{table}'`),
    'INSERT INTO one VALUES (1)',
    `INSERT INTO two VALUES (1, 'x')`,
  );
  const apart = await read(registry, ['public.one', 'public.two'], 2);
  assert.deepEqual(
    new Set(apart.flatMap(({ subjects }) => subjects.filter((name) => name.endsWith('-value')))),
    new Set(['public.one-value', 'public.two-value']),
  );
  await sql(
    both(`TOPIC 'renewed'`, `, schema_registry_subjects = 'topic_record'`).replace('CREATE', 'CREATE OR REPLACE'),
  );
  await sql('INSERT INTO one VALUES (2)', `INSERT INTO two VALUES (2, 'y')`);
  await read(registry, ['renewed'], 2);
  assert.deepEqual(
    [...registry.subjects.keys()].filter((name) => name.startsWith('renewed')).toSorted(),
    ['one.Event', 'one.Key', 'two.Event', 'two.Key'].map((name) => `renewed-both_stream.public.${name}`),
  );
});

test('CHECK CDC says of brokers, topics and the registry what is there and what is missing', async () => {
  const registry = await FakeRegistry.start();
  const rows = async (stream: string) => {
    const found = (await sql('CHECK CDC')) as readonly (readonly [string, boolean, string, string | null])[];
    const own = `stream ${stream}: `;
    return found
      .filter(([requirement]) => requirement.startsWith(own))
      .map(([requirement, ...rest]) => [requirement.slice(own.length), ...rest]);
  };
  const well = [
    ['brokers are reachable, and let one in', true, '3 brokers', null],
    ['topic native is there, and may be written to', true, '4 partitions', null],
    ['one may write idempotently, as acks = all does', true, 'a producer id', null],
    ['the schema registry answers, and lets one in', true, 'its subjects', null],
  ];
  await sql('CREATE TABLE checked (id int PRIMARY KEY)', create('checked', `TOPIC 'native'`, registry));
  assert.deepEqual(await rows('checked_stream'), well);
  registry.always = { status: 403 };
  const [, , , refused] = await rows('checked_stream');
  assert.deepEqual(refused!.slice(1, 3), [
    false,
    'schema registry: its subjects: HTTP 403: the credentials are not enough for it',
  ]);
  assert.match(String(refused![3]), /^-- schema_registry_url/);
  await sql(
    `CREATE OR REPLACE CDC STREAM checked_stream ON checked TO KAFKA '${brokers}' TOPIC 'nowhere' WITH (acks = 1, validate = false)`,
  );
  assert.deepEqual(await rows('checked_stream'), [
    well[0],
    [
      'topic nowhere is there, and may be written to',
      false,
      'the topic does not exist, or may not be seen',
      '-- kafka-topics.sh --create --topic nowhere …',
    ],
  ]);
  await sql(
    `ALTER CDC STREAM checked_stream SET (validate = false)`,
    `ALTER CDC STREAM checked_stream SET TO KAFKA '127.0.0.1:1' TOPIC 'native'`,
  );
  const [away, ...others] = await rows('checked_stream');
  assert.deepEqual(
    [away!.slice(0, 3), others],
    [['brokers are reachable, and let one in', false, 'connection refused'], []],
  );
  // Of webhooks nothing is asked: they would be sent something.
  await sql(`CREATE CDC STREAM hook ON checked TO WEBHOOK 'http://127.0.0.1:9/' WITH (validate = false)`);
  assert.deepEqual(await rows('hook'), []);
});
