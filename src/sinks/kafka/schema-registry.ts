import type { LookupFunction } from 'node:net';
import type { SecureContext } from 'node:tls';
import { Client } from 'undici';
import { type Clock, DeadlineError } from '../../base/clock.ts';
import type { AddressGuard } from '../address-guard.ts';
import type { FailureClass, FailureOutcome } from '../sink.ts';
import { guardedConnector, noTimes } from '../webhook/connector.ts';
import { Exchange, type ExchangeResult } from '../webhook/exchange.ts';
import { type Answer, classifyStatus, errorOutcome, MAX_EXCERPT_BYTES, parseRetryAfter } from '../webhook/outcome.ts';

/*
  The HTTP interface of a schema registry: Confluent's, which others have, too (Karapace, Apicurio, Redpanda).
  https://docs.confluent.io/platform/current/schema-registry/develop/api.html

    POST /subjects/<subject>/versions   {"schema":"…"}   => {"id":7}; a schema that is there already keeps its id
    GET  /subjects                                       => ["…", …]
    what fails                                           => {"error_code":…,"message":"…"}
*/

/** An id could not be had. */
export class SchemaRegistryError extends Error {
  override readonly name = 'SchemaRegistryError';
  readonly failure: FailureOutcome;

  constructor(failure: FailureOutcome) {
    super(failure.reason);
    this.failure = failure;
  }
}

export interface SchemaRegistryOptions {
  /** http or https, without user, query and fragment. */
  readonly url: string;
  /** Of `Authorization`; null: none is sent. */
  readonly authorization: string | null;
  /** Null: the system's authorities, and no certificate of ours. */
  readonly secureContext: SecureContext | null;
  readonly guard: AddressGuard;
  readonly lookup?: LookupFunction | undefined;
  readonly connectTimeoutMs: number;
  readonly userAgent: string;
  readonly clock: Clock;
}

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json';
const MAX_ANSWER_HEADER_BYTES = 16 * 1024;
const MAX_ID = 2 ** 31 - 1;

/** Registers schemas. It is asked seldom, so that each request has a connection of its own. */
export class SchemaRegistry {
  readonly #options: SchemaRegistryOptions;
  readonly #path: string;
  readonly #client: Client;

