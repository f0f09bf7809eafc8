import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import pg from 'pg';
import postgres from 'postgres';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { encodeCancelRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { binDirOf, POSTGRES_VERSIONS, type PostgresVersion } from '../support/postgres-versions.ts';
import { RawClient, reportsOf, say, typesOf } from '../support/raw-client.ts';
import { connect, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { startPair, type Proxy, type TcpAddress } from './proxy.ts';

// Law: in front of each supported version, drivers see what they see directly, whatever version of the protocol they ask
// for, and statements of ours work.

interface Stage {
  readonly version: PostgresVersion;
  readonly server: LocalPostgres;
  readonly direct: TcpAddress;
  readonly proxy: Proxy;
  /** URLs of a role that authenticates by SCRAM. */
  readonly directUrl: string;
  readonly proxiedUrl: string;
}

async function stageOf(version: PostgresVersion): Promise<Stage> {
  const { server, direct, proxy } = await startPair({ binDir: await binDirOf(version) });
  const admin = await connect(server.url());
  await admin.query(`
    create role scram_user login password 'secret' superuser;
    create domain small as int constraint is_small check (value < 100);
    create table item (id int primary key, body text, size small);
  `);
  await admin.end();
  const directUrl = server.url().replace('postgres:walhook', 'scram_user:secret');
  return { version, server, direct, proxy, directUrl, proxiedUrl: proxy.url(directUrl) };
}

const CREATE = `CREATE CHANGE DATA CAPTURE ON item TO WEBHOOK 'https://example.com/' AS 's1'`;

/** Every field that an ErrorResponse can have. */
const RAISE = `do $$ begin
  raise exception using errcode = 'P0W01', message = 'all of it', detail = 'a detail', hint = 'a hint', schema = 's',
    table = 't', column = 'c', datatype = 'd', constraint = 'k';
end $$`;

const FIELDS =
  `severity code message detail hint position internalPosition internalQuery where schema table column dataType
  constraint file line routine`.split(/\s+/);

const fieldsOf = (error: pg.DatabaseError): unknown[] =>
  FIELDS.map((name) => (error as unknown as Record<string, unknown>)[name]);

/** What `pg` sees in a session: simple and prepared queries, types, errors, a transaction. */
async function withPg(url: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const seen: unknown[] = [];
  const failing = async (sql: string): Promise<void> => {
    seen.push(
      fieldsOf(
        await client.query(sql).then(
          () => assert.fail('no error'),
          (error: pg.DatabaseError) => error,
        ),
      ),
    );
  };
  await client.query('truncate item');
  seen.push((await client.query('show server_version_num')).rows);
  seen.push((await client.query(`select 1 as a, null as b, '{1,2}'::int[] as c, now() is not null as d`)).rows);
  const insert = { name: 'insert', text: 'insert into item values ($1, $2, $3) returning *' };
  for (const id of [1, 2, 3]) seen.push((await client.query({ ...insert, values: [id, `body ${id}`, id] })).rows);
  seen.push((await client.query({ text: 'select $1::bytea as b', values: [Buffer.from([0, 255])] })).rows);
  await failing(RAISE);
  await failing('select bogus');
  await failing('insert into item values (1)');
  await failing('insert into item values (4, null, 100)');
  await client.query('begin');
  await failing('select 1/0');
  await failing('select 1');
  seen.push((await client.query('commit')).command);
  await client.end();
  return seen;
}

/** What `postgres` sees: a pipeline, COPY both ways, a cursor, NOTIFY, and a cancel. */
async function withPostgres(url: string): Promise<unknown[]> {
  const sql = postgres(url, { max: 2, onnotice: () => undefined });
  try {
    await sql`truncate item`;
    const many = await Promise.all(Array.from({ length: 50 }, (_, i) => sql`select ${i}::int as i, version() as v`));
    const copyIn = await sql`copy item from stdin`.writable();
    for (let i = 0; i < 2000; i++) copyIn.write(`${i}\tbody ${i}\t\\N\n`);
    copyIn.end();
    await once(copyIn, 'finish');
    const out: Buffer[] = [];
    for await (const chunk of await sql`copy (select * from item order by id) to stdout`.readable())
      out.push(chunk as Buffer);
    let rows = 0;
    await sql`select * from item`.cursor(300, (some) => void (rows += some.length));
    const heard = Promise.withResolvers<string>();
    const listening = await sql.listen('news', heard.resolve);
    await sql.notify('news', 'hello');
    const news = await heard.promise;
    await listening.unlisten();
    const sleep = sql`select pg_sleep(100)`;
    const cancelled = sleep.catch((error: postgres.PostgresError) => [error.code, error.message]);
    await waitFor('the query to run', async () => {
      const [row] = await sql`select 1 from pg_stat_activity where query = 'select pg_sleep(100)' and state = 'active'`;
      return row !== undefined;
    });
    sleep.cancel();
    return [many, Buffer.concat(out).toString(), rows, news, await cancelled];
  } finally {
    await sql.end();
  }
}

/** What a server says to a startup packet up to its first ReadyForQuery or its end, byte for byte but for the keys. */
async function startupAnswer(address: TcpAddress, packet: Buffer): Promise<string[]> {
  const socket = connectTcp(address);
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.subarray(-6).equals(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]))) socket.end();
  });
  socket.write(packet);
  await once(socket, 'close');
  const said: string[] = [];
  while (bytes.length >= 5 && bytes.readInt32BE(1) < bytes.length) {
    const end = 1 + bytes.readInt32BE(1);
    said.push(described(String.fromCharCode(bytes[0]!), bytes.subarray(5, end)));
    bytes = bytes.subarray(end);
  }
  // The error for a client of protocol 2 has no length.
  return bytes.length === 0 ? said : [...said, bytes.toString('latin1')];
}

