import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import type { SqlAnswer } from '../../src/http/console/sql-account.ts';
import type { Samples } from '../../src/http/console/stream-samples.ts';
import { ConsoleClient } from '../support/console-client.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: the console shows and does what SQL shows and lets do, to whoever it would, and nothing to anybody else. Who has
// not signed in sees no value of a row and changes nothing.

const TOKEN = 'a token of the tests, long enough';
const server = await startPostgres({ settings: { password_encryption: 'scram-sha-256' } });
const direct = await connect(server.url());
const receiver = await startReceiver();

function walhookWith(environment: Record<string, string>): Promise<WalhookProcess> {
  const dataDir = join(temporaryFolder(), 'data');
  return new WalhookProcess({ upstreamUrl: server.url(), dataDir, environment }).start();
}

function consoleOf(walhook: WalhookProcess): ConsoleClient {
  return new ConsoleClient(walhook.httpUrl(''));
}

const walhook = await walhookWith({ WALHOOK_CONSOLE_TOKEN: TOKEN });
const sql = await connect(walhook.sqlUrl());

await direct.query(`
  CREATE ROLE cdc_admin; CREATE ROLE cdc_viewer;
  CREATE ROLE olga LOGIN PASSWORD 'olga''s'; CREATE ROLE vera LOGIN PASSWORD 'vera''s' IN ROLE cdc_viewer;
  CREATE ROLE nina LOGIN PASSWORD 'nina''s'; CREATE ROLE adam LOGIN PASSWORD 'adam''s' IN ROLE cdc_admin;
  CREATE TABLE orders (id int PRIMARY KEY, note text); ALTER TABLE orders OWNER TO olga`);
await sql.query(`SET ROLE olga; CREATE CDC STREAM "Olga's ""orders""" ON orders TO WEBHOOK '${receiver.url}/orders'
  WITH (max_retry_duration = '1ms')`);
await sql.query('RESET ROLE');
const STREAM = `"Olga's ""orders"""`;

// A dead letter, whose payload has a value of a row in it.
receiver.answer = () => 400;
await direct.query(`INSERT INTO orders VALUES (1, 'confidential')`);
await waitFor('a dead letter', async () => {
  const { rows } = await sql.query<{ dead_letters: string }>('SHOW CDC STREAMS');
  return rows[0]?.dead_letters === '1';
});
receiver.answer = () => 204;

test('whoever comes without signing in sees states and counts, and no value of a row', async () => {
  const client = consoleOf(walhook);
  const reply = await client.comeIn();
  assert.equal(reply.status, 200);
  assert.deepEqual([reply.body.session!.kind, reply.body.session!.access], ['anybody', 'viewer']);
  const [stream] = await client.rows('SHOW CDC STREAMS');
  assert.deepEqual(
    [stream!['stream_name'], stream!['dead_letters'], stream!['owner']],
    [`Olga's "orders"`, '1', 'olga'],
  );
  const letters = await client.sql('SHOW CDC DEAD LETTERS');
  assert.deepEqual(letters.body.hidden, ['key', 'payload', 'response_excerpt']);
  const attempts = await client.sql(`SHOW CDC DELIVERIES FOR ${STREAM} LIMIT 5`);
  assert.deepEqual(attempts.body.hidden, ['response_excerpt']);
  for (const { body } of [letters, attempts, await client.sql(`PEEK CDC STREAM ${STREAM}`)]) {
    assert.doesNotMatch(JSON.stringify(body), /confidential/);
  }
});

test('and may change nothing', async () => {
  const client = consoleOf(walhook);
  await client.comeIn();
  for (const action of [
    `ALTER CDC STREAM ${STREAM} PAUSE`,
    `ALTER CDC STREAM ALL PAUSE`,
    `TEST CDC STREAM ${STREAM}`,
    `RETRY CDC DEAD LETTERS FOR ${STREAM} ALL`,
    `DISCARD CDC DEAD LETTERS FOR ${STREAM} ALL`,
  ]) {
    const { status, body } = await client.sql(action);
    assert.deepEqual([status, body.error?.code], [422, '42501'], action);
  }
});

