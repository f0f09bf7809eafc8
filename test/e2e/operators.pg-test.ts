import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { encodeCancelRequest } from '../../src/wire/startup.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// What went wrong is seen in SQL, and put right in SQL: by its owner, not by everybody.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
const client = await connect();
await client.query(`CREATE ROLE watcher LOGIN PASSWORD 'watch'`);
await client.query('CREATE ROLE cdc_viewer');
await client.query('GRANT cdc_viewer TO watcher');
const viewer = await connect('watcher', 'watch');
after(async () => {
  await client.end();
  await viewer.end();
});

async function connect(user?: string, password?: string): Promise<pg.Client> {
  const url = new URL(walhook.sqlUrl());
  if (user !== undefined && password !== undefined) Object.assign(url, { username: user, password });
  const opened = new pg.Client({ connectionString: url.href });
  opened.on('error', () => undefined);
  await opened.connect();
  return opened;
}

type Row = Record<string, unknown>;

async function rows(on: pg.Client, text: string): Promise<Row[]> {
  return (await on.query<Row>(text)).rows;
}

async function codeOf(on: pg.Client, text: string): Promise<string | undefined> {
  return on.query(text).then(
    () => undefined,
    (error: pg.DatabaseError) => error.code,
  );
}

/** As psql's Ctrl-C. */
async function cancel(on: pg.Client): Promise<void> {
  const { processID, secretKey } = on as unknown as { processID: number; secretKey: number };
  const key = Buffer.alloc(8);
  key.writeInt32BE(processID, 0);
  key.writeInt32BE(secretKey, 4);
  const { hostname, port } = new URL(walhook.sqlUrl());
  const socket = connectTcp(Number(port), hostname);
  socket.write(encodeCancelRequest(key));
  await once(socket.resume(), 'close');
}

