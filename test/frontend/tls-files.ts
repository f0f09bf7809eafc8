import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../src/base/clock.ts';
import { silentLogger, type Logger } from '../../src/base/logger.ts';
import { ClientTls, type ClientTlsMode } from '../../src/frontend/client-tls.ts';
import type { TlsFiles } from '../../src/frontend/tls-files.ts';
import { AUTHORITY, type CertificateAndKey } from '../support/certificates.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { temporaryFolder } from '../support/test-database.ts';

/** The files in a folder that goes with the tests: SELF_SIGNED, and AUTHORITY where clients are to show certificates. */
export function tlsFiles(asksClients: boolean): TlsFiles {
  const folder = temporaryFolder();
  const files: TlsFiles = {
    certFile: join(folder, 'server.crt'),
    keyFile: join(folder, 'server.key'),
    clientCaFile: asksClients ? join(folder, 'clients.crt') : null,
  };
  putCertificate(files, SELF_SIGNED);
  if (files.clientCaFile !== null) writeFileSync(files.clientCaFile, AUTHORITY);
  return files;
}

export function putCertificate({ certFile, keyFile }: TlsFiles, { cert, key }: CertificateAndKey): void {
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
}

/** The frontend's side of TLS, on files of its own; verify-… asks clients for certificates. */
export function clientTls(
  mode: ClientTlsMode,
  files = tlsFiles(mode.startsWith('verify')),
  clock: Clock = systemClock,
  logger: Logger = silentLogger,
): ClientTls {
  return new ClientTls(mode, files, clock, logger);
}
