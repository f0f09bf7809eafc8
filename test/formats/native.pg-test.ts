import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { indexChunk, type IndexedChunk, RelationCache } from '../../src/delivery/chunk-index.ts';
import { ByteWriter } from '../../src/formats/byte-writer.ts';
import { EventIds } from '../../src/formats/event-id.ts';
import { NativeEncoder } from '../../src/formats/native.ts';
import { TAG } from '../../src/postgres/pgoutput.ts';
import { connect, startPostgres } from '../support/test-database.ts';

// What a real server sends for a row, and what it prints for the same row when asked, are the same.

const PINNED =
  '-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC -c bytea_output=hex -c client_encoding=UTF8';

const TYPES: Readonly<Record<string, { readonly type: string; readonly values: readonly string[] }>> = {
  c_int8: { type: 'bigint', values: ['9223372036854775807', '-9223372036854775808'] },
  c_numeric: { type: 'numeric', values: ['0.10', 'NaN', '1e40', 'Infinity'] },
  c_text: { type: 'text', values: ['a"b\\c\n\t\u0001ü語😀', ''] },
  c_date: { type: 'date', values: ['2026-01-05', '0044-03-15 BC', 'infinity', '20000-01-01'] },
  c_time: { type: 'time', values: ['10:00:00.1'] },
  c_timetz: { type: 'timetz', values: ['10:00:00.1+05:45'] },
  c_interval: { type: 'interval', values: ['1 year 2 mons 3 days 04:05:06.7', '-1 day'] },
  c_uuid: { type: 'uuid', values: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'] },
  c_inet: { type: 'inet', values: ['10.0.0.1/8'] },
  c_range: { type: 'int4range', values: ['[1,10)', 'empty'] },
  c_multirange: { type: 'int4multirange', values: ['{[1,3),[5,8)}'] },
  c_point: { type: 'point', values: ['(1.5,2)'] },
  c_mood: { type: 'mood', values: ['so "so"'] },
  c_pair: { type: 'pair', values: ['(1,"a ""b""")'] },
  c_amount: { type: 'amount', values: ['12'] },
  c_bits: { type: 'bit varying', values: ['1011'] },
  c_xml: { type: 'text', values: ['<a b="c"/>'] },
};

/** Types whose JSON is not their text, each with the server's own idea of the JSON. */
const CONVERTED: Readonly<
  Record<string, { readonly type: string; readonly values: readonly string[]; readonly json: string }>
> = {
  // A cast to text would strip the blanks that the value has.
  d_char: { type: 'char(5)', values: ['ab'], json: 'to_jsonb(d_char)' },
  d_int2: { type: 'smallint', values: ['-32768'], json: 'to_jsonb(d_int2)' },
  d_int4: { type: 'integer', values: ['2147483647'], json: 'to_jsonb(d_int4)' },
  d_float4: { type: 'real', values: ['1.1', '3.4e38', 'NaN'], json: 'to_jsonb(d_float4)' },
  d_float8: {
    type: 'double precision',
    values: ['0.1', '1e-300', '-Infinity', '123456789.123456789'],
    json: 'to_jsonb(d_float8)',
  },
  d_bool: { type: 'boolean', values: ['t', 'f'], json: 'to_jsonb(d_bool)' },
  d_json: { type: 'json', values: ['{"a" : [1.50, null]}'], json: 'd_json::jsonb' },
  d_jsonb: { type: 'jsonb', values: ['{"a": "ü\\n"}', '"x"', '12.50'], json: 'd_jsonb' },
  d_bytea: {
    type: 'bytea',
    values: ['\\x', '\\x00ff10', `\\x${'ab'.repeat(100)}`],
    json: `to_jsonb(replace(encode(d_bytea, 'base64'), E'\\n', ''))`,
  },
  d_timestamp: {
    type: 'timestamp',
    values: ['2026-01-05 10:00:00.123456', '2026-01-05', '0001-01-01 00:00:00.5'],
    json: `to_jsonb(to_char(d_timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.US'))`,
  },
  d_timestamptz: {
    type: 'timestamptz',
    values: ['2026-01-05 10:00:00.12+05:45', '9999-12-31 23:59:59.999999+00'],
    json: `to_jsonb(to_char(d_timestamptz, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))`,
  },
  d_ints: { type: 'integer[]', values: ['{1,NULL,3}', '[0:1]={7,8}', '{{1,2},{3,4}}', '{}'], json: 'to_jsonb(d_ints)' },
  d_texts: { type: 'text[]', values: ['{a,"b \\"c\\" \\\\ ,{}",NULL,"NULL",""}'], json: 'to_jsonb(d_texts)' },
  d_bools: { type: 'boolean[]', values: ['{t,f}'], json: 'to_jsonb(d_bools)' },
  d_jsonbs: { type: 'jsonb[]', values: ['{"{\\"a\\": 1}",2}'], json: 'to_jsonb(d_jsonbs)' },
  d_dates: { type: 'date[]', values: ['{2026-01-05}'], json: 'to_jsonb(d_dates)' },
};

const server = await startPostgres();
const url = server.url();
const client = await connect(url);
const columns = Object.entries({ ...TYPES, ...CONVERTED }).map(([name, { type }]) => `${name} ${type}`);
await client.query(`
  set timezone = 'UTC';
  set extra_float_digits = 3;
  create type mood as enum ('so "so"');
  create type pair as (a int, b text);
  create domain amount as int;
  create table everything (id int primary key, ${columns.join(', ')});
  create table docs (id int primary key, title text, body text);
  alter table docs alter body set storage external;
  create publication walhook_test for table everything, docs;
`);
await client.query(`select pg_create_logical_replication_slot('walhook_test', 'pgoutput')`);

/** The frames of everything since the last call, as one chunk. */
async function capture(): Promise<IndexedChunk> {
  const { rows } = await client.query<{ end: string }>('select pg_current_wal_lsn()::text as end');
  const replication = new pg.Client({
    connectionString: url,
    replication: 'database',
    options: PINNED,
  } as pg.ClientConfig);
  replication.on('error', () => undefined);
  await replication.connect();
  const frames: Buffer[] = [];
  const { connection } = replication as unknown as {
    connection: {
      on(event: 'copyData', listener: (message: { chunk: Buffer }) => void): void;
      stream: { destroy(): void };
    };
  };
  const end = lsn(rows[0]!.end);
  let confirmed = 0n;
  await new Promise<void>((resolve, reject) => {
    connection.on('copyData', ({ chunk }) => {
      const isData = chunk[0] === 0x77;
      if (isData) {
        const head = Buffer.alloc(5);
        head[0] = 0x64;
        head.writeUInt32BE(chunk.length + 4, 1);
        frames.push(head, Buffer.from(chunk));
      }
      if (isData && chunk[25] === TAG.commit) confirmed = chunk.readBigUInt64BE(25 + 10);
      // A keepalive past the end, or the last commit: everything before it has come.
      if (chunk.readBigUInt64BE(isData ? 9 : 1) >= end && (!isData || chunk[25] === TAG.commit)) resolve();
    });
    replication
      .query(`START_REPLICATION SLOT walhook_test LOGICAL 0/0 (proto_version '1', publication_names 'walhook_test')`)
      .catch(reject);
  });
  connection.stream.destroy();
  await released();
  if (confirmed > 0n)
    await client.query(`select pg_replication_slot_advance('walhook_test', $1)`, [
      `${(confirmed >> 32n).toString(16)}/${(confirmed & 0xffffffffn).toString(16)}`,
    ]);
  const header = {
    id: 1,
    open: null,
    last: null,
    confirmLsn: 0n,
    firstCommitMicros: null,
    relations: [],
    backfill: null,
    changes: 0,
    bytes: 0,
  };
  return indexChunk({ header, data: Buffer.concat(frames), relationMessages: new Map() }, new RelationCache());
}

async function released(): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    const { rows } = await client.query('select 1 from pg_replication_slots where active');
    if (rows.length === 0) return;
  }
  throw new Error('the slot stays active');
}

