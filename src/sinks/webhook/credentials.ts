import type { SecureContext } from 'node:tls';
import { must } from '../../base/assert.ts';
import type { ResolvedSecrets } from '../../model/resolved-stream.ts';
import type { SecretValue } from '../../model/secret.ts';
import {
  parseAuthHeader,
  SECRET_OPTION_KEYS,
  SECRET_OPTION_NAMES,
  type SecretOptionKey,
  signingKey,
} from '../../model/secret-use.ts';
import type { StreamOptions } from '../../model/stream-options.ts';
import { makeSecureContext } from '../secure-context.ts';
import { type NoCredentials, usableSecret } from '../usable-secret.ts';
import { Signer } from './signature.ts';

/** The options that say which secrets a webhook has. */
export type SecretOptions = Pick<StreamOptions, SecretOptionKey>;

/** What the secrets of a webhook come to: what signs, what authenticates, what encrypts. */
export interface Credentials {
  /** `Authorization` or another header, name and value; null: none. */
  readonly header: readonly [name: string, value: string] | null;
  readonly signer: Signer | null;
  /** Null: the system's authorities, and no certificate of ours. */
  readonly secureContext: SecureContext | null;
}

/**
 * Makes the credentials of a webhook. Where a secret cannot be had, or is of no use, there are none: nothing is to be sent
 * unsigned that should be signed.
 */
export function makeCredentials(options: SecretOptions, secrets: ResolvedSecrets): Credentials | NoCredentials {
  const values = new Map<SecretOptionKey, readonly SecretValue[]>();
  for (const key of SECRET_OPTION_KEYS) {
    if (options[key] === null) continue;
    const found = usableSecret(key, secrets);
    if ('problem' in found) return { problem: `${SECRET_OPTION_NAMES[key]}: ${found.problem}` };
    values.set(key, found.values);
  }
  const newest = (key: SecretOptionKey): string | null => values.get(key)?.[0]?.reveal().toString('utf8') ?? null;
  const secureContext = makeSecureContext(newest('tlsCa'), newest('tlsClientCert'), newest('tlsClientKey'));
  if (secureContext !== null && 'problem' in secureContext) return secureContext;
  const signing = values.get('signingSecret');
  const keys = signing?.map((value) => must(signingKey(value), 'it was looked at'));
  return { header: authHeader(newest), signer: keys === undefined ? null : new Signer(keys), secureContext };
}

function authHeader(newest: (key: SecretOptionKey) => string | null): readonly [string, string] | null {
  const token = newest('bearerToken');
  if (token !== null) return ['Authorization', `Bearer ${token}`];
  const user = newest('basicAuth');
  if (user !== null) return ['Authorization', `Basic ${Buffer.from(user, 'utf8').toString('base64')}`];
  const header = newest('authHeader');
  return header === null ? null : must(parseAuthHeader(header), 'it was looked at');
}
