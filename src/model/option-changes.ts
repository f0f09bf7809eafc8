import { PgError } from '../postgres/sqlstate.ts';
import type { OptionKey, StreamOptions } from './stream-options.ts';
import { DEFAULT_STREAM_OPTIONS, headersBytes, MAX_HEADERS_BYTES } from './stream-options.ts';

/** Options and which of them somebody has written: SHOW CREATE prints those, and an endpoint's go before the others. */
export interface OptionSet {
  readonly options: StreamOptions;
  /** In the order of `StreamOptions`. */
  readonly givenOptions: readonly OptionKey[];
}

/** What `WITH (…)`, `SET (…)` or `RESET (…)` asks for. */
export interface OptionChanges {
  readonly set: Partial<StreamOptions>;
  /** `"header.X-Foo" = 'v'`: single headers, added to those there are or put in their place. */
  readonly setHeaders: Readonly<Record<string, string>>;
  readonly reset: readonly OptionKey[];
  /** `RESET ("header.X-Foo")`. */
  readonly resetHeaders: readonly string[];
}

export const NO_CHANGES: OptionChanges = Object.freeze({ set: {}, setHeaders: {}, reset: [], resetHeaders: [] });

/** Options that cannot stand together. */
export interface OptionConflict {
  readonly message: string;
  readonly detail: string;
  readonly keys: readonly OptionKey[];
  readonly hint?: string | null;
}

/** The options after the changes. 22023 where they cannot stand together. */
export function applyOptionChanges(before: OptionSet, changes: OptionChanges): OptionSet {
  const reset = Object.fromEntries(changes.reset.map((key) => [key, DEFAULT_STREAM_OPTIONS[key]]));
  const changed: StreamOptions = { ...before.options, ...reset, ...changes.set };
  const headers = changedHeaders(changed.headers, changes);
  const options: StreamOptions = Object.freeze({ ...changed, headers });
  const conflict = conflictOf(options);
  if (conflict !== null) throw new PgError('invalid_parameter_value', conflict.message, { detail: conflict.detail });
  const given = new Set<OptionKey>(before.givenOptions);
  for (const key of changes.reset) given.delete(key);
  for (const key of Object.keys(changes.set) as OptionKey[]) given.add(key);
  if (Object.keys(changes.setHeaders).length > 0) given.add('headers');
  if (Object.keys(headers).length === 0 && changes.resetHeaders.length > 0) given.delete('headers');
  const givenOptions = (Object.keys(DEFAULT_STREAM_OPTIONS) as OptionKey[]).filter((key) => given.has(key));
  return { options, givenOptions };
}

/** Names of headers are the same in any case. */
function changedHeaders(before: StreamOptions['headers'], changes: OptionChanges): StreamOptions['headers'] {
  const replaced = [...Object.keys(changes.setHeaders), ...changes.resetHeaders].map((name) => name.toLowerCase());
  if (replaced.length === 0) return before;
  const gone = new Set(replaced);
  const kept = Object.entries(before).filter(([name]) => !gone.has(name.toLowerCase()));
  return Object.freeze(Object.fromEntries([...kept, ...Object.entries(changes.setHeaders)]));
}

const AUTHENTICATION = { bearerToken: 'bearer_token', basicAuth: 'basic_auth', authHeader: 'auth_header' } as const;

const CLIENT_CERTIFICATES = [
  ['', 'tlsClientCert', 'tlsClientKey'],
  ['schema_registry_', 'schemaRegistryTlsClientCert', 'schemaRegistryTlsClientKey'],
] as const;

/** What of the options cannot stand together, or null. */
export function conflictOf(options: StreamOptions): OptionConflict | null {
  if (options.initialBackoffMs > options.maxBackoffMs) {
    return {
      message: 'initial_backoff is longer than max_backoff',
      detail: `initial_backoff is ${options.initialBackoffMs} ms and max_backoff ${options.maxBackoffMs} ms.`,
      keys: ['initialBackoffMs', 'maxBackoffMs'],
    };
  }
  const keys = (['bearerToken', 'basicAuth', 'authHeader'] as const).filter((key) => options[key] !== null);
  if (keys.length > 1) {
    const names = keys.map((key) => AUTHENTICATION[key]);
    return {
      message: `${names[0]} and ${names[1]} exclude each other`,
      detail: 'A stream has at most one of bearer_token, basic_auth and auth_header.',
      keys,
    };
  }
  if (options.schemaRegistryBasicAuth !== null && options.schemaRegistryBearerToken !== null) {
    return {
      message: 'schema_registry_basic_auth and schema_registry_bearer_token exclude each other',
      detail: 'A stream shows itself to the schema registry in one way.',
      keys: ['schemaRegistryBasicAuth', 'schemaRegistryBearerToken'],
    };
  }
  for (const [prefix, ...pair] of CLIENT_CERTIFICATES) {
    const [cert, key] = pair;
    if ((options[cert] === null) === (options[key] === null)) continue;
    return {
      message: `${prefix}tls_client_cert and ${prefix}tls_client_key need each other`,
      detail: 'A client certificate is of no use without its key.',
      keys: pair,
      hint: 'Give both.',
    };
  }
  const twice = headerTwice(options);
  if (twice !== null) return twice;
  if (headersBytes(options.headers) > MAX_HEADERS_BYTES) {
    return {
      message: 'too many headers',
      detail: `All headers together have at most ${MAX_HEADERS_BYTES} bytes.`,
      keys: ['headers'],
    };
  }
  return null;
}

const NAMED_HEADERS = {
  idempotencyHeader: 'idempotency_header',
  sourceSchemaHeader: 'source_schema_header',
  sourceTableHeader: 'source_table_header',
} as const;

/** A request has each header once: those that delivery sets under a name of one's choice, and the static ones. */
function headerTwice(options: StreamOptions): OptionConflict | null {
  const seen = new Map<string, OptionKey>();
  for (const name of Object.keys(options.headers)) seen.set(name.toLowerCase(), 'headers');
  const keys = options.sourceHeaders
    ? (['idempotencyHeader', 'sourceSchemaHeader', 'sourceTableHeader'] as const)
    : (['idempotencyHeader'] as const);
  for (const key of keys) {
    const name = options[key].toLowerCase();
    const other = seen.get(name);
    if (other !== undefined && name !== '') {
      const others = other === 'headers' ? 'headers' : NAMED_HEADERS[other as typeof key];
      return {
        message: `${NAMED_HEADERS[key]} and ${others} name the same header`,
        detail: `A request has the header ${options[key]} once.`,
        keys: [other, key],
      };
    }
    seen.set(name, key);
  }
  return null;
}
