import type { Cancel, Clock } from '../base/clock.ts';
import type { ChangeLog, ChunkDraft } from '../log/change-log.ts';
import type { ChunkHeader, CommitMark } from '../log/chunk.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { PgoutputError } from '../postgres/pgoutput.ts';
import { type BuilderEvents, ChunkBuilder, type Mark } from './chunk-builder.ts';
import { serverError } from './error-response.ts';
import { CaptureFault } from './fault.ts';
import { CHUNK_AGE_MS, CHUNK_BYTES, flushDecision } from './flush-policy.ts';

/** Who takes the chunks from here: delivery, on another thread. None of these may throw. */
export interface ChunkSink {
  /** Whether it has use for the bytes; a sink that lags reads the log instead. */
  wantsData(): boolean;
  /**
   * A chunk that is about to become durable. The data belongs to the sink and has an ArrayBuffer of its own, so it may be
   * transferred; null where it was not wanted. The relation messages are to be copied, not transferred.
   */
  onChunk(header: ChunkHeader, data: Buffer | null, relationMessages: ReadonlyMap<number, Buffer>): void;
  /** Every chunk up to this one is durable. */
  onDurable(lastChunkId: number): void;
  /** The log failed: this chunk and those after it did not become durable, and their ids will name others. */
  onDiscarded(firstChunkId: number): void;
}

/** Changes, and transactions that have ended. */
export interface IntakeCounts {
  readonly changes: number;
  readonly transactions: number;
}

/** A chunk that comes by no connection, and what is to become durable with it. */
export interface Insertion {
  readonly draft: ChunkDraft | null;
  readonly save: () => void;
}

export interface IntakeOptions {
  readonly log: ChangeLog;
  readonly sink: ChunkSink;
  readonly clock: Clock;
  /** What the log knows of the transactions that the server may send again; null: nothing. */
  readonly marks?: readonly CommitMark[] | null;
  readonly events?: BuilderEvents;
  /** What is to come into the log right behind the mark, or null. `save` is called once that is appended. */
  readonly atMark?: (mark: Mark) => Insertion | null;
  /** Something failed outside `receive`. */
  readonly onFailure: (error: Error) => void;
  /** A commit has moved what may be confirmed. */
  readonly onDurable: () => void;
}

/**
 * One connection's way from bytes to the durable log. Everything here is synchronous, so that what waits for the log is
 * never more than a chunk and a read: while the disk works, the socket is not read, TCP stops the server, and memory
 * stays flat whatever a transaction's size.
 */
export class Intake {
  readonly #log: ChangeLog;
  readonly #sink: ChunkSink;
  readonly #clock: Clock;
  readonly #onFailure: (error: Error) => void;
  readonly #onDurable: () => void;
  readonly #atMark: ((mark: Mark) => Insertion | null) | null;
  readonly #builder: ChunkBuilder;
  #durableLsn: Lsn;
  /** The first and the last chunk that the next commit makes durable; 0 where there is none. */
  #firstAppended = 0;
  #lastAppended = 0;
  /** What may be confirmed once the last appended chunk is durable. */
  #appendedLsn: Lsn = 0n;
  #isIdleCheckDue = false;
  #isClosed = false;
  #cancelAgeing: Cancel | null = null;
  #appended: IntakeCounts = { changes: 0, transactions: 0 };
  #durable: IntakeCounts = { changes: 0, transactions: 0 };

  constructor(options: IntakeOptions) {
    this.#log = options.log;
    this.#sink = options.sink;
    this.#clock = options.clock;
    this.#onFailure = options.onFailure;
    this.#onDurable = options.onDurable;
    this.#atMark = options.atMark ?? null;
    const end = this.#log.end();
    this.#durableLsn = end.confirmLsn;
    this.#builder = new ChunkBuilder(end, options.marks, options.events);
  }

  /** Everything before it is in the log, durably. */
  get durableLsn(): Lsn {
    return this.#durableLsn;
  }

  get keepaliveLsn(): Lsn {
    return this.#builder.keepaliveLsn;
  }

  get receivedLsn(): Lsn {
    return this.#builder.receivedLsn;
  }

  /** Bytes received that are not durable. */
  get pendingBytes(): number {
    // What is appended and not committed has no count of its own: one byte of it is as good as all.
    return this.#builder.pendingBytes + (this.#lastAppended === 0 ? 0 : 1);
  }

  /** Something has come that is not durable, or not whole. */
  get isPending(): boolean {
    return this.pendingBytes > 0 || this.isTransactionOpen;
  }

  get isTransactionOpen(): boolean {
    return this.#builder.isTransactionOpen;
  }

  get isVerified(): boolean {
    return this.#builder.isVerified;
  }

  /** What this connection has brought into the log, durably. */
  get counts(): IntakeCounts {
    return this.#durable;
  }

