import { after } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import type { ResolvedSecrets } from '../../src/model/resolved-stream.ts';
import { SecretValue } from '../../src/model/secret.ts';
import type { SecretOptionKey } from '../../src/model/secret-use.ts';
import { DEFAULT_STREAM_OPTIONS, type StreamOptions } from '../../src/model/stream-options.ts';
import type { Outcome, SinkBatch } from '../../src/sinks/sink.ts';
import { AddressGuard, parseEgressAllow } from '../../src/sinks/address-guard.ts';
import { WebhookSink, type WebhookSinkOptions } from '../../src/sinks/webhook/webhook-sink.ts';

export const BATCH: SinkBatch = {
  requestId: '019b8d8a-7b6f-7c3f-8f83-b22a9aa26cff',
  body: Buffer.from('{"id":"019b8d8a-7b6f-7c3f-8f83-b22a9aa26cff"}'),
  contentType: 'application/json',
  events: 1,
  attempt: 3,
  stream: 'orders_cdc_stream',
  table: { schema: 'public', name: 'orders' },
  path: '',
};
const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];

export type SinkChanges = Omit<Partial<WebhookSinkOptions>, 'options'> & { readonly options?: Partial<StreamOptions> };

/** A sink that may call loopback, closed when the test ends. */
export function sinkFor(
  url: string,
  { options, ...changes }: SinkChanges = {},
  allow: readonly string[] = LOOPBACK,
): WebhookSink {
  const sink = new WebhookSink({
    url,
    options: { ...DEFAULT_STREAM_OPTIONS, requestTimeoutMs: 10_000, ...options },
    secrets: {},
    userAgent: 'walhook/0.0.0',
    guard: new AddressGuard(parseEgressAllow(allow)),
    clock: systemClock,
    ...changes,
  });
  after(() => sink.close());
  return sink;
}

/** The options and the values of secrets, the newest of each first. */
export function withSecrets(
  values: Partial<Record<SecretOptionKey, string | readonly string[]>>,
  options: Partial<StreamOptions> = {},
): { readonly options: Partial<StreamOptions>; readonly secrets: ResolvedSecrets } {
  const entries = Object.entries(values) as [SecretOptionKey, string | readonly string[]][];
  return {
    options: { ...options, ...Object.fromEntries(entries.map(([key]) => [key, { kind: 'secret', name: key }])) },
    secrets: Object.fromEntries(
      entries.map(([key, texts]) => [
        key,
        { values: [texts].flat().map((text) => new SecretValue(text)), problem: null },
      ]),
    ),
  };
}

export function send(sink: WebhookSink, batch: SinkBatch = BATCH): Promise<Outcome> {
  return sink.send(batch, new AbortController().signal);
}

/** `transient http_500`, or `ok`. */
export function brief(outcome: Outcome): string {
  return outcome.class === 'ok' || outcome.class === 'cancelled' ? outcome.class : `${outcome.class} ${outcome.code}`;
}

/** What came of it, without what took how long. */
export function untimed(outcome: Outcome): Outcome {
  const { phases: _, ...rest } = { phases: undefined, ...outcome };
  return rest;
}
