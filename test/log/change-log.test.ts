import assert from 'node:assert/strict';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { ChangeLog, type ChunkDraft } from '../../src/log/change-log.ts';
import { LogReader } from '../../src/log/log-reader.ts';
import { LOG_FILE } from '../../src/log/schema.ts';
import { comparePositions, type Position } from '../../src/model/change.ts';
import * as frames from '../capture/frames.ts';
import { temporaryFolder } from '../support/test-database.ts';

/** A chunk with one whole transaction of one insert, committed at `commitLsn`. */
function transactionAt(commitLsn: bigint): ChunkDraft {
  const lsn = commitLsn - 10n;
  const data = Buffer.concat([
    frames.begin(commitLsn, 3),
    frames.relation(1, 't'),
    frames.insert(lsn, 1, 'a'),
    frames.commit(commitLsn, commitLsn + 5n),
  ]);
  return {
    open: null,
    last: { commitLsn, lsn, ordinal: 0 },
    confirmLsn: commitLsn + 5n,
    firstCommitMicros: 1_000n,
    lastCommit: null,
    relations: [{ oid: 1, definition: null, changes: 1 }],
    changes: 1,
    data,
  };
}

function freshLog(): { path: string; log: ChangeLog } {
  const path = join(temporaryFolder(), LOG_FILE);
  return { path, log: ChangeLog.open(path) };
}

test('a new log is empty and has no position', () => {
  const { path, log } = freshLog();
  assert.deepEqual(log.end(), { lastId: 0, last: null, open: null, confirmLsn: 0n });
  assert.equal(log.source(), null);
  assert.equal(log.size().chunks, 0);
  const reader = LogReader.open(path);
  assert.equal(reader.lastId(), 0);
  assert.equal(reader.read(1), null);
  assert.deepEqual(reader.headersFrom(0, 10), []);
  assert.equal(reader.firstChunkEndingAfter(null, 0n), null);
  reader.close();
  log.close();
});

test('a chunk is read back as it was appended, and only once it is committed', () => {
  const { path, log } = freshLog();
  const reader = LogReader.open(path);
  const definition = frames.relation(1, 't').subarray(30);
  const draft: ChunkDraft = {
    open: {
      commitLsn: 2n ** 40n,
      commitTimeMicros: -5n,
      xid: 4_000_000_000,
      seq: 12,
      lastLsn: 2n ** 33n,
      lastOrdinal: 3,
    },
    last: { commitLsn: 2n ** 40n, lsn: 2n ** 33n + 1n, ordinal: 7 },
    confirmLsn: 0n,
    firstCommitMicros: 2n ** 51n,
    lastCommit: null,
    relations: [
      { oid: 4_000_000_000, definition, changes: 2 },
      { oid: 2, definition: null, changes: 1 },
    ],
    changes: 3,
    data: frames.insert(2n ** 33n + 1n, 1, 'a'),
  };
  const { header, relationMessages } = log.append(draft);
  assert.equal(reader.read(1), null);
  log.commit();
  assert.deepEqual(reader.read(1), { header, data: draft.data, relationMessages: new Map([[1, definition]]) });
  assert.deepEqual(relationMessages, new Map([[1, definition]]));
  const { data, lastCommit: _, ...fields } = draft;
  const relations = [
    { oid: 4_000_000_000, version: 1, changes: 2 },
    { oid: 2, version: null, changes: 1 },
  ];
  assert.deepEqual(header, { ...fields, backfill: null, id: 1, bytes: data.length, relations });
  reader.close();
  log.close();
});

