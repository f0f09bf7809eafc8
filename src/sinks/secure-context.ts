import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { NoCredentials } from './usable-secret.ts';

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * Authorities and a certificate of one's own, in PEM; null where there are neither. Made once for all connections: reading PEM takes longer than a
 * handshake's other half. `prefix` stands before the names of the options in what is said of them.
 */
export function makeSecureContext(
  ca: string | null,
  cert: string | null,
  key: string | null,
  prefix: '' | 'schema_registry_' = '',
): SecureContext | NoCredentials | null {
  if (ca === null && cert === null) return null;
  try {
    // Of authorities that cannot be read the library says nothing, and trusts nobody.
    const authorities = ca?.match(CERTIFICATES) ?? [];
    for (const pem of authorities) new X509Certificate(pem);
    if (ca !== null && authorities.length === 0)
      return { problem: `${prefix}tls_ca: there is no whole certificate in it` };
  } catch {
    return { problem: `${prefix}tls_ca: a certificate in it cannot be read` };
  }
  try {
    return createSecureContext({
      ...(ca === null ? {} : { ca }),
      ...(cert === null || key === null ? {} : { cert, key }),
    });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') {
      return { problem: `${prefix}tls_client_key: it is not the key of ${prefix}tls_client_cert` };
    }
    return {
      problem: `${prefix}tls_client_cert and ${prefix}tls_client_key cannot be used (${code ?? 'unknown reason'})`,
    };
  }
}
