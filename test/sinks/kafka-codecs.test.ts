import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { KafkaFormatError, KafkaReader, KafkaWriter, varintBytes } from '../../src/sinks/kafka/bytes.ts';
import { crc32c } from '../../src/sinks/kafka/crc32c.ts';
import { murmur2, partitionOf } from '../../src/sinks/kafka/partitioner.ts';
import { encodeBatch, recordBytes, writeHeaders } from '../../src/sinks/kafka/record-batch.ts';
import { RecordHeaders } from '../../src/sinks/kafka/record-headers.ts';
import { readApiVersions, readMetadata, readProduce } from '../../src/sinks/kafka/requests.ts';
import { ScramClient, ScramError } from '../../src/sinks/kafka/scram.ts';
import type { SinkRecord } from '../../src/sinks/sink.ts';
import { TopicNames } from '../../src/sinks/kafka/topic-names.ts';

test('CRC-32C is that of RFC 3720, appendix B.4, at any length', () => {
  const zeros = Buffer.alloc(32);
  assert.equal(crc32c(zeros), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(Buffer.concat([Buffer.from('abc'), Buffer.from('123456789')]), 3), 0xe3069283);
});

test("murmur2 is that of Kafka's own client", () => {
  // https://github.com/apache/kafka/blob/trunk/clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java
  const cases: readonly (readonly [text: string, hash: number])[] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ];
  for (const [text, hash] of cases) assert.equal(murmur2(Buffer.from(text)), hash, text);
  assert.equal(partitionOf('crc32', Buffer.from('abc'), 7), crc32('abc') % 7);
});

test('a varint is zigzag, and as long as it is said to be', () => {
  fc.assert(
    fc.property(fc.integer({ min: -0x40000000, max: 0x3fffffff }), (value) => {
      const bytes = new KafkaWriter().varint(value).finish();
      assert.equal(bytes.length, varintBytes(value));
      let read = 0n;
      for (const [i, byte] of bytes.entries()) read |= BigInt(byte & 0x7f) << BigInt(7 * i);
      assert.equal((read >> 1n) ^ -(read & 1n), BigInt(value));
    }),
  );
});

test('a record takes no more bytes of a batch than it was reckoned with', async () => {
  const headers = writeHeaders([
    ['id', 'x'],
    ['table', 'é'],
  ]);
  const records = Array.from({ length: 300 }, (_, i) => ({
    key: i % 3 === 0 ? null : Buffer.alloc(i),
    value: i % 5 === 0 ? null : Buffer.alloc(i * 7),
    headers,
  }));
  const batch = await encodeBatch(records, 1, { id: 7n, epoch: 1, sequence: 5 }, 'none');
  assert.ok(batch.length <= 61 + records.reduce((sum, record) => sum + recordBytes(record), 0));
  assert.equal(batch.readInt32BE(8), batch.length - 12);
  assert.equal(batch.readUInt32BE(17), crc32c(batch, 21));
});

test('an answer that is cut anywhere, or made of anything, is no answer, and nothing else', () => {
  const metadata = new KafkaWriter();
  metadata.int32(0).array([1], () => metadata.int32(1).string('h').int32(9).string(null));
  metadata.string('c').int32(1);
  metadata.array([1], () => {
    metadata.int16(0).string('t').boolean(false);
    metadata.array([0], () => {
      metadata.int16(0).int32(0).int32(1);
      for (const _ of [1, 2]) metadata.array([1], () => metadata.int32(1));
    });
  });
  const whole = metadata.finish();
  assert.deepEqual(readMetadata(4, whole), {
    brokers: [{ id: 1, host: 'h', port: 9 }],
    topics: [{ name: 't', error: 0, leaders: [1], operations: null }],
  });
  for (let end = 0; end < whole.length; end++) {
    assert.throws(() => readMetadata(4, whole.subarray(0, end)), KafkaFormatError, `${end}`);
  }
  const readers = [
    readApiVersions,
    (bytes: Buffer) => readMetadata(8, bytes),
    (bytes: Buffer) => readProduce(8, bytes),
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const read of readers) {
        try {
          read(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof KafkaFormatError, String(error));
        }
      }
    }),
  );
  assert.equal(new KafkaReader(Buffer.from([0xff, 0xff])).string(), null);
});