test('a relation gets a new version only when its definition differs from the newest', () => {
  const { log, path } = freshLog();
  const [one, other] = [frames.relation(1, 'one'), frames.relation(1, 'other')];
  const versionOf = (definition: Buffer): number | null | undefined =>
    log.append({ ...transactionAt(100n), relations: [{ oid: 1, definition, changes: 1 }] }).header.relations[0]
      ?.version;
  assert.deepEqual([versionOf(one), versionOf(Buffer.from(one)), versionOf(other), versionOf(one)], [1, 1, 2, 3]);
  log.commit();
  log.close();
  const reopened = ChangeLog.open(path);
  const again = reopened.append({ ...transactionAt(100n), relations: [{ oid: 1, definition: one, changes: 1 }] });
  assert.equal(again.header.relations[0]?.version, 3);
  reopened.close();
});

test('what was appended and not committed is gone after a rollback, and its ids come again', () => {
  const { log } = freshLog();
  log.append(transactionAt(100n));
  log.commit();
  const definition = frames.relation(9, 'gone');
  const lost = log.append({ ...transactionAt(200n), relations: [{ oid: 9, definition, changes: 1 }] });
  log.rollback();
  assert.equal(log.end().lastId, 1);
  const next = log.append({ ...transactionAt(200n), relations: [{ oid: 9, definition, changes: 1 }] });
  assert.equal(next.header.id, lost.header.id);
  log.commit();
  log.close();
});

test('the end tells of the transaction that is logged in part', () => {
  const { log } = freshLog();
  const data = Buffer.concat([
    frames.begin(300n, 8, 77n),
    frames.relation(1, 't'),
    frames.insert(250n, 1, 'a'),
    frames.insert(250n, 1, 'b'),
  ]);
  log.append({ ...transactionAt(300n), last: { commitLsn: 300n, lsn: 250n, ordinal: 1 }, confirmLsn: 100n, data });
  log.append({
    open: log.end().open,
    last: null,
    confirmLsn: 100n,
    firstCommitMicros: null,
    lastCommit: null,
    relations: [],
    changes: 0,
    data: Buffer.alloc(0),
  });
  log.commit();
  const { open, confirmLsn } = log.end();
  assert.deepEqual(open, {
    commitLsn: 300n,
    commitTimeMicros: 946_684_800_000_077n,
    xid: 8,
    seq: 2,
    lastLsn: 250n,
    lastOrdinal: 1,
  });
  assert.equal(confirmLsn, 100n);
  log.close();
});

test('what was confirmed without a chunk is remembered and never goes back', () => {
  const { log, path } = freshLog();
  log.append(transactionAt(100n));
  log.commit();
  log.confirm(500n);
  log.confirm(400n);
  log.close();
  const reopened = ChangeLog.open(path);
  assert.equal(reopened.end().confirmLsn, 500n);
  reopened.close();
});

test('the source is remembered, and a reset forgets everything', () => {
  const { log, path } = freshLog();
  log.bindSource({ systemId: '7300000000000000001', databaseOid: 4_000_000_000 });
  log.append(transactionAt(100n));
  log.commit();
  log.close();
  const reopened = ChangeLog.open(path);
  assert.deepEqual(reopened.source(), { systemId: '7300000000000000001', databaseOid: 4_000_000_000 });
  reopened.reset();
  assert.equal(reopened.source(), null);
  assert.deepEqual(reopened.end(), { lastId: 0, last: null, open: null, confirmLsn: 0n });
  assert.equal(reopened.append(transactionAt(200n)).header.id, 1);
  reopened.close();
});

test('trimming goes in steps, keeps the newest chunk, and its space is used again', () => {
  const { log, path } = freshLog();
  const draft = { ...transactionAt(100n), data: Buffer.alloc(256 * 1024, 1) };
  const fill = (count: number): void => {
    for (let i = 0; i < count; i++) log.append(draft);
    log.commit();
  };
  fill(200);
  const full = log.size().bytes;
  assert.equal(log.size().chunks, 200);
  assert.equal(log.trimBefore(150), 64);
  assert.equal(log.trimBefore(150), 64);
  assert.equal(log.trimBefore(150), 21);
  assert.equal(log.trimBefore(150), 0);
  assert.equal(log.trimBefore(1_000), 50);
  assert.equal(log.trimBefore(1_000), 0);
  assert.equal(log.size().chunks, 1);
  fill(199);
  assert.ok(log.size().bytes <= full + 1_000_000, `${log.size().bytes} after ${full}`);
  const reader = LogReader.open(path);
  assert.equal(reader.headersFrom(0, 1)[0]?.id, 200);
  assert.equal(reader.lastId(), 399);
  reader.close();
  log.close();
});

