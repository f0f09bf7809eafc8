import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ACTION, actions, Framer, MAX_HELD_BYTES, type FrameSink } from '../../src/wire/framer.ts';

// Law: whatever the cuts, the bytes that pass are those of the messages that pass, in order, and each message is told
// of exactly once, whole.

const TABLE = actions(ACTION.forward, [
  [ACTION.note, 'N'],
  [ACTION.tee, 'T'],
  [ACTION.ask, 'A'],
  [ACTION.take, 'X'],
  [ACTION.drop, 'D'],
]);

interface Message {
  type: string;
  body: Buffer;
  /** For `A`. */
  passes: boolean;
}

function encode({ type, body }: Message): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(type, 0, 'latin1');
  bytes.writeInt32BE(4 + body.length, 1);
  body.copy(bytes, 5);
  return bytes;
}

/** Gives `bytes` to a framer in chunks, the rest again after each stop, and records what comes out. */
function run(chunks: readonly Buffer[], passes: (message: Buffer) => boolean) {
  const forwarded: Buffer[] = [];
  const told: string[] = [];
  const passing: Buffer[] = [];
  const sink: FrameSink = {
    forward: (bytes, start, end) => {
      assert.ok(end > start, 'no empty run');
      forwarded.push(Buffer.from(bytes.subarray(start, end)));
    },
    noted: (type) => told.push(String.fromCharCode(type)),
    message: (type, bytes, start, end, whole) => {
      const shown = Buffer.from(bytes.subarray(start, end));
      told.push(`${String.fromCharCode(type)}${whole ? '' : '…'}${shown.toString('hex', 0, 4096)}`);
      return passes(shown);
    },
    passing: (type, bytes, start, end) => {
      passing.push(Buffer.from(bytes.subarray(start, end)));
    },
  };
  const framer = new Framer(TABLE, sink);
  for (const chunk of chunks) {
    // Around it, other bytes that are none of its business.
    const padded = Buffer.concat([Buffer.from('before'), chunk, Buffer.from('after')]);
    const end = 6 + chunk.length;
    for (let at = 6; at < end;) {
      const next = framer.scan(padded, at, end);
      assert.ok(next > at, 'a scan advances');
      at = next;
    }
  }
  return { framer, forwarded: Buffer.concat(forwarded), told, passing: Buffer.concat(passing) };
}

const message: fc.Arbitrary<Message> = fc.record({
  type: fc.constantFrom('F', 'N', 'T', 'A', 'X', 'D'),
  body: fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  passes: fc.boolean(),
});

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((place, i) => bytes.subarray(places[i - 1] ?? 0, place));
}

test('messages cut anywhere pass, are shown and are dropped as their types say', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (messages, cuts) => {
      // The last byte of the body says whether the message passes when asked.
      const all = messages.map((each) => ({
        ...each,
        body: Buffer.concat([each.body, Buffer.of(each.passes ? 1 : 0)]),
      }));
      const { framer, forwarded, told } = run(cut(Buffer.concat(all.map(encode)), cuts), (shown) => shown.at(-1) === 1);
      const passing = all.filter(({ type, passes }) => 'FNT'.includes(type) || (type === 'A' && passes));
      assert.deepEqual(forwarded, Buffer.concat(passing.map(encode)));
      const expected = all
        .filter(({ type }) => 'NTAX'.includes(type))
        .map((each) => (each.type === 'N' ? 'N' : `${each.type}${encode(each).toString('hex')}`));
      assert.deepEqual(told, expected);
      assert.ok(framer.isBetween);
    }),
    { numRuns: 2000 },
  );
});

test('messages without a body are cut at each byte', () => {
  const all = ['F', 'N', 'T', 'A', 'X', 'D', 'A'].map((type) => ({ type, body: Buffer.alloc(0), passes: true }));
  const bytes = Buffer.concat(all.map(encode));
  for (let place = 0; place <= bytes.length; place++) {
    const { forwarded, told } = run(cut(bytes, [place]), () => true);
    assert.equal(forwarded.toString('latin1').replaceAll(/[^A-Z]/g, ''), 'FNTAA', `cut at ${place}`);
    assert.equal(told.length, 5, `cut at ${place}`);
  }
});