/** A stream whose events of key 1 fail while `isBad`. */
async function streamWithDeadLetter(
  table: string,
  options = '',
): Promise<{ stream: string; isBad: { value: boolean } }> {
  const isBad = { value: true };
  receiver.answer = ({ body }) => (isBad.value && (body.key as { id: number } | undefined)?.id === 1 ? 500 : 204);
  const stream = `${table}_stream`;
  await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, note text)`);
  await client.query(`CREATE CDC STREAM ${stream} ON ${table} TO WEBHOOK '${receiver.url}/${table}'
    WITH (max_retries = 1, initial_backoff = '20ms', max_backoff = '20ms', circuit_breaker = off ${options})`);
  await client.query(`INSERT INTO ${table} VALUES (1, 'x')`);
  let id = 1;
  await waitFor('the dead letter', async () => {
    await client.query(`INSERT INTO ${table} VALUES (${++id}, 'y')`);
    return (await rows(client, `SHOW CDC DEAD LETTERS FOR ${stream}`)).length === 1;
  });
  return { stream, isBad };
}

test('a dead letter is seen with its payload and its attempts, and RETRY brings it to the endpoint', async () => {
  const { stream, isBad } = await streamWithDeadLetter('lost');
  const [letter] = await rows(client, `SHOW CDC DEAD LETTERS FOR ${stream} LIMIT 10`);
  assert.deepEqual(letter!['key'], { id: 1 });
  assert.deepEqual((letter!['payload'] as { after: unknown }).after, { id: 1, note: 'x' });
  assert.deepEqual([letter!['op'], letter!['http_status'], letter!['reason']], ['insert', 500, 'HTTP 500']);
  const failed = (await rows(client, `SHOW CDC DELIVERIES FOR ${stream}`)).filter((row) => row['http_status'] === 500);
  assert.ok(failed.every((row) => row['error_code'] === 'http_500' && Number(row['first_byte_ms']) >= 0));
  assert.ok(failed.length >= 2 && failed.every((row) => row['event_ids'] === letter!['event_id']));

  isBad.value = false;
  assert.equal((await client.query(`RETRY CDC DEAD LETTERS FOR ${stream} ALL`)).command, 'RETRY');
  await waitFor('the replay', () => receiver.to('/lost').find(({ headers }) => headers['x-cdc-replay'] === 'true'));
  await waitFor('its end', async () => (await rows(client, `SHOW CDC DEAD LETTERS FOR ${stream}`)).length === 0);
  const history = await rows(client, `SHOW CDC STREAM HISTORY ${stream}`);
  assert.ok(history.some((row) => row['action'] === 'retry dead letters' && row['detail'] === 'all (1)'));
  await client.query(`DROP CDC STREAM ${stream}`);
});

test('who may only see it sees no payload, and changes nothing', async () => {
  const { stream } = await streamWithDeadLetter('hidden');
  const [letter] = await rows(viewer, `SHOW CDC DEAD LETTERS FOR ${stream}`);
  assert.deepEqual([letter!['key'], letter!['payload'], letter!['op']], [null, null, 'insert']);
  assert.ok((await rows(viewer, `SHOW CDC DELIVERIES FOR ${stream}`)).every((row) => row['response_excerpt'] === null));
  await client.query(`ALTER CDC STREAM ${stream} PAUSE`);
  await client.query(`INSERT INTO hidden VALUES (1000, 'z')`);
  const peeked = await waitFor('a request', async () => {
    const found = await rows(viewer, `PEEK CDC STREAM ${stream}`);
    return found.length > 0 && found;
  });
  for (const name of ['body', 'path', 'headers'])
    assert.ok(
      peeked.every((row) => row[name] === null),
      name,
    );
  await client.query(`ALTER CDC STREAM ${stream} RESUME`);
  for (const text of [
    `RETRY CDC DEAD LETTERS FOR ${stream} ALL`,
    `DISCARD CDC DEAD LETTERS FOR ${stream} ALL`,
    `TEST CDC STREAM ${stream}`,
    `ALTER CDC STREAM ${stream} RESTART`,
    `ALTER CDC STREAM ${stream} RESET CIRCUIT`,
    `ALTER CDC STREAM ${stream} SKIP EVENT 'x'`,
  ]) {
    assert.equal(await codeOf(viewer, text), '42501', text);
  }
  assert.equal((await rows(client, `SHOW CDC DEAD LETTERS FOR ${stream}`)).length, 1);
  await client.query(`DISCARD CDC DEAD LETTERS FOR ${stream} ID '${letter!['id'] as string}'`);
  assert.deepEqual(await rows(client, `SHOW CDC DEAD LETTERS FOR ${stream}`), []);
  assert.equal(await codeOf(client, `DISCARD CDC DEAD LETTERS FOR ${stream} ID 'x'`), '42704');
  await client.query(`DROP CDC STREAM ${stream}`);
});

test('none of it belongs into a transaction, and each names what there is not', async () => {
  const { stream } = await streamWithDeadLetter('strict');
  for (const text of [
    `RETRY CDC DEAD LETTERS FOR ${stream} ALL`,
    `DISCARD CDC DEAD LETTERS FOR ${stream} ALL`,
    `ALTER CDC STREAM ${stream} RESTART`,
    `ALTER CDC STREAM ${stream} RESET CIRCUIT`,
    `ALTER CDC STREAM ${stream} SKIP EVENT 'x'`,
    `TEST CDC STREAM ${stream}`,
    `REPLAY CDC STREAM ${stream} FROM LSN '0/1'`,
    `BACKFILL CDC STREAM ${stream}`,
    `CANCEL BACKFILL CDC STREAM ${stream}`,
  ]) {
    await client.query('BEGIN');
    assert.equal(await codeOf(client, text), '25001', text);
    await client.query('ROLLBACK');
  }
  // What only shows may be anywhere.
  await client.query('BEGIN READ ONLY');
  for (const text of [
    `PEEK CDC STREAM ${stream}`,
    'CHECK CDC',
    `SHOW CDC DELIVERIES FOR ${stream}`,
    `EXPLAIN CREATE CDC STREAM strict_too ON strict TO WEBHOOK '${receiver.url}/'`,
  ]) {
    assert.equal(await codeOf(client, text), undefined, text);
  }
  await client.query('COMMIT');
  assert.equal(await codeOf(client, `ALTER CDC STREAM ${stream} SKIP EVENT 'x'`), '42704');
  assert.equal(await codeOf(client, 'SHOW CDC DELIVERIES FOR nowhere'), '42704');
  assert.equal(await codeOf(client, 'RETRY CDC DEAD LETTERS FOR nowhere ALL'), '42704');
  await client.query(`DROP CDC STREAM ${stream}`);
});

test('OR REPLACE keeps counters and dead letters, and what is retried goes where the stream goes now', async () => {
  const { stream, isBad } = await streamWithDeadLetter('replaced');
  const status = async (): Promise<unknown[]> => {
    const [row] = (await rows(client, `SHOW CDC STREAMS LIKE '${stream}'`)) as [Row];
    return [row['events_delivered'], row['events_failed'], row['dead_letters']];
  };
  await waitFor('quiet', async () => (await rows(client, `PEEK CDC STREAM ${stream}`)).length === 0);
  const before = await status();
  await client.query(`CREATE OR REPLACE CDC STREAM ${stream} ON replaced TO WEBHOOK '${receiver.url}/elsewhere'`);
  assert.deepEqual(await status(), before);
  assert.equal(before[2], '1');
  isBad.value = false;
  await client.query(`RETRY CDC DEAD LETTERS FOR ${stream} ALL`);
  await waitFor('the replay', () => receiver.to('/elsewhere').find(({ body }) => (body.key as Row)['id'] === 1));
  await client.query(`DROP CDC STREAM ${stream}`);
});

/** In this order, which is a contract: what is new stands at the end. */
const COLUMNS: ReadonlyArray<[text: string, columns: string]> = [
  [
    'SHOW CDC DELIVERIES',
    'delivery_id stream_name event_ids attempt started_at duration_ms http_status outcome error response_excerpt next_retry_at error_code dns_ms connect_ms tls_ms first_byte_ms',
  ],
  [
    'SHOW CDC DEAD LETTERS',
    'id stream_name event_id schema_name table_name op key reason http_status attempts first_failed_at parked_at payload response_excerpt',
  ],
  ['CHECK CDC', 'requirement ok found fix'],
  ['PEEK CDC STREAM contract_stream', 'request_id attempt due_at events event_ids path body headers'],
  ['TEST CDC STREAM contract_stream', 'ok http_status total_ms signature_sent response_excerpt error'],
];
const PROPERTIES = [
  'stream_name source destination_type destination format envelope status status_reason lag_seconds lag_bytes pending_events',
  'events_delivered events_failed dead_letters circuit_state last_error last_error_at created_at owner',
  'started_at paused_at last_event_at last_delivery_at last_http_status next_retry_at events_captured events_filtered events_retried',
  'in_flight delivery_p50_ms delivery_p99_ms confirmed_lsn received_lsn upstream_lsn slot_name slot_wal_status',
  'circuit_opened_at circuit_next_probe_at backfill_rows_done backfill_rows_total synced filter_doubts last_filter_doubt database',
].join(' ');
test('columns and properties stand in their order', async () => {
  await client.query('CREATE TABLE contract (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM contract_stream ON contract TO WEBHOOK '${receiver.url}/contract'`);
  for (const [text, columns] of COLUMNS) {
    const { fields } = await client.query(text);
    assert.equal(fields.map(({ name }) => name).join(' '), columns, text);
  }
  const properties = await rows(client, 'SHOW CDC STREAM STATUS contract_stream');
  assert.equal(properties.map(({ property }) => property).join(' '), PROPERTIES);
  await client.query('DROP CDC STREAM contract_stream');
});

