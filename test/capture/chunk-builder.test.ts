import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkBuilder } from '../../src/capture/chunk-builder.ts';
import type { ChunkDraft, LogEnd } from '../../src/log/change-log.ts';
import { openAtEnd } from '../../src/log/chunk-end.ts';
import { comparePositions, type Position } from '../../src/model/change.ts';
import { FRAME, frameBytes, PgoutputError, POSTGRES_EPOCH_MICROS } from '../../src/postgres/pgoutput.ts';
import * as frames from './frames.ts';

// The law: whatever the reads' sizes, wherever chunks are cut and however often the connection breaks, each change
// after the log's end is in exactly one chunk, in order, and any chunk can be understood on its own.

const EMPTY: LogEnd = { lastId: 0, last: null, open: null, confirmLsn: 0n };

function take(builder: ChunkBuilder): ChunkDraft {
  const draft = builder.take();
  assert.ok(draft, 'there is a chunk');
  return { ...draft, data: Buffer.from(draft.data) };
}

/** Where a log that had `end` ends after `draft`. */
function endAfter(end: LogEnd, draft: ChunkDraft): LogEnd {
  return {
    lastId: end.lastId + 1,
    last: draft.last,
    confirmLsn: draft.confirmLsn,
    open: openAtEnd(draft.open, draft.data),
  };
}

test('a transaction is one chunk, as it came', () => {
  const stream = [
    frames.begin(200n, 7),
    frames.relation(1, 't'),
    frames.insert(100n, 1, 'a'),
    frames.update(110n, 1, 'b'),
    frames.deletion(120n, 1, 'b'),
    frames.commit(200n, 210n),
  ];
  const builder = new ChunkBuilder(EMPTY);
  builder.push(Buffer.concat(stream));
  assert.equal(builder.isTransactionOpen, false);
  assert.deepEqual(take(builder), {
    open: null,
    last: { commitLsn: 200n, lsn: 120n, ordinal: 0 },
    confirmLsn: 210n,
    firstCommitMicros: 1_000_000n + POSTGRES_EPOCH_MICROS,
    lastCommit: { commitLsn: 200n, commitTimeMicros: 1_000_000n + POSTGRES_EPOCH_MICROS, xid: 7 },
    relations: [{ oid: 1, definition: null, changes: 3 }],
    changes: 3,
    data: Buffer.concat(stream),
  });
  assert.equal(builder.take(), null);
});

test('a chunk cut in the middle of a transaction says where it stands, and by which definition its rows are', () => {
  const builder = new ChunkBuilder(EMPTY);
  const definition = frames.relation(1, 't');
  builder.push(
    Buffer.concat([frames.begin(200n, 7), definition, frames.insert(100n, 1, 'a'), frames.insert(100n, 1, 'b')]),
  );
  assert.equal(builder.isTransactionOpen, true);
  assert.deepEqual(take(builder).confirmLsn, 0n);
  const rest = Buffer.concat([frames.insert(100n, 1, 'c'), frames.commit(200n, 210n)]);
  builder.push(rest);
  assert.deepEqual(take(builder), {
    open: {
      commitLsn: 200n,
      commitTimeMicros: 1_000_000n + POSTGRES_EPOCH_MICROS,
      xid: 7,
      seq: 2,
      lastLsn: 100n,
      lastOrdinal: 1,
    },
    last: { commitLsn: 200n, lsn: 100n, ordinal: 2 },
    confirmLsn: 210n,
    firstCommitMicros: 1_000_000n + POSTGRES_EPOCH_MICROS,
    lastCommit: { commitLsn: 200n, commitTimeMicros: 1_000_000n + POSTGRES_EPOCH_MICROS, xid: 7 },
    relations: [{ oid: 1, definition: definition.subarray(FRAME.message), changes: 1 }],
    changes: 1,
    data: rest,
  });
});

test('the definition that holds at the start of a chunk is named though another comes in it', () => {
  const builder = new ChunkBuilder(EMPTY);
  const [first, second] = [frames.relation(1, 'old'), frames.relation(1, 'new')];
  builder.push(Buffer.concat([frames.begin(200n, 7), first, frames.insert(100n, 1, 'a')]));
  take(builder);
  builder.push(Buffer.concat([frames.insert(101n, 1, 'b'), second, frames.insert(102n, 1, 'c')]));
  assert.deepEqual(take(builder).relations, [{ oid: 1, definition: first.subarray(FRAME.message), changes: 2 }]);
  builder.push(frames.insert(103n, 1, 'd'));
  assert.deepEqual(take(builder).relations, [{ oid: 1, definition: second.subarray(FRAME.message), changes: 1 }]);
});

