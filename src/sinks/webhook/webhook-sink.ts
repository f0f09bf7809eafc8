import type { LookupFunction } from 'node:net';
import { Client } from 'undici';
import { assert } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import { type AttemptPhases, NO_PHASES } from '../../model/delivery-control.ts';
import { shownHeaders } from '../../model/header-rules.ts';
import type { ResolvedSecrets } from '../../model/resolved-stream.ts';
import type { StreamOptions } from '../../model/stream-options.ts';
import type { HeaderPair, Outcome, Sink, SinkBatch } from '../sink.ts';
import type { AddressGuard } from '../address-guard.ts';
import { compress, type Compression } from './compression.ts';
import { type ConnectionTimes, type Connector, guardedConnector, noTimes } from './connector.ts';
import { type Credentials, makeCredentials, type SecretOptions } from './credentials.ts';
import { Exchange, type ExchangeResult } from './exchange.ts';
import { answerOutcome, errorOutcome } from './outcome.ts';
import { type HeadOptions, RequestHead } from './request-head.ts';
import { RequestPaths } from './request-path.ts';
import { CancelledError, RequestsUnderWay } from './requests-under-way.ts';

/** The options of a stream that are the webhook's. */
export type WebhookOptions = HeadOptions &
  SecretOptions &
  Pick<StreamOptions, 'connectTimeoutMs' | 'method' | 'requestTimeoutMs' | 'tlsInsecureSkipVerify'>;

export interface WebhookSinkOptions {
  readonly url: string;
  readonly options: WebhookOptions;
  /** Of each option that names a secret. */
  readonly secrets: ResolvedSecrets;
  readonly userAgent: string;
  readonly guard: AddressGuard;
  readonly clock: Clock;
  readonly lookup?: LookupFunction;
  /** The endpoint has refused the credentials: one may look whether they have changed. */
  readonly onRefused?: () => void;
}

/** How long an idle connection is kept; a receiver's own hint may shorten it. */
const KEEP_ALIVE_MS = 30_000;
const MAX_ANSWER_HEADER_BYTES = 16 * 1024;
/** A connection that the receiver closed while it was idle shows within this time of the request. */
const STALE_WITHIN_MS = 1_000;
const STALE_CODES: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);
const REFUSED_CODES: ReadonlySet<string> = new Set(['http_401', 'http_403', 'http_407', 'tls_error']);

/**
 * Sends batches to a URL by HTTP/1.1. Redirects are not followed: the answer 3xx is an outcome. The caller bounds how many
 * requests are under way; each has a connection of its own, and the one used last is used next, so that others may close.
 */
export class WebhookSink implements Sink {
  readonly problem: string | null;
  readonly #options: WebhookSinkOptions;
  readonly #compression: Compression | null;
  readonly #origin: string;
  readonly #host: string;
  readonly #paths: RequestPaths;
  readonly #connector: Connector;
  readonly #head: RequestHead;
  readonly #shownHead: RequestHead;
  readonly #connections = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #nowMs: () => number;
  readonly #underWay: RequestsUnderWay;
  #closed = false;

