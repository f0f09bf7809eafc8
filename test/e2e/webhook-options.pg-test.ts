import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Webhook } from 'standardwebhooks';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { streamStatus } from '../support/stream-status.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { type ReceivedRequest, WebhookReceiver } from '../support/webhook-receiver.ts';

// Options as a client says them, and the requests that then come. Secrets reach the endpoint and nobody else.

const receiver = await WebhookReceiver.start();
after(() => receiver.stop());
const secure = await WebhookReceiver.start(CERTIFICATES.localhost);
after(() => secure.stop());
const server = await startPostgres();
const dataDir = join(temporaryFolder(), 'data');
const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start();
const client = await connect(walhook.sqlUrl());
await client.query('CREATE TABLE orders (id bigint PRIMARY KEY, total numeric, note text)');
let nextId = 1;

async function insert(note = 'x'): Promise<number> {
  const id = nextId++;
  await client.query('INSERT INTO orders VALUES ($1, 0.10, $2)', [id, note]);
  return id;
}

async function arrived(at: WebhookReceiver, path: string, count = 1): Promise<ReceivedRequest> {
  const there = (): ReceivedRequest[] => at.requests.filter((request) => request.path.startsWith(path));
  await waitFor(`${count} requests at ${path}`, () => there().length >= count);
  return there()[count - 1]!;
}

async function refusal(
  sql: string,
): Promise<{ code: string; message: string; detail: string; position: string | undefined }> {
  try {
    await client.query(sql);
  } catch (error) {
    return error as never;
  }
  throw new Error(`not refused: ${sql}`);
}

const SIGNING = `whsec_${Buffer.from('planted-signing-secret-0').toString('base64')}`;

test('everything about a request can be said, and changed while the stream runs', async () => {
  await client.query(`CREATE CDC STREAM shaped ON orders TO WEBHOOK '${receiver.url('/shaped?k=v')}' WITH (
    method = PUT, path_template = '/{schema}/{table}/{op}', idempotency_header = 'X-Id', source_schema_header = 'X-S',
    compression = gzip, numbers = number, include_transaction = false, signing_secret = '${SIGNING}',
    basic_auth = 'planted-user:planted-password', connect_timeout = '2s')`);
  const id = await insert();
  const request = await arrived(receiver, '/shaped/');
  assert.equal(request.path, '/shaped/public/orders/insert?k=v');
  assert.equal(request.method, 'PUT');
  assert.equal(request.headers['x-s'], 'public');
  assert.equal(request.headers['content-encoding'], 'gzip');
  assert.equal(request.headers['x-id'], request.headers['webhook-id']);
  assert.equal(request.headers.authorization, `Basic ${btoa('planted-user:planted-password')}`);
  const body = gunzipSync(request.body).toString('utf8');
  new Webhook(SIGNING).verify(body, request.headers as Record<string, string>);
  assert.ok(body.endsWith(`"key":{"id":${id}},"before":null,"after":{"id":${id},"total":0.10,"note":"x"}}`), body);
  await client.query(`ALTER CDC STREAM shaped SET (compression = none, include_transaction = true, method = POST,
    path_template = '/{op}')`);
  await client.query('ALTER CDC STREAM shaped RESET (basic_auth, signing_secret)');
  await insert();
  const plain = await arrived(receiver, '/shaped/insert');
  assert.equal(plain.method, 'POST');
  assert.equal('authorization' in plain.headers || 'webhook-signature' in plain.headers, false);
  assert.match(plain.body.toString('utf8'), /"commit_ts"/);
  await client.query('DROP CDC STREAM shaped');
});

