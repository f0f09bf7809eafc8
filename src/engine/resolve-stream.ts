import { hash } from 'node:crypto';
import { must } from '../base/assert.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { effectiveOptions } from '../model/effective-options.ts';
import type { ResolvedSecret, ResolvedSecrets } from '../model/resolved-stream.ts';
import { SecretValue } from '../model/secret.ts';
import { SECRET_OPTION_KEYS, type SecretOptionKey } from '../model/secret-use.ts';
import type { StreamOptions } from '../model/stream-options.ts';
import type { StreamDefinition } from '../model/stream.ts';
import { type StreamMessage, streamMessage } from './stream-message.ts';

/** What resolving asks of the catalog. */
export type ResolvingCatalog = Pick<Catalog, 'endpoint' | 'currentSecret'>;

/**
 * The streams with what their endpoints' names and secrets stand for at `nowMs`. A secret that several streams name is
 * looked up once.
 */
export function resolveStreams(
  definitions: readonly StreamDefinition[],
  catalog: ResolvingCatalog,
  nowMs: number,
): readonly StreamMessage[] {
  const known = new Map<string, ResolvedSecret>();
  const lookUp = (name: string, isNamed: boolean): ResolvedSecret => {
    let secret = known.get(name);
    if (secret === undefined) {
      const { values, problem, hasNewest } = catalog.currentSecret(name, nowMs);
      const said = isNamed ? `secret "${name}": ${problem}` : problem;
      known.set(name, (secret = { values, problem: hasNewest ? null : said }));
    }
    return secret;
  };
  return definitions.map((definition) => {
    const resolved = withEndpoint(definition, catalog);
    return streamMessage(resolved, secretsOf(resolved.options, lookUp));
  });
}

/** Equal where the secrets are. Says nothing of them. */
export function digestOfSecrets(streams: readonly StreamMessage[]): string {
  const said = streams.map(({ definition, secrets }) => [
    definition.id,
    secrets.map(({ key, problem, values }) => [
      key,
      problem,
      values.map((value) => Buffer.from(value).toString('hex')),
    ]),
  ]);
  return hash('sha256', JSON.stringify(said));
}

/** The URL in the place of the endpoint's name, and the endpoint's options where the stream has not said its own. */
function withEndpoint(definition: StreamDefinition, catalog: ResolvingCatalog): StreamDefinition {
  if (definition.destination.kind !== 'endpoint') return definition;
  const endpoint = must(catalog.endpoint(definition.destination.name), 'an endpoint in use is not dropped');
  const { options } = effectiveOptions(definition, endpoint);
  return { ...definition, options, destination: { kind: 'webhook', url: endpoint.url } };
}

function secretsOf(
  options: StreamOptions,
  lookUp: (name: string, isNamed: boolean) => ResolvedSecret,
): ResolvedSecrets {
  const found: Partial<Record<SecretOptionKey, ResolvedSecret>> = {};
  for (const key of SECRET_OPTION_KEYS) {
    const secret = options[key];
    if (secret === null) continue;
    found[key] =
      secret instanceof SecretValue
        ? { values: [secret], problem: null }
        : lookUp(secret.name, secret.unnamed !== true);
  }
  return found;
}
