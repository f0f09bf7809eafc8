import type { ServerResponse } from 'node:http';
import type { Clock } from '../../base/clock.ts';
import { SqlError, type SqlAnswer } from './sql-account.ts';
import type { ConsoleSession } from './sessions.ts';
import { SERIES, type SeriesName, type Samples, type StreamSamples } from './stream-samples.ts';

const UPDATE_EVERY_MS = 2_000;
/** What all streams together may make a page take: where there are thousands, they come more seldom. */
const MAX_BYTES_PER_SECOND = 100_000;
/** A browser that takes no more than this many bytes behind is let go; it comes again by itself. */
const MAX_UNSENT_BYTES = 1_000_000;
const MAX_OF_SESSION = 8;
const MAX_OF_ALL = 64;
/** What a sparkline shows: five minutes. */
const SPARKLINE_SAMPLES = 60;
const SPARKLINE: readonly SeriesName[] = ['delivered', 'failed'];

/** What a page wants to be told: all streams, or one. */
export type LiveSubject = { readonly kind: 'streams' } | { readonly kind: 'stream'; readonly name: string };

/*
  Server-sent events. `streams` and `stream`: an answer of SHOW CDC STREAMS, or of SHOW CDC STREAM STATUS, every two
  seconds or more. `samples`: what the charts have got since the last one, by stream. `problem`: why there is no answer now.
  https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
*/
export class LiveUpdates {
  readonly #samples: StreamSamples;
  readonly #clock: Clock;
  readonly #open = new Map<ConsoleSession, number>();
  #total = 0;

  constructor(samples: StreamSamples, clock: Clock) {
    this.#samples = samples;
    this.#clock = clock;
  }

  /** Whether one more of that session would be too many. */
  isFull(session: ConsoleSession): boolean {
    return this.#total >= MAX_OF_ALL || (this.#open.get(session) ?? 0) >= MAX_OF_SESSION;
  }

  /** Tells until the signal aborts, the session ends (`isIn` is asked each time) or the browser goes. */
  async serve(
    response: ServerResponse,
    subject: LiveSubject,
    session: ConsoleSession,
    isIn: () => boolean,
    stop: AbortSignal,
  ): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort(new Error('the browser has gone')));
    response.on('error', () => gone.abort(new Error('the browser has gone')));
    const signal = AbortSignal.any([gone.signal, session.ended.signal, stop]);
    this.#count(session, 1);
    try {
      await this.#tell(response, subject, session, isIn, signal);
    } finally {
      this.#count(session, -1);
      response.end();
    }
  }

  async #tell(
    response: ServerResponse,
    subject: LiveSubject,
    session: ConsoleSession,
    isIn: () => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    // Each stream's samples so far: one that comes into sight later begins with its history.
    const told = new Map<string, number>();
    while (!signal.aborted && isIn()) {
      const messages = await this.#messages(subject, session, told);
      if (signal.aborted) return;
      if (response.writableLength > MAX_UNSENT_BYTES) return;
      const text = messages.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join('');
      response.write(text);
      const waitMs = Math.max(UPDATE_EVERY_MS, (text.length / MAX_BYTES_PER_SECOND) * 1_000);
      await this.#clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  async #messages(
    subject: LiveSubject,
    session: ConsoleSession,
    told: Map<string, number>,
  ): Promise<ReadonlyArray<readonly [event: string, data: unknown]>> {
    const isAll = subject.kind === 'streams';
    const sql = isAll ? 'SHOW CDC STREAMS' : `SHOW CDC STREAM STATUS "${subject.name.replaceAll('"', '""')}"`;
    let answer: SqlAnswer;
    try {
      answer = await session.updates.execute(sql);
    } catch (error) {
      if (error instanceof SqlError) return [['problem', error.fields]];
      throw error;
    }
    // Who may not see the stream is told nothing of it: the answer says what the session sees.
    const names = isAll ? columnOf(answer, 'stream_name') : [subject.name];
    const samples = this.#newSamples(names, told, isAll ? SPARKLINE : SERIES, isAll ? SPARKLINE_SAMPLES : undefined);
    const update = [subject.kind, answer] as const;
    return Object.keys(samples).length === 0 ? [update] : [update, ['samples', samples]];
  }

  #newSamples(
    names: readonly string[],
    told: Map<string, number>,
    series: readonly SeriesName[],
    most: number | undefined,
  ): Readonly<Record<string, Samples>> {
    const { count } = this.#samples;
    const seen = new Set(names);
    for (const name of told.keys()) if (!seen.has(name)) told.delete(name);
    const fresh: Record<string, Samples> = {};
    for (const name of names) {
      const since = told.get(name) ?? 0;
      if (since < count) fresh[name] = this.#samples.of(name, series, since, most);
      told.set(name, count);
    }
    return fresh;
  }

  #count(session: ConsoleSession, by: number): void {
    this.#total += by;
    const open = (this.#open.get(session) ?? 0) + by;
    if (open === 0) this.#open.delete(session);
    else this.#open.set(session, open);
  }
}

function columnOf(answer: SqlAnswer, name: string): readonly string[] {
  const at = answer.columns.indexOf(name);
  return answer.rows.flatMap((row) => row[at] ?? []);
}
