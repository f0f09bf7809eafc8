import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Tracer } from '../base/tracing.ts';
import { untilAborted } from '../base/service.ts';
import type { ChangeLog } from '../log/change-log.ts';
import type { Backfill, BackfillStatus } from '../model/backfill.ts';
import { quoteLiteral } from '../postgres/identifier.ts';
import { SyntheticFrames } from '../postgres/synthetic-frames.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { BackfillSpan } from './backfill-span.ts';
import { backfillChunk, type ReadPage, type SomeRows } from './backfill-chunk.ts';
import {
  estimatedRows,
  firstPlace,
  type Page,
  type PagePlace,
  PREPARATION,
  readPage,
  type TableFacts,
  tableFacts,
} from './backfill-table.ts';
import { MARK_PREFIX, type Mark } from './chunk-builder.ts';
import type { Insertion } from './intake.ts';
import { keyText, KeyWatch } from './key-watch.ts';
import type { RawRows } from './raw-rows.ts';
import { RecentTransactions } from './recent-transactions.ts';
import { SimpleSession } from './simple-session.ts';

/** A page is to have so many bytes: a chunk of the log. */
const PAGE_BYTES = 1024 * 1024;
const FIRST_ROWS = 100;
const MAX_ROWS = 20_000;
/** So many pages are read before what became of the first of them is known. */
const PAGES_AHEAD = 3;
const FIRST_BLOCKS = 8;
/** With more than this in the log, whoever reads tables waits for whoever delivers. */
const MAX_LOG_BYTES = 256 * 1024 * 1024;
const WAIT_FOR_LOG_MS = 200;
const TRY_AGAIN_MS = 1_000;
const RATE_CHECK_MS = 1_000;
/** A page whose rows cannot be told from older ones is read again so often, with ever fewer rows. */
const MAX_REREADS = 12;
const LIMITS = { statementTimeoutMs: 120_000, lockTimeoutMs: 30_000 };

export interface BackfillerOptions {
  readonly upstream: Upstream;
  readonly slotName: string;
  readonly log: ChangeLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Absent or null: nobody collects traces. */
  readonly tracer?: Tracer | null;
  /** 0: unlimited. `setRate` changes it. */
  readonly maxRowsPerSecond: number;
}

/** A backfill and how far it is, as the log keeps it. */
interface Progress {
  readonly backfill: Backfill;
  readonly state: BackfillStatus['state'];
  /** Which of its tables is read. */
  readonly table: number;
  /** Null: the table has not been begun. */
  readonly place: PagePlace | null;
  readonly rowsDone: number;
  readonly rowsTotal: number | null;
}

type Outcome = 'taken' | 'again';

/** A mark that is on its way. */
interface Waiting {
  readonly content: string;
  /** What has been read since the mark before; null: that one opens the window. */
  readonly page: ReadPage | null;
  readonly facts: TableFacts;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: Error) => void;
  /** It was read behind a page that is to be read again. */
  isVoid: boolean;
}

/**
 * Reads tables into the log while changes stream, without a lock or a long snapshot: page by page in the order of the key,
 * each between two marks that go through the WAL and come back by the stream. A row that a change between the marks has
 * touched is left out, as the log has something newer; the others are put where the second mark stands. The next pages are
 * read while a mark is on its way.
 * https://arxiv.org/abs/2010.12597 (DBLog)
 *
 * Invariant: what a page brings and how far its table is read become durable together.
 */
export class Backfiller {
  readonly watch = new KeyWatch();
  readonly recent = new RecentTransactions();
  readonly #options: BackfillerOptions;
  readonly #token: string;
  /** By the stream's id: its newest. */
  readonly #all = new Map<string, Progress>();
  #problem: string | null = null;
  #number = 0;
  /** In the order in which their marks were sent. */
  readonly #waiting: Waiting[] = [];
  #session: SimpleSession | null = null;
  /** For a page's chunk, which the log has copied before the next is made. */
  readonly #frames = new SyntheticFrames();
  /** Transactions that had come when the window was opened. */
  #opened = 0;
  #limit = FIRST_ROWS;
  #rereads = 0;
  #maxRowsPerSecond: number;
  #wake: () => void = () => undefined;
  readonly #span: BackfillSpan;