test('SCRAM-SHA-256 is that of RFC 7677, section 3', async () => {
  const client = new ScramClient('sha256', 'user', 'pencil', 'rOprNGfwEbeRWgbNEkqO');
  assert.equal(client.first().toString(), 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO');
  const challenge = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096';
  assert.equal(
    (await client.final(Buffer.from(challenge))).toString(),
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  );
  client.verify(Buffer.from('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='));
  assert.throws(() => client.verify(Buffer.from('e=other-error')), ScramError);
});

test('SCRAM trusts no server that does not know the password, and takes no challenge that is not one', async () => {
  const client = () => new ScramClient('sha512', 'a=b,c', 'p', 'mine');
  assert.equal(client().first().toString(), 'n,,n=a=3Db=2Cc,r=mine');
  for (const challenge of [
    'r=other,s=AA==,i=4096',
    'r=mine,s=AA==,i=4096',
    'r=mineX,s=AA==,i=1',
    'r=mineX,s=AA==,i=999999999',
    'e=unknown-user',
    '',
  ]) {
    await assert.rejects(client().final(Buffer.from(challenge)), ScramError, challenge);
  }
  const one = client();
  const first = 'r=mineX,s=AA==,i=4096';
  const final = (await one.final(Buffer.from(first))).toString();
  const salted = pbkdf2Sync('wrong', Buffer.from('AA==', 'base64'), 4096, 64, 'sha512');
  const serverKey = createHmac('sha512', salted).update('Server Key').digest();
  const said = `n=a=3Db=2Cc,r=mine,${first},${final.slice(0, final.indexOf(',p='))}`;
  const signature = createHmac('sha512', serverKey).update(said).digest('base64');
  assert.throws(() => one.verify(Buffer.from(`v=${signature}`)), ScramError);
  assert.throws(() => client().verify(Buffer.from(`v=${createHash('sha512').digest('base64')}`)), ScramError);
});

test('a template makes a topic of names, and of what no topic may have an underscore', () => {
  const names = new TopicNames({
    topic: null,
    template: 'cdc.{database}.{schema}.{table}-{op}',
    database: 'd',
    stream: 's',
  });
  const record = { operation: 'insert', schema: 'Öffentlich', table: 'a b"{op}' } as const;
  assert.equal(names.topic(record), 'cdc.d._ffentlich.a_b__op_-insert');
  assert.equal(new TopicNames({ topic: 't', template: '', database: 'd', stream: 's' }).topic(record), 't');
});

test("a record's headers are the same whether they are made anew or of what is kept", () => {
  const plain = { gap: null, isReplay: false, contentType: 'application/json' };
  const headers = new RecordHeaders();
  const record = (id: string, lsn: string, table: string): SinkRecord => ({
    id,
    event: 0,
    operation: 'insert',
    schema: 'äö',
    table,
    lsn,
    key: null,
    value: null,
    order: null,
  });
  for (const [id, lsn, table] of [
    ['019c4ab1-473b-783c-af83-b22a9aa26cff', '0/1A2B3C4', 'orders'],
    ['019c4ab1-473b-783c-af83-b22a9aa26c00', 'FFFFFFFF/FFFFFFFF', 'orders'],
    ['short', '0/0', 'orders'],
    ['019c4ab1-473b-783c-af83-b22a9aa26cff', '0/1A2B3C4', 'x'.repeat(200)],
  ] as const) {
    const expected = writeHeaders([
      ['id', id],
      ['op', 'insert'],
      ['schema', 'äö'],
      ['table', table],
      ['lsn', lsn],
    ]);
    for (let again = 0; again < 2; again++) {
      assert.deepEqual(headers.headers(plain, record(id, lsn, table)), expected);
    }
  }
});