  constructor(sinkOptions: WebhookSinkOptions) {
    const { url: text, options, secrets, guard, lookup, userAgent, clock } = sinkOptions;
    const { compression, connectTimeoutMs, tlsInsecureSkipVerify } = options;
    const url = new URL(text);
    const made = makeCredentials(options, secrets);
    const isForeign = compression === 'snappy' || compression === 'lz4';
    this.problem = 'problem' in made ? made.problem : isForeign ? `compression: ${compression} is Kafka's alone` : null;
    const credentials = 'problem' in made ? NO_CREDENTIALS : made;
    this.#options = sinkOptions;
    this.#compression = compression === 'none' || isForeign ? null : compression;
    this.#origin = url.origin;
    this.#host = url.host;
    this.#paths = new RequestPaths(url);
    this.#nowMs = () => clock.monotonicMs();
    this.#underWay = new RequestsUnderWay(clock, options.requestTimeoutMs);
    this.#connector = guardedConnector({
      guard,
      nowMs: this.#nowMs,
      timeoutMs: connectTimeoutMs,
      secureContext: credentials.secureContext,
      skipVerify: tlsInsecureSkipVerify,
      ...(lookup === undefined ? {} : { lookup }),
    });
    this.#head = new RequestHead(options, credentials, userAgent);
    const shown = { ...options, headers: shownHeaders(options.headers) };
    this.#shownHead = new RequestHead(shown, hidden(credentials), userAgent);
  }

  send(batch: SinkBatch, signal: AbortSignal): Promise<Outcome> {
    assert(this.problem === null, 'nothing is sent without the credentials that it should have');
    if (this.#closed || signal.aborted) return Promise.resolve({ class: 'cancelled' });
    return new Promise((resolve) => this.#exchange(batch, signal, resolve));
  }

  /**
   * As it would be sent now, but for `Connection`. How long a compressed body is nobody knows before it is: there
   * `Content-Length` is left out.
   */
  shownHead(batch: SinkBatch): readonly HeaderPair[] {
    const { clock } = this.#options;
    const length = this.#compression === null ? ['Content-Length', String(batch.body.length)] : [];
    const flat = ['Host', this.#host, ...this.#shownHead.headers(batch, clock.now()), ...length];
    return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!]);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#underWay.close();
    await Promise.all([...this.#connections].map(({ client }) => client.destroy()));
    this.#connections.clear();
  }

  #exchange(batch: SinkBatch, signal: AbortSignal, resolve: (outcome: Outcome) => void): void {
    const { clock, onRefused } = this.#options;
    let sending: Sending | null = null;
    let isFinished = false;
    const startedMs = clock.monotonicMs();
    const finish = (outcome: Outcome): void => {
      if (isFinished) return;
      isFinished = true;
      this.#underWay.delete(one);
      if ('code' in outcome && REFUSED_CODES.has(outcome.code)) onRefused?.();
      resolve(outcome.class === 'cancelled' ? outcome : { ...outcome, phases: phasesOf(startedMs, sending) });
    };
    const abandon = (reason: Error): void => {
      if (sending === null) finish(outcomeOf({ kind: 'error', error: reason, untouched: true }, clock.now()));
      else sending.exchange.abandon(reason);
    };
    const one = { startedMs, signal, abandon };
    this.#underWay.add(one);
    const headers = this.#head.headers(batch, clock.now());
    const attempt = (body: Buffer, mayResend: boolean): void => {
      const connection = this.#idle.pop() ?? this.#connect();
      const onResult = (result: ExchangeResult): void => {
        const stale = isStale(result) && clock.monotonicMs() - startedMs < STALE_WITHIN_MS;
        if (mayResend && stale && !this.#closed) attempt(body, false);
        else finish(outcomeOf(result, clock.now()));
      };
      const exchange = new Exchange(this.#nowMs, onResult, () => this.#free(connection));
      sending = { exchange, times: (connection.times = noTimes()) };
      this.#dispatch(connection.client, batch.path, headers, body, exchange);
    };
    if (this.#compression === null) {
      attempt(batch.body, true);
      return;
    }
    void compressed(batch.body, this.#compression).then((body) => {
      if (body instanceof Error) finish(errorOutcome(body));
      else if (!isFinished) attempt(body, true);
    });
  }

  #dispatch(client: Client, path: string, headers: string[], body: Buffer, exchange: Exchange): void {
    try {
      const { method } = this.#options.options;
      client.dispatch({ path: this.#paths.path(path), method, headers, body }, exchange);
    } catch (error) {
      // A header that is no header, and the like: nothing was sent.
      exchange.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
    }
  }

  #connect(): Connection {
    const client = new Client(this.#origin, {
      connect: (target, callback) => this.#connector(target, callback, connection.times),
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_ANSWER_HEADER_BYTES,
      // The exchange has one deadline, on the clock that was given.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const connection: Connection = { client, times: noTimes() };
    this.#connections.add(connection);
    return connection;
  }

  #free(connection: Connection): void {
    if (!this.#closed) this.#idle.push(connection);
  }
}

/** One connection at a time, which is opened when a request needs it. `times`: of the request that is or was under way. */
interface Connection {
  readonly client: Client;
  times: ConnectionTimes;
}

/** A request under way, and what its connection has come to for it: nothing, where it was there. */
interface Sending {
  readonly exchange: Exchange;
  readonly times: ConnectionTimes;
}

function phasesOf(startedMs: number, sending: Sending | null): AttemptPhases {
  if (sending === null) return NO_PHASES;
  const { times, exchange } = sending;
  const between = (from: number | null, to: number | null): number | null =>
    from === null || to === null ? null : to - from;
  return {
    dnsMs: between(times.startedMs, times.resolvedMs),
    connectMs: between(times.resolvedMs ?? times.startedMs, times.connectedMs),
    tlsMs: between(times.connectedMs, times.securedMs),
    firstByteMs: between(startedMs, exchange.headAtMs),
  };
}

const NO_CREDENTIALS: Credentials = { header: null, signer: null, secureContext: null };

/** What stands for the credentials where a head is shown. */
function hidden({ header, signer }: Credentials): ConstructorParameters<typeof RequestHead>[1] {
  return { header: header && [header[0], '***'], signer: signer && { sign: () => '***' } };
}

/** An outcome of every kind is a value. */
function compressed(body: Buffer, coding: Compression): Promise<Buffer | Error> {
  return compress(body, coding).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
}

function isStale(result: ExchangeResult): boolean {
  return result.kind === 'error' && result.untouched && 'code' in result.error && STALE_CODES.has(result.error.code);
}

function outcomeOf(result: ExchangeResult, nowMs: number): Outcome {
  if (result.kind === 'answer') return answerOutcome(result.answer, nowMs);
  if (result.error instanceof CancelledError) return { class: 'cancelled' };
  return errorOutcome(result.error);
}