test('headers are routed by what an event is of: each request has its own, SHOW CREATE and PEEK show them', async () => {
  await client.query('CREATE TABLE "größe" (id bigint PRIMARY KEY)');
  const headers = `{"X-Route": "{schema}.{table}/{op}", "X-Api-Key": "planted-{table}", "X-Json": "{\\"a\\": 1}"}`;
  await client.query(`CREATE CDC STREAM routed ON orders, "größe" TO WEBHOOK '${receiver.url('/routed')}'
    WITH (batch_max_events = 10, "header.X-Stream" = 'to {stream}', headers = '${headers}')`);
  const { rows: created } = await client.query<{ create_statement: string }>('SHOW CREATE CDC STREAM routed');
  assert.match(created[0]!.create_statement, /"X-Route":"\{schema\}\.\{table\}\/\{op\}"/);
  assert.match(created[0]!.create_statement, /"X-Api-Key":"\*\*\*"/);
  await client.query('TEST CDC STREAM routed');
  await client.query('ALTER CDC STREAM routed PAUSE');
  const id = nextId++;
  await client.query('BEGIN');
  await client.query('INSERT INTO orders VALUES ($1, 1, $2)', [id, 'x']);
  await client.query('INSERT INTO "größe" VALUES (1), (2)');
  await client.query('UPDATE orders SET total = 2 WHERE id = $1', [id]);
  await client.query('COMMIT');
  const peek = async (): Promise<readonly { headers: Record<string, string>; event_ids: string }[]> =>
    (await client.query<{ headers: Record<string, string>; event_ids: string }>('PEEK CDC STREAM routed')).rows;
  await waitFor('the changes', async () => (await peek()).length === 3);
  const peeked = await peek();
  assert.equal(peeked[0]!.headers['X-Stream'], 'to routed');
  assert.equal(peeked[0]!.headers['X-Api-Key'], '***');
  assert.equal(peeked[0]!.headers['X-CDC-Attempt'], '1');
  await client.query('ALTER CDC STREAM routed RESUME');
  await arrived(receiver, '/routed', 4);
  const [test, ...requests] = receiver.requests.filter(({ path }) => path === '/routed');
  assert.equal(test!.headers['x-route'], 'cdc.test/insert');
  const routes = ['public.orders/insert', 'public.gr%C3%B6%C3%9Fe/insert', 'public.orders/update'];
  assert.deepEqual(
    requests.map((request) => request.headers['x-route']),
    routes,
  );
  assert.deepEqual(
    peeked.map((request) => request.headers['X-Route']),
    routes,
  );
  assert.equal(requests[1]!.headers['x-api-key'], 'planted-gr%C3%B6%C3%9Fe');
  assert.equal(requests[1]!.headers['x-json'], '{"a": 1}');
  await client.query('DROP CDC STREAM routed');
});

test('columns of its key route an event; a table whose key does not have them is refused', async () => {
  await client.query('CREATE TABLE tenants (tenant text, id int, PRIMARY KEY (tenant, id))');
  const options = `path_template = '/{key.tenant}', headers = '{"X-Id": "{key.id}"}'`;
  const made = `TO WEBHOOK '${receiver.url('/keyed')}' WITH (${options})`;
  const refused = await refusal(`CREATE CDC STREAM no ON orders ${made}`);
  assert.deepEqual(
    [refused.code, refused.message, refused.detail],
    ['22023', 'the key of table "public.orders" has no column "tenant"', 'Its key is (id).'],
  );
  await client.query(`CREATE CDC STREAM keyed ON tenants ${made}`);
  assert.equal((await refusal('ALTER CDC STREAM keyed ADD TABLE orders')).code, '22023');
  assert.equal((await refusal(`ALTER CDC STREAM keyed SET (path_template = '/{key.note}')`)).code, '22023');
  await client.query(`INSERT INTO tenants VALUES ('acme', 7)`);
  const request = await arrived(receiver, '/keyed/acme');
  assert.equal(request.headers['x-id'], '7');
  await client.query('DROP CDC STREAM keyed');
});

test('batch_max_bytes is what a body has at most, with as many events as fit', async () => {
  await client.query(`CREATE CDC STREAM bounded ON orders TO WEBHOOK '${receiver.url('/bounded')}'
    WITH (batch_max_events = 1000, batch_max_bytes = '4kB', max_in_flight = 1)`);
  const first = nextId;
  nextId += 100;
  await client.query(
    `INSERT INTO orders SELECT n, 1, repeat('y', 200) FROM generate_series(${first}, ${nextId - 1}) n`,
  );
  const requests = (): ReceivedRequest[] => receiver.requests.filter(({ path }) => path === '/bounded');
  const events = (): number =>
    requests().reduce((sum, { body }) => sum + (JSON.parse(body.toString()) as unknown[]).length, 0);
  await waitFor('all of them', () => events() >= 100);
  assert.equal(events(), 100);
  const sizes = requests().map(({ body }) => body.length);
  assert.ok(Math.max(...sizes) <= 4_096, sizes.join(', '));
  // Another event would not have fitted into any but the last, and the first, which went out with what was there.
  assert.ok(
    sizes.slice(1, -1).every((size) => size > 4_096 - 800),
    sizes.join(', '),
  );
  await client.query('DROP CDC STREAM bounded');
});