test('more rows than are shown at once are not left out in silence', async () => {
  const notices: (string | undefined)[] = [];
  const listen = ({ message }: { message?: string | undefined }): void => void notices.push(message);
  client.on('notice', listen);
  await client.query('SHOW CDC DELIVERIES LIMIT 1000');
  assert.deepEqual(notices, []);
  await client.query('SHOW CDC DEAD LETTERS LIMIT 1001');
  assert.deepEqual(notices, ['LIMIT 1001 is more than is shown at once, which is 1000']);
  client.off('notice', listen);
});

test('a failing event is skipped, and its key goes on', async () => {
  receiver.answer = ({ body }) => ((body.after as { note: string }).note === 'bad' ? 500 : 204);
  await client.query('CREATE TABLE skipped (id int PRIMARY KEY, note text)');
  await client.query(`CREATE CDC STREAM skipped_stream ON skipped TO WEBHOOK '${receiver.url}/skipped'`);
  await client.query(`INSERT INTO skipped VALUES (1, 'bad')`);
  await client.query(`UPDATE skipped SET note = 'good'`);
  const event = await waitFor('the failure', async () => {
    return (await rows(client, 'SHOW CDC DELIVERIES FOR skipped_stream'))[0]?.['event_ids'] as string | undefined;
  });
  const [next] = await rows(client, 'PEEK CDC STREAM skipped_stream');
  assert.deepEqual([next!['event_ids'], next!['attempt']], [event, 2]);
  await client.query(`ALTER CDC STREAM skipped_stream SKIP EVENT '${event}'`);
  const good = await waitFor('the next one', () => receiver.to('/skipped').find(({ body }) => body.op === 'update'));
  assert.equal(good.headers['x-cdc-gap'], event);
  await client.query('DROP CDC STREAM skipped_stream');
});

