import { constants, createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';

/** The files, in PEM: the certificate followed by its chain, its key, and who signs clients' certificates. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string | null;
}

/** What the files say, ready for use. */
export interface LoadedTls {
  readonly context: SecureContext;
  readonly certificate: X509Certificate;
}

/** All that is wrong with the files, each line with the option that names it. */
export class TlsFilesError extends Error {
  override readonly name = 'TlsFilesError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

/*
  As in Postgres: TLS 1.2 at least, no renegotiation, and no session to resume, which would skip what is checked when a
  session begins. https://www.postgresql.org/docs/current/ssl-tcp.html
*/
const SECURE_OPTIONS = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET;

/** Reads the files and checks that they fit together. Throws `TlsFilesError` with every problem found. */
export function loadTlsFiles({ certFile, keyFile, clientCaFile }: TlsFiles): LoadedTls {
  const problems: string[] = [];
  const attempt = <T>(option: string, path: string, read: (pem: Buffer) => T): T | null => {
    try {
      return read(readFileSync(path));
    } catch (error) {
      problems.push(`${option}: "${path}" ${whatIsWrong(error)}`);
      return null;
    }
  };
  const cert = attempt('--tls-cert', certFile, (pem) => ({ pem, parsed: new X509Certificate(pem) }));
  const key = attempt('--tls-key', keyFile, (pem) => ({ pem, parsed: createPrivateKey(pem) }));
  const ca =
    clientCaFile === null
      ? null
      : attempt('--tls-client-ca', clientCaFile, (pem) => ({ pem, parsed: new X509Certificate(pem) }));
  if (cert && key && !belongs(cert.parsed, key.parsed)) {
    problems.push(`--tls-key: "${keyFile}" is not the key of the certificate in "${certFile}"`);
  }
  if (!cert || !key || problems.length > 0) throw new TlsFilesError(problems);
  try {
    const context = createSecureContext({
      cert: cert.pem,
      key: key.pem,
      // An empty list keeps the well-known authorities out, who sign certificates for anyone.
      ca: ca ? [ca.pem] : [],
      minVersion: 'TLSv1.2',
      honorCipherOrder: true,
      secureOptions: SECURE_OPTIONS,
    });
    return { context, certificate: cert.parsed };
  } catch (error) {
    throw new TlsFilesError([`--tls-cert: "${certFile}" ${whatIsWrong(error)}`]);
  }
}

function belongs(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.checkPrivateKey(key);
  } catch {
    return false;
  }
}

function whatIsWrong(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES') return 'may not be read';
  if (code === 'EISDIR') return 'is a folder';
  if (code === 'ERR_MISSING_PASSPHRASE') return 'is encrypted with a passphrase, which walhook cannot ask for';
  return `cannot be used: ${message}`;
}
