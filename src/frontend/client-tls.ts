import { statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { loadTlsFiles, type LoadedTls, type TlsFiles } from './tls-files.ts';

/**
 * What is asked of clients that come by TCP: nothing; TLS; TLS and a certificate signed by the client authority; and one
 * whose common name is the user's.
 */
export type ClientTlsMode = 'allow' | 'require' | 'verify-ca' | 'verify-full';

/** The protocol's name, by which a client that begins with TLS says what it means to speak in it. */
export const ALPN_PROTOCOL = 'postgresql';

/** How often the files are looked at. */
export const RELOAD_INTERVAL_MS = 5_000;

/** `NAMEDATALEN`, less the zero. */
const MAX_NAME_BYTES = 63;

/** What a client has shown of itself in the handshake. */
export interface ClientIdentity {
  /** Null without a certificate. An array where it has several names. */
  readonly commonName: string | readonly string[] | null;
  /** OpenSSL's word for what is wrong with the certificate; null for a good one, or none. */
  readonly problem: string | null;
  readonly hasCertificate: boolean;
}

/** The server's side of TLS for clients, with the certificate that the files have at the time. */
export class ClientTls {
  readonly mode: ClientTlsMode;
  readonly #files: TlsFiles;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #loaded: LoadedTls;
  #version: string;

  /** Throws `TlsFilesError` where the files cannot be used. */
  constructor(mode: ClientTlsMode, files: TlsFiles, clock: Clock, logger: Logger) {
    this.mode = mode;
    this.#files = files;
    this.#clock = clock;
    this.#logger = logger;
    this.#version = this.#fileVersion();
    this.#loaded = loadTlsFiles(files);
  }

  /**
   * Begins the handshake. `first` is what has been read of it already; nothing else may have been read since. 'secure'
   * follows, or 'close'.
   */
  wrap(socket: Socket, first: Buffer | null): TLSSocket {
    socket.pause();
    if (first) socket.unshift(first);
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: this.#loaded.context,
      ALPNProtocols: [ALPN_PROTOCOL],
      requestCert: this.#files.clientCaFile !== null,
      // What is wrong is said in an ErrorResponse, which a client shows, and not by an alert.
      rejectUnauthorized: false,
    });
    // Without a tls.Server, an error after the handshake would be told by this event alone and end nothing.
    secured.on('_tlsError', () => secured.destroy());
    return secured;
  }

  /** Looks at the files again and again, until the signal aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(RELOAD_INTERVAL_MS, signal).catch(() => undefined);
      if (!signal.aborted && this.#fileVersion() !== this.#version) this.reload();
    }
  }

  /** Reads the files. New connections get what they say; where they cannot be used, what was in use stays so. */
  reload(): void {
    // Before the reading: what is written meanwhile is seen the next time.
    this.#version = this.#fileVersion();
    try {
      this.#loaded = loadTlsFiles(this.#files);
    } catch (err) {
      this.#logger.error({ err }, 'the new TLS certificate cannot be used; the old one stays in use');
      return;
    }
    const { subject, validTo, fingerprint256 } = this.#loaded.certificate;
    this.#logger.info({ subject, validTo, fingerprint256 }, 'TLS certificate loaded');
  }

  #fileVersion(): string {
    const { certFile, keyFile, clientCaFile } = this.#files;
    return [certFile, keyFile, clientCaFile].map(versionOf).join(' ');
  }
}

/** Null for a connection without TLS. To be asked once the handshake is over. */
export function identityOf(socket: Socket): ClientIdentity | null {
  if (!(socket instanceof TLSSocket)) return null;
  if (!socket.getPeerX509Certificate()) return { commonName: null, problem: null, hasCertificate: false };
  // `authorized` is set by tls.Server alone.
  const { _handle: handle } = socket as unknown as { _handle: { verifyError(): NodeJS.ErrnoException | null } };
  const problem = handle.verifyError();
  const { CN: commonName = null } = socket.getPeerCertificate().subject as { CN?: string | string[] };
  return { commonName, problem: problem ? (problem.code ?? problem.message) : null, hasCertificate: true };
}

/**
 * FATAL 28000 for a client that has not shown what the mode asks for, as Postgres's `hostssl` and `clientcert` would
 * refuse it. A certificate that is not asked for must be good nevertheless. `user` is as the startup packet has it.
 * https://www.postgresql.org/docs/current/auth-cert.html
 */
export function checkIdentity(mode: ClientTlsMode, identity: ClientIdentity | null, user: Buffer): void {
  const refuse = (message: string, detail?: string, hint?: string): never => {
    throw new PgError('invalid_authorization_specification', message, { severity: 'FATAL', detail, hint });
  };
  if (!identity) return;
  const { hasCertificate, problem, commonName } = identity;
  if (problem !== null) {
    refuse('the client certificate cannot be trusted', `OpenSSL says ${problem}.`);
  }
  if (mode !== 'verify-ca' && mode !== 'verify-full') return;
  if (!hasCertificate) {
    refuse(
      'connection requires a valid client certificate',
      undefined,
      'Give the client a certificate and its key, in libpq by sslcert and sslkey.',
    );
  }
  // The server may cut a longer name to this length, and then has another user before it.
  const name = user.subarray(0, MAX_NAME_BYTES);
  const isTheirs = typeof commonName === 'string' && Buffer.from(commonName).equals(name);
  if (mode === 'verify-full' && !isTheirs) {
    refuse(
      `certificate authentication failed for user "${user.toString()}"`,
      'The common name (CN) of the client certificate is not the name of the user.',
    );
  }
}

/** FATAL 28000 for a client that comes without TLS where it is required. */
export function encryptionRequired(host: string, user: string, database: string): PgError {
  return new PgError(
    'invalid_authorization_specification',
    `walhook accepts no unencrypted connection from host "${host}", user "${user}", database "${database}", no encryption`,
    { severity: 'FATAL', hint: 'Connect with sslmode=require or stronger.' },
  );
}

/** Changes when the file does. Certificates that are links into another folder, as in Kubernetes, are followed. */
function versionOf(path: string | null): string {
  if (path === null) return '-';
  try {
    const { mtimeMs, ctimeMs, size, ino } = statSync(path);
    return `${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch {
    return 'missing';
  }
}
