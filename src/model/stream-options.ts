import type { OptionSecret } from './secret.ts';

/** A stream's options, defaults filled in. Times in milliseconds, sizes in bytes; null where nothing is the default. */
export interface StreamOptions {
  readonly batchMaxEvents: number;
  readonly batchMaxBytes: number;
  /** 0: what is ready is sent at once. */
  readonly batchMaxDelayMs: number;
  readonly ordering: 'key' | 'table' | 'stream' | 'none';
  readonly maxInFlight: number;
  readonly requestTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** 0: unlimited. */
  readonly maxRetries: number;
  /** 0: unlimited. */
  readonly maxRetryDurationMs: number;
  readonly initialBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly onExhausted: 'dead_letter' | 'pause';
  readonly onDeadLetter: 'continue' | 'block_key';
  readonly onOversize: 'send' | 'thin' | 'dead_letter';
  readonly maxEventBytes: number;
  readonly circuitBreaker: boolean;
  /** 0: unlimited. */
  readonly maxRequestsPerSecond: number;
  /** 0: unlimited. */
  readonly maxBytesPerSecond: number;
  /** snappy and lz4 are Kafka's alone, br the webhook's. */
  readonly compression: 'none' | 'gzip' | 'br' | 'zstd' | 'snappy' | 'lz4';
  readonly method: 'POST' | 'PUT';
  readonly pathTemplate: string;
  /** Request headers, names as written. Values may have placeholders. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of this, `basicAuth` and `authHeader` one at most is not null. */
  readonly bearerToken: OptionSecret | null;
  readonly basicAuth: OptionSecret | null;
  readonly authHeader: OptionSecret | null;
  readonly signingSecret: OptionSecret | null;
  /** Empty: none is sent. */
  readonly idempotencyHeader: string;
  readonly sourceHeaders: boolean;
  readonly sourceSchemaHeader: string;
  readonly sourceTableHeader: string;
  readonly tlsCa: OptionSecret | null;
  readonly tlsClientCert: OptionSecret | null;
  readonly tlsClientKey: OptionSecret | null;
  readonly tlsInsecureSkipVerify: boolean;
  readonly initialScan: 'no' | 'yes' | 'only';
  /** In text; null: where the log stands at CREATE. */
  readonly startLsn: string | null;
  readonly retentionMs: number;
  readonly onGap: 'halt' | 'backfill';
  readonly gapEvents: boolean;
  readonly unchangedToast: 'omit' | 'fetch';
  readonly numbers: 'string' | 'number';
  readonly includeTransaction: boolean;
  readonly schemaChangePolicy: 'continue' | 'pause' | 'emit';
  readonly validate: boolean;
  // Kafka's.
  readonly acks: 'all' | '1' | '0';
  readonly clientId: string;
  readonly saslMechanism: 'none' | 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly saslUsername: string;
  readonly saslPassword: OptionSecret | null;
  readonly tls: boolean;
  readonly partitioner: 'murmur2' | 'crc32' | 'round_robin';
  readonly topicTemplate: string;
  // Of FORMAT AVRO.
  /** Empty: there is none. */
  readonly schemaRegistryUrl: string;
  /** Of these two one at most is not null. */
  readonly schemaRegistryBasicAuth: OptionSecret | null;
  readonly schemaRegistryBearerToken: OptionSecret | null;
  readonly schemaRegistryTlsCa: OptionSecret | null;
  readonly schemaRegistryTlsClientCert: OptionSecret | null;
  readonly schemaRegistryTlsClientKey: OptionSecret | null;
  readonly schemaRegistrySubjects: 'topic' | 'record' | 'topic_record';
}

export type OptionKey = keyof StreamOptions;

