import type { ChunkHeader } from '../log/chunk.ts';
import type { StreamDefinition, StreamTable } from '../model/stream.ts';
import { EventIds } from '../formats/event-id.ts';
import type { Relation } from '../postgres/pgoutput.ts';
import { ChangeEvent, EventSource } from './change-event.ts';
import { ChunkCursor } from './chunk-cursor.ts';
import type { ChunkFeed } from './chunk-feed.ts';
import { positionOf } from './chunk-index.ts';
import type { Batch } from './batch.ts';
import type { ResumePoint } from './resume-point.ts';

const HEADERS_PER_READ = 64;
/** Of a chunk less than this share of which is a stream's, the stream copies its changes and lets the chunk go. */
const KEEP_CHUNK_SHARE = 0.25;

/**
 * `more`: there is more to read at once. `full`: the target has no room. `end`: everything is read. `later`: the next chunk
 * is not readable before it is durable. `gone`: a chunk with changes of the stream was trimmed before it was read.
 */
export type ReadResult = 'more' | 'full' | 'end' | 'later' | 'gone';

export interface ReaderTarget {
  hasRoom(): boolean;
  add(event: ChangeEvent, member: Batch<ChangeEvent> | null): void;
  /** Everything from here on is new to the stream. */
  resumed(): void;
}

/**
 * One stream's place in the log. `null` as the next chunk: the stream is at the tail, has read all that is for it, and is told
 * when a chunk comes that has a table of its.
 */
export class StreamReader {
  readonly #feed: ChunkFeed;
  readonly #tables: ReadonlyMap<number, StreamTable>;
  readonly #name: string;
  readonly #ids: EventIds;
  readonly #sources = new Map<Relation, EventSource>();
  #resume: ResumePoint | null;
  #next: number | null;
  #headers: readonly ChunkHeader[] = [];
  #cursor: ChunkCursor | null = null;
  /** Whether changes of the chunk under the cursor are copied out of it. */
  #copies = false;
  /** Counts of unread chunks that differ from their header's, as part of them is finished. */
  readonly #partial = new Map<number, number>();
  #unread = 0;
  #unreadBytes = 0;
  #oldestUnreadMs: number | null = null;

  constructor(feed: ChunkFeed, definition: StreamDefinition, resume: ResumePoint, next: number | null) {
    this.#feed = feed;
    this.#name = definition.name;
    this.#ids = new EventIds(definition.source);
    this.#tables = new Map(definition.tables.map((table) => [table.oid, table]));
    this.#resume = resume;
    this.#next = next;
  }

  get oids(): Iterable<number> {
    return this.#tables.keys();
  }

  /** Changes of the stream that are in the log and not read yet. */
  get unread(): number {
    return this.#unread + (this.#cursor?.remaining ?? 0);
  }

  /** The log's bytes that hold them, in proportion. */
  get unreadBytes(): number {
    return this.#unreadBytes;
  }

  get oldestUnreadMs(): number | null {
    return this.unread > 0 ? this.#oldestUnreadMs : null;
  }

  /** The chunk that is read next, or in part; null at the tail. */
  get nextChunk(): number | null {
    return this.#cursor?.chunk.id ?? this.#next;
  }

  /** Counts a chunk that is there, or comes, and is still to be read. */
  countUnread(header: ChunkHeader): void {
    const changes = this.#changesIn(header);
    if (changes === 0) return;
    if (this.unread === 0) this.#oldestUnreadMs = microsToMs(header.firstCommitMicros);
    this.#unread += this.#partial.get(header.id) ?? changes;
    this.#unreadBytes += share(header, changes);
  }

