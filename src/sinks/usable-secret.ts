import type { ResolvedSecrets } from '../model/resolved-stream.ts';
import type { SecretValue } from '../model/secret.ts';
import { secretFault, type SecretOptionKey } from '../model/secret-use.ts';

/** Why there are no credentials: for people, and without anything of the secrets. */
export interface NoCredentials {
  readonly problem: string;
}

/** The values of an option's secret. Of those that are kept from before, one that is of no use is left out. */
export function usableSecret(
  key: SecretOptionKey,
  secrets: ResolvedSecrets,
): { readonly values: readonly SecretValue[] } | NoCredentials {
  const secret = secrets[key];
  if (secret === undefined) return { problem: 'the secret has not been looked up' };
  if (secret.problem !== null) return { problem: secret.problem };
  const [newest, ...older] = secret.values;
  if (newest === undefined) return { problem: 'the secret has no value' };
  const fault = secretFault(key, newest);
  if (fault !== null) return { problem: fault };
  return { values: [newest, ...older.filter((value) => secretFault(key, value) === null)] };
}
