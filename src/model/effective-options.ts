import type { EndpointDefinition } from './endpoint.ts';
import { ENDPOINT_OPTION_KEYS, type EndpointOptions, type OptionKey, type StreamOptions } from './stream-options.ts';

/** A stream's options with those of its endpoint that it does not say itself. */
export interface EffectiveOptions {
  readonly options: StreamOptions;
  /** Those that are the endpoint's; headers are where the stream says none. */
  readonly taken: ReadonlySet<OptionKey>;
}

const AUTHENTICATION: readonly OptionKey[] = ['bearerToken', 'basicAuth', 'authHeader'];

/** A stream's own options go before its endpoint's, and its headers before those of the same name. */
export function effectiveOptions(
  { options, givenOptions }: { readonly options: StreamOptions; readonly givenOptions: readonly OptionKey[] },
  endpoint: Pick<EndpointDefinition, 'options'>,
): EffectiveOptions {
  const given = new Set<OptionKey>(givenOptions);
  // Of these a request has one: a stream that says one does not want the endpoint's.
  if (AUTHENTICATION.some((key) => given.has(key))) for (const key of AUTHENTICATION) given.add(key);
  const stored = endpoint.options as EndpointOptions;
  const taken = ENDPOINT_OPTION_KEYS.filter((key) => !given.has(key) && stored[key] !== undefined);
  const merged: StreamOptions = {
    ...options,
    ...Object.fromEntries(taken.map((key) => [key, stored[key]])),
    headers: mergedHeaders(stored.headers ?? {}, options.headers),
  };
  return { options: merged, taken: new Set(taken) };
}

/** Names of headers are the same in any case. */
function mergedHeaders(endpoint: StreamOptions['headers'], stream: StreamOptions['headers']): StreamOptions['headers'] {
  const own = new Set(Object.keys(stream).map((name) => name.toLowerCase()));
  const kept = Object.entries(endpoint).filter(([name]) => !own.has(name.toLowerCase()));
  return Object.fromEntries([...kept, ...Object.entries(stream)]);
}