test('an event is skipped before it is sent, where PEEK names it', async () => {
  receiver.answer = () => 204;
  await client.query('CREATE TABLE unsent (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM unsent_stream ON unsent TO WEBHOOK '${receiver.url}/unsent'`);
  await client.query('ALTER CDC STREAM unsent_stream PAUSE');
  await client.query('INSERT INTO unsent VALUES (1), (2), (3)');
  const ids = await waitFor('the changes', async () => {
    const peeked = await rows(client, 'PEEK CDC STREAM unsent_stream');
    return peeked.length === 3 && peeked.map((row) => row['event_ids'] as string);
  });
  const skip = `ALTER CDC STREAM unsent_stream SKIP EVENT '${ids[1]}'`;
  await client.query(skip);
  assert.equal(await codeOf(client, skip), '42704');
  const [letter] = await rows(client, 'SHOW CDC DEAD LETTERS FOR unsent_stream');
  assert.deepEqual(
    [letter!['id'], letter!['reason'], letter!['attempts'], letter!['first_failed_at']],
    [ids[1], 'skipped by an operator', 0, null],
  );
  await client.query('ALTER CDC STREAM unsent_stream RESUME');
  await waitFor('the others', () => receiver.to('/unsent').length === 2);
  assert.deepEqual(new Set(receiver.to('/unsent').map(({ body }) => body.id)), new Set([ids[0], ids[2]]));
  await client.query('DROP CDC STREAM unsent_stream');
});

test('SKIP EVENT of one that is being sent waits for its answer, unless it is cancelled', async () => {
  let answer: 'hang' | number = 'hang';
  receiver.answer = () => answer;
  await client.query('CREATE TABLE hanging (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM hanging_stream ON hanging TO WEBHOOK '${receiver.url}/hanging'`);
  await client.query('INSERT INTO hanging VALUES (1)');
  const request = await waitFor('the request', () => receiver.to('/hanging')[0]);
  const skip = `ALTER CDC STREAM hanging_stream SKIP EVENT '${request.body.id as string}'`;
  const skipping = codeOf(client, skip);
  const cancelled = await waitFor('the cancel request to find it under way', async () => {
    await cancel(client);
    return Promise.race([skipping, Promise.resolve(null)]);
  });
  assert.equal(cancelled, '57014');
  assert.equal((await rows(client, 'SHOW CDC DEAD LETTERS FOR hanging_stream')).length, 0);
  answer = 204;
  await client.query('DROP CDC STREAM hanging_stream');
});

test('TEST tells whether the endpoint takes a signed event, and what it says', async () => {
  receiver.answer = () => 204;
  await client.query(`CREATE CDC SECRET sign AS 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'`);
  await client.query(`CREATE CDC ENDPOINT tested AS '${receiver.url}/tested' WITH (signing_secret = SECRET sign)`);
  const [well] = await rows(client, 'TEST CDC ENDPOINT tested');
  assert.deepEqual(
    [well!['ok'], well!['http_status'], well!['signature_sent'], well!['error']],
    [true, 204, true, null],
  );
  const [sent] = receiver.to('/tested');
  assert.equal(sent!.body['type'], 'cdc.test');
  assert.match(String(sent!.headers['webhook-signature']), /^v1,/);

  const codes: unknown[] = [];
  const remember = (notice: { readonly code?: string | undefined }): number => codes.push(notice.code);
  client.on('notice', remember);
  receiver.answer = () => 503;
  const [ill] = await rows(client, `TEST CDC WEBHOOK '${receiver.url}/tested'`);
  assert.deepEqual([ill!['ok'], ill!['http_status'], ill!['signature_sent']], [false, 503, false]);
  const [gone] = await rows(client, `TEST CDC WEBHOOK 'http://127.0.0.1:1/'`);
  assert.deepEqual([gone!['ok'], gone!['http_status'], gone!['error']], [false, null, 'connection refused']);
  client.off('notice', remember);
  assert.deepEqual(codes, ['HV000', 'HV00N']);
  assert.equal(await codeOf(client, 'TEST CDC ENDPOINT nowhere'), '42704');
  await client.query('DROP CDC ENDPOINT tested');
  await client.query('DROP CDC SECRET sign');
});

/** Loopback is allowed here, and nothing else that is private. */
const BLOCKED = 'http://10.255.255.1/';
const BLOCKED_REASON =
  'the address 10.255.255.1 is not public; to allow it, add it to --egress-allow (WALHOOK_EGRESS_ALLOW)';

test('TEST of an address that may not be called names the option that would allow it', async () => {
  const notices: (string | undefined)[][] = [];
  const remember = ({ code, message, hint }: { [field in 'code' | 'message' | 'hint']: string | undefined }) =>
    void notices.push([code, message, hint]);
  client.on('notice', remember);
  const [blocked] = await rows(client, `TEST CDC WEBHOOK '${BLOCKED}'`);
  await rows(client, `TEST CDC WEBHOOK 'http://127.0.0.1:1/'`);
  client.off('notice', remember);
  assert.deepEqual([blocked!['ok'], blocked!['http_status'], blocked!['error']], [false, null, BLOCKED_REASON]);
  const [[code, message, hint], refused] = notices as [string[], (string | undefined)[]];
  assert.deepEqual([code, message], ['HV00N', `the endpoint could not be reached: ${BLOCKED_REASON}`]);
  assert.match(String(hint), /--egress-allow \(WALHOOK_EGRESS_ALLOW\).*reload/);
  assert.deepEqual(refused, ['HV00N', 'the endpoint could not be reached: connection refused', undefined]);
});

test('status and deliveries of a stream to such an address name it, too', async () => {
  await client.query('CREATE TABLE blocked (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM blocked_stream ON blocked TO WEBHOOK '${BLOCKED}' WITH (validate = false)`);
  await client.query('INSERT INTO blocked VALUES (1)');
  const status = await waitFor('the refusal', async () => {
    const [found] = await rows(client, `SHOW CDC STREAMS LIKE 'blocked_stream'`);
    return found!['last_error'] === null ? null : found!;
  });
  assert.deepEqual(
    [status['status'], status['status_reason'], status['last_error']],
    ['retrying', BLOCKED_REASON, BLOCKED_REASON],
  );
  const [attempt] = await rows(client, 'SHOW CDC DELIVERIES FOR blocked_stream LIMIT 1');
  assert.deepEqual(
    [attempt!['outcome'], attempt!['error_code'], attempt!['error']],
    ['misconfigured', 'egress_blocked', BLOCKED_REASON],
  );
  await client.query('DROP CDC STREAM blocked_stream');
});
