/** Why one server could not be reached. */
export interface HostFailure {
  /** As `UpstreamHost.name`. */
  readonly host: string;
  readonly cause: string;
}

/** No server could be reached (or none of those that could is of the wanted kind). The message names all, with causes. */
export class UpstreamUnreachableError extends Error {
  override readonly name = 'UpstreamUnreachableError';
  readonly failures: readonly HostFailure[];

  constructor(failures: readonly HostFailure[], cause?: unknown) {
    const each = failures.map((failure) => `at ${failure.host}: ${failure.cause}`);
    super(`could not connect to the upstream server ${each.join('; ')}`, { cause });
    this.failures = failures;
  }
}

/** What a server did that no PostgreSQL server does, or cannot do what is wanted; the message is for a person. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError';
}

/** The server is there, but not of the wanted kind. */
export class WrongRoleError extends Error {
  override readonly name = 'WrongRoleError';
}

/** The server answered, and refused. `error` is what the caller is to end with if no other way remains. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly sqlstate: string;
  readonly error: Error;

  constructor(sqlstate: string, error: Error) {
    super(`refused with ${sqlstate}`);
    this.sqlstate = sqlstate;
    this.error = error;
  }
}

const TEXT: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ENOENT: 'no such file or directory',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name could not be looked up',
  ETIMEDOUT: 'connection timed out',
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "the server's certificate is signed by a root that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "the server's certificate is signed by a root that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the server's certificate is signed by a root that is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the server's certificate is signed by a root that is not trusted",
  CERT_SIGNATURE_FAILURE: "the signature of the server's certificate is wrong",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another host name",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the server asks for a client certificate (sslcert, sslkey)',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the server does not trust the client certificate',
};

/** A short cause for a person. Never holds what was sent or received. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  if (typeof code === 'string' && TEXT[code]) return TEXT[code];
  if (typeof code === 'string' && code.startsWith('ERR_SSL') && typeof reason === 'string') return `TLS: ${reason}`;
  return error.message;
}
