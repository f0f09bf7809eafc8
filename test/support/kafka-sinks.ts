import { after } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import type { SecretOptionKey } from '../../src/model/secret-use.ts';
import { SecretValue } from '../../src/model/secret.ts';
import { DEFAULT_STREAM_OPTIONS, type StreamOptions } from '../../src/model/stream-options.ts';
import { AddressGuard, parseEgressAllow } from '../../src/sinks/address-guard.ts';
import { KafkaSink } from '../../src/sinks/kafka/kafka-sink.ts';
import type { Outcome, SinkBatch, SinkRecord } from '../../src/sinks/sink.ts';
import type { CertificateAndKey } from './certificates.ts';

export interface KafkaSinkShape {
  readonly brokers: string;
  /** Null: `topic_template` says. */
  readonly topic?: string | null;
  readonly options?: Partial<StreamOptions>;
  readonly password?: string;
  readonly ca?: string;
  /** tls_client_cert and tls_client_key. */
  readonly certificate?: CertificateAndKey;
  /** Secrets of the schema registry's options. */
  readonly registry?: Partial<Record<Extract<SecretOptionKey, `schemaRegistry${string}`>, string>>;
  readonly allow?: readonly string[];
  readonly onRefused?: () => void;
}

/** A sink as a stream has it, closed with the test file. */
export function kafkaSink(shape: KafkaSinkShape): KafkaSink {
  const { brokers, topic = 't', options = {}, password, ca, certificate, allow = ['127.0.0.1'], onRefused } = shape;
  const secrets: Partial<Record<SecretOptionKey, string>> = {
    ...(password === undefined ? {} : { saslPassword: password }),
    ...(ca === undefined ? {} : { tlsCa: ca }),
    ...(certificate === undefined ? {} : { tlsClientCert: certificate.cert, tlsClientKey: certificate.key }),
    ...shape.registry,
  };
  const sink = new KafkaSink({
    destination: { kind: 'kafka', brokers, topic },
    stream: 's',
    database: 'd',
    options: {
      ...DEFAULT_STREAM_OPTIONS,
      requestTimeoutMs: 10_000,
      ...Object.fromEntries(Object.entries(secrets).map(([key, text]) => [key, new SecretValue(text)])),
      ...options,
    },
    secrets: Object.fromEntries(
      Object.entries(secrets).map(([key, text]) => [key, { values: [new SecretValue(text)], problem: null }]),
    ),
    guard: new AddressGuard(parseEgressAllow(allow)),
    clock: systemClock,
    random: systemRandom,
    userAgent: 'walhook/test',
    ...(onRefused === undefined ? {} : { onRefused }),
  });
  after(() => sink.close());
  return sink;
}

/** An event of one record. */
export function record(event: number, key: string | null, value: string | null = `{"n":${event}}`): SinkRecord {
  return {
    id: `id-${event}`,
    event,
    operation: 'insert',
    schema: 'public',
    table: 'orders',
    lsn: '0/1',
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    order: null,
  };
}

export function batchOf(records: readonly SinkRecord[], more: Partial<SinkBatch> = {}): SinkBatch {
  return {
    requestId: 'request',
    body: Buffer.alloc(0),
    records,
    contentType: 'application/json',
    events: new Set(records.map(({ event }) => event)).size,
    attempt: 1,
    stream: 's',
    table: null,
    path: '',
    ...more,
  };
}

export function send(sink: KafkaSink, records: readonly SinkRecord[], more?: Partial<SinkBatch>): Promise<Outcome> {
  return sink.send(batchOf(records, more), new AbortController().signal);
}

export const OK: Outcome = { class: 'ok', status: null, failed: [] };
