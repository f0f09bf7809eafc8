/*
  Questions: how many events per second and core does each envelope encode from the log's bytes, of rows of 100 bytes; and how
  many times what making an equal object from the same bytes and `JSON.stringify` come to (`object`)? Beside it what
  `JSON.stringify` makes of such objects when they are there already, ids and all (`stringify alone`). The same of FORMAT AVRO,
  where avsc encodes an object that is equal to what FLAT has (`avsc`; without making the object: `avsc alone`). Not asked: reading
  the log, sending.

    npm run bench:formats [-- rounds]

  CPU time is counted, not the clock's, so that what else runs on the machine costs little; rounds of all are taken in turn.
*/
import { assert, must } from '../../src/base/assert.ts';
import { ByteWriter } from '../../src/formats/byte-writer.ts';
import { Transaction } from '../../src/formats/change.ts';
import { createAvroEncoder, createEncoder } from '../../src/formats/envelope.ts';
import { EventIds, formatUuid } from '../../src/formats/event-id.ts';
import { framedValues, type MessageEncoder } from '../../src/formats/message-encoder.ts';
import { TupleView } from '../../src/formats/tuple.ts';
import type { EnvelopeName } from '../../src/model/stream.ts';
import { formatLsn } from '../../src/postgres/lsn.ts';
import { FRAME, readRelation } from '../../src/postgres/pgoutput.ts';
import { avroType } from '../support/avro-reader.ts';
import { frame, insertMessage, relationMessage, type TestRelation } from '../support/pgoutput-frames.ts';
import { median } from './median.ts';

const EVENTS = 20_000;
const ROWS_PER_TRANSACTION = 100;
const ENVELOPES: readonly EnvelopeName[] = ['native', 'debezium', 'flat', 'cloudevents'];
const LIMITS: Readonly<Partial<Record<EnvelopeName, number>>> = { debezium: 0.7, cloudevents: 0.7 };
const NATIVE_PER_SECOND = 300_000;
const NATIVE_TO_OBJECT = 2;

const ORDERS: TestRelation = {
  oid: 16_400,
  schema: 'public',
  name: 'orders',
  identity: 'd',
  columns: [
    { name: 'id', type: 20, key: true },
    { name: 'status', type: 25 },
    { name: 'amount', type: 1700, modifier: ((12 << 16) | 2) + 4 },
    { name: 'created_at', type: 1184 },
    { name: 'note', type: 25 },
  ],
};

function makeChanges() {
  let transaction = new Transaction(0n, 0n, 0);
  return Array.from({ length: EVENTS }, (_, i) => {
    if (i % ROWS_PER_TRANSACTION === 0) {
      transaction = new Transaction(0x1_a2b3_c4d5n + BigInt(i), 1_767_607_200_123_456n + BigInt(i), 7788 + i);
    }
    // 100 bytes of column text.
    const row = [String(1_000_000 + i), 'open', '1234.25', '2026-01-05 10:00:00.123456+00', 'n'.repeat(53)];
    const data = frame(0x1_a2b3_c400n + BigInt(i * 64), insertMessage(ORDERS.oid, row));
    return { data, offset: 0, transaction, ordinal: 0, seq: i % ROWS_PER_TRANSACTION };
  });
}

const definition = relationMessage(ORDERS);
const relation = readRelation(definition, 0, definition.length);
const changes = makeChanges();
const optionsOf = (envelope: EnvelopeName) =>
  ({
    envelope,
    stream: 'orders_cdc_stream',
    database: 'shop',
    numbers: 'string',
    includeTransaction: true,
  }) as const;
const newIds = (): EventIds => new EventIds({ systemId: '7300000000000000001', databaseOid: 5 });
const encoders = ENVELOPES.map((envelope) => createEncoder(newIds(), relation, ['id'], null, optionsOf(envelope)));
const AVRO = ['native', 'debezium', 'flat'] as const;
const avroEncoders: readonly MessageEncoder[] = AVRO.map((envelope) =>
  must(createAvroEncoder(newIds(), relation, ['id'], null, optionsOf(envelope)), 'it has one'),
);
const out = new ByteWriter(64 * 1024 * 1024);
const ids = new ByteWriter(EVENTS * 16);