function lsn(text: string): bigint {
  const [high, low] = text.split('/').map((half) => BigInt(`0x${half}`));
  return (high! << 32n) | low!;
}

interface Event {
  readonly op: string;
  readonly key: unknown;
  readonly old_key?: unknown;
  readonly before: Record<string, unknown> | null;
  readonly after: Record<string, unknown> | null;
  readonly changed?: readonly string[];
  readonly unchanged_toast?: readonly string[];
  readonly before_complete?: boolean;
}

function events(chunk: IndexedChunk, table: string): Event[] {
  const found: Event[] = [];
  for (const changes of chunk.relations.values()) {
    for (let i = 0; i < changes.count; i++) {
      const relation = changes.relationAt(i);
      if (relation.name !== table) continue;
      const encoder = new NativeEncoder(new EventIds({ systemId: '1', databaseOid: 1 }), relation, 's', ['id']);
      const out = new ByteWriter();
      const change = {
        data: chunk.data,
        offset: changes.offsets[i]!,
        transaction: chunk.transactions[changes.transactions[i]!]!,
        ordinal: changes.ordinals[i]!,
        seq: changes.seqs[i]!,
      };
      encoder.encode(out, change, new ByteWriter());
      found.push(JSON.parse(out.copy().toString('utf8')) as Event);
    }
  }
  return found;
}

