import {
  deleteMessage,
  type Identity,
  insertMessage,
  type TestRelation,
  truncateMessage,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-frames.ts';
import type { TestChange } from './encode-event.ts';

// Every operation with every replica identity that makes a difference to it.

const OID = 16_400;

function orders(identity: Identity): TestRelation {
  return {
    oid: OID,
    schema: 'public',
    name: 'orders',
    identity,
    columns: [
      { name: 'id', type: 20, key: identity !== 'n' },
      { name: 'status', type: 25 },
      { name: 'total', type: 1700, modifier: ((10 << 16) | 2) + 4 },
      { name: 'placed_at', type: 1184 },
      { name: 'body', type: 25 },
    ],
  };
}

const AT = '2026-01-05 09:59:59.5+00';
const ROW = ['42', 'paid', '19.90', AT, 'long'];
const OLD = ['42', 'open', '19.90', AT, 'long'];
const MOVED = ['43', 'paid', '19.90', AT, 'long'];
const KEY = ['42', null, null, null, null];

const of = (identity: Identity, message: Buffer, more: Partial<TestChange> = {}): TestChange => ({
  relation: orders(identity),
  message,
  ...more,
});

export const GOLDEN_CHANGES: Readonly<Record<string, TestChange>> = {
  'INSERT, REPLICA IDENTITY DEFAULT': of('d', insertMessage(OID, ['42', null, '19.90', AT, 'größe "x"'])),
  'INSERT, REPLICA IDENTITY NOTHING': of('n', insertMessage(OID, ROW)),
  'INSERT, REPLICA IDENTITY FULL': of('f', insertMessage(OID, ROW)),
  'INSERT, REPLICA IDENTITY FULL, no primary key': of('f', insertMessage(OID, ROW), { primaryKey: [] }),
  'UPDATE, REPLICA IDENTITY DEFAULT': of('d', updateMessage(OID, ROW)),
  'UPDATE, REPLICA IDENTITY DEFAULT, unchanged large value': of(
    'd',
    updateMessage(OID, [...ROW.slice(0, 4), UNCHANGED]),
  ),
  'UPDATE, REPLICA IDENTITY DEFAULT, another key': of('d', updateMessage(OID, MOVED, { kind: 'K', row: KEY })),
  'UPDATE, REPLICA IDENTITY DEFAULT, another key, unchanged large value': of(
    'd',
    updateMessage(OID, [...MOVED.slice(0, 4), UNCHANGED], { kind: 'K', row: KEY }),
  ),
  'UPDATE, REPLICA IDENTITY DEFAULT, a key that was sent and is the same': of(
    'd',
    updateMessage(OID, ROW, { kind: 'K', row: KEY }),
  ),
  'UPDATE, REPLICA IDENTITY INDEX': of('i', updateMessage(OID, ROW)),
  'UPDATE, REPLICA IDENTITY INDEX, another key': of('i', updateMessage(OID, MOVED, { kind: 'K', row: KEY })),
  'UPDATE, REPLICA IDENTITY FULL': of('f', updateMessage(OID, ROW, { kind: 'O', row: OLD })),
  'UPDATE, REPLICA IDENTITY FULL, unchanged large value': of(
    'f',
    updateMessage(OID, [...ROW.slice(0, 4), UNCHANGED], { kind: 'O', row: OLD }),
  ),
  'UPDATE, REPLICA IDENTITY FULL, another key': of('f', updateMessage(OID, MOVED, { kind: 'O', row: OLD })),
  'UPDATE, REPLICA IDENTITY FULL, no primary key': of('f', updateMessage(OID, MOVED, { kind: 'O', row: OLD }), {
    primaryKey: [],
  }),
  'UPDATE by which the row enters the filter': of('f', updateMessage(OID, MOVED, { kind: 'O', row: OLD }), {
    as: 'insert',
  }),
  'UPDATE by which the row leaves the filter': of('f', updateMessage(OID, MOVED, { kind: 'O', row: OLD }), {
    as: 'delete',
  }),
  'UPDATE by which the row leaves the filter, no old row': of('d', updateMessage(OID, ROW), { as: 'delete' }),
  'DELETE, REPLICA IDENTITY DEFAULT': of('d', deleteMessage(OID, 'K', KEY)),
  'DELETE, REPLICA IDENTITY INDEX': of('i', deleteMessage(OID, 'K', KEY)),
  'DELETE, REPLICA IDENTITY FULL': of('f', deleteMessage(OID, 'O', OLD)),
  'DELETE, REPLICA IDENTITY FULL, no primary key': of('f', deleteMessage(OID, 'O', OLD), { primaryKey: [] }),
  'a row that a backfill has read': of('d', insertMessage(OID, ROW), { backfill: Buffer.alloc(16, 0x70) }),
  TRUNCATE: of('d', truncateMessage(OID)),
  'INSERT, a column list': of('d', insertMessage(OID, ROW), { sent: ['id', 'status'] }),
  'UPDATE, a column list that leaves the large value out': of(
    'd',
    updateMessage(OID, [...ROW.slice(0, 4), UNCHANGED]),
    {
      sent: ['id', 'status'],
    },
  ),
};
