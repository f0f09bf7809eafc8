import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { systemClock } from '../base/clock.ts';
import { formatWebhook, type ReceivedWebhook } from './demo-receiver.ts';
import { psqlExpanded, psqlTable } from './psql-table.ts';
import { TOUR_STREAM, TOUR_TABLE, tourSteps, type ExpectedWebhook, type TourStep } from './tour-steps.ts';

const ARRIVAL_DEADLINE_MS = 20_000;
/** How long the tour listens, at its end, for webhooks that should not come. */
const QUIET_MS = 300;
const EVENT_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export interface TourOptions {
  /** walhook's own SQL port. */
  readonly sqlUrl: string;
  readonly endpointUrl: string;
  readonly say: (text: string) => void;
}

/** Runs the tour's statements through walhook, prints what psql would, and checks every webhook that arrives. */
export class Tour {
  readonly #options: TourOptions;
  readonly #arrived: ReceivedWebhook[] = [];
  readonly #problems: string[] = [];
  #onArrival: () => void = () => undefined;

  constructor(options: TourOptions) {
    this.#options = options;
  }

  /** Give it every request that the receiver gets. */
  take(webhook: ReceivedWebhook): void {
    this.#arrived.push(webhook);
    this.#onArrival();
  }

  /** Resolves to what was not as expected; empty when everything was. */
  async run(signal: AbortSignal): Promise<readonly string[]> {
    const client = new pg.Client({ connectionString: this.#options.sqlUrl, types: { getTypeParser: () => asText } });
    client.on('notice', (notice) => this.#options.say(`${notice.severity}:  ${notice.message}`));
    await client.connect();
    try {
      await client.query(`DROP CDC STREAM IF EXISTS ${TOUR_STREAM}`);
      await client.query(`DROP TABLE IF EXISTS ${TOUR_TABLE}`);
      this.#arrived.length = 0;
      for (const step of tourSteps(this.#options.endpointUrl)) {
        signal.throwIfAborted();
        await this.#step(client, step, signal);
      }
      await systemClock.sleep(QUIET_MS, signal);
      for (const extra of this.#arrived)
        this.#problems.push(`a webhook that nobody expected:\n${formatWebhook(extra)}`);
    } finally {
      await client.end();
    }
    return this.#problems;
  }

  async #step(client: pg.Client, step: TourStep, signal: AbortSignal): Promise<void> {
    const { say } = this.#options;
    if (step.say) say(`\n-- ${step.say}`);
    say(`\npostgres=# ${step.sql.replaceAll('\n', '\npostgres-# ')}`);
    try {
      const result = await client.query<(string | null)[]>({ text: step.sql, rowMode: 'array' });
      say(formatResult(result, step.expanded ?? false));
      if (step.fails) this.#problems.push(`${step.sql} did not fail with ${step.fails}`);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      say(formatError(error, step.sql));
      if (error.code !== step.fails) this.#problems.push(`${step.sql} failed: ${error.message} (${error.code})`);
    }
    if (step.webhooks) await this.#expect(step.webhooks, signal);
  }

  async #expect(expected: readonly ExpectedWebhook[], signal: AbortSignal): Promise<void> {
    const deadlineMs = systemClock.monotonicMs() + ARRIVAL_DEADLINE_MS;
    while (this.#arrived.length < expected.length && systemClock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve, reject) => {
        const stop = systemClock.after(100, resolve);
        this.#onArrival = () => {
          stop();
          resolve();
        };
        if (signal.aborted) reject(signal.reason as Error);
      });
    }
    // Keys are delivered side by side: the order is the key's own.
    const waiting = [...expected];
    for (const webhook of this.#arrived.splice(0, expected.length)) {
      this.#options.say(`\n${indent(formatWebhook(webhook))}`);
      const index = waiting.findIndex((one) => matches(webhook, one));
      if (index === -1) this.#problems.push(`a webhook that is not as expected:\n${formatWebhook(webhook)}`);
      else waiting.splice(index, 1);
    }
    for (const missing of waiting)
      this.#problems.push(`this webhook did not arrive as expected: ${JSON.stringify(missing)}`);
  }
}

/** Whether the request is exactly the one expected: body, identity and headers. */
function matches(webhook: ReceivedWebhook, expected: ExpectedWebhook): boolean {
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(webhook.body) as Record<string, unknown>;
  } catch {
    return false;
  }
  const { id, commit_ts: commitTime, lsn, xid, seq, ...rest } = body;
  const headers = new Map(webhook.headers.map(([name, value]) => [name.toLowerCase(), value]));
  const known = { stream: TOUR_STREAM, schema: 'public', table: TOUR_TABLE };
  return (
    typeof id === 'string' &&
    EVENT_ID.test(id) &&
    typeof commitTime === 'string' &&
    typeof lsn === 'string' &&
    typeof xid === 'string' &&
    typeof seq === 'number' &&
    isDeepStrictEqual(rest, { ...known, ...withoutDefaults(expected, rest) }) &&
    webhook.method === 'POST' &&
    headers.get('content-type') === 'application/json' &&
    headers.get('idempotency-key') === id &&
    headers.get('webhook-id') === id &&
    headers.get('x-source-table') === TOUR_TABLE &&
    headers.get('x-cdc-stream') === TOUR_STREAM
  );
}

/** What the envelope always carries and the tour does not spell out is taken from the body when it is empty or true. */
function withoutDefaults(expected: ExpectedWebhook, body: Record<string, unknown>): Record<string, unknown> {
  const neutral: Record<string, unknown> = {};
  if (isDeepStrictEqual(body.unchanged_toast, [])) neutral.unchanged_toast = [];
  if (expected.before_complete === undefined && typeof body.before_complete === 'boolean') {
    neutral.before_complete = expected.before !== undefined;
  }
  return { ...expected, ...neutral };
}

function formatResult(result: pg.QueryArrayResult<(string | null)[]>, expanded: boolean): string {
  if (result.fields.length === 0) return result.command === 'INSERT' ? `INSERT 0 ${result.rowCount}` : tag(result);
  const columns = result.fields.map((field) => field.name);
  if (expanded) return psqlExpanded(columns, result.rows);
  return psqlTable(
    columns,
    result.rows,
    result.fields.map((field) => NUMERIC_OIDS.has(field.dataTypeID)),
  );
}

function tag(result: pg.QueryArrayResult<(string | null)[]>): string {
  const counted = result.command === 'UPDATE' || result.command === 'DELETE';
  return counted ? `${result.command} ${result.rowCount}` : result.command;
}

const NUMERIC_OIDS: ReadonlySet<number> = new Set([20, 21, 23, 700, 701, 1700]);

function formatError(error: pg.DatabaseError, sql: string): string {
  const lines = [`${error.severity}:  ${error.message}`];
  if (error.position !== undefined) {
    const before = [...sql].slice(0, Number(error.position) - 1).join('');
    const number = before.split('\n').length;
    const prefix = `LINE ${number}: `;
    lines.push(`${prefix}${sql.split('\n')[number - 1]}`);
    lines.push(`${' '.repeat(prefix.length + before.length - (before.lastIndexOf('\n') + 1))}^`);
  }
  if (error.detail) lines.push(`DETAIL:  ${error.detail}`);
  if (error.hint) lines.push(`HINT:  ${error.hint}`);
  return lines.join('\n');
}

const asText = (value: string): string => value;

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`.trimEnd())
    .join('\n');
}