test('free space beyond what is kept goes back to the file system, a little with each trim', () => {
  const { log, path } = freshLog();
  const draft = { ...transactionAt(100n), data: Buffer.alloc(256 * 1024, 1) };
  for (let i = 0; i < 400; i++) log.append(draft);
  log.commit();
  const pages = (): number => {
    const db = new Database(path, { readonly: true });
    const count = db.pragma('page_count', { simple: true }) as number;
    db.close();
    return count;
  };
  const before = pages();
  for (let i = 0; i < 40; i++) log.trimBefore(400);
  const after = pages();
  assert.ok(after < before && after > 2_000, `${before} pages, then ${after}`);
  log.close();
});

test('a file that is not ours or of a newer format is refused', () => {
  const folder = temporaryFolder();
  const foreign = join(folder, 'foreign.db');
  const db = new Database(foreign);
  db.exec('CREATE TABLE a (b)');
  db.close();
  assert.throws(() => ChangeLog.open(foreign), { name: 'LogFormatError' });
  const path = join(folder, LOG_FILE);
  ChangeLog.open(path).close();
  const newer = new Database(path);
  newer.pragma('user_version = 99');
  newer.close();
  assert.throws(() => ChangeLog.open(path), { name: 'LogFormatError', message: /format 99/ });
});

test('the reader finds the first chunk behind a position, at and after a start', () => {
  const { log, path } = freshLog();
  // The first has no change yet; two chunks end in the same transaction.
  const lasts: (Position | null)[] = [
    null,
    { commitLsn: 100n, lsn: 90n, ordinal: 0 },
    { commitLsn: 200n, lsn: 150n, ordinal: 0 },
    { commitLsn: 200n, lsn: 150n, ordinal: 4 },
    { commitLsn: 200n, lsn: 150n, ordinal: 4 },
    { commitLsn: 300n, lsn: 250n, ordinal: 0 },
  ];
  for (const last of lasts) log.append({ ...transactionAt(100n), last });
  log.commit();
  const reader = LogReader.open(path);
  const cases: [Position | null, bigint, number | null][] = [
    [null, 0n, 2],
    [null, 100n, 2],
    [null, 101n, 3],
    [null, 300n, 6],
    [null, 301n, null],
    [lasts[1]!, 0n, 3],
    [{ commitLsn: 200n, lsn: 150n, ordinal: 3 }, 0n, 4],
    [lasts[3]!, 0n, 6],
    [lasts[5]!, 0n, null],
    [lasts[1]!, 250n, 6],
  ];
  for (const [position, startLsn, expected] of cases) {
    assert.equal(reader.firstChunkEndingAfter(position, startLsn), expected);
  }
  log.trimBefore(4);
  assert.equal(reader.firstChunkEndingAfter(null, 0n), 4);
  reader.close();
  log.close();
});

// The model: chunks in order, of which the uncommitted ones vanish in a crash, and a prefix is trimmed.
interface Model {
  chunks: { id: number; commitLsn: bigint }[];
  durable: number;
  next: bigint;
}

class System {
  readonly folder = temporaryFolder();
  generation = 0;
  log = ChangeLog.open(this.path);
  reader = LogReader.open(this.path);

  get path(): string {
    return join(this.folder, `${this.generation}-${LOG_FILE}`);
  }

