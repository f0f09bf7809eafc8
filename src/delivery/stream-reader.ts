import { must } from '../base/assert.ts';
import type { ChunkHeader } from '../log/chunk.ts';
import type { Position } from '../model/change.ts';
import { GAP_RELATION } from '../model/gap.ts';
import type { StreamDefinition, StreamTable } from '../model/stream.ts';
import { type Lsn, parseLsn } from '../postgres/lsn.ts';
import { EventIds } from '../formats/event-id.ts';
import type { EnvelopeOptions } from '../formats/envelope.ts';
import { qualify } from '../postgres/identifier.ts';
import type { Relation } from '../postgres/pgoutput.ts';
import { ChangeEvent, EventSource } from './change-event.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import { doubtText, type StreamFilters } from './change-filter.ts';
import { ChunkCursor } from './chunk-cursor.ts';
import type { ChunkFeed } from './chunk-feed.ts';
import { type IndexedChunk, positionOf } from './chunk-index.ts';
import type { Ordering } from './lane-key.ts';
import type { Member } from './batch.ts';
import type { RelationChanges } from './relation-changes.ts';
import type { ResumePoint } from './resume-point.ts';
import { SchemaEvents } from './schema-change-event.ts';
import { describeShapeChange, type ShapeChange, type TableShapes } from './table-shapes.ts';

const HEADERS_PER_READ = 64;
/** Of a chunk less than this share of which is a stream's, the stream copies its changes and lets the chunk go. */
const KEEP_CHUNK_SHARE = 0.25;

/** What streams that want to be told of gaps have besides their own tables. */
const GAP_TABLE: StreamTable = { ...GAP_RELATION, keyColumns: ['id'], columns: null, where: null };
const NO_FILTERS: StreamFilters = { operations: null };

/**
 * `more`: there is more to read at once. `full`: the target has no room. `end`: everything is read. `later`: the next chunk
 * is not readable before it is durable. `gone`: a chunk with changes of the stream was trimmed before it was read. `reshaped`:
 * the next change has other columns than those before it, and the stream waits there until `goOn`.
 */
export type ReadResult = 'more' | 'full' | 'end' | 'later' | 'gone' | 'reshaped';

export interface ReaderTarget {
  hasRoom(): boolean;
  add(event: ChangeEvent, member: Member<DeliveryEvent> | null): void;
  /** A filter has dropped `count` changes since the last event, the last of them at `position`. */
  skip(position: Position, count: number): void;
  /** A filter could not tell of the event that comes next. */
  doubt(reason: string): void;
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
  readonly #streamId: string;
  /** Changes are not for it. */
  readonly #readsOnly: boolean;
  readonly #ids: EventIds;
  readonly #filters: StreamFilters;
  readonly #envelope: EnvelopeOptions;
  readonly #ordering: Ordering;
  readonly #sources = new Map<Relation, EventSource>();
  #resume: ResumePoint | null;
  #next: number | null;
  /** Chunks that end behind it are not for now. */
  #holdLsn: Lsn | null = null;
  #headers: readonly ChunkHeader[] = [];
  #cursor: ChunkCursor | null = null;
  /** The change under the cursor was not taken yet: its table's columns have changed. */
  #isUntaken = false;
  #waitsAt: string | null = null;
  readonly #shapes: TableShapes;
  readonly #emits: boolean;
  readonly #schemaEvents = new Map<number, SchemaEvents>();
  /** Whether changes of the chunk under the cursor are copied out of it. */
  #copies = false;
  /** Counts of unread chunks that differ from their header's, as part of them is finished. */
  readonly #partial = new Map<number, number>();
  /** Dropped since the target was told. */
  #skipped = 0;
  #lastSkipped: { readonly changes: RelationChanges; readonly index: number } | null = null;
  #unread = 0;
  #unreadBytes = 0;
  #oldestUnreadMs: number | null = null;

  constructor(
    feed: ChunkFeed,
    definition: StreamDefinition,
    resume: ResumePoint,
    next: number | null,
    shapes: TableShapes,
  ) {
    this.#feed = feed;
    this.#shapes = shapes;
    this.#emits = definition.options.schemaChangePolicy === 'emit';
    this.#streamId = definition.id;
    this.#readsOnly = definition.options.initialScan === 'only';
    this.#ids = new EventIds(definition.source);
    const tables = definition.options.gapEvents ? [...definition.tables, GAP_TABLE] : definition.tables;
    this.#tables = new Map(tables.map((table) => [table.oid, table]));
    this.hold(definition);
    this.#filters = { operations: definition.operations };
    const { envelope, format, name: stream, database } = definition;
    this.#envelope = { ...definition.options, envelope, format, stream, database };
    this.#ordering = { orderingKey: definition.orderingKey, ordering: definition.options.ordering };
    this.#resume = resume;
    this.#next = next;
  }

  /** What is behind a gap that the stream waits at is not read. */
  hold({ heldGap }: Pick<StreamDefinition, 'heldGap'>): void {
    const toLsn = heldGap?.toLsn ?? null;
    // The gap itself stands right before what follows it.
    this.#holdLsn = heldGap === null ? null : toLsn === null ? 0n : must(parseLsn(toLsn), 'an LSN in text') - 1n;
  }

