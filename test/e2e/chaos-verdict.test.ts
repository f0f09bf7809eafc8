import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Arrival, GapRow, Row } from './chaos-receiver.ts';
import { judge, type Evidence } from './chaos-verdict.ts';
import type { Committed } from './chaos-writers.ts';

// The law: a judge that is shown a fault names it, and that one only.

const row = (key: number, version: number): Row => ({ key, version, tx: version, body: `b${version}` });
const change = (key: number, version: number, op: Committed['op'] = 'update'): Committed => {
  return { key, version, op, tx: version, xid: `${700 + version}`, lsn: `0/${version}00` };
};

/** What arrives of a change. */
function arrival({ key, version, op, xid, lsn }: Committed): Arrival {
  const isDelete = op === 'delete';
  return {
    id: `${key}-${version}`,
    op,
    schema: 'public',
    key: { key },
    before: isDelete ? row(key, version - 1) : null,
    after: isDelete || op === 'truncate' ? null : row(key, version),
    lsn,
    xid,
    digest: `${op}${version}`,
  };
}

const committed = [
  change(1, 1, 'insert'),
  change(2, 2, 'insert'),
  change(1, 3),
  change(2, 4, 'truncate'),
  change(1, 5, 'insert'),
];
const arrivals = committed.map(arrival);
const read = (key: number, version: number, lsn: string): Arrival => {
  return { ...arrival(change(key, version)), id: `read-${lsn}`, op: 'read', lsn, xid: '0' };
};
const GOOD: Evidence = {
  committed,
  after: new Map(committed.map(({ tx }) => [tx, BigInt(`0x${tx}80`)])),
  arrivals,
  gaps: [],
  table: [row(1, 5)],
};
const gap = (from_lsn: string, to_lsn: string): GapRow => ({ reason: 'slot-missing', from_lsn, to_lsn });

/** The names of what is wrong. */
function wrongIn(evidence: Partial<Evidence>): string[] {
  const { wrong } = judge({ ...GOOD, ...evidence });
  return Object.keys(wrong).filter((name) => wrong[name]!.length > 0);
}

test('nothing is wrong with what is right: in order, again with the same content, healed behind a gap', () => {
  assert.deepEqual(wrongIn({}), []);
  assert.deepEqual(wrongIn({ arrivals: [...arrivals.slice(0, 2), ...arrivals] }), []);
  // 3 to 5 are in the gap, which reads the table again; the row 2 is not heard of any more.
  const healed = [...arrivals.slice(0, 2), read(1, 5, '0/700')];
  assert.deepEqual(wrongIn({ arrivals: healed, gaps: [gap('0/280', '0/600')] }), []);
});

for (const [what, evidence, wrong] of [
  ['a change that is missing', { arrivals: arrivals.toSpliced(2, 1) }, ['lost silently']],
  ['a change before the gap', { arrivals: arrivals.toSpliced(0, 1), gaps: [gap('0/280', '0/290')] }, ['lost silently']],
  ['a change behind the gap', { arrivals: arrivals.toSpliced(2, 1), gaps: [gap('0/180', '0/300')] }, ['lost silently']],
  ['a truncation that is missing', { arrivals: arrivals.toSpliced(3, 1) }, ['lost silently', 'not as the table']],
  ['a gap that is not healed', { arrivals: arrivals.slice(0, 4), gaps: [gap('0/480', '0/600')] }, ['not as the table']],
  ['a change that was rolled back', { committed: committed.toSpliced(2, 1) }, ['never committed']],
  ['another id', { arrivals: [...arrivals, { ...arrivals[4]!, id: 'x' }] }, ['two ids for a change', 'out of order']],
  ['another content', { arrivals: [...arrivals, { ...arrivals[4]!, digest: 'x' }] }, ['two contents for an id']],
  [
    'a key out of order',
    { arrivals: [arrivals[2]!, arrivals[0]!, arrivals[1]!, ...arrivals.slice(3)] },
    ['out of order'],
  ],
  ['a read of what was', { arrivals: [...arrivals, read(1, 3, '0/700')] }, ['out of order', 'not as the table']],
  ['a row that is another', { table: [row(1, 6)] }, ['not as the table']],
  ['a row too many', { table: [] }, ['not as the table']],
] as const) {
  test(`${what} is found`, () => {
    assert.deepEqual(wrongIn(evidence), wrong);
  });
}