  /** What a kill leaves: the files as they are, without the closing of the connection. */
  crash(): void {
    const before = this.path;
    this.generation++;
    for (const suffix of ['', '-wal'])
      if (existsSync(before + suffix)) copyFileSync(before + suffix, this.path + suffix);
    const { log, reader } = this;
    this.log = ChangeLog.open(this.path);
    this.reader = LogReader.open(this.path);
    reader.close();
    log.close();
  }

  close(): void {
    this.reader.close();
    this.log.close();
  }
}

type Command = fc.Command<Model, System>;

const append = (gap: number): Command => ({
  check: () => true,
  run(model, { log }) {
    model.next += BigInt(gap);
    const { header } = log.append(transactionAt(model.next));
    const id = (model.chunks.at(-1)?.id ?? 0) + 1;
    assert.equal(header.id, id);
    model.chunks.push({ id, commitLsn: model.next });
  },
  toString: () => `append(${gap})`,
});

const commit: Command = {
  check: () => true,
  run(model, { log }) {
    log.commit();
    model.durable = model.chunks.length;
  },
  toString: () => 'commit',
};

const crash: Command = {
  check: () => true,
  run(model, system) {
    system.crash();
    model.chunks.length = model.durable;
    model.next = model.chunks.at(-1)?.commitLsn ?? 1_000n;
  },
  toString: () => 'crash',
};

const trim = (share: number): Command => ({
  // As capture does it: never between an append and its commit.
  check: (model) => model.durable > 0 && model.durable === model.chunks.length,
  run(model, { log }) {
    const before = model.chunks[Math.floor(share * (model.durable - 1))]!.id;
    let removed = 0;
    for (let step = log.trimBefore(before); step > 0; step = log.trimBefore(before)) removed += step;
    assert.equal(removed, model.chunks.filter(({ id }) => id < before).length);
    model.chunks = model.chunks.filter(({ id }) => id >= before);
    model.durable = model.chunks.length;
  },
  toString: () => `trim(${share})`,
});

const read: Command = {
  check: () => true,
  run(model, { log, reader }) {
    const durable = model.chunks.slice(0, model.durable);
    assert.deepEqual(
      reader.headersFrom(0, 1_000).map(({ id, last }) => ({ id, commitLsn: last!.commitLsn })),
      durable,
    );
    assert.equal(reader.lastId(), durable.at(-1)?.id ?? 0);
    for (const { id, commitLsn } of durable.slice(0, 3)) {
      assert.deepEqual(reader.read(id)?.data, transactionAt(commitLsn).data);
      assert.equal(reader.firstChunkEndingAfter(null, commitLsn), id);
      const next = durable.find((chunk) => chunk.id === id + 1)?.id ?? null;
      assert.equal(reader.firstChunkEndingAfter({ commitLsn, lsn: commitLsn, ordinal: 0 }, 0n), next);
    }
    assert.equal(log.size().chunks, model.chunks.length);
    assert.equal(log.end().last?.commitLsn, model.chunks.at(-1)?.commitLsn);
    for (const [index, { last }] of reader.headersFrom(0, 1_000).entries()) {
      if (index > 0) assert.ok(comparePositions(reader.headersFrom(0, 1_000)[index - 1]!.last!, last!) < 0);
    }
  },
  toString: () => 'read',
};

test('the log is a durable queue under any sequence of appends, commits, crashes, trims and reads', () => {
  const commands = fc.commands(
    [
      fc.integer({ min: 20, max: 90 }).map(append),
      fc.constant(commit),
      fc.constant(crash),
      fc.double({ min: 0, max: 1, noNaN: true }).map(trim),
      fc.constant(read),
    ],
    { maxCommands: 40 },
  );
  fc.assert(
    fc.property(commands, (sequence) => {
      const real = new System();
      try {
        fc.modelRun(() => ({ model: { chunks: [], durable: 0, next: 1_000n }, real }), sequence);
      } finally {
        real.close();
      }
    }),
    { numRuns: 60 },
  );
});