test('every type comes out as the server prints it, or as its own JSON of it', async () => {
  const all = Object.entries({ ...TYPES, ...CONVERTED });
  const rows = Math.max(...all.map(([, { values }]) => values.length));
  for (let row = 0; row < rows; row++) {
    const values = all.map(([, { values: list }]) => list[row] ?? null);
    const places = values.map((_, i) => `$${i + 2}`).join(', ');
    await client.query(`insert into everything values ($1, ${places})`, [row, ...values]);
  }
  const got = events(await capture(), 'everything');
  assert.equal(got.length, rows);
  const select = [
    ...Object.keys(TYPES).map((name) => `to_jsonb(${name}::text) as ${name}`),
    ...Object.entries(CONVERTED).map(([name, { json }]) => `${json} as ${name}`),
  ];
  const { rows: wanted } = await client.query<Record<string, unknown>>(
    `select id, ${select.join(', ')} from everything order by id`,
  );
  for (const [i, event] of got.entries()) assert.deepEqual(event.after, wanted[i], `row ${i}`);
});

test('old rows, keys and large values are what each replica identity has', async () => {
  const large = 'x'.repeat(10_000);
  await client.query(`insert into docs values (1, 'a', '${large}')`);
  await client.query(`update docs set title = 'b' where id = 1`);
  await client.query(`update docs set id = 2 where id = 1`);
  await client.query(`alter table docs replica identity full`);
  await client.query(`update docs set title = 'c' where id = 2`);
  await client.query(`delete from docs where id = 2`);
  await client.query(`truncate docs`);
  const [insert, title, key, full, gone, truncated] = events(await capture(), 'docs');
  assert.deepEqual([insert!.op, insert!.after], ['insert', { id: 1, title: 'a', body: large }]);
  assert.deepEqual([title!.before, title!.after, title!.unchanged_toast], [{ id: 1 }, { id: 1, title: 'b' }, ['body']]);
  assert.deepEqual([key!.key, key!.old_key, key!.before], [{ id: 2 }, { id: 1 }, { id: 1 }]);
  assert.deepEqual(full!.after, { id: 2, title: 'c', body: large });
  assert.deepEqual([full!.changed, full!.before_complete, full!.unchanged_toast], [['title'], true, undefined]);
  assert.deepEqual([gone!.op, gone!.before, gone!.after], ['delete', { id: 2, title: 'c', body: large }, null]);
  assert.equal(truncated!.op, 'truncate');
});
