import type { SecureContext } from 'node:tls';
import type { ResolvedSecrets } from '../../model/resolved-stream.ts';
import { SECRET_OPTION_NAMES, type SecretOptionKey } from '../../model/secret-use.ts';
import type { StreamOptions } from '../../model/stream-options.ts';
import { makeSecureContext } from '../secure-context.ts';
import { type NoCredentials, usableSecret } from '../usable-secret.ts';
import type { SaslCredentials } from './log-in.ts';

export type KafkaCredentialOptions = Pick<
  StreamOptions,
  | 'saslMechanism'
  | 'saslPassword'
  | 'saslUsername'
  | 'schemaRegistryBasicAuth'
  | 'schemaRegistryBearerToken'
  | 'schemaRegistryTlsCa'
  | 'schemaRegistryTlsClientCert'
  | 'schemaRegistryTlsClientKey'
  | 'tls'
  | 'tlsCa'
  | 'tlsClientCert'
  | 'tlsClientKey'
>;

/** What the secrets of a stream to Kafka come to. */
export interface KafkaCredentials {
  readonly sasl: SaslCredentials | null;
  /** Null: the system's authorities, and no certificate of ours. */
  readonly secureContext: SecureContext | null;
  readonly registry: RegistryCredentials;
}

/** What shows one to the schema registry. */
export interface RegistryCredentials {
  /** Of `Authorization`; null: none. */
  readonly authorization: string | null;
  /** Null: the system's authorities, and no certificate of ours. */
  readonly secureContext: SecureContext | null;
}

const SECRETS = [
  'saslPassword',
  'tlsCa',
  'tlsClientCert',
  'tlsClientKey',
  'schemaRegistryBasicAuth',
  'schemaRegistryBearerToken',
  'schemaRegistryTlsCa',
  'schemaRegistryTlsClientCert',
  'schemaRegistryTlsClientKey',
] as const;

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
  const ofRegistry = makeSecureContext(
    get('schemaRegistryTlsCa'),
    get('schemaRegistryTlsClientCert'),
    get('schemaRegistryTlsClientKey'),
    'schema_registry_',
  );
  if (ofRegistry !== null && 'problem' in ofRegistry) return ofRegistry;
  const registry = { authorization: authorization(get), secureContext: ofRegistry };
  const { saslMechanism: mechanism, saslUsername: user } = options;
  if (mechanism === 'none') return { sasl: null, secureContext, registry };
  return { sasl: { mechanism, user, password: get('saslPassword') ?? '' }, secureContext, registry };
}

function authorization(get: (key: SecretOptionKey) => string | null): string | null {
  const token = get('schemaRegistryBearerToken');
  if (token !== null) return `Bearer ${token}`;
  const user = get('schemaRegistryBasicAuth');
  return user === null ? null : `Basic ${Buffer.from(user, 'utf8').toString('base64')}`;
}