test('an event above max_event_bytes is thin, or a dead letter, or sent', async () => {
  for (const policy of ['thin', 'dead_letter', 'send']) {
    await client.query(`CREATE CDC STREAM s_${policy} ON orders TO WEBHOOK '${receiver.url(`/size/${policy}`)}'
      WITH (max_event_bytes = '1kB', on_oversize = ${policy})`);
  }
  const large = await insert('y'.repeat(2_000));
  await insert('small');
  await arrived(receiver, '/size/thin', 2);
  await arrived(receiver, '/size/send', 2);
  await arrived(receiver, '/size/dead_letter', 1);
  const notes = (policy: string): unknown[] =>
    receiver.requests
      .filter(({ path }) => path === `/size/${policy}`)
      .map(({ body }) => JSON.parse(body.toString('utf8')) as { key: { id: string }; after: { note: string } | null })
      .filter(({ key }) => key.id === String(large))
      .map(({ after: row }) => row?.note.length ?? null);
  assert.deepEqual([notes('thin'), notes('dead_letter'), notes('send')], [[null], [], [2_000]]);
  await waitFor(
    'the dead letter',
    async () => (await streamStatus(client, 's_dead_letter')).get('dead_letters') === '1',
  );
  await client.query('DROP CDC STREAM s_thin, s_dead_letter, s_send');
});

test('an authority of one’s own is trusted, for its stream alone', async () => {
  await client.query({
    text: `CREATE CDC STREAM trusted ON orders TO WEBHOOK '${secure.url('/trusted')}' WITH (tls_ca = $1)`,
    values: [CERTIFICATES.root],
  });
  await client.query(`CREATE CDC STREAM distrusted ON orders TO WEBHOOK '${secure.url('/distrusted')}'`);
  await insert();
  await arrived(secure, '/trusted');
  await waitFor(
    'the error',
    async () => (await streamStatus(client, 'distrusted')).get('last_error')?.startsWith('TLS: ') === true,
  );
  await client.query(`ALTER CDC STREAM distrusted SET (tls_insecure_skip_verify = true, max_backoff = '1s')`);
  await arrived(secure, '/distrusted');
  await client.query('DROP CDC STREAM trusted, distrusted');
});

test('what can be of no use is refused with its place, and the value is in no message', async () => {
  const create = (options: string): string =>
    `CREATE CDC STREAM no ON orders TO WEBHOOK '${receiver.url('/no')}' WITH (${options})`;
  for (const options of [
    `bearer_token = 'planted secret'`,
    `basic_auth = 'planted'`,
    `auth_header = 'planted'`,
    `signing_secret = 'whsec_planted?'`,
    `tls_ca = 'planted'`,
    `bearer_token = 'planted', auth_header = 'X-Planted: planted'`,
    `compression = snappy`,
    `idempotency_header = 'Host'`,
    `headers = '{"X-A": "planted {tabel}"}'`,
    `"header.X-A" = 'planted {row.id}'`,
  ]) {
    const { code, message, detail, position } = await refusal(create(options));
    assert.equal(code, '22023', options);
    assert.ok(position !== undefined, options);
    assert.ok(!/planted/i.test(`${message}${detail}`), `${message} ${detail}`);
  }
});

test('a literal secret and a certificate that nobody looks at come with a warning', async () => {
  const notices: string[] = [];
  const onNotice = ({ severity, message }: { severity?: string | undefined; message?: string | undefined }): void =>
    void notices.push(`${severity} ${message}`);
  client.on('notice', onNotice);
  await client.query(`CREATE CDC STREAM warned ON orders TO WEBHOOK '${receiver.url('/warned')}'
    WITH (bearer_token = 'planted-token-of-warned', tls_insecure_skip_verify)`);
  client.off('notice', onNotice);
  assert.match(notices.join('\n'), /^WARNING a secret stands in the statement itself/m);
  assert.match(notices.join('\n'), /^WARNING tls_insecure_skip_verify takes any certificate/m);
  await client.query('DROP CDC STREAM warned');
});

