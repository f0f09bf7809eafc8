import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { formatWebhook, type ReceivedWebhook } from './local-receiver.ts';
import { PsqlSession } from './psql-session.ts';
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
    const session = new PsqlSession(this.#options.sqlUrl);
    await session.connect();
    try {
      await session.run(`DROP CDC STREAM IF EXISTS ${TOUR_STREAM}`);
      await session.run(`DROP TABLE IF EXISTS ${TOUR_TABLE}`);
      this.#arrived.length = 0;
      for (const step of tourSteps(this.#options.endpointUrl)) {
        signal.throwIfAborted();
        await this.#step(session, step, signal);
      }
      await systemClock.sleep(QUIET_MS, signal);
      for (const extra of this.#arrived)
        this.#problems.push(`a webhook that nobody expected:\n${formatWebhook(extra)}`);
    } finally {
      await session.close();
    }
    return this.#problems;
  }

  async #step(session: PsqlSession, step: TourStep, signal: AbortSignal): Promise<void> {
    const { say } = this.#options;
    if (step.say) say(`\n-- ${step.say}`);
    say(`\npostgres=# ${step.sql.replaceAll('\n', '\npostgres-# ')}`);
    const answer = await session.run(step.sql, step.expanded);
    say(answer.text);
    if (answer.failed !== (step.fails ?? null)) {
      this.#problems.push(`${step.sql} ended with ${answer.failed ?? 'success'}, not with ${step.fails ?? 'success'}`);
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
    isDeepStrictEqual(rest, { ...known, ...expected }) &&
    webhook.method === 'POST' &&
    headers.get('content-type') === 'application/json' &&
    headers.get('idempotency-key') === id &&
    headers.get('webhook-id') === id &&
    headers.get('x-source-table') === TOUR_TABLE &&
    headers.get('x-cdc-stream') === TOUR_STREAM
  );
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`.trimEnd())
    .join('\n');
}