  constructor(options: BackfillerOptions) {
    this.#options = options;
    this.#maxRowsPerSecond = options.maxRowsPerSecond;
    this.#span = new BackfillSpan(options.tracer ?? null, ({ streamId }) => this.#all.get(streamId));
    // What an earlier process has sent is not taken for ours.
    this.#token = `${options.slotName} ${options.clock.now()}`;
    this.#load();
  }

  /** Takes the place of the stream's last one. */
  start(backfill: Backfill): void {
    const { log } = this.#options;
    const last = this.#all.get(backfill.streamId);
    if (last !== undefined) log.removeBackfill(last.backfill.id);
    this.#save({ backfill, state: 'running', table: 0, place: null, rowsDone: 0, rowsTotal: null });
    this.#wake();
  }

  /** Reads no more for the stream; what is in the log stays. Gives whether there was something to cancel. */
  cancel(streamId: string): boolean {
    const progress = this.#all.get(streamId);
    if (progress?.state !== 'running') return false;
    this.#save({ ...progress, state: 'cancelled' });
    return true;
  }

  /** From now on; 0: unlimited. */
  setRate(maxRowsPerSecond: number): void {
    this.#maxRowsPerSecond = maxRowsPerSecond;
  }

  /** Forgets those of streams that are gone. */
  retain(streamIds: ReadonlySet<string>): void {
    for (const [streamId, { backfill }] of this.#all) {
      if (streamIds.has(streamId)) continue;
      this.#all.delete(streamId);
      this.#options.log.removeBackfill(backfill.id);
    }
  }