test('the console runs no statement but its own, whoever asks', async () => {
  const client = consoleOf(walhook);
  await client.comeIn({ token: TOKEN });
  const refused: [string, string][] = [
    ['SELECT * FROM orders', '42601'],
    ['', '42601'],
    ['SHOW CDC STREAMS; SELECT 1', '42601'],
    ['SHOW CDC STREAMS; SHOW CDC SLOTS', '42601'],
    [`/* ; */ BEGIN`, '42601'],
    [`CREATE CDC STREAM s ON orders TO WEBHOOK 'https://example.com'`, '42501'],
    [`CREATE CDC SECRET s FROM FILE '/etc/passwd'`, '42501'],
    [`DROP CDC STREAM ${STREAM}`, '42501'],
    [`ALTER CDC STREAM ${STREAM} SET (max_retries = 1)`, '42501'],
    [`TEST CDC WEBHOOK '${receiver.url}/x'`, '42501'],
    [`SHOW CDC STREAM STATUS 'x`, '42601'],
    ['SHOW CDC NONSENSE', '42601'],
    ['SHOW CDC DEAD LETTERS LIMIT 101', '54000'],
    ['SHOW CDC STREAM STATUS nobody', '42704'],
  ];
  for (const [text, code] of refused) {
    const { status, body } = await client.sql(text);
    assert.deepEqual([status, body.error?.code], [422, code], text);
  }
  assert.equal(receiver.to('/x').length, 0);
});

test('each role of the upstream is shown what SQL shows it, and does what SQL lets it do', async () => {
  const as = async (user: string, database = ''): Promise<ConsoleClient> => {
    const client = consoleOf(walhook);
    const reply = await client.comeIn({ user, password: `${user}'s`, database });
    assert.deepEqual([reply.status, reply.body.session?.user], [200, user]);
    return client;
  };
  const letter = async (client: ConsoleClient): Promise<Record<string, string | null> | undefined> =>
    (await client.rows('SHOW CDC DEAD LETTERS'))[0];
  const [olga, vera, nina, adam] = [await as('olga', 'postgres'), await as('vera'), await as('nina'), await as('adam')];
  assert.match((await letter(olga))!['payload']!, /confidential/);
  assert.match((await letter(adam))!['payload']!, /confidential/);
  assert.deepEqual([(await letter(vera))!['payload'], (await letter(vera))!['key']], [null, null]);
  assert.equal(await letter(nina), undefined);
  assert.deepEqual(await nina.rows('SHOW CDC STREAMS'), []);
  const pause = `ALTER CDC STREAM ${STREAM} PAUSE`;
  for (const other of [vera, nina]) assert.equal((await other.sql(pause)).body.error?.code, '42501');
  assert.equal((await olga.sql(pause)).body.tag, 'ALTER CDC STREAM');
  assert.equal((await adam.rows('SHOW CDC STREAMS'))[0]!['status'], 'paused');
  assert.equal((await adam.sql(`ALTER CDC STREAM ${STREAM} RESUME`)).status, 200);
  const history = await olga.rows(`SHOW CDC STREAM HISTORY ${STREAM}`);
  assert.deepEqual(
    history.slice(0, 2).map(({ actor }) => actor),
    ['adam', 'olga'],
  );
});

test('a test, and a dead letter sent again, say what came of them', async () => {
  const client = consoleOf(walhook);
  await client.comeIn({ token: TOKEN });
  const tested = await client.sql(`TEST CDC STREAM ${STREAM}`);
  assert.deepEqual([tested.status, tested.body.rows![0]![0], tested.body.tag], [200, 't', 'TEST CDC']);
  const before = receiver.to('/orders').length;
  const retried = await client.sql(`RETRY CDC DEAD LETTERS FOR ${STREAM} ALL;`);
  assert.equal(retried.body.tag, 'RETRY CDC DEAD LETTERS 1');
  await waitFor('the event', () => receiver.to('/orders').length > before);
});

