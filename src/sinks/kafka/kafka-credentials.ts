import type { SecureContext } from 'node:tls';
import type { ResolvedSecrets } from '../../model/resolved-stream.ts';
import { SECRET_OPTION_NAMES, type SecretOptionKey } from '../../model/secret-use.ts';
import type { StreamOptions } from '../../model/stream-options.ts';
import { makeSecureContext } from '../secure-context.ts';
import { type NoCredentials, usableSecret } from '../usable-secret.ts';
import type { SaslCredentials } from './log-in.ts';

export type KafkaCredentialOptions = Pick<
  StreamOptions,
  'saslMechanism' | 'saslPassword' | 'saslUsername' | 'tls' | 'tlsCa' | 'tlsClientCert' | 'tlsClientKey'
>;

/** What the secrets of a stream to Kafka come to. */
export interface KafkaCredentials {
  readonly sasl: SaslCredentials | null;
  /** Null: the system's authorities, and no certificate of ours. */
  readonly secureContext: SecureContext | null;
}

const SECRETS = ['saslPassword', 'tlsCa', 'tlsClientCert', 'tlsClientKey'] as const;

/** Where a secret cannot be had, or is of no use, there are none: nobody logs in as somebody else. */
export function makeKafkaCredentials(
  options: KafkaCredentialOptions,
  secrets: ResolvedSecrets,
): KafkaCredentials | NoCredentials {
  const values = new Map<SecretOptionKey, string>();
  for (const key of SECRETS) {
    if (options[key] === null) continue;
    const found = usableSecret(key, secrets);
    if ('problem' in found) return { problem: `${SECRET_OPTION_NAMES[key]}: ${found.problem}` };
    values.set(key, found.values[0]!.reveal().toString('utf8'));
  }
  const get = (key: SecretOptionKey): string | null => values.get(key) ?? null;
  const secureContext = makeSecureContext(get('tlsCa'), get('tlsClientCert'), get('tlsClientKey'));
  if (secureContext !== null && 'problem' in secureContext) return secureContext;
  const { saslMechanism: mechanism, saslUsername: user } = options;
  if (mechanism === 'none') return { sasl: null, secureContext };
  return { sasl: { mechanism, user, password: get('saslPassword') ?? '' }, secureContext };
}