test('keepalives are left out, and their position and question are kept', () => {
  const builder = new ChunkBuilder(EMPTY);
  const change = [frames.begin(200n, 7), frames.relation(1, 't'), frames.insert(100n, 1, 'a')];
  builder.push(
    Buffer.concat([frames.keepalive(90n), ...change, frames.keepalive(95n, true), frames.commit(200n, 210n)]),
  );
  assert.equal(builder.keepaliveLsn, 95n);
  assert.equal(builder.takeAnswerWanted(), true);
  assert.equal(builder.takeAnswerWanted(), false);
  assert.deepEqual(take(builder).data, Buffer.concat([...change, frames.commit(200n, 210n)]));
});

test('a truncate counts for each of its tables and is one change', () => {
  const builder = new ChunkBuilder(EMPTY);
  builder.push(
    Buffer.concat([
      frames.begin(200n, 7),
      frames.relation(1, 'a'),
      frames.relation(2, 'b'),
      frames.truncate(100n, [1, 2]),
    ]),
  );
  const { relations, changes } = take(builder);
  assert.deepEqual(
    relations.map(({ oid, changes: count }) => [oid, count]),
    [
      [1, 1],
      [2, 1],
    ],
  );
  assert.equal(changes, 1);
});

test('a change larger than the buffer is taken whole', () => {
  const stream = Buffer.concat([
    frames.begin(200n, 7),
    frames.relation(1, 't'),
    frames.insert(100n, 1, 'x'.repeat(3_000_000)),
    frames.commit(200n, 210n),
  ]);
  const builder = new ChunkBuilder(EMPTY);
  for (let at = 0; at < stream.length; at += 65_536) builder.push(stream.subarray(at, at + 65_536));
  assert.ok(take(builder).data.equals(stream));
});

test('a warning that the publication is not there is a fault, and nothing behind it is taken in; others are not', () => {
  const builder = new ChunkBuilder(EMPTY);
  builder.push(frames.warning('01000', 'collation version mismatch'));
  const behind = frames.keepalive(900n, false);
  const missing = frames.warning('55000', 'skipped loading publication "walhook"');
  assert.throws(() => builder.push(Buffer.concat([missing, behind])), { reason: 'publication-missing', kind: 'gap' });
  assert.equal(builder.keepaliveLsn, 0n);
});

test('an ErrorResponse and the end of the copy are noticed', () => {
  const builder = new ChunkBuilder(EMPTY);
  builder.push(frames.errorResponse('57P01', 'terminating'));
  assert.ok(builder.errorResponse?.includes('57P01'));
  assert.equal(builder.hasEnded, false);
  builder.push(frames.message('c', Buffer.alloc(0)));
  assert.equal(builder.hasEnded, true);
});

test('what is no replication stream is refused', () => {
  const opened = frames.begin(200n, 7);
  const cases: [string, Buffer][] = [
    ['an impossible length', Buffer.from([0x64, 0, 0, 0, 3])],
    ['an unknown kind of CopyData', frames.message('d', Buffer.from('z'))],
    ['an unknown message', frames.rawMessage(1n, Buffer.from('?'))],
    ['a short Begin', frames.rawMessage(1n, Buffer.from('B123'))],
    ['a short Insert', Buffer.concat([opened, frames.rawMessage(1n, Buffer.from('I1'))])],
    ['a change of a relation never described', Buffer.concat([opened, frames.insert(1n, 1, 'a')])],
    ['a change outside a transaction', Buffer.concat([frames.relation(1, 't'), frames.insert(1n, 1, 'a')])],
    ['a transaction inside another', Buffer.concat([opened, opened])],
    ['a commit outside a transaction', frames.commit(200n, 210n)],
    [
      'a Truncate with too few tables',
      Buffer.concat([opened, frames.rawMessage(1n, Buffer.from('T\0\0\0\x09\0\0\0\0\x01', 'latin1'))]),
    ],
    ['XLogData without a message', frames.message('d', Buffer.from('w12345678123456781234567'))],
  ];
  for (const [name, stream] of cases) {
    assert.throws(() => new ChunkBuilder(EMPTY).push(stream), PgoutputError, name);
  }
});