test('an answer that is too large to hold is refused, and a part of it is not', async () => {
  await direct.query('CREATE TABLE large (id int PRIMARY KEY, note text)');
  await sql.query(`CREATE CDC STREAM large ON large TO WEBHOOK '${receiver.url}/large'
    WITH (max_retry_duration = '1ms', max_event_bytes = '2MB')`);
  receiver.answer = () => 400;
  await direct.query(`INSERT INTO large SELECT n, repeat('x', 1000000) FROM generate_series(1, 10) n`);
  const client = consoleOf(walhook);
  await client.comeIn({ token: TOKEN });
  await waitFor('the dead letters', async () => {
    const [large] = await client.rows(`SHOW CDC STREAMS LIKE 'large'`);
    return large!['dead_letters'] === '10';
  });
  receiver.answer = () => 204;
  const all = await client.sql('SHOW CDC DEAD LETTERS FOR large LIMIT 50');
  assert.deepEqual([all.status, all.body.error?.code], [422, '54000']);
  const some = await client.sql('SHOW CDC DEAD LETTERS FOR large LIMIT 5');
  assert.deepEqual([some.status, some.body.rows!.length], [200, 5]);
  assert.equal((await client.sql('DISCARD CDC DEAD LETTERS FOR large ALL')).body.tag, 'DISCARD CDC DEAD LETTERS 10');
  await sql.query('DROP CDC STREAM large');
  const actions = walhook.logLines.filter((line) => line.includes('console action'));
  assert.ok(actions.some((line) => line.includes('DISCARD CDC DEAD LETTERS FOR large ALL')));
});

test('where clients have to show certificates, only the token signs in', async () => {
  const folder = temporaryFolder();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const cert = file('cert.pem', SELF_SIGNED.cert);
  const strict = await walhookWith({
    WALHOOK_CONSOLE_TOKEN: TOKEN,
    WALHOOK_TLS_MODE: 'verify-full',
    WALHOOK_TLS_CERT: cert,
    WALHOOK_TLS_KEY: file('key.pem', SELF_SIGNED.key),
    WALHOOK_TLS_CLIENT_CA: cert,
  });
  const client = consoleOf(strict);
  const byPassword = await client.comeIn({ user: 'olga', password: `olga's` });
  assert.deepEqual([byPassword.status, byPassword.body.error?.code], [401, '28000']);
  assert.equal((await client.comeIn({ token: TOKEN })).status, 200);
  // The console's own way in asks for none.
  assert.equal((await client.sql('SHOW CDC STREAMS')).status, 200);
  await strict.stop();
});

test('streams and their charts come by themselves', async () => {
  const client = consoleOf(walhook);
  await client.comeIn();
  const stop = new AbortController();
  let streams: SqlAnswer | null = null;
  let samples: Record<string, Samples> | null = null;
  for await (const { event, data } of client.live('', stop.signal)) {
    if (event === 'streams') streams = data as SqlAnswer;
    if (event === 'samples') samples = data as Record<string, Samples>;
    if (streams !== null && samples !== null) break;
  }
  assert.equal(streams!.rows[0]![0], `Olga's "orders"`);
  const { times, series } = samples![`Olga's "orders"`]!;
  assert.ok(times.length > 0 && series.delivered!.length === times.length);

  const seen: string[] = [];
  const one = `?stream=${encodeURIComponent(`Olga's "orders"`)}`;
  for await (const { event, data } of client.live(one, stop.signal)) {
    seen.push(event);
    if (event === 'stream') assert.deepEqual((data as SqlAnswer).columns, ['property', 'value']);
    if (event === 'samples')
      assert.deepEqual(Object.keys(Object.values(data as Record<string, Samples>)[0]!.series).length, 7);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, ['stream', 'samples']);
  for await (const { event, data } of client.live('?stream=nobody', stop.signal)) {
    assert.deepEqual([event, (data as { code: string }).code], ['problem', '42704']);
    break;
  }
});

test('a role that may not see a stream is told nothing of it by the live updates', async () => {
  const client = consoleOf(walhook);
  await client.comeIn({ user: 'nina', password: `nina's` });
  const stop = new AbortController();
  const one = `?stream=${encodeURIComponent(`Olga's "orders"`)}`;
  for await (const { event, data } of client.live(one, stop.signal)) {
    assert.deepEqual([event, (data as { code: string }).code], ['problem', '42501']);
    break;
  }
  for await (const { event, data } of client.live('', stop.signal)) {
    assert.deepEqual([event, (data as SqlAnswer).rows], ['streams', []]);
    break;
  }
});

test('going out ends the session, and its live updates', async () => {
  const client = consoleOf(walhook);
  await client.comeIn({ token: TOKEN });
  const live = client.live('', new AbortController().signal);
  await live.next();
  assert.equal((await client.request('DELETE', '/api/session')).status, 204);
  for await (const _event of live) void _event;
  assert.equal((await client.sql('SHOW CDC STREAMS')).status, 401);
});

