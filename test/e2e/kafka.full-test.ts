import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countMessages, readTopic, startKafka, type ReadMessage } from '../support/kafka-broker.ts';
import { startKafkaStage } from '../support/kafka-stage.ts';
import { connect } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';

// The law: what reaches a topic of Apache Kafka is every committed change, each key's in order within its partition, under ids
// by which whatever is there twice is known. The reader is librdkafka's (kcat).

const broker = await startKafka();
const { server, walhook, sql } = await startKafkaStage();

/** What is in the topic when there are so many messages. */
async function messages(topic: string, count: number): Promise<readonly ReadMessage[]> {
  return waitFor(`${count} messages in ${topic}`, async () => {
    const read = await readTopic(broker.address(), topic);
    return read.length >= count ? read : null;
  });
}

test("HeliosDB's first example works as it stands", async () => {
  await broker.createTopic('users-changes');
  await sql(
    'CREATE TABLE users (id int PRIMARY KEY, name text)',
    `CREATE CHANGE DATA CAPTURE ON users TO KAFKA '${broker.address()}' TOPIC 'users-changes' FORMAT JSON`,
    `INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace')`,
    `UPDATE users SET name = 'Ada L.' WHERE id = 1`,
    'DELETE FROM users WHERE id = 1',
  );
  const read = await messages('users-changes', 4);
  const ofOne = read.filter(({ key }) => key === '{"id":1}');
  assert.deepEqual(
    ofOne.map(({ payload }) => (JSON.parse(payload!) as { op: string }).op),
    ['insert', 'update', 'delete'],
  );
  for (const { payload, headers } of read) {
    const { id, op, lsn } = JSON.parse(payload!) as { id: string; op: string; lsn: string };
    assert.deepEqual(headers, { id, op, schema: 'public', table: 'users', lsn });
  }
});

for (const envelope of ['DEBEZIUM', 'FLAT']) {
  test(`with ENVELOPE ${envelope} a deleted key has a tombstone, and a changed key one before it is created`, async () => {
    const name = envelope.toLowerCase();
    await broker.createTopic(name);
    await sql(
      `CREATE TABLE ${name} (id bigint PRIMARY KEY, note text)`,
      `CREATE CDC STREAM ON ${name} TO KAFKA '${broker.address()}' TOPIC '${name}' ENVELOPE ${envelope} WITH (batch_max_events = 100)`,
      `INSERT INTO ${name} VALUES (1, 'a,]}"\\')`,
      `UPDATE ${name} SET id = 2`,
      `DELETE FROM ${name}`,
    );
    const read = await messages(name, 6);
    const shown = (id: string) =>
      read
        .filter(({ key }) => String((JSON.parse(key!) as { id: unknown }).id) === id)
        .map((message) => [message.headers.op, message.payload === null ? null : typeof JSON.parse(message.payload)]);
    assert.deepEqual(shown('1'), [
      ['insert', 'object'],
      ['delete', 'object'],
      ['delete', null],
    ]);
    assert.deepEqual(shown('2'), [
      ['insert', 'object'],
      ['delete', 'object'],
      ['delete', null],
    ]);
  });
}

test('EXPLAIN, TEST and the check at CREATE ask the broker, and send nothing', async () => {
  const address = broker.address();
  await broker.createTopic('asked');
  await sql('CREATE TABLE asked (id int PRIMARY KEY)');
  const create = (to: string) => sql(`CREATE CDC STREAM asked_stream ON asked TO KAFKA ${to}`);
  await assert.rejects(create(`'${address}' TOPIC 'nowhere'`), {
    code: 'HV00N',
    message: /^Kafka would not take events: topic "nowhere": the topic does not exist/,
  });
  await assert.rejects(create(`'127.0.0.1:1' TOPIC 'asked'`), { code: 'HV00N', message: /connection refused/ });
  await assert.rejects(create(`'10.255.255.1:9092' TOPIC 'asked'`), { code: 'HV00N', message: /WALHOOK_EGRESS_ALLOW/ });
  assert.deepEqual(await sql(`SHOW CDC STREAMS LIKE 'asked%'`), []);
  await create(`'${address}' TOPIC 'asked'`);
  const [tested] = await sql('TEST CDC STREAM asked_stream');
  assert.equal(tested![0], true);
  const plan = (await sql(`EXPLAIN CREATE CDC STREAM x ON asked TO KAFKA '${address}' TOPIC 'asked'`)).join('\n');
  assert.match(plan, new RegExp(`Destination: kafka ${address}, topic asked`));
  // It is what SHOW CREATE says: OR REPLACE of it changes nothing.
  const [[, shown]] = (await sql('SHOW CREATE CDC STREAM asked_stream')) as [[string, string]];
  await sql(shown.replace('CREATE', 'CREATE OR REPLACE'));
  assert.deepEqual(await sql('SHOW CREATE CDC STREAM asked_stream'), [['asked_stream', shown]]);
  await sql('INSERT INTO asked VALUES (1)');
  assert.equal((await messages('asked', 1)).length, 1);
});

