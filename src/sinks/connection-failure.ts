import { DeadlineError } from '../base/clock.ts';
import { EgressBlockedError } from './address-guard.ts';
import type { FailureClass, FailureOutcome } from './sink.ts';

/*
  What it means that a connection failed, whatever was to be said over it.
*/

const TRANSIENT_CODES: Readonly<Record<string, readonly [code: string, reason: string]>> = {
  ECONNREFUSED: ['connection_refused', 'connection refused'],
  ECONNRESET: ['connection_reset', 'connection reset'],
  EPIPE: ['connection_reset', 'connection closed while sending'],
  ETIMEDOUT: ['timeout_connect', 'connecting timed out'],
  EHOSTUNREACH: ['unreachable', 'host unreachable'],
  ENETUNREACH: ['unreachable', 'network unreachable'],
  EAI_AGAIN: ['dns_error', 'the name server does not answer'],
  EAI_FAIL: ['dns_error', 'the name server fails'],
  ESERVFAIL: ['dns_error', 'the name server fails'],
  EMFILE: ['too_many_files', 'too many open files'],
};

const NO_SUCH_HOST: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA', 'EAI_NODATA', 'EAI_NONAME']);

const TLS_CODE =
  /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|CRL_|INVALID_CA|SELF_SIGNED|DEPTH_ZERO_|HOSTNAME_MISMATCH|EPROTO)/;

/** What the other side says of us. Other codes speak for themselves. */
const ALERTS: Readonly<Record<string, string>> = {
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'a client certificate is asked for',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the client certificate is not trusted',
};

export function connectionFailure(error: unknown): FailureOutcome {
  if (error instanceof EgressBlockedError) return failure('misconfigured', 'egress_blocked', error.message);
  if (error instanceof DeadlineError) return failure('transient', 'timeout', error.message);
  const code = errorCode(error);
  const known = TRANSIENT_CODES[code];
  if (known) return failure('transient', known[0], known[1]);
  if (NO_SUCH_HOST.has(code)) return failure('misconfigured', 'dns_unknown_host', 'the host name does not exist');
  if (isTlsFailure(error)) {
    const alert = ALERTS[code];
    return failure('misconfigured', 'tls_error', `TLS: ${alert === undefined ? code : `${alert} (${code})`}`);
  }
  return failure('transient', 'request_failed', code === '' ? 'the request failed' : `the request failed: ${code}`);
}

/** Whether the two sides could not agree on TLS, or one of them refused the other's certificate. */
export function isTlsFailure(error: unknown): boolean {
  return TLS_CODE.test(errorCode(error));
}

/** An `AggregateError` of several addresses carries the code of the first where it has none itself. */
export function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError && error.errors.length > 0) return errorCode(error.errors[0]);
  return '';
}

function failure(kind: FailureClass, code: string, reason: string): FailureOutcome {
  return { class: kind, status: null, code, reason, retryAfterMs: null };
}
