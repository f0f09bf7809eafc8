import { settableName } from '../model/header-rules.ts';
import { KEY_PLACEHOLDER, PLACEHOLDER } from '../model/placeholders.ts';
import type { OptionKey } from '../model/stream-options.ts';

export type OptionType = 'int' | 'bool' | 'bytes' | 'interval' | 'enum' | 'text' | 'json' | 'secret' | 'pg_lsn';

interface OptionAlias {
  readonly name: string;
  /** A bare number of seconds, where the alias has the unit in its name. */
  readonly unit?: 's';
}

/** One option of a stream. The reference is printed from these. */
export interface StreamOption {
  readonly name: string;
  readonly key: OptionKey;
  readonly type: OptionType;
  /** As one would write it without quotes; null: nothing is the default. */
  readonly default: string | null;
  readonly text: string;
  readonly aliases: readonly OptionAlias[];
  /** As one would write them; of a number, size or interval. */
  readonly range: readonly [min: string, max: string] | null;
  /** Of an enum, as they are stored. */
  readonly values: readonly string[];
  /** Of a text: what it must look like, and that in words. */
  readonly pattern: { readonly test: RegExp; readonly words: string } | null;
  /** Said at CREATE and never changed. */
  readonly isFixed: boolean;
  /** Means nothing elsewhere. */
  readonly destination: 'webhook' | 'kafka' | 'any';
}

type Details = Partial<Pick<StreamOption, 'range' | 'values' | 'pattern' | 'isFixed' | 'destination'>> & {
  readonly aliases?: readonly (string | OptionAlias)[];
};

function option(
  name: string,
  key: OptionKey,
  type: OptionType,
  byDefault: string | null,
  text: string,
  details: Details = {},
): StreamOption {
  const { aliases = [], range = null, values = [], pattern = null, isFixed = false, destination = 'any' } = details;
  const named = aliases.map((alias) => (typeof alias === 'string' ? { name: alias } : alias));
  return { name, key, type, default: byDefault, text, aliases: named, range, values, pattern, isFixed, destination };
}

