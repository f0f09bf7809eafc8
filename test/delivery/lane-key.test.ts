import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneKeys, type Ordering } from '../../src/delivery/lane-key.ts';
import { readRelation } from '../../src/postgres/pgoutput.ts';
import {
  deleteMessage,
  frame,
  type Identity,
  insertMessage,
  relationMessage,
  truncateMessage,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-frames.ts';

// What two requests in flight never share: a key, a table, the stream, or nothing.

const OID = 16_400;

function lanesOf(ordering: Ordering['ordering'], orderingKey: string[] | null, identity: Identity = 'd'): LaneKeys {
  const message = relationMessage({
    oid: OID,
    schema: 'public',
    name: 'orders',
    identity,
    columns: [
      { name: 'id', type: 23, key: true },
      { name: 'customer', type: 25 },
    ],
  });
  return new LaneKeys(readRelation(message, 0, message.length), ['id'], { ordering, orderingKey });
}

const INSERT = frame(1n, insertMessage(OID, ['1', 'ann']));
const UPDATE = frame(1n, updateMessage(OID, ['1', 'bob']));
const MOVE = frame(1n, updateMessage(OID, ['2', 'ann'], { kind: 'K', row: ['1', null] }));
const FULL_MOVE = frame(1n, updateMessage(OID, ['1', 'bob'], { kind: 'O', row: ['1', 'ann'] }));
const DELETE = frame(1n, deleteMessage(OID, 'K', ['1', null]));
const FULL_DELETE = frame(1n, deleteMessage(OID, 'O', ['1', 'ann']));
const UNSENT = frame(1n, updateMessage(OID, ['1', UNCHANGED]));
const TRUNCATE = frame(1n, truncateMessage(OID));

const BARRIER = [null, null, true];

const cases: [string, LaneKeys, Buffer, [string | null, string | null, boolean] | unknown[]][] = [
  ['by key: an insert', lanesOf('key', null), INSERT, ['1', null, false]],
  ['by key: an update that changes it', lanesOf('key', null), MOVE, ['2', '1', false]],
  ['by key: a delete', lanesOf('key', null), DELETE, ['1', null, false]],
  ['by key: a TRUNCATE', lanesOf('key', null), TRUNCATE, BARRIER],
  ['KEY (customer): an insert', lanesOf('key', ['customer']), INSERT, ['ann', null, false]],
  ['KEY (customer): an update, the old row unknown', lanesOf('key', ['customer']), UPDATE, ['bob', null, false]],
  ['KEY (customer): an update of the id alone', lanesOf('key', ['customer']), MOVE, ['ann', null, false]],
  ['KEY (customer): a value that was not sent', lanesOf('key', ['customer']), UNSENT, BARRIER],
  ['KEY (customer): a delete that tells the id alone', lanesOf('key', ['customer']), DELETE, BARRIER],
  ['KEY (customer), FULL: an update', lanesOf('key', ['customer'], 'f'), FULL_MOVE, ['bob', 'ann', false]],
  ['KEY (customer), FULL: a delete', lanesOf('key', ['customer'], 'f'), FULL_DELETE, ['ann', null, false]],
  ['KEY of a column that is gone', lanesOf('key', ['gone']), INSERT, ['', null, false]],
  ['by table: an insert', lanesOf('table', null), INSERT, ['', null, false]],
  ['by table: a TRUNCATE is as any other', lanesOf('table', null), TRUNCATE, ['', null, false]],
  ['no order: an update', lanesOf('none', null), MOVE, [null, null, false]],
  ['no order: a TRUNCATE', lanesOf('none', null), TRUNCATE, [null, null, false]],
];

for (const [what, keys, data, expected] of cases) {
  test(what, () => {
    const { lane, secondLane, barrier } = keys.place(data, 0);
    assert.deepEqual([lane, secondLane, barrier], expected);
  });
}

test('by stream: all tables are one', () => {
  assert.equal(lanesOf('stream', null).table, 0);
  assert.equal(lanesOf('table', null).table, OID);
});