test('a frame larger than the log can hold is a fault that names the reason', () => {
  const head = Buffer.from([0x64, 0x40, 0, 0, 0]);
  const builder = new ChunkBuilder(EMPTY);
  builder.push(head);
  assert.throws(() => builder.push(Buffer.alloc(10)), { name: 'CaptureFault', reason: 'row-too-large', kind: 'stop' });
});

test('bytes of any kind never throw anything but a protocol error or a fault', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 20 }), (reads) => {
      const builder = new ChunkBuilder(EMPTY);
      try {
        for (const read of reads) builder.push(Buffer.from(read));
      } catch (error) {
        assert.ok(error instanceof PgoutputError || (error as Error).name === 'CaptureFault', String(error));
      }
    }),
  );
});

test('a transaction that the server does not continue as the log has it is another history', () => {
  const open = { commitLsn: 200n, commitTimeMicros: 1n, xid: 7, seq: 2, lastLsn: 101n, lastOrdinal: 0 };
  const end: LogEnd = { lastId: 1, last: { commitLsn: 200n, lsn: 101n, ordinal: 0 }, open, confirmLsn: 50n };
  const start = [frames.relation(1, 't'), frames.insert(100n, 1, 'a'), frames.insert(101n, 1, 'b')];
  const cases: [string, Buffer[]][] = [
    ['another transaction comes instead', [frames.begin(300n, 9)]],
    ['the same LSN, another transaction', [frames.begin(200n, 9)]],
    ['a change fewer', [frames.begin(200n, 7), start[0]!, start[2]!, frames.insert(102n, 1, 'c')]],
    ['it ends too early', [frames.begin(200n, 7), start[0]!, start[1]!, frames.commit(200n, 210n)]],
  ];
  for (const [name, stream] of cases) {
    const builder = new ChunkBuilder(end);
    assert.throws(() => builder.push(Buffer.concat(stream)), { reason: 'other-history', kind: 'gap' }, name);
  }
  const builder = new ChunkBuilder(end);
  builder.push(Buffer.concat([frames.begin(200n, 7), ...start]));
  assert.equal(builder.bytes, 0);
  assert.equal(builder.isTransactionOpen, true);
  builder.push(frames.commit(200n, 210n));
  assert.deepEqual(take(builder).data, frames.commit(200n, 210n));
});

/** A transaction of the model: runs of changes that share an LSN (COPY), each of one of three relations. */
const transactionArbitrary = fc.record({
  gap: fc.integer({ min: 0, max: 50 }),
  runs: fc.array(fc.record({ oid: fc.integer({ min: 1, max: 3 }), count: fc.integer({ min: 1, max: 4 }) }), {
    maxLength: 6,
  }),
  redefines: fc.boolean(),
});

interface ModelTransaction {
  readonly commitLsn: bigint;
  readonly endLsn: bigint;
  readonly frames: readonly Buffer[];
  readonly positions: readonly Position[];
}

/** The stream of a history for a new connection: each relation is described before its first use on it. */
function stream(
  history: readonly { gap: number; runs: { oid: number; count: number }[]; redefines: boolean }[],
): ModelTransaction[] {
  const described = new Map<number, string>();
  let lsn = 1_000n;
  return history.map(({ gap, runs, redefines }, index) => {
    lsn += BigInt(gap + 1);
    const commitLsn = lsn + 100n;
    const positions: Position[] = [];
    const body: Buffer[] = [];
    for (const [run, { oid, count }] of runs.entries()) {
      const name = redefines && run > 0 ? `t${oid}_${index}` : (described.get(oid) ?? `t${oid}`);
      if (described.get(oid) !== name) body.push(frames.relation(oid, name));
      described.set(oid, name);
      lsn += 2n;
      for (let ordinal = 0; ordinal < count; ordinal++) {
        body.push(frames.insert(lsn, oid, `${index}.${run}.${ordinal}.${name}`));
        positions.push({ commitLsn, lsn, ordinal });
      }
    }
    lsn = commitLsn + 8n;
    return {
      commitLsn,
      endLsn: lsn,
      frames: [frames.begin(commitLsn, index + 3), ...body, frames.keepalive(1n), frames.commit(commitLsn, lsn)],
      positions,
    };
  });
}

