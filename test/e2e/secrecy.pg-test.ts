import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// Law: the value of a secret goes from the statement that says it, encrypted, into the catalog, and nowhere else: not to the
// upstream, not into a file, a log line, a result, a notice or an error, whatever becomes of the statement.

const server = await startPostgres({
  settings: {
    log_statement: 'all',
    log_min_messages: 'debug1',
    log_parameter_max_length: '-1',
    track_activities: 'on',
  },
});
const admin = await connect(server.url());
await admin.query('CREATE TABLE orders (id int PRIMARY KEY)');
const dataDir = join(temporaryFolder(), 'data');
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir,
  environment: { WALHOOK_LOG_LEVEL: 'debug' },
}).start();

/** A value that is to be seen nowhere; each call gives another. */
const planted: string[] = [];
function secret(): string {
  planted.push(`planted-${planted.length}-in-secrecy-test`);
  return planted.at(-1)!;
}

/** All that a client is told. */
const told: string[] = [];

async function session(): Promise<pg.Client> {
  const client = await connect(walhook.sqlUrl());
  client.on('notice', (notice) => told.push(JSON.stringify([notice.message, notice.detail, notice.hint])));
  return client;
}

async function say(client: pg.Client, text: string, values?: unknown[]): Promise<string | null> {
  try {
    const result = values === undefined ? await client.query(text) : await client.query({ text, values });
    told.push(JSON.stringify(result));
    return null;
  } catch (error) {
    assert.ok(error instanceof pg.DatabaseError, String(error));
    const { message, detail, hint, internalQuery, where } = error;
    told.push(JSON.stringify([message, detail, hint, internalQuery, where]));
    return error.code ?? null;
  }
}

const KAFKA = `TO KAFKA '127.0.0.1:9'`;
const HOOK = `TO WEBHOOK 'http://127.0.0.1:9/hook'`;

