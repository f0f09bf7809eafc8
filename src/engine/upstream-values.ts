import type pg from 'pg';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { untilAborted } from '../base/service.ts';
import type { ValueAnswer, ValueFetcher, ValueQuestion } from '../delivery/unchanged-values.ts';
import { quoteIdentifier, quoteLiteral, qualify } from '../postgres/identifier.ts';
import { hangUp, openAdmin } from '../upstream/connect.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** A request does not wait longer for its values, however many they are. */
const DEADLINE_MS = 5_000;
/** An upstream that could not be asked is left alone for so long. */
const ASK_AGAIN_MS = 1_000;
/** Requests that wait for values at once; those beyond go without. */
const MAX_WAITING = 64;
const LIMITS = { statementTimeoutMs: 2_000, lockTimeoutMs: 1_000 };

const AS_TEXT: Pick<pg.QueryArrayConfig, 'rowMode' | 'types'> = {
  rowMode: 'array',
  types: { getTypeParser: () => (value: unknown) => value } as unknown as pg.CustomTypesConfig,
};

/**
 * Asks the upstream for the values of single rows, on one connection that is opened when there is something to ask. What
 * cannot be asked in time is not waited for: delivery goes on without it.
 */
export class UpstreamValues implements ValueFetcher {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #session: pg.Client | null = null;
  /** Who asks is after whoever asked before. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #failedAtMs = -Infinity;

  constructor(upstream: Upstream, clock: Clock, logger: Logger) {
    this.#upstream = upstream;
    this.#clock = clock;
    this.#logger = logger;
  }

  async fetch(
    questions: readonly ValueQuestion[],
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<ReadonlyArray<ValueAnswer | null>> {
    const answers: (ValueAnswer | null)[] = questions.map(() => null);
    if (this.#waiting >= MAX_WAITING) return answers;
    this.#waiting++;
    const over = new AbortController();
    const until = AbortSignal.any([signal, over.signal]);
    const cancel = this.#clock.after(DEADLINE_MS, () => over.abort());
    const work = this.#last.then(async () => this.#askAll(questions, answers, maxBytes, until));
    this.#last = work;
    try {
      await Promise.race([work, untilAborted(until)]);
    } finally {
      cancel();
      over.abort();
      this.#waiting--;
    }
    // What comes later is not for this request.
    return [...answers];
  }

  /** Ends the connection; nothing may be asked after this. */
  close(): void {
    if (this.#session !== null) hangUp(this.#session);
    this.#session = null;
  }

  async #askAll(
    questions: readonly ValueQuestion[],
    answers: (ValueAnswer | null)[],
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<void> {
    let left = maxBytes;
    for (const [i, question] of questions.entries()) {
      if (signal.aborted || left <= 0 || this.#clock.monotonicMs() - this.#failedAtMs < ASK_AGAIN_MS) return;
      try {
        const session = (this.#session ??= await this.#open());
        const answer = await ask(session, question, left);
        answers[i] = answer;
        left -= (answer ?? []).reduce((sum, value) => sum + Buffer.byteLength(value ?? ''), 0);
      } catch (err) {
        // A table or a column that is not there any more costs its own question alone, a lost connection those that follow.
        if ((err as { code?: unknown }).code === undefined || isOfConnection(err)) this.#fail(err);
      }
    }
  }

  async #open(): Promise<pg.Client> {
    const session = await openAdmin(this.#upstream, LIMITS);
    // A role that row security restricts is told so, instead of being told that there is no row.
    await session.query('SET row_security = off');
    return session;
  }

  #fail(err: unknown): void {
    this.#failedAtMs = this.#clock.monotonicMs();
    this.#logger.warn({ err }, 'unchanged values cannot be fetched');
    this.close();
  }
}

/** Not what the server says of the statement, but that it ends the session. */
function isOfConnection(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || code.startsWith('08') || code.startsWith('57P');
}

/** Null: there is no such row, or more than one. Rejects with pg's errors. */
async function ask(
  session: pg.ClientBase,
  { oid, schema, table, key, columns }: ValueQuestion,
  maxBytes: number,
): Promise<ValueAnswer | null> {
  const name = qualify(schema, table);
  const asked = columns.map((column) => {
    const quoted = quoteIdentifier(column);
    return `octet_length(${quoted}::text) > ${maxBytes}, CASE WHEN octet_length(${quoted}::text) <= ${maxBytes} THEN ${quoted} END`;
  });
  const conditions = key.map(({ column }, i) => `${quoteIdentifier(column)} = $${i + 1}`);
  // The name may be another table's by now.
  const isSame = `pg_catalog.to_regclass(${quoteLiteral(name)})::oid = ${oid}`;
  const { rows } = await session.query<(string | null)[]>({
    text: `SELECT ${asked.join(', ')} FROM ${name} WHERE ${conditions.join(' AND ')} AND ${isSame} LIMIT 2`,
    values: key.map(({ value }) => value),
    ...AS_TEXT,
  });
  const [row] = rows;
  if (row === undefined || rows.length > 1) return null;
  return columns.map((_, i) => (row[2 * i] === 't' ? undefined : (row[2 * i + 1] ?? null)));
}
