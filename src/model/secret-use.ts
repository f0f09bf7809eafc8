import { isHeaderName, isHeaderValue, isReservedHeader } from './header-rules.ts';
import type { SecretValue } from './secret.ts';

/*
  What an option makes of a secret's value. Nothing here says anything of the value itself.
*/

/** The options that hold a secret, and how they are written. */
export const SECRET_OPTION_NAMES = {
  bearerToken: 'bearer_token',
  basicAuth: 'basic_auth',
  authHeader: 'auth_header',
  signingSecret: 'signing_secret',
  tlsCa: 'tls_ca',
  tlsClientCert: 'tls_client_cert',
  tlsClientKey: 'tls_client_key',
  saslPassword: 'sasl_password',
  schemaRegistryBasicAuth: 'schema_registry_basic_auth',
  schemaRegistryBearerToken: 'schema_registry_bearer_token',
  schemaRegistryTlsCa: 'schema_registry_tls_ca',
  schemaRegistryTlsClientCert: 'schema_registry_tls_client_cert',
  schemaRegistryTlsClientKey: 'schema_registry_tls_client_key',
} as const;

export type SecretOptionKey = keyof typeof SECRET_OPTION_NAMES;

export const SECRET_OPTION_KEYS = Object.keys(SECRET_OPTION_NAMES) as readonly SecretOptionKey[];

/** Why the value is of no use for the option, or null. */
export function secretFault(key: SecretOptionKey, value: SecretValue): string | null {
  const text = value.reveal().toString('utf8');
  switch (key) {
    case 'bearerToken':
    case 'schemaRegistryBearerToken':
      return /^[\x21-\x7e]+$/.test(text) ? null : 'a token is printable ASCII without spaces';
    case 'basicAuth':
    case 'schemaRegistryBasicAuth':
      if (!text.includes(':')) return 'a user and a password are written as user:password';
      return /\p{Cc}/u.test(text) ? 'a user and a password have no control characters' : null;
    case 'authHeader':
      return authHeaderFault(text);
    case 'saslPassword':
      return text.includes('\0') ? 'a password has no NUL' : null;
    case 'signingSecret':
      return signingKey(value) === null ? 'after whsec_ there must be base64, with its padding' : null;
    case 'tlsCa':
    case 'schemaRegistryTlsCa':
    case 'tlsClientCert':
    case 'schemaRegistryTlsClientCert':
      return CERTIFICATE.test(text) ? null : 'a certificate is PEM, and begins with -----BEGIN CERTIFICATE-----';
    case 'tlsClientKey':
    case 'schemaRegistryTlsClientKey':
      if (ENCRYPTED_KEY.test(text)) return 'a key must not have a passphrase';
      return PRIVATE_KEY.test(text) ? null : 'a key is PEM, and begins with -----BEGIN PRIVATE KEY-----';
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----/;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/;
const ENCRYPTED_KEY = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

function authHeaderFault(text: string): string | null {
  const header = parseAuthHeader(text);
  if (header === null) return 'a header is written as Name: value';
  const [name, value] = header;
  if (!isHeaderName(name)) return 'what stands before the colon is no header name';
  if (isReservedHeader(name)) return 'this header is set by the delivery itself';
  return isHeaderValue(value) && value !== '' ? null : 'the value of a header is printable ASCII';
}

/** `X-Api-Key: abc` as name and value; null where there is no colon. */
export function parseAuthHeader(text: string): readonly [name: string, value: string] | null {
  const colon = text.indexOf(':');
  return colon === -1 ? null : [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

const SIGNING_PREFIX = 'whsec_';
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$/;

/**
 * The key of a signing secret: what `whsec_` has in base64 behind it, or without that prefix the bytes as they are (as the
 * reference libraries have it with `format: 'raw'`). Null where it is no base64.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme
 */
export function signingKey(value: SecretValue): Buffer | null {
  const bytes = value.reveal();
  if (!bytes.toString('latin1', 0, SIGNING_PREFIX.length).startsWith(SIGNING_PREFIX)) return bytes;
  const encoded = bytes.toString('latin1', SIGNING_PREFIX.length);
  return BASE64.test(encoded) ? Buffer.from(encoded, 'base64') : null;
}
