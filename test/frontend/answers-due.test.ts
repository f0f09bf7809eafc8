import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswersDue, MAX_ANSWERS_DUE } from '../../src/frontend/answers-due.ts';

// Law: the upstream owes an answer exactly while it will still send one for what went to it.

/**
 * Plays a script: `>` before messages of the client's, `<` before those of the upstream's, by their type letters. `Z` is
 * ReadyForQuery.
 */
function play(script: string, due = started()): AnswersDue {
  let isClient = true;
  for (const letter of script.replaceAll(' ', '')) {
    if (letter === '>' || letter === '<') isClient = letter === '>';
    else if (isClient) due.sent(letter.charCodeAt(0));
    else if (letter === 'Z') due.ready();
    else due.answered(letter.charCodeAt(0));
  }
  return due;
}

function started(): AnswersDue {
  const due = new AnswersDue();
  due.ready();
  return due;
}

const SETTLED: ReadonlyArray<[what: string, script: string]> = [
  ['nothing sent', ''],
  ['a simple query', '>Q <TDDCZ'],
  ['a query of several statements', '>Q <TDC C TDC Z'],
  ['a query that fails', '>Q <TDEZ'],
  ['queries in a row', '>QQQ <CZ IZ TDCZ'],
  ['a group', '>PDBDES <1tT2TDDCZ'],
  ['a group, flushed', '>PBE <12DC'],
  ['suspended portals', '>PBEEE <12DsDsC'],
  ['an empty statement', '>PBES <12IZ'],
  ['an error in a group, with the Sync sent before', '>PBEPBES <12EZ'],
  ['an error in a group, with messages sent after', '>PBE <1E >BEPQ'],
  ['an error at Sync', '>PBES <12CEZ'],
  ['Close and Describe without rows', '>DCS <tn3Z'],
  ['two Syncs in a row', '>SS <ZZ'],
  ['a function call', '>F <VZ'],
  ['notices and parameters between', '>QPBES <NCSZN1A2SCZ'],
  ['COPY in, simple', '>Q <G >c <CZ'],
  ['COPY in, simple, all sent ahead', '>QcQ <GCZ TDCZ'],
  ['COPY in, ended by CopyFail', '>Q <G >f <EZ'],
  ['COPY in, extended', '>PBE <12G >cS <CZ'],
  ['COPY in, extended, as libpq does it', '>PBES <12G >cS <CZ'],
  ['COPY in, extended, all sent ahead', '>PBEcS <12GCZ'],
  ['COPY in, extended, all and an early Sync sent ahead', '>PBEScS <12GCZ'],
  ['COPY in, extended, with Syncs on the way', '>PBES <12G >SScS <CZ'],
  ['COPY in, extended, failing on its data', '>PBES <12G <E >cS <Z'],
  ['COPY data out of turn', '>cfc'],
  ['a query behind a group that was not synchronised', '>PBEQ <12CTDCZ'],
];
for (const [what, script] of SETTLED) {
  test(`settled: ${what}`, () => assert.ok(play(script).isSettled));
}

const OWED: ReadonlyArray<[what: string, script: string]> = [
  ['a query', '>Q <TDC'],
  ['one of two queries', '>QQ <TDCZTDC'],
  ['Sync', '>PBES <12C'],
  ['an Execute', '>PBE <12D'],
  ['Sync after an error', '>PBES <E'],
  ['a query that follows a failed group', '>PBESQ <12EZ'],
  ['the statement of a Describe, its parameters told', '>D <t'],
  ['COPY in that reads', '>Q <G'],
];
for (const [what, script] of OWED) {
  test(`owed: ${what}`, () => assert.ok(!play(script).isSettled));
}

test('nothing is settled before the startup packet has been answered', () => {
  const due = new AnswersDue();
  assert.ok(!due.isSettled);
  play('>Q <Z', due);
  assert.ok(!due.isSettled, 'what was sent ahead is still owed');
  assert.ok(play('<TDCZ', due).isSettled);
});

test('a failed group is skipped up to its Sync', () => {
  const due = play('>PBE <E');
  assert.ok(due.isSkipping);
  assert.ok(play('>PBQ', due).isSettled);
  assert.ok(!play('>S', due).isSkipping);
  assert.ok(play('<Z', due).isSettled);
});

test('a group is open from its first message to Sync or Query', () => {
  assert.deepEqual(
    ['>P', '>PBE', '>PBES', '>PBEQ', '>Q', '>S'].map((script) => {
      const { isGroupOpen, hasExecuted } = play(script);
      return [isGroupOpen, hasExecuted];
    }),
    [
      [true, false],
      [true, true],
      [false, false],
      [false, false],
      [false, false],
      [false, false],
    ],
  );
});

test('COPY data is read from CopyInResponse to its end', () => {
  const due = play('>Q <G');
  assert.ok(due.isCopyIn);
  assert.ok(!play('>c', due).isCopyIn);
});

test('an answer is due for each of very many messages, up to the limit', () => {
  const due = started();
  for (let i = 0; i < MAX_ANSWERS_DUE; i++) due.sent('S'.charCodeAt(0));
  assert.ok(due.isFull);
  for (let i = 0; i < MAX_ANSWERS_DUE; i++) {
    assert.ok(!due.isSettled);
    due.ready();
  }
  assert.ok(due.isSettled && !due.isFull);
});