test('a run of messages that pass is forwarded in one piece', () => {
  const runs: number[] = [];
  const sink: FrameSink = {
    forward: (_, start, end) => runs.push(end - start),
    noted: () => undefined,
    message: () => true,
    passing: () => undefined,
  };
  const framer = new Framer(TABLE, sink);
  const bytes = Buffer.concat(
    ['F', 'N', 'T', 'A', 'F'].map((type) => encode({ type, body: Buffer.alloc(3), passes: true })),
  );
  const chunk = Buffer.concat([bytes, bytes.subarray(0, 7)]);
  framer.scan(chunk, 0, chunk.length);
  assert.deepEqual(runs, [chunk.length]);
});

for (const [name, type, split] of [
  ['that passes', 'F', false],
  ['whose end is told', 'N', false],
  ['that is shown', 'T', false],
  ['that is shown, its header split', 'T', true],
  ['that is taken', 'X', false],
  ['that is asked about', 'A', false],
  ['that passes, its header split', 'F', true],
  ['that is asked about, its header split', 'A', true],
  ['that is taken, its header split', 'X', true],
] as const) {
  test(`after an impossible length of a message ${name} every byte passes`, () => {
    const good = encode({ type: 'F', body: Buffer.from('good'), passes: true });
    const bad = Buffer.from([type.charCodeAt(0), 0, 0, 0, 3, 1, 2, 3]);
    const bytes = Buffer.concat([good, bad, encode({ type: 'D', body: Buffer.alloc(3), passes: true })]);
    const { framer, forwarded } = run(cut(bytes, split ? [good.length + 3] : []), () => true);
    assert.deepEqual(forwarded, bytes);
    assert.ok(framer.isPipe);
  });
}

for (const [what, mib, answers, outcome, shownMib] of [
  ['passes where its first part does', 3, [true], 'passes', [1]],
  [
    'is held on where its first part does not pass, and passes where the whole does',
    3,
    [false, true],
    'is held',
    [1, 3],
  ],
  ['is held on, and stopped where the whole is', 3, [false, false], 'is stopped', [1, 3]],
  ['passes whatever the answer where it is longer still', 18, [false, false], 'passes', [1, 16]],
] as const) {
  test(`a message too long to hold ${what}`, () => {
    const long = encode({ type: 'A', body: Buffer.alloc(mib * MAX_HELD_BYTES - 5, 7), passes: true });
    const bytes = Buffer.concat([long, encode({ type: 'N', body: Buffer.alloc(0), passes: true })]);
    for (const chunkBytes of [65_536, 1_000_003]) {
      const places = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, i) => i * chunkBytes);
      const shown: number[] = [];
      const { forwarded, passing } = run(cut(bytes, places), (each) => answers[shown.push(each.length) - 1]!);
      assert.ok(forwarded.equals(outcome === 'is stopped' ? bytes.subarray(long.length) : bytes), `${chunkBytes}`);
      assert.deepEqual(
        shown.map((length) => length / MAX_HELD_BYTES),
        shownMib,
      );
      assert.ok(passing.equals(outcome === 'passes' ? long : Buffer.alloc(0)));
    }
  });
}

test('a message too long to hold that is taken is shown in part and does not pass', () => {
  const long = encode({ type: 'X', body: Buffer.alloc(2 * MAX_HELD_BYTES, 7), passes: true });
  const { forwarded, told } = run(cut(Buffer.concat([long, long.subarray(0, 3)]), [70_000]), () => true);
  assert.equal(forwarded.length, 0);
  assert.deepEqual([told.length, told[0]!.slice(0, 2)], [1, 'X…']);
});