/** NegotiateProtocolVersion: Int32 newest version; Int32 count of options not known, and each as a String. */
function described(type: string, body: Buffer): string {
  if (type === 'K') return `key of ${body.length - 4} bytes`;
  if (type !== 'v') return `${type} ${body.toString('latin1')}`;
  const options = body.toString('latin1', 8).split('\0').slice(0, -1);
  assert.equal(options.length, body.readInt32BE(4));
  return ['newest', `${body.readUInt16BE(0)}.${body.readUInt16BE(2)}`, ...options].join(' ');
}

const ROLE = { user: 'postgres', database: 'postgres' };

function packetOf(major: number, minor: number, parameters: Readonly<Record<string, string>> = ROLE): Buffer {
  const packet = encodeStartupMessage(parameters, minor);
  packet.writeUInt16BE(major, 4);
  return packet;
}

const OPTION = '_pq_.test_protocol_negotiation';

/** The packet; and the messages that the answer must have, from a server that knows 3.0 alone and from one of 3.2. */
const STARTUPS: readonly [what: string, packet: Buffer, old: readonly string[], newest: readonly string[]][] = [
  ['3.0', packetOf(3, 0), ['key of 4 bytes'], ['key of 4 bytes']],
  ['3.2', packetOf(3, 2), ['newest 3.0', 'key of 4 bytes'], ['key of 32 bytes']],
  ['3.9999', packetOf(3, 9999), ['newest 3.0', 'key of 4 bytes'], ['newest 3.2', 'key of 32 bytes']],
  [
    '3.0 with an option that no server knows',
    packetOf(3, 0, { ...ROLE, [OPTION]: 'on' }),
    [`newest 3.0 ${OPTION}`, 'key of 4 bytes'],
    [`newest 3.0 ${OPTION}`, 'key of 4 bytes'],
  ],
  [
    '3.9999 with an option that no server knows',
    packetOf(3, 9999, { ...ROLE, [OPTION]: 'on' }),
    [`newest 3.0 ${OPTION}`, 'key of 4 bytes'],
    [`newest 3.2 ${OPTION}`, 'key of 32 bytes'],
  ],
  ['2.0', packetOf(2, 0), ['unsupported frontend protocol 2.0'], ['unsupported frontend protocol 2.0']],
  ['4.0', packetOf(4, 0), ['unsupported frontend protocol 4.0'], ['unsupported frontend protocol 4.0']],
];

const receiver = await startReceiver();
const stages: Stage[] = [];
for (const version of POSTGRES_VERSIONS) stages.push(await stageOf(version));