  statuses(): BackfillStatus[] {
    return [...this.#all.values()].map(({ backfill, state, rowsDone, rowsTotal }) => ({
      id: backfill.id,
      streamId: backfill.streamId,
      state,
      rowsDone,
      rowsTotal,
      problem: state === 'running' ? this.#problem : null,
    }));
  }

  /** Reads while the stream runs; goes on where it was with the next. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    this.#load();
    // Ends every wait.
    signal.addEventListener('abort', () => this.#close(), { once: true });
    while (!signal.aborted) {
      const progress = this.#next();
      this.#span.reads(progress?.backfill ?? null);
      if (progress === null) {
        await this.#untilWoken(signal);
        continue;
      }
      try {
        await this.#advance(progress, signal);
        this.#problem = null;
      } catch (error) {
        this.#close();
        if (signal.aborted) break;
        const problem = error instanceof Error ? error.message : String(error);
        if (problem !== this.#problem) logger.warn({ err: error, backfill: progress.backfill.id }, 'a backfill waits');
        this.#problem = problem;
        await clock.sleep(TRY_AGAIN_MS, signal).catch(() => undefined);
      }
    }
    this.#close();
    this.#span.reads(null);
  }

  /** The stream has come to a mark: gives what is to stand behind it. */
  atMark(mark: Mark): Insertion | null {
    const [head] = this.#waiting;
    if (head === undefined || mark.content !== head.content) return null;
    this.#waiting.shift();
    const { page, facts, isVoid } = head;
    const insertion = page === null || isVoid ? null : this.#judge(page, mark);
    const isAgain = isVoid || insertion === 'again';
    // They go on from where it would have ended.
    if (isAgain) for (const behind of this.#waiting) behind.isVoid = true;
    this.#opened = this.recent.count;
    this.watch.begin(facts.relation, facts.keyIndexes);
    head.resolve(isAgain ? 'again' : 'taken');
    return insertion === 'again' ? null : insertion;
  }

  #next(): Progress | null {
    for (const progress of this.#all.values()) if (progress.state === 'running') return progress;
    return null;
  }

  async #advance(progress: Progress, signal: AbortSignal): Promise<void> {
    const table = progress.backfill.tables[progress.table];
    if (table === undefined) return this.#finish(progress);
    const session = this.#session ?? (await this.#open());
    const facts = await tableFacts(session, table.oid);
    if (facts === null) return this.#nextTable(progress);
    const place = progress.place ?? (await this.#begin(session, progress, facts));
    this.#limit = firstLimit(place);
    await this.#readTable(session, { progress, facts, place }, signal);
  }

  /** Reads until the table is read, or something else is to be done, or the table is not as `facts` has it any more. */
  async #readTable(
    session: SimpleSession,
    from: { readonly progress: Progress; readonly facts: TableFacts; readonly place: PagePlace },
    signal: AbortSignal,
  ): Promise<void> {
    const { facts, progress } = from;
    const { backfill } = progress;
    const { where } = backfill.tables[progress.table]!;
    const ahead = [this.#mark(session, { page: null, facts })];
    let place: PagePlace | null = from.place;
    while (place !== null || ahead.length > 0) {
      if (place !== null) {
        await this.#roomInLog(signal);
        const startedMs = this.#options.clock.monotonicMs();
        const read: Page = await readPage(session, { facts, where }, place, this.#limit);
        if (read.factsText !== facts.text) {
          await Promise.all(ahead);
          return;
        }
        if (read.isTooLarge) {
          this.#limit = Math.floor(this.#limit / 2);
          continue;
        }
        ahead.push(this.#mark(session, { page: { backfill, facts, read }, facts }));
        place = read.next;
        await this.#keepRate(read.rows.count, startedMs, signal);
      }
      while (ahead.length > (place?.kind === 'key' ? PAGES_AHEAD : 0)) {
        const outcome = await ahead.shift()!;
        const now = this.#all.get(backfill.streamId);
        if (now?.backfill.id !== backfill.id || now.state !== 'running') return;
        if (outcome === 'taken') this.#rereads = 0;
        else {
          await Promise.all(ahead.splice(0));
          this.#readLess();
          place = now.place;
        }
      }
    }
  }

  async #keepRate(rows: number, startedMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (this.#maxRowsPerSecond > 0) {
      const dueMs = (rows / this.#maxRowsPerSecond) * 1_000 - (clock.monotonicMs() - startedMs);
      if (dueMs <= 0) return;
      // The rate may become another one meanwhile.
      await clock.sleep(Math.min(dueMs, RATE_CHECK_MS), signal);
    }
  }

  async #begin(session: SimpleSession, progress: Progress, facts: TableFacts): Promise<PagePlace> {
    const place = firstPlace(facts);
    const rows = await estimatedRows(session, facts.relation.oid);
    const rowsTotal = rows === null ? progress.rowsTotal : (progress.rowsTotal ?? 0) + rows;
    if (this.#isCurrent(progress)) this.#save({ ...progress, place, rowsTotal });
    return place;
  }

  #readLess(): void {
    if (++this.#rereads > MAX_REREADS) {
      this.#rereads = 0;
      throw new Error('the rows are changed as fast as they can be read');
    }
    this.#limit = Math.max(1, Math.floor(this.#limit / 2));
  }

  #nextTable(progress: Progress): void {
    if (this.#isCurrent(progress)) this.#save({ ...progress, table: progress.table + 1, place: null });
  }

  /** It was not cancelled, nor has another taken its place, while something was waited for. */
  #isCurrent(progress: Progress): boolean {
    return this.#all.get(progress.backfill.streamId) === progress;
  }

  #finish(progress: Progress): void {
    this.#save({ ...progress, state: 'done', rowsTotal: progress.rowsDone });
    this.watch.end();
    const { id, streamId } = progress.backfill;
    this.#options.logger.info({ backfill: id, streamId, rows: progress.rowsDone }, 'backfill done');
  }

  /** Sends a mark. Resolves when the stream has come to it. */
  #mark(session: SimpleSession, { page, facts }: Pick<Waiting, 'page' | 'facts'>): Promise<Outcome> {
    const content = `${this.#token} ${++this.#number}`;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    this.#waiting.push({ content, page, facts, resolve, reject, isVoid: false });
    // Transactional: its place among the commits is what counts, and it is on disk before the next question is answered.
    session
      .send(`SELECT pg_catalog.pg_logical_emit_message(true, '${MARK_PREFIX}', ${quoteLiteral(content)})`)
      .catch(reject);
    // It may be given up before it is waited for.
    promise.catch(() => undefined);
    return promise;
  }

  /** What the page gives, or that it is to be read again. */
  #judge({ backfill, facts, read }: ReadPage, mark: Mark): Insertion | 'again' | null {
    const progress = this.#all.get(backfill.streamId);
    if (progress?.backfill.id !== backfill.id || progress.state !== 'running') return null;
    const hasKey = facts.key.length > 0;
    // A transaction that committed before the window was opened is not seen by the page: it is older than the log.
    if (this.recent.hasAny(read.unseen, this.#opened)) return 'again';
    if (hasKey && this.watch.isUnsure) return 'again';
    const rows = hasKey ? this.#untouched(facts, read.rows) : read.rows;
    const isLess = rows.count < read.rows.count;
    if (isLess && backfill.rereads && this.#rereads < MAX_REREADS) return 'again';
    const draft = rows.count === 0 ? null : backfillChunk({ backfill, facts, read }, rows, mark, this.#frames);
    if (read.next !== null && draft !== null) this.#adaptLimit(read.rows.count, draft.data.length);
    const rowsDone = progress.rowsDone + rows.count;
    read.rows.release();
    const place = read.next;
    const table = place === null ? progress.table + 1 : progress.table;
    return { draft, save: () => this.#save({ ...progress, place, table, rowsDone }) };
  }

  /** The rows of which the log has nothing newer. */
  #untouched({ keyIndexes }: TableFacts, rows: RawRows): SomeRows {
    if (this.watch.isQuiet) return rows;
    const left = [...rows].filter((row) => !this.watch.hasTouched(keyText(rows.values(row, keyIndexes, 'latin1'))));
    return { count: left.length, [Symbol.iterator]: () => left.values() };
  }

  #adaptLimit(rows: number, bytes: number): void {
    const wanted = (this.#limit * PAGE_BYTES) / Math.max(1, bytes);
    if (rows > 0) this.#limit = Math.max(1, Math.min(MAX_ROWS, this.#limit * 4, Math.floor(wanted)));
  }

  async #roomInLog(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#options;
    while (log.size().bytes > MAX_LOG_BYTES) {
      this.#problem = 'it waits for the log to be delivered';
      await clock.sleep(WAIT_FOR_LOG_MS, signal);
    }
  }

  /** Known from the first moment on, so that it can be closed at any. */
  async #open(): Promise<SimpleSession> {
    const session = new SimpleSession(this.#options.upstream, this.#options.clock, LIMITS);
    this.#session = session;
    await session.open();
    await session.send(PREPARATION);
    return session;
  }

  #load(): void {
    this.#all.clear();
    for (const state of this.#options.log.backfills().values()) {
      const progress = JSON.parse(state) as Progress;
      this.#all.set(progress.backfill.streamId, progress);
    }
    this.#waiting.length = 0;
    this.#rereads = 0;
    this.watch.end();
  }

  #save(progress: Progress): void {
    this.#options.log.saveBackfill(progress.backfill.id, JSON.stringify(progress));
    this.#all.set(progress.backfill.streamId, progress);
  }

  #untilWoken(signal: AbortSignal): Promise<void> {
    return Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), untilAborted(signal)]);
  }

  #close(): void {
    this.#session?.close();
    this.#session = null;
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the reading was given up'));
    this.watch.end();
  }
}

function firstLimit({ kind }: PagePlace): number {
  return kind === 'key' ? FIRST_ROWS : FIRST_BLOCKS;
}
