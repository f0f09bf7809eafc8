import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTimelineHistory } from '../../src/capture/replication-connection.ts';
import { ResentCheck } from '../../src/capture/resent-check.ts';

// The law: a server that sends other transactions than it had sent before is found out, and no other.

type Seen = readonly [lsn: bigint, micros: bigint, xid: number, changes?: number];

const marks = [
  { commitLsn: 100n, commitTimeMicros: 1n, xid: 7 },
  { commitLsn: 200n, commitTimeMicros: 2n, xid: 9 },
];

function check(known: typeof marks | null, seen: readonly Seen[]): string | null {
  const resent = new ResentCheck(known);
  try {
    for (const [lsn, micros, xid, changes = 1] of seen) {
      resent.begin(lsn, micros, xid);
      resent.end(lsn, changes);
    }
    resent.finish();
    return null;
  } catch (error) {
    return (error as { reason: string }).reason;
  }
}

test('what was sent before is compared by place, time and id', () => {
  const cases: [string, typeof marks | null, readonly Seen[], string | null][] = [
    [
      'exactly those',
      marks,
      [
        [100n, 1n, 7],
        [200n, 2n, 9],
      ],
      null,
    ],
    [
      'more between those that are known',
      marks,
      [
        [100n, 1n, 7],
        [150n, 5n, 8],
        [200n, 2n, 9],
      ],
      null,
    ],
    [
      'another time',
      marks,
      [
        [100n, 3n, 7],
        [200n, 2n, 9],
      ],
      'other-history',
    ],
    [
      'another id',
      marks,
      [
        [100n, 1n, 7],
        [200n, 2n, 10],
      ],
      'other-history',
    ],
    ['one is missing', marks, [[100n, 1n, 7]], 'other-history'],
    ['none comes', marks, [], 'other-history'],
    ['one is passed over', marks, [[101n, 1n, 7]], 'other-history'],
    [
      'changes where there were none',
      marks,
      [
        [100n, 1n, 7],
        [200n, 2n, 9],
        [250n, 4n, 11],
      ],
      'other-history',
    ],
    [
      'an empty one where there was none',
      marks,
      [
        [100n, 1n, 7],
        [200n, 2n, 9],
        [250n, 4n, 11, 0],
      ],
      null,
    ],
    ['changes, and nothing was logged', [], [[250n, 4n, 11]], 'other-history'],
    ['nothing is known', null, [[250n, 4n, 11]], null],
    ['nothing is sent again', [], [], null],
  ];
  for (const [name, known, seen, reason] of cases) assert.equal(check(known, seen), reason, name);
});

test('a history file tells where each timeline was left', () => {
  const text = '1\t0/3000000\tno recovery target specified\n\n# a comment\n2\t1/A0\tat restore point "x"\n';
  assert.deepEqual(
    readTimelineHistory(text),
    new Map([
      [1, 0x3000000n],
      [2, 0x1000000a0n],
    ]),
  );
  assert.deepEqual(readTimelineHistory(''), new Map());
});