/** The changes of a chunk, decoded from its header and data alone. */
function decode(draft: ChunkDraft): { position: Position; value: string; definition: string }[] {
  const definitions = new Map<number, string>();
  const nameIn = (message: Buffer): string =>
    message.subarray(5 + 'public\0'.length, message.indexOf(0, 5 + 'public\0'.length)).toString();
  for (const { oid, definition } of draft.relations) if (definition) definitions.set(oid, nameIn(definition));
  const changes: { position: Position; value: string; definition: string }[] = [];
  let commitLsn = draft.open?.commitLsn ?? -1n;
  let last = { lsn: draft.open?.lastLsn ?? 0n, ordinal: draft.open?.lastOrdinal ?? -1 };
  for (let at = 0; at < draft.data.length; at += frameBytes(draft.data, at)) {
    const message = draft.data.subarray(at + FRAME.message, at + frameBytes(draft.data, at));
    const tag = String.fromCharCode(message[0]!);
    if (tag === 'B') {
      commitLsn = message.readBigUInt64BE(1);
      last = { lsn: 0n, ordinal: -1 };
    }
    if (tag === 'R') definitions.set(message.readUInt32BE(1), nameIn(message));
    if (tag !== 'I') continue;
    const lsn = draft.data.readBigUInt64BE(at + FRAME.startLsn);
    last = { lsn, ordinal: lsn === last.lsn ? last.ordinal + 1 : 0 };
    changes.push({
      position: { commitLsn, ...last },
      value: message.subarray(13).toString(),
      definition: definitions.get(message.readUInt32BE(1)) ?? '(none)',
    });
  }
  return changes;
}

test('each change is in exactly one chunk, however reads, chunks and connections are cut', () => {
  fc.assert(
    fc.property(
      fc.array(transactionArbitrary, { minLength: 1, maxLength: 8 }),
      fc.array(
        fc.record({
          // Of what the server has to send on this connection, how much arrives; the last one gets all.
          share: fc.double({ min: 0, max: 1, noNaN: true }),
          readBytes: fc.integer({ min: 1, max: 300 }),
          takeEvery: fc.integer({ min: 1, max: 12 }),
          loseUntaken: fc.boolean(),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      (history, connections) => {
        let end = EMPTY;
        const drafts: ChunkDraft[] = [];
        for (const [index, { share, readBytes, takeEvery, loseUntaken }] of connections.entries()) {
          const isLast = index === connections.length - 1;
          // The server sends every transaction that commits at or after the position, each from its beginning.
          const sent = stream(history).filter(({ commitLsn }) => commitLsn >= end.confirmLsn);
          const bytes = Buffer.concat(redescribe(sent));
          const until = isLast ? bytes.length : Math.floor(bytes.length * share);
          const builder = new ChunkBuilder(end);
          const log = (): void => {
            const draft = builder.take();
            if (draft === null) return;
            drafts.push({ ...draft, data: Buffer.from(draft.data) });
            end = endAfter(end, drafts.at(-1)!);
          };
          for (let at = 0, read = 0; at < until; at += readBytes, read++) {
            builder.push(bytes.subarray(at, Math.min(until, at + readBytes)));
            if (read % takeEvery === 0) log();
          }
          if (isLast || !loseUntaken) log();
        }
        const expected = stream(history).flatMap(({ positions }) => positions);
        const logged = drafts.flatMap(decode);
        assert.deepEqual(
          logged.map(({ position }) => position),
          expected,
        );
        for (const { value, definition } of logged) assert.equal(value.split('.')[3], definition);
        for (const draft of drafts) {
          const changes = decode(draft);
          assert.equal(draft.changes, changes.length);
          assert.equal(
            draft.relations.reduce((sum, relation) => sum + relation.changes, 0),
            changes.length,
          );
        }
        const lasts = drafts.flatMap(({ last }) => (last === null ? [] : [last]));
        for (const [at, last] of lasts.entries()) if (at > 0) assert.ok(comparePositions(lasts[at - 1]!, last) <= 0);
      },
    ),
    { numRuns: 300 },
  );
});

/** A walsender describes each relation on each connection, also where the history's first description is not sent. */
function redescribe(sent: readonly ModelTransaction[]): Buffer[] {
  const described = new Set<number>();
  return sent.flatMap(({ frames: all }) =>
    all.flatMap((frame) => {
      const tag = frame[FRAME.message];
      if (tag === 0x52) described.add(frame.readUInt32BE(FRAME.message + 1));
      if (tag !== 0x49) return [frame];
      const oid = frame.readUInt32BE(FRAME.message + 1);
      if (described.has(oid)) return [frame];
      described.add(oid);
      const name = frame
        .subarray(FRAME.message + 13)
        .toString()
        .split('.')[3]!;
      return [frames.relation(oid, name), frame];
    }),
  );
}
