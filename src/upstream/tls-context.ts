import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext, getCACertificates, type ConnectionOptions, type SecureContext } from 'node:tls';
import type { ConnectionUrl, SslMode } from '../postgres/connection-url.ts';

export type TlsSettings = Pick<ConnectionUrl, 'sslMode' | 'sslNegotiation' | 'sslRootCert' | 'sslCert' | 'sslKey'>;

/** How one connection is to be encrypted. */
export type Encryption = 'plain' | 'tls';

/**
 * The ways to connect, in the order in which libpq tries them: a way that fails, or that the server refuses, gives way
 * to the next.
 * https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
 */
const WAYS: Readonly<Record<SslMode, readonly Encryption[]>> = {
  disable: ['plain'],
  allow: ['plain', 'tls'],
  prefer: ['tls', 'plain'],
  require: ['tls'],
  'verify-ca': ['tls'],
  'verify-full': ['tls'],
};

/** The name by which both sides know that PostgreSQL is spoken inside, so that no other server's answer is taken. */
export const ALPN = 'postgresql';

/**
 * TLS to the upstream as the URL has it. The certificates are read when their files change, so that new ones need no
 * restart; while the new files cannot be used, the old ones are.
 */
export class TlsContext {
  readonly settings: TlsSettings;
  #context: SecureContext | null = null;
  #seen = '';
  #required: TlsContext | null = null;

  constructor(settings: TlsSettings) {
    this.settings = settings;
  }

  /** The same, without the way in plain text. */
  get required(): TlsContext {
    const isRequired = !WAYS[this.settings.sslMode].includes('plain');
    return (this.#required ??= isRequired ? this : new TlsContext({ ...this.settings, sslMode: 'require' }));
  }

  /** The ways to connect to a server; TLS is never used over a Unix socket. */
  ways(isUnixSocket: boolean): readonly Encryption[] {
    return isUnixSocket ? WAYS.disable : WAYS[this.settings.sslMode];
  }

  /**
   * For `tls.connect`, with the host as the URL names it. As in libpq, a root certificate is used in every mode that
   * has one; without, only verify-full verifies (against the roots that the system trusts).
   */
  options(host: string): ConnectionOptions {
    const { sslMode } = this.settings;
    this.refresh();
    return {
      host,
      // A server name is never an address: https://www.rfc-editor.org/rfc/rfc6066#section-3
      ...(isIP(host) === 0 && { servername: host }),
      ALPNProtocols: [ALPN],
      ...(this.#context && { secureContext: this.#context }),
      rejectUnauthorized: this.#verifies,
      ...(sslMode !== 'verify-full' && { checkServerIdentity: () => undefined }),
    };
  }

  /** Reads the certificates if they are new. Returns what is wrong with them, or null. */
  refresh(): string | null {
    const { sslMode, sslRootCert, sslCert, sslKey } = this.settings;
    if (sslMode === 'disable') return null;
    const files: Record<string, string | null> = {
      sslrootcert: sslRootCert === 'system' ? null : sslRootCert,
      sslcert: sslCert,
      sslkey: sslKey,
    };
    try {
      const seen = Object.values(files).map(stampOf).join(' ');
      if (this.#context !== null && seen === this.#seen) return null;
      const read = (name: string): Buffer | undefined => readNamed(name, files[name] ?? null);
      const root = read('sslrootcert');
      // Of a root that is none nothing is said below; it would only be that no server is trusted.
      if (root) void new X509Certificate(root);
      const ca = root ?? (sslMode === 'verify-full' ? systemRoots() : undefined);
      this.#context = createSecureContext({ ca, cert: read('sslcert'), key: read('sslkey') });
      this.#seen = seen;
      return null;
    } catch (error) {
      return `the certificates cannot be used: ${(error as Error).message}`;
    }
  }

  get #verifies(): boolean {
    const { sslMode, sslRootCert } = this.settings;
    return sslRootCert !== null || sslMode === 'verify-full';
  }
}

function readNamed(name: string, file: string | null): Buffer | undefined {
  if (file === null) return undefined;
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new Error(`${name}: ${(cause as Error).message}`, { cause });
  }
}

function stampOf(file: string | null): string {
  if (file === null) return '';
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat ? `${stat.ino}:${stat.size}:${stat.mtimeMs}` : 'none';
}

/** Those of the system and, as a slim image has none, Node's own. */
function systemRoots(): string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
}
