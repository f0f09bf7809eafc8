import type { ChunkDraft, LogEnd } from '../log/change-log.ts';
import type { CommitMark, OpenTransaction } from '../log/chunk.ts';
import { TransactionCursor } from '../log/transaction-cursor.ts';
import type { Position } from '../model/change.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import { FRAME, PgoutputError, readBegin, readCommitEndLsn, readMessage, TAG } from '../postgres/pgoutput.ts';
import { SQLSTATE } from '../postgres/sqlstate.ts';
import { serverError } from './error-response.ts';
import { CaptureFault } from './fault.ts';
import type { ChangeWatch } from './key-watch.ts';
import type { RecentTransactions } from './recent-transactions.ts';
import { RelationTracker } from './relation-tracker.ts';
import { ResentCheck } from './resent-check.ts';

/** A buffer's size: less than a chunk (256 KiB) waits when a read comes, which brings at most as much; the rest is slack. */
const BUFFER_BYTES = 768 * 1024;

/** The largest frame we take: SQLite stores blobs of up to 10^9 bytes. */
const MAX_FRAME_BYTES = 900_000_000;

const COPY_DATA = 0x64;
const COPY_DONE = 0x63;
const ERROR_RESPONSE = 0x45;
const NOTICE_RESPONSE = 0x4e;
const XLOG_DATA = 0x77;
const KEEPALIVE = 0x6b;
const KEEPALIVE_BYTES = 1 + 4 + 1 + 8 + 8 + 1;
const SMALLEST_XLOG_DATA = FRAME.message + 1;

/** Bytes that a message of each tag has at least, its tag included. */
const SMALLEST_MESSAGE: Readonly<Record<number, number>> = {
  [TAG.begin]: 21,
  [TAG.commit]: 26,
  [TAG.insert]: 8,
  [TAG.update]: 8,
  [TAG.delete]: 8,
  [TAG.truncate]: 10,
  [TAG.relation]: 10,
  [TAG.message]: 15,
};

/** What the builder has met that is not for the log. */
export interface BuilderEvents {
  /** A message of `pg_logical_emit_message` whose prefix is one of ours, outside of transactions. */
  readonly onMessage?: (prefix: string, content: string) => void;
  /** Is told of each change that is logged, while it is active. */
  readonly watch?: ChangeWatch;
  readonly recent?: RecentTransactions;
  /** All that the log has of what the server may send again was sent again: it continues the log. Called once. */
  readonly onVerified?: () => void;
}

/** A transaction of ours that has gone by, with a message for whoever sent it. */
export interface Mark extends CommitMark {
  readonly content: string;
}

/** Every prefix of ours begins so. */
export const MESSAGE_PREFIX = 'walhook.';
/** Of a transaction that marks a place in the order of commits. */
export const MARK_PREFIX = `${MESSAGE_PREFIX}mark`;
const PREFIX_BYTES = Buffer.from(MESSAGE_PREFIX, 'latin1');
/** Of a Message: its prefix, from the tag on. */
const PREFIX_AT = 10;

/**
 * What is being left out of the log because the log has it: a whole transaction, or the part of one that was logged
 * before the connection broke. The server always sends whole transactions again.
 */
type Skip = 'nothing' | 'transaction' | 'logged-part';

/**
 * Turns the bytes of a replication connection into chunks. Frames are looked at where they lie: a few integers of each
 * are read, keepalives and what the log has already are left out, and the rest is the chunk's data as it came.
 *
 * Invariant: each change that comes after the log's end is in exactly one chunk, in the order of its position,
 * whatever was sent again.
 */
export class ChunkBuilder {
  readonly #cursor = new TransactionCursor();
  readonly #relations = new RelationTracker();
  readonly #loggedLsn: Lsn;
  readonly #resent: ResentCheck;
  readonly #events: BuilderEvents;
  #resume: OpenTransaction | null;
  #skip: Skip = 'nothing';
  #isVerified = false;

  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #spare: Buffer | null = null;
  /** The chunk so far is what lies before `#kept`; between it and `#fill`, the beginning of a frame. */
  #kept = 0;
  #fill = 0;

  #open: OpenTransaction | null;
  #last: Position | null;
  #confirmLsn: Lsn;
  #firstCommitMicros: bigint | null = null;
  #lastCommit: CommitMark | null = null;
  #changes = 0;

  #keepaliveLsn: Lsn = 0n;
  #isAnswerWanted = false;
  #markText: string | null = null;
  #mark: Mark | null = null;
  #errorResponse: Buffer | null = null;
  #hasEnded = false;
  #transactions = 0;