const SETTABLE = 'names of headers that delivery does not set otherwise';
const HEADER_NAME = { test: settableName(1), words: SETTABLE };
const OPTIONAL_HEADER_NAME = { test: settableName(0), words: `${SETTABLE}, or ''` };
const PATH_TEMPLATE = {
  // What is not a place holder is what a path or query may hold (RFC 3986, 3.3 and 3.4).
  test: new RegExp(`^(?:[A-Za-z0-9\\-._~!$&'()*+,;=:@/?%]|${PLACEHOLDER}|${KEY_PLACEHOLDER}){0,2048}$`),
  words: 'paths with {database}, {schema}, {table}, {op}, {stream} and {key.column}',
};
const TOPIC_TEMPLATE = {
  test: new RegExp(`^(?:[A-Za-z0-9._-]|${PLACEHOLDER}){0,249}$`),
  words: 'names of topics with {database}, {schema}, {table}, {op} and {stream}',
};
const REGISTRY_URL = {
  test: /^(?:|https?:\/\/[^\s/?#@\p{Cc}]{1,255}(?:\/[^\s?#\p{Cc}]{0,1000})?)$/u,
  words: 'http and https URLs without user, query and fragment',
};
const SHORT_TEXT = { test: /^[^\p{Cc}]{0,250}$/u, words: 'texts of at most 250 characters, none a control character' };

const WEBHOOK = 'webhook';
const KAFKA = 'kafka';

/** Every option of `CREATE CDC STREAM … WITH (…)`; `"header.X-Foo"` besides. */
export const STREAM_OPTIONS: readonly StreamOption[] = Object.freeze([
  option('batch_max_events', 'batchMaxEvents', 'int', '1', 'events in one request at most', {
    aliases: ['batch_size', 'max_batch_size'],
    range: ['1', '10000'],
  }),
  option(
    'batch_max_bytes',
    'batchMaxBytes',
    'bytes',
    '1MB',
    'bytes of one request body at most; a single larger event is sent alone',
    { aliases: ['max_payload_bytes'], range: ['1kB', '64MB'] },
  ),
  option('batch_max_delay', 'batchMaxDelayMs', 'interval', '0ms', 'wait for a fuller batch; 0 sends what is ready', {
    range: ['0ms', '1h'],
  }),
  option('ordering', 'ordering', 'enum', 'key', 'what two requests in flight never share', {
    values: ['key', 'table', 'stream', 'none'],
  }),
  option(
    'max_in_flight',
    'maxInFlight',
    'int',
    '16',
    'concurrent requests of the stream at most; two never share a key',
    {
      range: ['1', '10000'],
    },
  ),
  option(
    'request_timeout',
    'requestTimeoutMs',
    'interval',
    '30s',
    'from the beginning of a request to the end of its answer',
    { aliases: ['timeout', { name: 'timeout_secs', unit: 's' }], range: ['1ms', '1h'] },
  ),
  option('connect_timeout', 'connectTimeoutMs', 'interval', '5s', 'to a connection, TLS included', {
    range: ['1ms', '1h'],
  }),
  option(
    'max_retries',
    'maxRetries',
    'int',
    '0',
    'retries of a request that fails; 0 is unlimited, but for a rejected event, which has four at most',
    {
      range: ['0', '1000000'],
    },
  ),
  option('max_retry_duration', 'maxRetryDurationMs', 'interval', '24h', 'retries of one request; 0 is unlimited', {
    range: ['0s', '365d'],
  }),
  option(
    'initial_backoff',
    'initialBackoffMs',
    'interval',
    '1s',
    'wait before the first retry; doubles with each, ±20 % jitter; a rejected event has waits of its own',
    { range: ['1ms', '1d'] },
  ),
  option('max_backoff', 'maxBackoffMs', 'interval', '5min', 'longest wait between two retries', {
    range: ['1ms', '7d'],
  }),
  option('on_exhausted', 'onExhausted', 'enum', 'dead_letter', 'what happens after the last retry', {
    values: ['dead_letter', 'pause'],
  }),
  option(
    'on_dead_letter',
    'onDeadLetter',
    'enum',
    'continue',
    `whether a key goes on after one of its events was parked`,
    {
      values: ['continue', 'block_key'],
    },
  ),
  option('on_oversize', 'onOversize', 'enum', 'thin', 'what happens to an event above max_event_bytes', {
    values: ['send', 'thin', 'dead_letter'],
  }),
  option('max_event_bytes', 'maxEventBytes', 'bytes', '1MB', 'above it on_oversize says what happens', {
    range: ['1kB', '64MB'],
  }),
  option(
    'circuit_breaker',
    'circuitBreaker',
    'bool',
    'true',
    'whether an endpoint that fails is left alone for a while',
  ),
  option('max_requests_per_second', 'maxRequestsPerSecond', 'int', '0', 'requests a second; 0 is unlimited', {
    range: ['0', '1000000'],
  }),
  option('max_bytes_per_second', 'maxBytesPerSecond', 'bytes', '0', 'bytes of bodies a second; 0 is unlimited', {
    range: ['0', '100GB'],
  }),
  option('compression', 'compression', 'enum', 'none', 'of bodies; snappy and lz4 to Kafka, br to webhooks only', {
    values: ['none', 'gzip', 'br', 'zstd', 'snappy', 'lz4'],
  }),
  option('method', 'method', 'enum', 'POST', 'of requests', { values: ['POST', 'PUT'], destination: WEBHOOK }),
  option(
    'path_template',
    'pathTemplate',
    'text',
    '',
    'appended to the URL; {database}, {schema}, {table}, {op}, {stream} and {key.column} stand for the event’s',
    { pattern: PATH_TEMPLATE, destination: WEBHOOK },
  ),
  option(
    'headers',
    'headers',
    'json',
    '{}',
    'JSON object of request headers, whose values may have the places of path_template; one alone: `"header.X-Foo" = \'v\'`',
    {
      destination: WEBHOOK,
    },
  ),
  option('bearer_token', 'bearerToken', 'secret', null, 'sent as `Authorization: Bearer …`', { destination: WEBHOOK }),
  option('basic_auth', 'basicAuth', 'secret', null, '`user:password`, sent as `Authorization: Basic …`', {
    destination: WEBHOOK,
  }),
  option('auth_header', 'authHeader', 'secret', null, 'a whole header, as in `X-Api-Key: …`', { destination: WEBHOOK }),
  option('signing_secret', 'signingSecret', 'secret', null, 'signs requests as Standard Webhooks has it', {
    destination: WEBHOOK,
  }),
  option(
    'idempotency_header',
    'idempotencyHeader',
    'text',
    'Idempotency-Key',
    `the header of the request’s id; '' for none`,
    {
      pattern: OPTIONAL_HEADER_NAME,
      destination: WEBHOOK,
    },
  ),
  option('source_headers', 'sourceHeaders', 'bool', 'true', 'whether schema and table are sent as headers', {
    destination: WEBHOOK,
  }),
  option('source_schema_header', 'sourceSchemaHeader', 'text', 'X-Source-Schema', 'the header of the schema', {
    pattern: HEADER_NAME,
    destination: WEBHOOK,
  }),
  option('source_table_header', 'sourceTableHeader', 'text', 'X-Source-Table', 'the header of the table', {
    pattern: HEADER_NAME,
    destination: WEBHOOK,
  }),
  option('tls_ca', 'tlsCa', 'secret', null, 'who signs the endpoint’s certificate, in PEM'),
  option('tls_client_cert', 'tlsClientCert', 'secret', null, 'certificate to show to the endpoint, in PEM'),
  option('tls_client_key', 'tlsClientKey', 'secret', null, 'key of tls_client_cert, in PEM'),
  option('tls_insecure_skip_verify', 'tlsInsecureSkipVerify', 'bool', 'false', 'takes any certificate: for tests'),
  option('initial_scan', 'initialScan', 'enum', 'no', 'whether the rows that are there are sent first', {
    aliases: ['snapshot'],
    values: ['no', 'yes', 'only'],
    isFixed: true,
  }),
  option('start_lsn', 'startLsn', 'pg_lsn', null, 'where to begin in the retained log', { isFixed: true }),
  option('retention', 'retentionMs', 'interval', '0s', 'keeps delivered events for REPLAY', { range: ['0s', '365d'] }),
  option(
    'on_gap',
    'onGap',
    'enum',
    'halt',
    'what happens where changes were lost to the slot: the stream waits for ALTER … RESUME, or reads its tables again',
    { values: ['halt', 'backfill'] },
  ),
  option('gap_events', 'gapEvents', 'bool', 'false', 'whether a gap is sent, as an insert into `cdc.gap`'),
  option('unchanged_toast', 'unchangedToast', 'enum', 'omit', 'large values that an update left alone', {
    values: ['omit', 'fetch'],
  }),
  option('numbers', 'numbers', 'enum', 'string', 'bigint and numeric in JSON', {
    values: ['string', 'number'],
    isFixed: true,
  }),
  option('include_transaction', 'includeTransaction', 'bool', 'true', 'xid, LSN, commit time and index in each event'),
  option(
    'schema_change_policy',
    'schemaChangePolicy',
    'enum',
    'continue',
    'what happens when a table changes its columns',
    {
      values: ['continue', 'pause', 'emit'],
    },
  ),
  option(
    'validate',
    'validate',
    'bool',
    'true',
    'one `cdc.test` request at CREATE, and when the destination changes; of Kafka it is asked whether one may write to the topic',
  ),
  option('acks', 'acks', 'enum', 'all', 'replicas that must have a message; all of them: and each message once', {
    values: ['all', '1', '0'],
    destination: KAFKA,
  }),
  option('client_id', 'clientId', 'text', 'walhook', 'the name by which brokers know walhook', {
    pattern: SHORT_TEXT,
    destination: KAFKA,
  }),
  option('sasl_mechanism', 'saslMechanism', 'enum', 'none', 'how to log in', {
    values: ['none', 'plain', 'scram-sha-256', 'scram-sha-512'],
    destination: KAFKA,
  }),
  option('sasl_username', 'saslUsername', 'text', '', 'who logs in', { pattern: SHORT_TEXT, destination: KAFKA }),
  option('sasl_password', 'saslPassword', 'secret', null, 'the password of sasl_username', { destination: KAFKA }),
  option('tls', 'tls', 'bool', 'false', 'whether brokers are reached by TLS', { destination: KAFKA }),
  option(
    'partitioner',
    'partitioner',
    'enum',
    'murmur2',
    'which partition a key goes to: murmur2 as Kafka’s own client has it, crc32 as librdkafka; round_robin keeps no order',
    {
      values: ['murmur2', 'crc32', 'round_robin'],
      destination: KAFKA,
    },
  ),
  option(
    'topic_template',
    'topicTemplate',
    'text',
    '',
    'the topic of each event, instead of TOPIC, as in {schema}.{table}',
    {
      pattern: TOPIC_TEMPLATE,
      destination: KAFKA,
    },
  ),
  option('schema_registry_url', 'schemaRegistryUrl', 'text', '', 'where the schemas of FORMAT AVRO are registered', {
    pattern: REGISTRY_URL,
    destination: KAFKA,
  }),
  option(
    'schema_registry_basic_auth',
    'schemaRegistryBasicAuth',
    'secret',
    null,
    '`user:password` for the schema registry',
    { destination: KAFKA },
  ),
  option('schema_registry_bearer_token', 'schemaRegistryBearerToken', 'secret', null, 'token for the schema registry', {
    destination: KAFKA,
  }),
  option(
    'schema_registry_tls_ca',
    'schemaRegistryTlsCa',
    'secret',
    null,
    'who signs the schema registry’s certificate, in PEM',
    { destination: KAFKA },
  ),
  option(
    'schema_registry_tls_client_cert',
    'schemaRegistryTlsClientCert',
    'secret',
    null,
    'certificate to show to the schema registry, in PEM',
    { destination: KAFKA },
  ),
  option(
    'schema_registry_tls_client_key',
    'schemaRegistryTlsClientKey',
    'secret',
    null,
    'key of schema_registry_tls_client_cert, in PEM',
    { destination: KAFKA },
  ),
  option(
    'schema_registry_subjects',
    'schemaRegistrySubjects',
    'enum',
    'topic',
    'what schemas are registered under: `<topic>-key` and `<topic>-value`, the record’s name, or both',
    { values: ['topic', 'record', 'topic_record'], destination: KAFKA },
  ),
]);
