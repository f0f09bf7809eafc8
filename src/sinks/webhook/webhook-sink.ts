import type { LookupFunction } from 'node:net';
import { Client } from 'undici';
import { type Clock, DeadlineError } from '../../base/clock.ts';
import type { Outcome, Sink, SinkBatch } from '../sink.ts';
import type { AddressGuard } from './address-guard.ts';
import { type Connector, guardedConnector } from './connector.ts';
import { Exchange, type ExchangeResult } from './exchange.ts';
import { answerOutcome, errorOutcome } from './outcome.ts';

export interface WebhookSinkOptions {
  readonly url: string;
  /** Static headers of the stream, names as written. */
  readonly headers: Readonly<Record<string, string>>;
  /** For connecting, sending and the whole answer together. */
  readonly requestTimeoutMs: number;
  readonly userAgent: string;
  readonly guard: AddressGuard;
  readonly clock: Clock;
  readonly lookup?: LookupFunction;
}

/** How long an idle connection is kept; a receiver's own hint may shorten it. */
const KEEP_ALIVE_MS = 30_000;
const MAX_ANSWER_HEADER_BYTES = 16 * 1024;
/** A connection that the receiver closed while it was idle shows within this time of the request. */
const STALE_WITHIN_MS = 1_000;
const STALE_CODES: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/**
 * Posts batches to a URL by HTTP/1.1. Redirects are not followed: the answer 3xx is an outcome. The caller bounds how many
 * requests are under way; each has a connection of its own, and the one used last is used next, so that others may close.
 */
export class WebhookSink implements Sink {
  readonly #options: WebhookSinkOptions;
  readonly #origin: string;
  readonly #path: string;
  readonly #connector: Connector;
  readonly #staticHeaders: readonly string[];
  readonly #clients = new Set<Client>();
  readonly #idle: Client[] = [];
  readonly #underWay = new Set<(reason: Error) => void>();
  #closed = false;

  constructor(options: WebhookSinkOptions) {
    const url = new URL(options.url);
    this.#options = options;
    this.#origin = url.origin;
    this.#path = url.pathname + url.search;
    this.#connector = guardedConnector(options.guard, options.lookup);
    this.#staticHeaders = ['Content-Type', 'application/json', 'User-Agent', options.userAgent].concat(
      ...Object.entries(options.headers),
    );
  }

  send(batch: SinkBatch, signal: AbortSignal): Promise<Outcome> {
    if (this.#closed || signal.aborted) return Promise.resolve({ class: 'cancelled' });
    return new Promise((resolve) => this.#exchange(batch, signal, resolve));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const abandon of this.#underWay) abandon(new CancelledError());
    await Promise.all([...this.#clients].map((client) => client.destroy()));
    this.#clients.clear();
  }

  #exchange(batch: SinkBatch, signal: AbortSignal, resolve: (outcome: Outcome) => void): void {
    const { clock, requestTimeoutMs } = this.#options;
    const headers = this.#headers(batch);
    let exchange: Exchange | null = null;
    const abandon = (reason: Error): void => exchange?.abandon(reason);
    const onAbort = (): void => abandon(new CancelledError());
    const stopTimer = clock.after(requestTimeoutMs, () => abandon(new DeadlineError(requestTimeoutMs)));
    signal.addEventListener('abort', onAbort, { once: true });
    this.#underWay.add(abandon);
    const done = (outcome: Outcome): void => {
      stopTimer();
      signal.removeEventListener('abort', onAbort);
      this.#underWay.delete(abandon);
      resolve(outcome);
    };
    const startedMs = clock.monotonicMs();
    const attempt = (mayResend: boolean): void => {
      exchange = this.#dispatch(headers, batch.body, (result) => {
        const stale = isStale(result) && clock.monotonicMs() - startedMs < STALE_WITHIN_MS;
        if (mayResend && stale && !this.#closed) attempt(false);
        else done(outcomeOf(result, clock.now()));
      });
    };
    attempt(true);
  }

  #dispatch(headers: string[], body: Buffer, onResult: (result: ExchangeResult) => void): Exchange {
    const client = this.#idle.pop() ?? this.#connect();
    const exchange = new Exchange(onResult, () => this.#free(client));
    try {
      client.dispatch({ path: this.#path, method: 'POST', headers, body }, exchange);
    } catch (error) {
      // A header that is no header, and the like: nothing was sent.
      exchange.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
    }
    return exchange;
  }

  #connect(): Client {
    const client = new Client(this.#origin, {
      connect: this.#connector,
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_ANSWER_HEADER_BYTES,
      // The exchange has one deadline, on the clock that was given.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#clients.add(client);
    return client;
  }

  #free(client: Client): void {
    if (!this.#closed) this.#idle.push(client);
  }

  #headers(batch: SinkBatch): string[] {
    const headers = [
      ...this.#staticHeaders,
      'Idempotency-Key',
      batch.requestId,
      'webhook-id',
      batch.requestId,
      'webhook-timestamp',
      String(Math.floor(this.#options.clock.now() / 1000)),
      'X-CDC-Stream',
      headerText(batch.stream),
      'X-CDC-Attempt',
      String(batch.attempt),
    ];
    if (batch.table !== null) {
      headers.push('X-Source-Schema', headerText(batch.table.schema), 'X-Source-Table', headerText(batch.table.name));
    }
    return headers;
  }
}

class CancelledError extends Error {
  override readonly name = 'CancelledError';
}

function isStale(result: ExchangeResult): boolean {
  return result.kind === 'error' && result.untouched && 'code' in result.error && STALE_CODES.has(result.error.code);
}

function outcomeOf(result: ExchangeResult, nowMs: number): Outcome {
  if (result.kind === 'answer') return answerOutcome(result.answer, nowMs);
  if (result.error instanceof CancelledError) return { class: 'cancelled' };
  return errorOutcome(result.error);
}

const PLAIN = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;

/** A name as a header's value: as it is where that is plain ASCII, otherwise percent-encoded. */
function headerText(name: string): string {
  return PLAIN.test(name) && !name.includes('%') ? name : encodeURIComponent(name.toWellFormed());
}