  /** `marks`: what the log knows of the transactions that the server may send again; null: nothing. */
  constructor(end: LogEnd, marks: readonly CommitMark[] | null = null, events: BuilderEvents = {}) {
    this.#loggedLsn = end.confirmLsn;
    this.#resent = new ResentCheck(marks);
    this.#events = events;
    this.#confirmLsn = end.confirmLsn;
    this.#resume = end.open;
    this.#open = end.open;
    this.#last = end.last;
  }

  /** Bytes of whole frames that wait to be taken. */
  get bytes(): number {
    return this.#kept;
  }

  /** Bytes received and not taken, the beginning of a frame included. */
  get pendingBytes(): number {
    return this.#fill;
  }

  /** A transaction has begun, here or in the log, and its end was not received. */
  get isTransactionOpen(): boolean {
    return this.#cursor.isOpen || this.#resume !== null;
  }

  /** The end of the last transaction received. */
  get receivedLsn(): Lsn {
    return this.#confirmLsn;
  }

  /** The position of the server's newest keepalive; 0 before the first. */
  get keepaliveLsn(): Lsn {
    return this.#keepaliveLsn;
  }

  /** The server is known to continue the log. Before that nothing may be confirmed to it. */
  get isVerified(): boolean {
    return this.#isVerified;
  }

  /** Whole transactions received that the log did not have. */
  get transactions(): number {
    return this.#transactions;
  }

  /** The ErrorResponse with which the server ended the stream, without tag and length, or null. */
  get errorResponse(): Buffer | null {
    return this.#errorResponse;
  }

  /** The server ended the stream of its own accord. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether the server asked for a status since this was last called. */
  takeAnswerWanted(): boolean {
    const wanted = this.#isAnswerWanted;
    this.#isAnswerWanted = false;
    return wanted;
  }