  /** What the stream waits at, where `read` has given `reshaped`. */
  get waitsAt(): string | null {
    return this.#waitsAt;
  }

  /** Reads on with the columns that there are now. */
  goOn(): void {
    this.#shapes.goOn();
    this.#waitsAt = null;
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
      if (this.#waitsAt !== null) return 'reshaped';
    }
    return 'more';
  }

  #readFrom(cursor: ChunkCursor, target: ReaderTarget, limit: number): number {
    let steps = 0;
    const { chunk } = cursor;
    while ((steps < limit && target.hasRoom()) || this.#isUntaken || cursor.nextShares) {
      if (!this.#isUntaken && !cursor.step()) {
        this.#cursor = null;
        break;
      }
      steps++;
      this.#isUntaken = this.#shapes.isWatched && !this.#passShapes(cursor, target);
      if (this.#isUntaken) break;
      this.#take(cursor, target);
    }
    this.#tellSkipped(chunk, target);
    return steps;
  }

  /** Tells of changes of the table's columns that lie before the change under the cursor; false where the stream waits there. */
  #passShapes({ chunk, changes, index }: ChunkCursor, target: ReaderTarget): boolean {
    const relation = changes.relationAt(index);
    const table = this.#tables.get(relation.oid);
    // A row that was read is as the table was when it was read, which the log does not know of.
    if (chunk.backfill !== null || table === undefined || table === GAP_TABLE) return true;
    const position = positionOf(chunk, changes, index);
    for (;;) {
      const change = this.#shapes.next(relation, table.columns, position);
      if (change === null) return true;
      if (change.waits) {
        this.#waitsAt = `table ${qualify(relation.schema, relation.name)} has changed: ${describeShapeChange(change)}`;
        return false;
      }
      if (this.#emits) this.#emitSchemaChange(change, relation, table, { chunk, changes, index }, target);
    }
  }

  #emitSchemaChange(
    change: ShapeChange,
    relation: Relation,
    table: StreamTable,
    { chunk, changes, index }: Pick<ChunkCursor, 'chunk' | 'changes' | 'index'>,
    target: ReaderTarget,
  ): void {
    const admitted = this.#admit(change.at, target);
    if (admitted === 'finished') return;
    this.#tellSkipped(chunk, target);
    let events = this.#schemaEvents.get(table.oid);
    if (events === undefined) {
      events = new SchemaEvents(this.#ids, table, this.#envelope, this.#ordering);
      this.#schemaEvents.set(table.oid, events);
    }
    const transaction = chunk.transactions[changes.transactions[index]!]!;
    const event = events.make(change, relation, { chunkId: chunk.id, transaction, seq: changes.seqs[index]! });
    target.add(event, admitted);
  }

  /** What an earlier life has made of the event at `position`; null: it is new. */
  #admit(position: Position, target: ReaderTarget): 'finished' | Member<DeliveryEvent> | null {
    if (this.#resume === null) return null;
    if (this.#resume.passed(position)) {
      this.#resume = null;
      target.resumed();
      return null;
    }
    return this.#resume.isFinished(position) ? 'finished' : this.#resume.memberOf(position);
  }

  #take(cursor: ChunkCursor, target: ReaderTarget): void {
    const { chunk, changes, index } = cursor;
    const member = this.#resume === null ? null : this.#admit(positionOf(chunk, changes, index), target);
    if (member === 'finished') return;
    const source = this.#source(changes.relationAt(index));
    const offset = changes.offsets[index]!;
    const { filter } = source;
    const kept =
      (chunk.backfill === null ? filter?.judge(chunk.data, offset) : filter?.judgeRead(chunk.data, offset)) ?? null;
    if (kept?.operation === 'dropped') {
      this.#skipped++;
      this.#lastSkipped = { changes, index };
      return;
    }
    this.#tellSkipped(chunk, target);
    if (kept !== null && kept.doubt !== null) target.doubt(doubtText(kept.doubt, source.table));
    const event = new ChangeEvent(source, chunk, changes, index, cursor.sharesPosition, kept);
    if (this.#copies) event.detach();
    target.add(event, member);
  }

  /** Positions are made once for many dropped changes, not for each. */
  #tellSkipped(chunk: IndexedChunk, target: ReaderTarget): void {
    if (this.#lastSkipped === null) return;
    const { changes, index } = this.#lastSkipped;
    target.skip(positionOf(chunk, changes, index), this.#skipped);
    this.#skipped = 0;
    this.#lastSkipped = null;
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
        if (this.#holdLsn !== null && header.last !== null && header.last.commitLsn > this.#holdLsn) return null;
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
    if (header.backfill === null ? this.#readsOnly : header.backfill.streamId !== this.#streamId) return 0;
    for (const relation of header.relations) if (this.#tables.has(relation.oid)) changes += relation.changes;
    return changes;
  }

  #source(relation: Relation): EventSource {
    let source = this.#sources.get(relation);
    if (source === undefined) {
      const table = this.#tables.get(relation.oid)!;
      const filters = table === GAP_TABLE ? NO_FILTERS : this.#filters;
      source = new EventSource(this.#ids, table, relation, filters, this.#envelope, this.#ordering);
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