test('whatever becomes of a statement with a secret, nobody is told it', async () => {
  const client = await session();
  assert.equal(await say(client, `CREATE CDC SECRET a AS '${secret()}'`), null);
  assert.equal(await say(client, 'CREATE CDC SECRET b AS $1', [secret()]), null);
  assert.equal(await say(client, `ALTER CDC SECRET a AS '${secret()}' KEEP OLD FOR '1h'`), null);
  assert.equal(await say(client, 'ALTER CDC SECRET b AS $1', [secret()]), null);
  assert.equal(
    await say(client, `CREATE CDC ENDPOINT e AS 'http://127.0.0.1:9/' WITH (bearer_token = '${secret()}')`),
    null,
  );
  assert.equal(await say(client, `ALTER CDC ENDPOINT e SET (bearer_token = $1)`, [secret()]), null);
  assert.equal(await say(client, `CREATE CDC STREAM s ON orders ${HOOK} WITH (basic_auth = 'u:${secret()}')`), null);
  assert.equal(await say(client, `ALTER CDC STREAM s SET (basic_auth = 'u:${secret()}')`), null);
  assert.equal(
    await say(client, `CREATE OR REPLACE CDC STREAM s ON orders ${HOOK} WITH (auth_header = 'X-Key: ${secret()}')`),
    null,
  );
  const login = `sasl_mechanism = plain, sasl_username = 'u', sasl_password`;
  assert.equal(
    await say(client, `CREATE CDC STREAM k ON orders ${KAFKA} TOPIC 't' WITH (${login} = '${secret()}')`),
    null,
  );
  assert.equal(await say(client, `ALTER CDC STREAM k SET (sasl_password = $1)`, [secret()]), null);
  await say(client, 'TEST CDC STREAM k');
  const avro = (options: string): string =>
    `CREATE OR REPLACE CDC STREAM k ON orders ${KAFKA} TOPIC 't' FORMAT AVRO
       WITH (schema_registry_url = 'http://127.0.0.1:9', ${options})`;
  assert.equal(await say(client, avro(`schema_registry_basic_auth = 'u:${secret()}'`)), null);
  assert.equal(await say(client, avro(`schema_registry_bearer_token = '${secret()}'`)), null);
  assert.equal(
    await say(
      client,
      avro(`schema_registry_basic_auth = 'u:${secret()}', schema_registry_bearer_token = '${secret()}'`),
    ),
    '22023',
  );
  for (const label of ['PRIVATE KEY', 'ENCRYPTED PRIVATE KEY']) {
    const key = `-----BEGIN ${label}-----\n${secret()}`;
    assert.equal(await say(client, avro(`schema_registry_tls_client_key = '${key}'`)), '22023');
  }
  assert.equal(await say(client, avro(`schema_registry_url = 'http://u:${secret()}@r'`)), '42601');
  await say(client, 'CHECK CDC');
  // Beside statements of others, in one message and in one transaction, taken back and not.
  assert.equal(await say(client, `SELECT 1; CREATE CDC SECRET c AS '${secret()}'; SELECT 2`), null);
  assert.equal(await say(client, `SELECT 1; CREATE CDC SECRET d AS '${secret()}'; SELECT 1/0`), '22012');
  await say(client, 'BEGIN');
  assert.equal(await say(client, `CREATE CDC SECRET d AS '${secret()}'`), null);
  await say(client, 'ROLLBACK');
  await say(client, 'BEGIN');
  assert.equal(await say(client, `CREATE CDC SECRET d AS $1`, [secret()]), null);
  await say(client, 'COMMIT');
  // With every kind of mistake in it.
  for (const [text, code] of [
    [`CREATE CDC SECRET a AS '${secret()}'`, '42710'],
    [`CREATE CDC SECRETT a AS '${secret()}'`, '42601'],
    [`CREATE CDC SECRET AS '${secret()}'`, '42601'],
    [`CREATE CDC SECRET x AS '${secret()}' KEEP`, '42601'],
    [`CREATE CDC SECRET x AS '${secret()}`, '42601'],
    [`ALTER CDC SECRET nobody AS '${secret()}'`, '42704'],
    [`ALTER CDC SECRET a AS '${secret()}' KEEP OLD FOR 'long'`, '22023'],
    [`CREATE CDC STREAM t ON nowhere ${HOOK} WITH (bearer_token = '${secret()}')`, '42P01'],
    [`CREATE CDC STREAM t ON orders ${HOOK} WITH (bearer_tokn = '${secret()}')`, '42601'],
    [
      `CREATE CDC STREAM t ON orders ${HOOK} WITH (bearer_token = '${secret()}', basic_auth = 'u:${secret()}')`,
      '22023',
    ],
    [`CREATE CDC STREAM t ON orders ${HOOK} WITH (signing_secret = 'whsec_${secret()}?')`, '22023'],
    [`CREATE CDC STREAM t ON orders ${KAFKA} WITH (${login} = '${secret()}')`, '22023'],
    [`CREATE CDC STREAM t ON orders TO KAFKA 'u:${secret()}@k:9092' TOPIC 't'`, '22023'],
    [`CREATE CDC STREAM t ON orders ${HOOK} WITH (sasl_password = '${secret()}')`, '42601'],
    [`ALTER CDC STREAM s SET (bearer_token = '${secret()}')`, '22023'],
    [`EXPLAIN CREATE CDC STREAM s ON orders ${HOOK} WITH (bearer_token = '${secret()}')`, '42710'],
  ] as const) {
    assert.equal(await say(client, text), code, text);
  }
  assert.equal(
    await say(client, `EXPLAIN CREATE CDC STREAM t ON orders ${HOOK} WITH (bearer_token = '${secret()}')`),
    null,
  );
  for (const shown of [
    'SHOW CDC STREAMS',
    'SHOW CDC STREAM STATUS s',
    'SHOW CREATE CDC STREAM s',
    'SHOW CREATE CDC STREAM k',
    'SHOW CDC STREAM OPTIONS k',
    'SHOW CDC STREAM STATUS k',
    'SHOW CDC STREAM OPTIONS s',
    'SHOW CDC STREAM HISTORY s',
    'SHOW CDC ENDPOINTS',
    'SHOW CREATE CDC ENDPOINT e',
    'SHOW CDC SECRETS',
    'SHOW CDC SETTINGS',
  ]) {
    assert.equal(await say(client, shown), null, shown);
  }

  const { rows } = await admin.query<{ query: string }>('SELECT query FROM pg_stat_activity');
  const serverLog = readFileSync(join(server.dataDir, 'server.log'), 'utf8');
  const places = new Map([
    ['pg_stat_activity', rows.map(({ query }) => query).join('\n')],
    ['the server’s log', serverLog],
    ['what clients are told', told.join('\n')],
    ['the log', walhook.logLines.join('\n')],
    ['the metrics', await (await fetch(walhook.httpUrl('/metrics'))).text()],
  ]);
  for (const name of readdirSync(dataDir, { recursive: true, encoding: 'utf8' })) {
    const path = join(dataDir, name);
    if (statSync(path).isFile()) places.set(name, readFileSync(path, 'latin1'));
  }
  for (const [place, text] of places) {
    for (const value of planted) {
      for (const form of [value, Buffer.from(value).toString('base64'), Buffer.from(value).toString('hex')]) {
        assert.ok(!text.includes(form), `${form} is in ${place}`);
      }
    }
  }
  // What is looked for would be found: the server logs each statement that reaches it, and the catalog is among the files.
  assert.match(serverLog, /SELECT 1\/0/);
  assert.ok([...places.keys()].some((name) => name.startsWith('catalog.db')));
  assert.doesNotMatch(serverLog, /CDC (SECRET|STREAM|ENDPOINT)/);
});