  /**
   * Takes in bytes as they were read. Throws `PgoutputError` for what is no replication stream, and `CaptureFault`
   * where the server does not continue the history that the log has.
   */
  push(bytes: Buffer): void {
    this.#reserve(bytes.length);
    bytes.copy(this.#buffer, this.#fill);
    this.#fill += bytes.length;
    this.#scan();
  }

  /**
   * The mark that was just come to, or null: what came before it, itself included, is in the chunk so far; what comes after
   * it is looked at by `goOn`.
   */
  get mark(): Mark | null {
    return this.#mark;
  }

  /** Something was put into the log behind the chunk that was just taken, up to `last`. */
  inserted(last: Position | null): void {
    this.#last = last;
  }

  /** Goes on behind the mark. Throws as `push`. */
  goOn(): void {
    this.#mark = null;
    this.#scan();
  }

  /** The chunk so far, or null where there is nothing to log. Its data is lent until the next call of `take`. */
  take(): ChunkDraft | null {
    if (this.#kept === 0) return null;
    const data = this.#buffer.subarray(0, this.#kept);
    const draft: ChunkDraft = {
      open: this.#open,
      last: this.#lastPosition(),
      confirmLsn: this.#confirmLsn,
      firstCommitMicros: this.#firstCommitMicros,
      lastCommit: this.#lastCommit,
      relations: this.#relations.endChunk(),
      changes: this.#changes,
      data,
    };
    const used = this.#buffer;
    this.#replaceBuffer(this.#spare ?? Buffer.allocUnsafeSlow(BUFFER_BYTES), this.#kept);
    // A buffer that had grown for a large row is not kept.
    this.#spare = used.length === BUFFER_BYTES ? used : null;
    this.#kept = 0;
    this.#open = this.#cursor.open();
    this.#last = draft.last;
    this.#firstCommitMicros = null;
    this.#lastCommit = null;
    this.#changes = 0;
    return draft;
  }

  #scan(): void {
    const data = this.#buffer;
    let at = this.#kept;
    while (this.#fill - at >= 5) {
      const end = at + 1 + data.readUInt32BE(at + FRAME.length);
      if (end < at + 5) throw new PgoutputError('a message with an impossible length');
      if (end > this.#fill) break;
      if (this.#belongsInChunk(data, at, end)) {
        if (at > this.#kept) this.#closeGap(at);
        at = this.#kept += end - at;
      } else at = end;
      if (this.#mark !== null) break;
    }
    if (at > this.#kept) this.#closeGap(at);
  }

  /** Moves what lies from `from` on down to the end of the chunk so far, over what was left out. */
  #closeGap(from: number): void {
    this.#buffer.copyWithin(this.#kept, from, this.#fill);
    this.#fill -= from - this.#kept;
  }

  /** Takes in the whole message from `at` to `end`, and tells whether it is to be logged. */
  #belongsInChunk(data: Buffer, at: number, end: number): boolean {
    if (data[at] !== COPY_DATA) {
      this.#control(data, at, end);
      return false;
    }
    const kind = data[at + FRAME.kind];
    if (kind === XLOG_DATA && end - at >= SMALLEST_XLOG_DATA) return this.#message(data, at, end);
    if (kind === KEEPALIVE && end - at === KEEPALIVE_BYTES) {
      this.#keepaliveLsn = data.readBigUInt64BE(at + 6);
      if (data[end - 1] === 1) this.#isAnswerWanted = true;
      // Transactions that committed before it have been sent.
      if (this.#keepaliveLsn >= this.#loggedLsn && !this.#cursor.isOpen) this.#verify();
      return false;
    }
    throw new PgoutputError('a message of the replication stream that is neither data nor a keepalive');
  }

  #control(data: Buffer, at: number, end: number): void {
    // Other notices and ParameterStatus may come at any time and change nothing here.
    if (data[at] === ERROR_RESPONSE) this.#errorResponse = Buffer.from(data.subarray(at + 5, end));
    else if (data[at] === COPY_DONE) this.#hasEnded = true;
    else if (data[at] === NOTICE_RESPONSE) refuseSkipping(data.subarray(at + 5, end));
  }

  #message(data: Buffer, frame: number, end: number): boolean {
    const at = frame + FRAME.message;
    const tag = data[at]!;
    const smallest = SMALLEST_MESSAGE[tag];
    if (smallest !== undefined && end - at < smallest) throw new PgoutputError('a message of pgoutput ends early');
    switch (tag) {
      case TAG.insert:
      case TAG.update:
      case TAG.delete:
        if (!this.#change(data, frame)) return false;
        this.#relations.countChange(data.readUInt32BE(at + 1));
        if (this.#events.watch?.isActive === true) this.#events.watch.saw(data.readUInt32BE(at + 1), data, frame);
        return true;
      case TAG.begin:
        return this.#begin(data, at);
      case TAG.commit:
        return this.#commit(data, at);
      case TAG.relation:
        this.#relations.define(data.subarray(at, end), this.#skip === 'nothing');
        return this.#skip === 'nothing';
      case TAG.truncate:
        return this.#change(data, frame) && this.#truncate(data, at, end);
      case TAG.type:
      case TAG.origin:
        return this.#skip === 'nothing';
      case TAG.message:
        this.#emitted(data, at, end);
        return false;
      default:
        throw new PgoutputError('a message of pgoutput with an unknown tag');
    }
  }

  #begin(data: Buffer, at: number): boolean {
    if (this.#cursor.isOpen) throw new PgoutputError('a transaction begins inside another');
    this.#cursor.begin(data, at);
    this.#markText = null;
    const { commitLsn, commitTimeMicros, xid } = readBegin(data, at);
    this.#events.recent?.add(xid);
    if (commitLsn < this.#loggedLsn) {
      this.#resent.begin(commitLsn, commitTimeMicros, xid);
      this.#skip = 'transaction';
      return false;
    }
    this.#verify();
    if (this.#resume === null) this.#skip = 'nothing';
    else if (this.#resume.commitLsn === commitLsn && this.#resume.xid === xid) this.#skip = 'logged-part';
    else throw this.#otherHistory(this.#resume);
    return this.#skip === 'nothing';
  }

  #verify(): void {
    if (this.#isVerified) return;
    this.#resent.finish();
    this.#isVerified = true;
    this.#events.onVerified?.();
  }

  /** Moves on to the change whose frame is at `frame`, and tells whether it is to be logged. */
  #change(data: Buffer, frame: number): boolean {
    const cursor = this.#cursor;
    if (!cursor.isOpen) throw new PgoutputError('a change outside a transaction');
    const seq = cursor.seq;
    cursor.change(data.readUInt32BE(frame + FRAME.startLsn), data.readUInt32BE(frame + FRAME.startLsn + 4));
    if (this.#skip !== 'nothing' && !this.#endsSkip(seq)) return false;
    if (this.#changes++ === 0) this.#firstCommitMicros = cursor.commitTimeMicros;
    return true;
  }

  /** Whether the change that comes after `seq` others is the first that the log does not have. */
  #endsSkip(seq: number): boolean {
    const resume = this.#resume;
    if (this.#skip === 'transaction' || resume === null || this.#cursor.isAtOrBefore(resume)) return false;
    // As many changes came before it now as then, or it is not the same transaction.
    if (seq !== resume.seq) throw this.#otherHistory(resume);
    this.#skip = 'nothing';
    this.#resume = null;
    return true;
  }

  #commit(data: Buffer, at: number): boolean {
    if (!this.#cursor.isOpen) throw new PgoutputError('a commit outside a transaction');
    const endLsn = readCommitEndLsn(data, at);
    if (endLsn > this.#confirmLsn) this.#confirmLsn = endLsn;
    const isLogged = this.#skip !== 'transaction';
    const { commitLsn, commitTimeMicros, xid, seq } = this.#cursor;
    if (!isLogged) this.#resent.end(commitLsn, seq);
    else {
      this.#lastCommit = { commitLsn, commitTimeMicros, xid };
      if (this.#skip === 'logged-part' && this.#cursor.seq !== this.#resume?.seq)
        throw this.#otherHistory(this.#resume);
      this.#last = this.#lastPosition();
      this.#resume = null;
      this.#transactions++;
      if (this.#markText !== null) this.#mark = { content: this.#markText, commitLsn, commitTimeMicros, xid };
    }
    this.#skip = 'nothing';
    this.#cursor.commit();
    return isLogged;
  }

  /** Others' messages are nobody's business here. */
  #emitted(data: Buffer, at: number, end: number): void {
    const start = at + PREFIX_AT;
    const until = start + PREFIX_BYTES.length;
    if (until > end || data.compare(PREFIX_BYTES, 0, PREFIX_BYTES.length, start, until) !== 0) return;
    const { prefix, content } = readMessage(data, at, end);
    if (!this.#cursor.isOpen) this.#events.onMessage?.(prefix, content.toString('utf8'));
    else if (prefix === MARK_PREFIX) this.#markText = content.toString('utf8');
  }

  #truncate(data: Buffer, at: number, end: number): boolean {
    const count = data.readUInt32BE(at + 1);
    const first = at + 6;
    if (first + 4 * count > end) throw new PgoutputError('a Truncate message ends early');
    const { watch } = this.#events;
    for (let i = 0; i < count; i++) {
      const oid = data.readUInt32BE(first + 4 * i);
      this.#relations.countChange(oid);
      if (watch?.isActive === true) watch.truncated(oid);
    }
    return true;
  }

  /** The position of the last change that is logged or in the chunk. */
  #lastPosition(): Position | null {
    const isAhead = this.#cursor.isOpen && this.#skip === 'nothing' && this.#cursor.ordinal >= 0;
    return isAhead ? this.#cursor.position() : this.#last;
  }

  #otherHistory(resume: OpenTransaction | null): CaptureFault {
    const at = resume === null ? '' : ` at ${formatLsn(resume.commitLsn)}`;
    return new CaptureFault(
      'other-history',
      `the server does not continue the transaction${at} that the log has in part`,
      null,
    );
  }

  /** Makes room for `more` bytes, and for the whole of the frame that has begun. */
  #reserve(more: number): void {
    const frameBytes = this.#fill - this.#kept >= 5 ? 1 + this.#buffer.readUInt32BE(this.#kept + FRAME.length) : 0;
    if (frameBytes > MAX_FRAME_BYTES) {
      throw new CaptureFault(
        'row-too-large',
        `a change of ${frameBytes} bytes is larger than the log can hold (${MAX_FRAME_BYTES})`,
        'Take the table out of the publication, or the column out of the published ones.',
      );
    }
    const wanted = Math.max(this.#fill + more, this.#kept + frameBytes);
    // Room for one more read beyond the frame spares moving it a second time.
    if (wanted > this.#buffer.length) this.#replaceBuffer(Buffer.allocUnsafeSlow(wanted + more), 0);
  }

  /** Goes on in `next` with the bytes from `from` on. */
  #replaceBuffer(next: Buffer, from: number): void {
    const rest = this.#fill - from;
    const target = rest <= next.length ? next : Buffer.allocUnsafeSlow(rest);
    this.#buffer.copy(target, 0, from, this.#fill);
    this.#buffer = target;
    this.#fill = rest;
  }
}

/**
 * From version 18 on pgoutput warns where it looks for the publication and finds none, and goes on without the changes;
 * what the server tells after that is not to be believed. Throws the fault that older versions end the stream with.
 */
function refuseSkipping(notice: Buffer): void {
  const { code, message } = serverError(notice);
  if (code !== SQLSTATE.object_not_in_prerequisite_state) return;
  throw new CaptureFault('publication-missing', `the server sends no more changes: ${message}`, null);
}