/** Every file below the data directory. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

test('secrets are in no file, no log line, no result and no error', async () => {
  const secrets = {
    bearer: 'planted-bearer-token-4711',
    signing: `whsec_${Buffer.from('planted-signing-secret-4711').toString('base64')}`,
    header: 'X-Api-Key: planted-api-key-4711',
    query: 'planted-query-4711',
    password: 'planted-password-4711',
    named: 'planted-named-4711',
    rotated: 'planted-rotated-4711',
    static: 'planted-static-4711',
    note: 'planted-note-4711',
  };
  const url = receiver.url(`/planted?token=${secrets.query}`);
  await client.query(`CREATE CDC STREAM planted_a ON orders TO WEBHOOK '${url}' WITH (bearer_token = '${secrets.bearer}',
    signing_secret = '${secrets.signing}')`);
  await client.query(`CREATE CDC STREAM planted_b ON orders TO WEBHOOK '${receiver.url('/planted')}'
    WITH (auth_header = '${secrets.header}', initial_backoff = '10ms', max_backoff = '20ms')`);
  await client.query(`CREATE CDC STREAM planted_c ON orders TO WEBHOOK '${receiver.url('/planted')}'
    WITH (basic_auth = 'planted:${secrets.password}', tls_ca = '-----BEGIN CERTIFICATE-----')`);
  await client.query(`CREATE CDC SECRET planted_secret AS '${secrets.named}'`);
  await client.query(`ALTER CDC SECRET planted_secret AS '${secrets.rotated}' KEEP OLD FOR '1h'`);
  await client.query(`CREATE CDC ENDPOINT planted_endpoint AS '${url}' WITH (bearer_token = SECRET planted_secret,
    signing_secret = '${secrets.signing}', headers = '{"X-Auth-Extra": "${secrets.static}"}')`);
  await client.query('CREATE CDC STREAM planted_d ON orders TO ENDPOINT planted_endpoint');
  receiver.decide = ({ path, headers }) => {
    if (path !== '/planted' || headers.authorization !== undefined) return null;
    return { kind: 'answer', status: 401, body: `refused: ${String(headers['x-api-key'])}` };
  };
  await insert(secrets.note);
  await arrived(receiver, '/planted?', 2);
  const sent = receiver.requests.filter(({ path }) => path.startsWith('/planted?'));
  assert.deepEqual(sent.map(({ headers }) => String(headers.authorization)).toSorted(), [
    `Bearer ${secrets.bearer}`,
    `Bearer ${secrets.rotated}`,
  ]);
  await waitFor('the refusal', async () => (await streamStatus(client, 'planted_b')).get('last_error') === 'HTTP 401');
  await waitFor('the problem', async () => (await streamStatus(client, 'planted_c')).get('status') === 'failed');
  assert.equal(
    (await streamStatus(client, 'planted_c')).get('status_reason'),
    'tls_ca: there is no whole certificate in it',
  );
  assert.equal(
    (await streamStatus(client, 'planted_c')).get('last_error'),
    'tls_ca: there is no whole certificate in it',
  );
  const shown: string[] = [];
  const streams = ['planted_a', 'planted_b', 'planted_c', 'planted_d'];
  const shows = ['STREAM STATUS', 'STREAM OPTIONS', 'STREAM HISTORY', 'STREAM TABLES'].map(
    (what) => `SHOW CDC ${what}`,
  );
  for (const show of [...shows, 'SHOW CREATE CDC STREAM']
    .flatMap((one) => streams.map((stream) => `${one} ${stream}`))
    .concat([
      'SHOW CDC STREAMS',
      'SHOW CDC DELIVERIES',
      'SHOW CDC ENDPOINTS',
      'SHOW CDC SECRETS',
      'SHOW CREATE CDC ENDPOINT planted_endpoint',
    ])) {
    shown.push(JSON.stringify((await client.query(show)).rows));
  }
  shown.push(JSON.stringify(await refusal(`ALTER CDC STREAM planted_a SET (basic_auth = 'a:${secrets.password}')`)));
  shown.push(await (await fetch(walhook.httpUrl('/metrics'))).text());
  shown.push(walhook.logLines.join('\n'));
  const files = filesOf(dataDir);
  assert.ok(['catalog.db', 'delivery.db', 'log.db'].every((name) => files.some((path) => path.includes(name))));
  const { note, query, static: header, ...credentials } = secrets;
  const forms = [
    ...Object.values(credentials),
    'planted-api-key-4711',
    Buffer.from(secrets.password).toString('base64'),
  ];
  for (const form of [...forms, query, note, header]) {
    for (const text of shown) assert.ok(!text.includes(form), `${form} is shown: ${text.slice(0, 500)}`);
  }
  for (const path of files) {
    const bytes = readFileSync(path);
    for (const form of forms) assert.ok(!bytes.includes(form), `${form} is in ${path}`);
  }
  // What is looked for would be found: the row is in the log, the URL in the catalog.
  assert.ok(files.some((path) => readFileSync(path).includes(note)));
  assert.ok(files.some((path) => readFileSync(path).includes(query)));
  receiver.decide = null;
  await client.query('DROP CDC STREAM planted_a, planted_b, planted_c, planted_d');
  await client.query('DROP CDC ENDPOINT planted_endpoint');
});
