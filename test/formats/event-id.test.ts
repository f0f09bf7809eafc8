import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Transaction } from '../../src/formats/change.ts';
import { EventIds, formatUuid, requestId } from '../../src/formats/event-id.ts';
import { frame, insertMessage } from '../support/pgoutput-frames.ts';

// The same change has the same id for ever: these values may never change.

const SOURCE = { systemId: '7312345678901234567', databaseOid: 16_384 };
const TRANSACTION = new Transaction(0x1_a2b3_c4d5n, 1_767_607_200_123_456n, 7788);

function idOf(ordinal: number, truncated = 0, lsn = 0x1_a2b3_c400n): Buffer {
  const into = Buffer.alloc(16);
  new EventIds(SOURCE).write(into, 0, TRANSACTION, frame(lsn, insertMessage(1, ['1'])), 0, ordinal, truncated);
  return into;
}

test('golden ids', () => {
  assert.equal(formatUuid(idOf(0), 0), GOLDEN.first);
  assert.equal(formatUuid(idOf(1), 0), GOLDEN.second);
  assert.equal(formatUuid(idOf(0, 16_400), 0), GOLDEN.truncate);
  assert.equal(requestId(Buffer.concat([idOf(0), idOf(1)])), GOLDEN.request);
});

test('an id is recomputed from its documented layout', () => {
  const input = Buffer.alloc(32);
  input.writeBigUInt64BE(7312345678901234567n, 0);
  input.writeUInt32BE(16_384, 8);
  input.writeBigUInt64BE(0x1_a2b3_c4d5n, 12);
  input.writeBigUInt64BE(0x1_a2b3_c400n, 20);
  input.writeUInt32BE(0, 28);
  const digest = createHash('sha256').update(input).digest();
  const id = Buffer.alloc(16);
  id.writeUIntBE(1_767_607_200_123, 0, 6);
  digest.copy(id, 6, 0, 10);
  id[6] = (id[6]! & 0x0f) | 0x70;
  id[8] = (id[8]! & 0x3f) | 0x80;
  assert.equal(formatUuid(idOf(0), 0), formatUuid(id, 0));
});

test('ids are version 7 in shape, carry the commit time, and differ in every part of the position', () => {
  const ids = [idOf(0), idOf(1), idOf(0, 16_400), idOf(0, 0, 0x1_a2b3_c440n)].map((id) => formatUuid(id, 0));
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(Number.parseInt(id.replace('-', '').slice(0, 12), 16), 1_767_607_200_123);
  }
});

test('the request id of one event is the event’s; of several it depends on their order', () => {
  const [a, b] = [idOf(0), idOf(1)];
  assert.equal(requestId(a), formatUuid(a, 0));
  assert.notEqual(requestId(Buffer.concat([a, b])), requestId(Buffer.concat([b, a])));
});

const GOLDEN = {
  first: '019b8d99-697b-784c-89f9-d00bc3b9c762',
  second: '019b8d99-697b-7795-a262-8c637ed0ebee',
  truncate: '019b8d99-697b-7253-9acc-8529c4038dde',
  request: '019b8d99-697b-7312-b054-774e02348d48',
};