test('where nobody comes in without signing in, nobody does', async () => {
  const closed = await walhookWith({ WALHOOK_CONSOLE: 'sign-in' });
  const client = consoleOf(closed);
  assert.equal((await client.comeIn()).status, 401);
  assert.deepEqual((await client.request('GET', '/api/session')).body, {
    version: '0.1.0',
    isOpen: false,
    hasToken: false,
    hasPasswords: true,
    session: null,
  });
  const wrong = await client.comeIn({ user: 'olga', password: 'wrong' });
  assert.deepEqual([wrong.status, wrong.body.error?.code], [401, '28P01']);
  assert.equal((await client.comeIn({ token: TOKEN })).status, 401);
  assert.equal((await client.comeIn({ user: 'olga', password: '' })).status, 400);
  assert.equal((await client.comeIn({ user: 'olga', password: `olga's` })).status, 200);
  const signIns = closed.logLines.filter((line) => line.includes('console sign-in'));
  assert.equal(signIns.length, 3);
  assert.doesNotMatch(closed.logLines.join('\n'), /olga's|a token of the tests/);
  await closed.stop();
});

test('on an address that others reach, everybody signs in, whatever the option says', async () => {
  const dataDir = join(temporaryFolder(), 'data');
  const environment = { WALHOOK_CONSOLE: 'open' };
  const reached = new WalhookProcess({ upstreamUrl: server.url(), dataDir, environment, httpHost: '0.0.0.0' });
  await reached.start();
  const client = consoleOf(reached);
  assert.equal((await client.comeIn()).status, 401);
  assert.equal((await client.request('GET', '/api/live')).status, 401);
  assert.equal((await client.comeIn({ user: 'vera', password: `vera's` })).status, 200);
  assert.equal((await client.sql('SHOW CDC STREAMS')).status, 200);
  await reached.stop();
});

test('whoever comes in without signing in where all is open acts as the user of the upstream', async () => {
  const open = await walhookWith({ WALHOOK_CONSOLE: 'open' });
  const client = consoleOf(open);
  const { session } = (await client.comeIn()).body;
  assert.deepEqual([session!.user, session!.access], ['postgres', 'client']);
  assert.equal((await client.sql('ALTER CDC STREAM ALL PAUSE')).status, 200);
  await open.stop();
});

test('who tries too often has to wait', async () => {
  const closed = await walhookWith({ WALHOOK_CONSOLE: 'sign-in', WALHOOK_CONSOLE_TOKEN: TOKEN });
  const client = consoleOf(closed);
  const tries = Array.from({ length: 60 }, (_, at) => client.comeIn({ token: `wrong ${at}` }));
  const statuses = (await Promise.all(tries)).map(({ status }) => status);
  assert.ok(statuses.includes(401) && statuses.includes(429), statuses.join());
  assert.deepEqual(
    statuses.filter((status) => status !== 401 && status !== 429),
    [],
  );
  await closed.stop();
});

async function canConnect(user: string): Promise<boolean> {
  const client = new pg.Client({ host: '127.0.0.1', port: server.port, user, database: 'postgres' });
  const isIn = await client.connect().then(
    () => true,
    () => false,
  );
  await client.end();
  return isIn;
}

test('an upstream that lets anybody in as anybody is no sign-in', async () => {
  await direct.query('CREATE ROLE trusted LOGIN SUPERUSER');
  const rules = join(server.dataDir, 'pg_hba.conf');
  writeFileSync(rules, `host all trusted 127.0.0.1/32 trust\n${readFileSync(rules, 'utf8')}`);
  await direct.query('SELECT pg_reload_conf()');
  await waitFor('the rule to hold', () => canConnect('trusted'));
  const { status, body } = await consoleOf(walhook).comeIn({ user: 'trusted', password: 'anything' });
  assert.deepEqual([status, body.error?.code], [401, '28000']);
});

test('there is none where there is to be none', async () => {
  const none = await walhookWith({ WALHOOK_CONSOLE: 'off' });
  for (const path of ['/', '/api/session']) assert.equal((await fetch(none.httpUrl(path))).status, 404);
  assert.equal((await fetch(none.httpUrl('/healthz'))).status, 200);
  await none.stop();
});