function encodeAll(encoder: (typeof encoders)[number] | MessageEncoder): void {
  out.length = 0;
  ids.length = 0;
  for (const change of changes) encoder.encode(out, change, ids);
}

const tuple = new TupleView();
const idBytes = Buffer.alloc(16);
const eventIds = new EventIds({ systemId: '7300000000000000001', databaseOid: 5 });

/** A NATIVE event the plain way. */
function objectOf(change: (typeof changes)[number]): object {
  const { data, transaction, seq } = change;
  tuple.read(data, FRAME.message + 6);
  eventIds.write(idBytes, 0, transaction, data, 0, 0, 0);
  const values = relation.columns.map((_, i) => data.toString('utf8', tuple.starts[i], tuple.ends[i]));
  const [id, status, amount, createdAt, note] = values;
  return {
    id: formatUuid(idBytes, 0),
    stream: 'orders_cdc_stream',
    op: 'insert',
    schema: relation.schema,
    table: relation.name,
    key: { id },
    before: null,
    after: { id, status, amount, created_at: `${createdAt!.replace(' ', 'T').slice(0, -3)}Z`, note },
    commit_ts: transaction.commitText.toString('latin1'),
    lsn: formatLsn(data.readBigUInt64BE(FRAME.startLsn)),
    xid: String(transaction.xid),
    seq,
  };
}

const flatAvro = must(avroEncoders.at(-1), 'there are some');
const flatType = avroType(flatAvro.schemas.value);

/** The FLAT row of an insert the plain way: what avsc takes. */
function avroObjectOf(change: (typeof changes)[number]): object {
  const { data, transaction } = change;
  tuple.read(data, FRAME.message + 6);
  eventIds.write(idBytes, 0, transaction, data, 0, 0, 0);
  const values = relation.columns.map((_, i) => data.toString('utf8', tuple.starts[i], tuple.ends[i]));
  const [id, status, amount, createdAt, note] = values;
  const unscaled = Buffer.alloc(8);
  unscaled.writeBigInt64BE(BigInt(amount!.replace('.', '')));
  let first = 0;
  while (first < 7 && unscaled[first] === 0 && unscaled[first + 1]! < 0x80) first++;
  const millis = Date.parse(`${createdAt!.slice(0, 23).replace(' ', 'T')}Z`);
  return {
    id: BigInt(id!),
    status,
    amount: unscaled.subarray(first),
    created_at: BigInt(millis) * 1000n + BigInt(createdAt!.slice(23, 26)),
    note,
    _sm_version: data.readBigUInt64BE(FRAME.startLsn),
    _sm_deleted: false,
    _sm_unknown: [],
    _sm_full_bytes: null,
  };
}

/** Whether the two ways come to the same. */
function checkObjects(): void {
  for (const change of changes.slice(0, 200)) {
    const avro = new ByteWriter(1024);
    flatAvro.encode(avro, change, new ByteWriter(16));
    assert(framedValues(avro.copy(), 0, 1)[0]!.equals(flatType.toBuffer(avroObjectOf(change))), 'the same Avro');
    const single = new ByteWriter(1024);
    encoders[0]!.encode(single, change, new ByteWriter(16));
    assert(single.copy().toString('utf8') === JSON.stringify(objectOf(change)), 'the same bytes');
  }
}

/** Events per second of CPU time. */
function measure(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return EVENTS / ((user + system) / 1e6);
}

checkObjects();
const objects = changes.map(objectOf);

/** To bytes, as an envelope is. */
function stringifyAll(objectFor: (i: number) => object): void {
  let written = 0;
  for (let i = 0; i < EVENTS; i++) written += out.bytes.write(JSON.stringify(objectFor(i)), written, 'utf8');
}