test('what the broker rejects is dead-lettered alone, and is there when it is sent again', async () => {
  await broker.createTopic('letters');
  await sql(
    'CREATE TABLE letters (id int PRIMARY KEY, body text)',
    `CREATE CDC STREAM letters_stream ON letters TO KAFKA '${broker.address()}' TOPIC 'letters'
       WITH (batch_max_events = 100, on_oversize = send, batch_max_bytes = '4MB')`,
    `INSERT INTO letters SELECT n, CASE n WHEN 5 THEN repeat(md5('a'), 40000) ELSE 'small' END FROM generate_series(1, 9) n`,
  );
  const read = await messages('letters', 8);
  assert.deepEqual(
    read.map(({ key }) => key!).toSorted((a, b) => a.localeCompare(b)),
    [1, 2, 3, 4, 6, 7, 8, 9].map((id) => `{"id":${id}}`),
  );
  const status = async () =>
    new Map((await sql('SHOW CDC STREAM STATUS letters_stream')) as readonly (readonly [string, string])[]);
  await waitFor('the rejection', async () =>
    (await status()).get('last_error')?.includes('larger than the topic allows'),
  );
  // Others of its batch may be answered after it.
  await waitFor('the rejected attempt', async () =>
    JSON.stringify(await sql('SHOW CDC DELIVERIES FOR letters_stream')).includes('rejected'),
  );
  const id = await waitFor('the event', async () => {
    const waiting = await sql('PEEK CDC STREAM letters_stream');
    return waiting.length === 1
      ? waiting
          .flat()
          .join(' ')
          .match(/[0-9a-f-]{36}/)![0]
      : null;
  });
  await sql(`ALTER CDC STREAM letters_stream SKIP EVENT '${id}'`);
  assert.equal((await sql('SHOW CDC DEAD LETTERS FOR letters_stream')).length, 1);
  await sql(
    `ALTER CDC STREAM letters_stream SET (on_oversize = thin)`,
    'RETRY CDC DEAD LETTERS FOR letters_stream ALL',
  );
  const again = (await messages('letters', 9)).find(({ key }) => key === '{"id":5}')!;
  assert.deepEqual([again.headers.id, again.headers.replay], [id, 'true']);
});

test('through kills of walhook and of the broker no change is lost, each key keeps its order, and ids tell what is there twice', async (t) => {
  const KEYS = 30;
  // `KAFKA_CHAOS_MINUTES=10` is longer.
  const untilMs = performance.now() + Number(process.env.KAFKA_CHAOS_MINUTES ?? 1) * 60_000;
  await broker.createTopic('chaos');
  await sql(
    'CREATE TABLE chaos (id int PRIMARY KEY, version int NOT NULL)',
    `INSERT INTO chaos SELECT n, 0 FROM generate_series(1, ${KEYS}) n`,
    `CREATE CDC STREAM chaos_stream ON chaos TO KAFKA '${broker.address()}' TOPIC 'chaos'
       WITH (batch_max_events = 50, request_timeout = '5s', initial_backoff = '100ms', max_backoff = '1s')`,
  );
  let isOver = false;
  const versions = new Map<number, number>();
  const write = async (): Promise<void> => {
    const client = await connect(server.url());
    for (let n = 0; !isOver; n++) {
      const id = 1 + (n % KEYS);
      await client.query('UPDATE chaos SET version = version + 1 WHERE id = $1', [id]);
      versions.set(id, (versions.get(id) ?? 0) + 1);
    }
    await client.end();
  };
  const writing = write();
  for (let round = 0; performance.now() < untilMs; round++) {
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await walhook.kill();
    await walhook.start();
    await new Promise((resolve) => setTimeout(resolve, 500));
    if (round % 2 === 1) await broker.restart();
  }
  isOver = true;
  await writing;
  // After so many outages the breaker may rest for minutes.
  await sql('ALTER CDC STREAM chaos_stream RESET CIRCUIT', 'ALTER CDC STREAM chaos_stream RESTART');
  const committed = [...versions.values()].reduce((sum, count) => sum + count, 0);
  const arrivals = await waitFor(
    'everything to be there',
    async () => {
      if ((await countMessages(broker.address(), 'chaos')) < committed) return null;
      const read = await readTopic(broker.address(), 'chaos');
      return new Set(read.map(({ headers }) => headers.id)).size >= committed ? read : null;
    },
    600_000,
  );
  // A reader that keeps ids.
  const seen = new Set<string>();
  const applied = new Map<string, number>();
  for (const { key, payload, headers } of arrivals) {
    if (seen.has(headers.id!)) continue;
    seen.add(headers.id!);
    const { version } = (JSON.parse(payload!) as { after: { version: number } }).after;
    assert.equal(version, (applied.get(key!) ?? 0) + 1, `${key}: in order, and none is missing`);
    applied.set(key!, version);
  }
  assert.equal(seen.size, committed);
  t.diagnostic(`${committed} changes, ${arrivals.length - committed} of them twice`);
  for (const [id, version] of versions) assert.equal(applied.get(`{"id":${id}}`), version);
});