for (const stage of stages) {
  const { version, server, direct, proxy, directUrl, proxiedUrl } = stage;
  suite(`PostgreSQL ${version}`, () => {
    test('pg sees what it sees directly: queries, types, errors with all fields, a transaction', async () => {
      const expected = await withPg(directUrl);
      assert.deepEqual(await withPg(proxiedUrl), expected);
      const [{ server_version_num }] = expected[0] as [{ server_version_num: string }];
      assert.equal(Math.trunc(Number(server_version_num) / 10_000), version);
      assert.ok(expected.some((each) => Array.isArray(each) && each.includes('all of it') && each.includes('k')));
    });

    test('postgres sees what it sees directly: a pipeline, COPY, a cursor, NOTIFY, a cancel', async () => {
      const expected = await withPostgres(directUrl);
      assert.deepEqual(await withPostgres(proxiedUrl), expected);
      assert.deepEqual(expected.slice(2), [2000, 'hello', ['57014', 'canceling statement due to user request']]);
    });

    for (const [what, packet, old, newest] of STARTUPS) {
      test(`a client that asks for ${what} gets the server's answer`, async () => {
        const expected = await startupAnswer(direct, packet);
        assert.deepEqual(await startupAnswer(proxy.address, packet), expected);
        for (const wanted of version === 18 ? newest : old) {
          assert.ok(
            expected.some((message) => message === wanted || message.includes(`${wanted}:`)),
            `${wanted} in ${expected.join('\n')}`,
          );
        }
      });
    }

    test('statements of ours, simple and prepared', async () => {
      proxy.streams.clear();
      const client = await connect(proxiedUrl);
      assert.equal((await client.query(CREATE)).command, 'CREATE');
      const simple = (await client.query('SHOW CDC STREAMS')).rows;
      assert.deepEqual((await client.query({ name: 'show', text: 'SHOW CDC STREAMS', values: [] })).rows, simple);
      assert.equal(simple[0].stream_name, 's1');
      const mixed = (await client.query('select 1 as one; SHOW CDC STREAMS; select 2 as two')) as unknown;
      assert.deepEqual(
        (mixed as pg.QueryResult[]).map(({ command }) => command),
        ['SELECT', 'SHOW', 'SELECT'],
      );
      await client.query('DROP CDC STREAM s1');
      assert.deepEqual(proxy.streams.names, []);
      await client.end();
    });

    for (const minor of [0, 2]) {
      test(`a client that asked for 3.${minor} cancels a statement of ours, and the server's`, async () => {
        proxy.streams.clear();
        const client = await RawClient.open(proxy.address);
        client.send(packetOf(3, minor));
        const key = (await client.ready()).find(({ type }) => type === 'K')!.body;
        assert.equal(key.length, version === 18 && minor === 2 ? 36 : 8);
        const cancel = async (): Promise<void> => {
          const request = await RawClient.open(proxy.address);
          request.send(encodeCancelRequest(key));
          await request.closed();
        };
        const held = proxy.streams.hold();
        client.send(say.query(CREATE));
        await held;
        await cancel();
        const ours = await client.ready();
        assert.deepEqual([typesOf(ours), reportsOf(ours)[0]!['C']], ['EZ', '57014']);
        proxy.streams.release();
        const admin = await connect(server.url());
        client.send(say.query('select pg_sleep(100)'));
        await waitFor('the query to run', async () => {
          const { rows } = await admin.query(
            `select 1 from pg_stat_activity where query = 'select pg_sleep(100)' and wait_event = 'PgSleep'`,
          );
          return rows.length === 1;
        });
        await cancel();
        assert.equal(reportsOf(await client.ready())[0]!['C'], '57014');
        assert.equal(typesOf(await client.query('select 1')), 'TDCZ');
        client.close();
        await admin.end();
      });
    }

    test('the whole of walhook: created, changed, delivered, dropped', async () => {
      const dataDir = join(temporaryFolder(), 'data');
      const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start();
      const client = await connect(walhook.sqlUrl());
      const path = `/v${version}`;
      await client.query('create table change_me (id int primary key, note text)');
      await client.query(`CREATE CHANGE DATA CAPTURE ON change_me TO WEBHOOK '${receiver.url}${path}'`);
      await client.query(`insert into change_me values (1, 'one')`);
      await client.query(`update change_me set note = 'two'`);
      await client.query('delete from change_me');
      await waitFor('the changes', () => receiver.to(path).length >= 3);
      assert.deepEqual(
        receiver.to(path).map(({ body }) => [body['op'], body['key'], body['after']]),
        [
          ['insert', { id: 1 }, { id: 1, note: 'one' }],
          ['update', { id: 1 }, { id: 1, note: 'two' }],
          ['delete', { id: 1 }, null],
        ],
      );
      await client.query('DROP CDC STREAM change_me_cdc_stream');
      await client.end();
      assert.equal(await walhook.stop(), 0);
    });
  });
}