const avroObjects = changes.map(avroObjectOf);

function avscAll(objectFor: (i: number) => object): void {
  let written = 0;
  for (let i = 0; i < EVENTS; i++) written = flatType.encode(objectFor(i), out.bytes, written);
}

const AVRO_BASELINES = [
  ['avsc', (i: number) => avroObjectOf(changes[i]!)],
  ['avsc alone', (i: number) => avroObjects[i]!],
] as const;

const BASELINES = [
  ['object', (i: number) => objectOf(changes[i]!)],
  ['stringify alone', (i: number) => objects[i]!],
] as const;

const rounds = Number(process.argv[2] ?? 25);
const results = new Map<string, number[]>(
  [...ENVELOPES, ...AVRO.map((name) => `${name} avro`), 'object', 'stringify alone', 'avsc', 'avsc alone'].map(
    (name) => [name, []],
  ),
);
for (let round = -5; round < rounds; round++) {
  for (const [i, envelope] of ENVELOPES.entries()) {
    const rate = measure(() => encodeAll(encoders[i]!));
    if (round >= 0) results.get(envelope)!.push(rate);
  }
  for (const [i, envelope] of AVRO.entries()) {
    const rate = measure(() => encodeAll(avroEncoders[i]!));
    if (round >= 0) results.get(`${envelope} avro`)!.push(rate);
  }
  for (const [name, objectFor] of BASELINES) {
    const rate = measure(() => stringifyAll(objectFor));
    if (round >= 0) results.get(name)!.push(rate);
  }
  for (const [name, objectFor] of AVRO_BASELINES) {
    const rate = measure(() => avscAll(objectFor));
    if (round >= 0) results.get(name)!.push(rate);
  }
}

const rate = (name: string): number => median(results.get(name)!);
const native = rate('native');
for (const [i, envelope] of ENVELOPES.entries()) {
  encodeAll(encoders[i]!);
  const bytes = Math.round(out.length / EVENTS);
  const share = rate(envelope) / native;
  const limit = LIMITS[envelope];
  const verdict = limit === undefined ? '' : share >= limit ? `  (>= ${limit}: ok)` : `  (>= ${limit}: MISSED)`;
  console.log(
    `${envelope.padEnd(15)}${Math.round(rate(envelope)).toLocaleString('en').padStart(10)} events/s  ${bytes} bytes each  ${share.toFixed(2)} of NATIVE${verdict}`,
  );
}
for (const [name] of BASELINES) {
  const line = `${name.padEnd(15)}${Math.round(rate(name)).toLocaleString('en').padStart(10)} events/s`;
  console.log(`${line}  NATIVE is ${(native / rate(name)).toFixed(2)} of it`);
}
for (const [i, envelope] of AVRO.entries()) {
  encodeAll(avroEncoders[i]!);
  const own = rate(`${envelope} avro`);
  const bytes = Math.round(out.length / EVENTS);
  const line = `${`${envelope} avro`.padEnd(15)}${Math.round(own).toLocaleString('en').padStart(10)} events/s`;
  console.log(`${line}  ${bytes} bytes each  ${(own / rate(envelope)).toFixed(2)} of its JSON`);
}
for (const [name] of AVRO_BASELINES) {
  const line = `${name.padEnd(15)}${Math.round(rate(name)).toLocaleString('en').padStart(10)} events/s`;
  console.log(`${line}  FLAT in Avro is ${(rate('flat avro') / rate(name)).toFixed(2)} of it`);
}
const verdict = (ok: boolean): string => (ok ? 'ok' : 'MISSED');
console.log(`NATIVE >= ${NATIVE_PER_SECOND} events/s: ${verdict(native >= NATIVE_PER_SECOND)}`);
console.log(`NATIVE >= ${NATIVE_TO_OBJECT} of object: ${verdict(native / rate('object') >= NATIVE_TO_OBJECT)}`);