  constructor(options: SchemaRegistryOptions) {
    const { guard, lookup, connectTimeoutMs, secureContext, clock } = options;
    const url = new URL(options.url);
    this.#options = options;
    this.#path = url.pathname.replace(/\/+$/, '');
    const connect = guardedConnector({
      guard,
      nowMs: () => clock.monotonicMs(),
      timeoutMs: connectTimeoutMs,
      secureContext,
      skipVerify: false,
      ...(lookup === undefined ? {} : { lookup }),
    });
    this.#client = new Client(url.origin, {
      connect: (target, callback) => connect(target, callback, noTimes()),
      allowH2: false,
      pipelining: 1,
      maxHeaderSize: MAX_ANSWER_HEADER_BYTES,
      // Each exchange has one deadline, on the clock that was given.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** The id of a schema, which is registered where it is not there yet. Rejects with `SchemaRegistryError`. */
  async register(subject: string, schema: string, timeoutMs: number): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions`;
    const about = `subject "${subject}"`;
    const answer = await this.#ask('POST', path, JSON.stringify({ schema }), about, timeoutMs);
    const id = idOf(answer);
    if (id === null) throw strange(about);
    return id;
  }

  /** Whether it is there and lets one in. Rejects with `SchemaRegistryError`. */
  async probe(timeoutMs: number): Promise<void> {
    const { body } = await this.#ask('GET', '/subjects', null, 'its subjects', timeoutMs);
    if (!body.toString('latin1', 0, 64).trimStart().startsWith('[')) throw strange('its subjects');
  }

  async close(): Promise<void> {
    await this.#client.destroy();
  }

  async #ask(
    method: 'GET' | 'POST',
    path: string,
    body: string | null,
    about: string,
    timeoutMs: number,
  ): Promise<Answer> {
    const result = await this.#exchange(method, path, body, timeoutMs);
    if (result.kind === 'error') throw new SchemaRegistryError(unreachable(result.error));
    const failure = failureOf(result.answer, about, this.#options.clock.now());
    if (failure !== null) throw new SchemaRegistryError(failure);
    return result.answer;
  }

  #exchange(method: 'GET' | 'POST', path: string, body: string | null, timeoutMs: number): Promise<ExchangeResult> {
    const { authorization, userAgent, clock } = this.#options;
    return new Promise((resolve) => {
      const onResult = (result: ExchangeResult): void => {
        stopTimer();
        resolve(result);
      };
      const exchange = new Exchange(() => clock.monotonicMs(), onResult, NOTHING);
      const stopTimer = clock.after(timeoutMs, () => exchange.abandon(new DeadlineError(timeoutMs)));
      const headers = ['accept', `${MEDIA_TYPE}, application/json`, 'user-agent', userAgent];
      if (body !== null) headers.push('content-type', MEDIA_TYPE);
      if (authorization !== null) headers.push('authorization', authorization);
      try {
        this.#client.dispatch({ path: this.#path + path, method, headers, body, reset: true }, exchange);
      } catch (error) {
        exchange.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
      }
    });
  }
}

const NOTHING = (): void => {};

function idOf({ body }: Answer): number | null {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || !('id' in value)) return null;
  const { id } = value;
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id <= MAX_ID ? id : null;
}

const REASONS: ReadonlyMap<number, string> = new Map([
  [401, 'it does not accept the credentials'],
  [403, 'the credentials are not enough for it'],
  [404, 'there is none at schema_registry_url'],
  [409, 'the schema is not compatible with those that the subject has'],
  [422, 'it does not take the schema, or the subject'],
  [429, 'it asks for time'],
]);

const REJECTED: ReadonlySet<number> = new Set([409, 422]);

/*
  What an answer means for the event whose schema it is.

    rejected        409 422
    misconfigured   any other 3xx and 4xx, 501
    overloaded      425 429, 503 with Retry-After
    transient       408, other 5xx
*/
function registryClass(status: number, hasRetryAfter: boolean): FailureClass | 'ok' {
  if (REJECTED.has(status)) return 'rejected';
  const kind = classifyStatus(status, hasRetryAfter);
  // What a receiver says of a payload, or of its own end, is said of no event here.
  return kind === 'rejected' || kind === 'gone' ? 'misconfigured' : kind;
}

function failureOf(answer: Answer, about: string, nowMs: number): FailureOutcome | null {
  const { status, body } = answer;
  const retryAfterMs = answer.retryAfter === null ? null : parseRetryAfter(answer.retryAfter, nowMs);
  const kind = registryClass(status, retryAfterMs !== null);
  if (kind === 'ok') return null;
  const why = REASONS.get(status);
  return {
    class: kind,
    status,
    code: `schema_registry_${status}`,
    reason: `schema registry: ${about}: HTTP ${status}${why === undefined ? '' : `: ${why}`}`,
    retryAfterMs,
    ...(body.length > 0 ? { excerpt: body.toString('utf8', 0, MAX_EXCERPT_BYTES) } : {}),
  };
}

function unreachable(error: Error): FailureOutcome {
  const outcome = errorOutcome(error);
  if (!('reason' in outcome)) throw error;
  return { ...outcome, code: `schema_registry_${outcome.code}`, reason: `schema registry: ${outcome.reason}` };
}

function strange(about: string): SchemaRegistryError {
  return new SchemaRegistryError({
    class: 'misconfigured',
    status: null,
    code: 'schema_registry_answer',
    reason: `schema registry: ${about}: the answer is none of a schema registry`,
    retryAfterMs: null,
  });
}
