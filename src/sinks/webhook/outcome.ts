import { brotliDecompressSync, constants, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { type FailureClass, MAX_RETRY_AFTER_MS, type Outcome } from '../sink.ts';
import { connectionFailure, errorCode } from '../connection-failure.ts';

/*
  What an answer means. One table; nothing else decides by status.

    ok             2xx
    rejected       400 409 411 412 413 415 422 431 501
    misconfigured  3xx 401 403 404 405 406 407 421 426 451, any other 4xx, TLS failure, unknown host, blocked address
    overloaded     425 429, 503 with Retry-After
    transient      408, other 5xx, timeout, reset, refused, an answer that is no HTTP
    gone           410

  A 4xx that is not named here is taken for the endpoint's fault: that keeps the events, where a rejection would lose them.
*/

const REJECTED: ReadonlySet<number> = new Set([400, 409, 411, 412, 413, 415, 422, 431, 501]);
const GONE = 410;
const REQUEST_TIMEOUT = 408;
const SERVICE_UNAVAILABLE = 503;

/** At most this much of an answer is kept to be looked at. */
export const MAX_EXCERPT_BYTES = 4 * 1024;

/** At most this much of an answer is read. */
export const MAX_ANSWER_BYTES = 64 * 1024;

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  /** Of Content-Encoding. */
  readonly encoding: string | null;
  /** Its first `MAX_ANSWER_BYTES`. */
  readonly body: Buffer;
  /** There was more. */
  readonly truncated: boolean;
}

export function classifyStatus(status: number, hasRetryAfter: boolean): FailureClass | 'ok' {
  if (status >= 200 && status < 300) return 'ok';
  if (status === 425 || status === 429) return 'overloaded';
  if (status === SERVICE_UNAVAILABLE && hasRetryAfter) return 'overloaded';
  if (status === GONE) return 'gone';
  if (REJECTED.has(status)) return 'rejected';
  if (status === REQUEST_TIMEOUT || status >= 500) return 'transient';
  return 'misconfigured';
}

/** What a whole answer means. `nowMs` is wall time, for a Retry-After that is a date. */
export function answerOutcome(answer: Answer, nowMs: number): Outcome {
  const { status } = answer;
  const retryAfterMs = answer.retryAfter === null ? null : parseRetryAfter(answer.retryAfter, nowMs);
  const kind = classifyStatus(status, retryAfterMs !== null);
  if (kind !== 'ok') {
    const redirect = status >= 300 && status < 400;
    return {
      class: kind,
      status,
      code: redirect ? 'redirect_refused' : `http_${status}`,
      reason: redirect ? `HTTP ${status}: redirects are not followed` : `HTTP ${status}`,
      retryAfterMs,
      ...(answer.body.length > 0 ? { excerpt: answer.body.toString('utf8', 0, MAX_EXCERPT_BYTES) } : {}),
    };
  }
  const body = unpacked(answer);
  if (body === null) {
    const reason = 'the answer is compressed, which nobody asked for, and cannot be read: it may list failed events';
    return failure('transient', 'answer_unreadable', reason, status);
  }
  if (answer.truncated && FAILED_LIST.test(body.toString('latin1', 0, 64))) {
    return failure('transient', 'answer_too_large', 'the list of failed events is longer than 64 KiB', status);
  }
  return { class: 'ok', status, failed: answer.truncated ? [] : failedIds(body) };
}

/** The ids of as many events as a request has at most, with what is around them, are shorter. */
const MAX_UNPACKED_BYTES = 1024 * 1024;

/** By Content-Encoding; `isCut`: of a body whose end is missing what there is. */
const UNPACK: ReadonlyMap<string, (body: Buffer, isCut: boolean) => Buffer> = new Map([
  ['gzip', (body, isCut) => gunzipSync(body, { ...LIMIT, ...(isCut ? { finishFlush: constants.Z_SYNC_FLUSH } : {}) })],
  [
    'deflate',
    (body, isCut) => inflateSync(body, { ...LIMIT, ...(isCut ? { finishFlush: constants.Z_SYNC_FLUSH } : {}) }),
  ],
  [
    'br',
    (body, isCut) =>
      brotliDecompressSync(body, { ...LIMIT, ...(isCut ? { finishFlush: constants.BROTLI_OPERATION_FLUSH } : {}) }),
  ],
  [
    'zstd',
    (body, isCut) => zstdDecompressSync(body, { ...LIMIT, ...(isCut ? { finishFlush: constants.ZSTD_e_flush } : {}) }),
  ],
]);

const LIMIT = { maxOutputLength: MAX_UNPACKED_BYTES };

/** The body as it was before its Content-Encoding; null where that cannot be known, nothing where it is longer than any list. */
function unpacked({ body, encoding, truncated }: Answer): Buffer | null {
  const coding = encoding?.trim().toLowerCase() ?? '';
  if (body.length === 0 || coding === '' || coding === 'identity') return body;
  try {
    const text = UNPACK.get(coding)?.(body, truncated) ?? null;
    // Of zstd the beginning may be of no use without what follows.
    return truncated && text?.length === 0 ? null : text;
  } catch (error) {
    return (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE' ? NOTHING : null;
  }
}

const NOTHING = Buffer.alloc(0);

const FAILED_LIST = /^\s*\{\s*"failed"/;
const OPEN_BRACE = 0x7b;

/** The ids in `{"failed":["…", …]}`; none where the answer is anything else. */
function failedIds(body: Buffer): readonly string[] {
  if (body.length === 0 || body.indexOf(OPEN_BRACE) === -1) return [];
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return [];
  }
  if (typeof value !== 'object' || value === null || !('failed' in value) || !Array.isArray(value.failed)) return [];
  return value.failed.filter((id) => typeof id === 'string');
}

/**
 * Seconds (with a fraction, as some send) or an HTTP date, capped; null where it is neither, or negative.
 * https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
 */
export function parseRetryAfter(text: string, nowMs: number): number | null {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Math.min(Math.ceil(Number(trimmed) * 1000), MAX_RETRY_AFTER_MS);
  if (!/^[A-Za-z]{3,9},? /.test(trimmed)) return null;
  const at = Date.parse(trimmed);
  if (Number.isNaN(at)) return null;
  return Math.min(Math.max(0, at - nowMs), MAX_RETRY_AFTER_MS);
}

const HTTP_CODES: Readonly<Record<string, readonly [code: string, reason: string]>> = {
  UND_ERR_SOCKET: ['connection_reset', 'connection closed before the answer was complete'],
  UND_ERR_CONNECT_TIMEOUT: ['timeout_connect', 'connecting timed out'],
  UND_ERR_HEADERS_OVERFLOW: ['invalid_answer', 'the headers of the answer are too large'],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ['invalid_answer', 'the answer is not as long as it says'],
};

/** What it means that no whole answer came. */
export function errorOutcome(error: unknown): Outcome {
  const code = errorCode(error);
  const known = HTTP_CODES[code];
  if (known) return failure('transient', known[0], known[1]);
  const isParserError = error instanceof Error && error.name === 'HTTPParserError';
  if (isParserError || code.startsWith('HPE_')) return failure('transient', 'invalid_answer', 'the answer is no HTTP');
  return connectionFailure(error);
}

function failure(kind: FailureClass, code: string, reason: string, status: number | null = null): Outcome {
  return { class: kind, status, code, reason, retryAfterMs: null };
}