  /** A chunk was appended; the stream reads it if it was at the tail. */
  appended(header: ChunkHeader): void {
    if (this.#changesIn(header) === 0) return;
    this.countUnread(header);
    if (this.#next === null && this.#cursor === null) this.#next = header.id;
  }

  /** Counts exactly the chunks that were read in part before: those up to where the resume point is passed. */
  countPartial(): void {
    for (let id = this.#next; id !== null && this.#resume !== null;) {
      const [header] = this.#feed.headersFrom(id, 1);
      if (header === undefined || this.#countIn(header, this.#resume)) break;
      id = header.id + 1;
    }
    this.#resume?.rewind();
  }

  /** Reads into `target` up to `limit` changes, or until it has no room. */
  read(target: ReaderTarget, limit: number): ReadResult {
    for (let left = limit; left > 0;) {
      if (!target.hasRoom()) return 'full';
      if (this.#cursor === null) {
        const opened = this.#open();
        if (opened !== 'opened') return opened;
      }
      if (this.#cursor !== null) left -= this.#readFrom(this.#cursor, target, left);
    }
    return 'more';
  }

  #readFrom(cursor: ChunkCursor, target: ReaderTarget, limit: number): number {
    let steps = 0;
    while ((steps < limit && target.hasRoom()) || cursor.nextShares) {
      if (!cursor.step()) {
        this.#cursor = null;
        break;
      }
      steps++;
      this.#take(cursor, target);
    }
    return steps;
  }

  #take(cursor: ChunkCursor, target: ReaderTarget): void {
    const { chunk, changes, index } = cursor;
    let member: Batch<ChangeEvent> | null = null;
    if (this.#resume !== null) {
      const position = positionOf(chunk, changes, index);
      if (this.#resume.passed(position)) {
        this.#resume = null;
        target.resumed();
      } else if (this.#resume.isFinished(position)) return;
      else member = this.#resume.memberOf(position);
    }
    const source = this.#source(changes.relationAt(index));
    const event = new ChangeEvent(source, chunk, changes, index, cursor.sharesPosition);
    if (this.#copies) event.detach();
    target.add(event, member);
  }

  /** Counts what is not finished in a chunk; true where the resume point is passed in it. */
  #countIn(header: ChunkHeader, resume: ResumePoint): boolean {
    if (this.#changesIn(header) === 0) return false;
    const chunk = this.#feed.read(header.id);
    if (typeof chunk === 'string') return true;
    const cursor = new ChunkCursor(chunk, this.#tables.keys());
    let count = 0;
    let passed = false;
    while (cursor.step()) {
      const position = positionOf(chunk, cursor.changes, cursor.index);
      passed ||= resume.passed(position);
      if (passed || !resume.isFinished(position)) count++;
    }
    this.#partial.set(header.id, count);
    return passed;
  }

  #open(): 'opened' | 'end' | 'later' | 'gone' {
    const header = this.#nextHeader();
    if (header === null) return 'end';
    const chunk = this.#feed.read(header.id);
    if (chunk === 'later') return 'later';
    const changes = this.#changesIn(header);
    this.#unread -= this.#partial.get(header.id) ?? changes;
    this.#unreadBytes -= share(header, changes);
    this.#partial.delete(header.id);
    this.#next = header.id + 1;
    if (chunk === 'gone') return 'gone';
    this.#cursor = new ChunkCursor(chunk, this.#tables.keys());
    this.#copies = changes < header.changes * KEEP_CHUNK_SHARE;
    return 'opened';
  }

  /** The next chunk that has a table of the stream's; null, and at the tail, where there is none. */
  #nextHeader(): ChunkHeader | null {
    while (this.#next !== null) {
      if (this.#headers.length === 0 || this.#headers.at(-1)!.id < this.#next) {
        this.#headers = this.#feed.headersFrom(this.#next, HEADERS_PER_READ);
      }
      const from = this.#next;
      const header = this.#headers.find((candidate) => candidate.id >= from && this.#changesIn(candidate) > 0);
      if (header !== undefined) {
        this.#next = header.id;
        this.#oldestUnreadMs = microsToMs(header.firstCommitMicros);
        return header;
      }
      const last = this.#headers.at(-1);
      this.#headers = [];
      // The log does not show yet what it was said to have: keep the place.
      if (last === undefined && from <= this.#feed.lastId) return null;
      this.#next = last === undefined || last.id >= this.#feed.lastId ? null : last.id + 1;
    }
    return null;
  }

  #changesIn(header: ChunkHeader): number {
    let changes = 0;
    for (const relation of header.relations) if (this.#tables.has(relation.oid)) changes += relation.changes;
    return changes;
  }

  #source(relation: Relation): EventSource {
    let source = this.#sources.get(relation);
    if (source === undefined) {
      const table = this.#tables.get(relation.oid)!;
      source = new EventSource(this.#ids, this.#name, table, relation);
      this.#sources.set(relation, source);
    }
    return source;
  }
}

function share(header: ChunkHeader, changes: number): number {
  return header.changes === 0 ? 0 : Math.round((header.bytes * changes) / header.changes);
}

function microsToMs(micros: bigint | null): number | null {
  return micros === null ? null : Number(micros / 1000n);
}