  /** Whether the server asked for a status since this was last called. */
  takeAnswerWanted(): boolean {
    return this.#builder.takeAnswerWanted();
  }

  /** Takes in bytes as they were read. Throws the fault that ends the connection. */
  receive(bytes: Buffer): void {
    try {
      this.#builder.push(bytes);
      for (let { mark } = this.#builder; mark !== null; { mark } = this.#builder) {
        this.#insertAt(mark);
        this.#builder.goOn();
      }
    } catch (error) {
      if (!(error instanceof PgoutputError)) throw error;
      throw new CaptureFault('protocol', `the server sent ${error.message}`, null, error);
    }
    if (this.#builder.errorResponse !== null) throw serverError(this.#builder.errorResponse);
    if (this.#builder.hasEnded) throw new CaptureFault('connection-lost', 'the server ended the stream', null);
    if (this.#builder.bytes >= CHUNK_BYTES) this.#guarded(() => this.#append());
    if (!this.#isIdleCheckDue) {
      this.#isIdleCheckDue = true;
      // Runs when everything that could be read without waiting has been.
      setImmediate(() => this.#whenIdle());
    }
  }

  /** Logs everything that is there, and waits for the disk. Throws `CaptureFault` (log-failed). */
  flush(): void {
    this.#cancelAgeing?.();
    this.#cancelAgeing = null;
    this.#guarded(() => {
      this.#append();
      this.#commit();
    });
  }

  /** Records that there is nothing to log before `lsn`; waits for the disk. Throws `CaptureFault` (log-failed). */
  confirm(lsn: Lsn): void {
    this.#guarded(() => this.#log.confirm(lsn));
    this.#durableLsn = lsn;
  }

  /** Nothing happens after this; what was not flushed will be sent again. */
  close(): void {
    this.#isClosed = true;
    this.#cancelAgeing?.();
    this.#discard();
  }

  #whenIdle(): void {
    this.#isIdleCheckDue = false;
    if (this.#isClosed) return;
    try {
      const decision = flushDecision({ bytes: this.#builder.bytes, isTransactionOpen: this.isTransactionOpen });
      if (decision === 'log') this.flush();
      else if (this.#lastAppended !== 0) this.#guarded(() => this.#commit());
      if (decision === 'wait') this.#cancelAgeing ??= this.#clock.after(CHUNK_AGE_MS, () => this.#whenAged());
    } catch (error) {
      this.#onFailure(error as Error);
    }
  }

  #whenAged(): void {
    this.#cancelAgeing = null;
    if (this.#isClosed) return;
    try {
      this.flush();
    } catch (error) {
      this.#onFailure(error as Error);
    }
  }

  #insertAt(mark: Mark): void {
    const insertion = this.#atMark?.(mark) ?? null;
    if (insertion === null) return;
    this.#guarded(() => {
      this.#append();
      if (insertion.draft !== null) {
        // It stands where the mark does: before all that is still to come.
        this.#appendDraft({ ...insertion.draft, confirmLsn: this.#builder.receivedLsn });
        this.#builder.inserted(insertion.draft.last);
      }
      insertion.save();
    });
  }

  #append(): void {
    const draft = this.#builder.take();
    if (draft !== null) this.#appendDraft(draft);
  }

  #appendDraft(draft: ChunkDraft): void {
    const { header, relationMessages } = this.#log.append(draft);
    if (this.#firstAppended === 0) this.#firstAppended = header.id;
    this.#lastAppended = header.id;
    this.#appendedLsn = header.confirmLsn;
    const changes = header.backfill === null ? header.changes : 0;
    this.#appended = { changes: this.#appended.changes + changes, transactions: this.#builder.transactions };
    this.#sink.onChunk(header, this.#sink.wantsData() ? ownCopy(draft.data) : null, relationMessages);
  }

  #commit(): void {
    if (this.#lastAppended === 0) return;
    this.#log.commit();
    const last = this.#lastAppended;
    this.#firstAppended = this.#lastAppended = 0;
    this.#durable = this.#appended;
    if (this.#appendedLsn > this.#durableLsn) this.#durableLsn = this.#appendedLsn;
    this.#sink.onDurable(last);
    this.#onDurable();
  }

  #discard(): void {
    if (this.#firstAppended === 0) {
      this.#log.rollback();
      return;
    }
    const first = this.#firstAppended;
    this.#firstAppended = this.#lastAppended = 0;
    this.#log.rollback();
    this.#sink.onDiscarded(first);
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof CaptureFault) throw error;
      throw new CaptureFault(
        'log-failed',
        `the change log cannot be written: ${(error as Error).message}`,
        null,
        error,
      );
    }
  }
}

function ownCopy(data: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(data.length);
  data.copy(copy);
  return copy;
}