/** What a stream has when nothing is said. */
export const DEFAULT_STREAM_OPTIONS: StreamOptions = Object.freeze({
  batchMaxEvents: 1,
  batchMaxBytes: 1_048_576,
  batchMaxDelayMs: 0,
  ordering: 'key',
  maxInFlight: 16,
  requestTimeoutMs: 30_000,
  connectTimeoutMs: 5000,
  maxRetries: 0,
  maxRetryDurationMs: 86_400_000,
  initialBackoffMs: 1000,
  maxBackoffMs: 300_000,
  onExhausted: 'dead_letter',
  onDeadLetter: 'continue',
  onOversize: 'thin',
  maxEventBytes: 1_048_576,
  circuitBreaker: true,
  maxRequestsPerSecond: 0,
  maxBytesPerSecond: 0,
  compression: 'none',
  method: 'POST',
  pathTemplate: '',
  headers: Object.freeze({}),
  bearerToken: null,
  basicAuth: null,
  authHeader: null,
  signingSecret: null,
  idempotencyHeader: 'Idempotency-Key',
  sourceHeaders: true,
  sourceSchemaHeader: 'X-Source-Schema',
  sourceTableHeader: 'X-Source-Table',
  tlsCa: null,
  tlsClientCert: null,
  tlsClientKey: null,
  tlsInsecureSkipVerify: false,
  initialScan: 'no',
  startLsn: null,
  retentionMs: 0,
  onGap: 'halt',
  gapEvents: false,
  unchangedToast: 'omit',
  numbers: 'string',
  includeTransaction: true,
  schemaChangePolicy: 'continue',
  validate: true,
  acks: 'all',
  clientId: 'walhook',
  saslMechanism: 'none',
  saslUsername: '',
  saslPassword: null,
  tls: false,
  partitioner: 'murmur2',
  topicTemplate: '',
  schemaRegistryUrl: '',
  schemaRegistryBasicAuth: null,
  schemaRegistryBearerToken: null,
  schemaRegistryTlsCa: null,
  schemaRegistryTlsClientCert: null,
  schemaRegistryTlsClientKey: null,
  schemaRegistrySubjects: 'topic',
});

/** The options that belong to a destination, and so may stand at an endpoint; a stream's own go before them. */
export const ENDPOINT_OPTION_KEYS = [
  'requestTimeoutMs',
  'connectTimeoutMs',
  'compression',
  'method',
  'pathTemplate',
  'headers',
  'bearerToken',
  'basicAuth',
  'authHeader',
  'signingSecret',
  'idempotencyHeader',
  'sourceHeaders',
  'sourceSchemaHeader',
  'sourceTableHeader',
  'tlsCa',
  'tlsClientCert',
  'tlsClientKey',
  'tlsInsecureSkipVerify',
] as const satisfies readonly OptionKey[];

/** The options that say where schemas are registered, and how. */
export const SCHEMA_REGISTRY_OPTION_KEYS = [
  'schemaRegistryUrl',
  'schemaRegistryBasicAuth',
  'schemaRegistryBearerToken',
  'schemaRegistryTlsCa',
  'schemaRegistryTlsClientCert',
  'schemaRegistryTlsClientKey',
  'schemaRegistrySubjects',
] as const satisfies readonly OptionKey[];

/** The options that belong to Kafka besides, and stand at no endpoint. */
export const KAFKA_OPTION_KEYS = [
  'acks',
  'clientId',
  'saslMechanism',
  'saslUsername',
  'saslPassword',
  'tls',
  'partitioner',
  'topicTemplate',
  ...SCHEMA_REGISTRY_OPTION_KEYS,
] as const satisfies readonly OptionKey[];

/** What an endpoint says; what it does not is left to each stream. */
export type EndpointOptions = Partial<Pick<StreamOptions, (typeof ENDPOINT_OPTION_KEYS)[number]>>;

/**
 * Of one stream's headers, names and values together, as they are written and as they are sent: receivers commonly refuse
 * heads above 8 kB.
 */
export const MAX_HEADERS_BYTES = 4096;

export function headersBytes(headers: StreamOptions['headers']): number {
  return Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
}
