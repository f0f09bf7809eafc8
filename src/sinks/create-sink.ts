import { assert } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { ResolvedStream } from '../model/resolved-stream.ts';
import type { AddressGuard } from './address-guard.ts';
import { KafkaSink } from './kafka/kafka-sink.ts';
import type { Sink } from './sink.ts';
import { WebhookSink } from './webhook/webhook-sink.ts';

export interface SinkContext {
  readonly guard: AddressGuard;
  readonly userAgent: string;
  readonly clock: Clock;
  readonly random: Random;
  /** The credentials were refused: one may look whether they have changed. */
  readonly onRefused?: () => void;
}

/** The sink of a stream's destination: the one place that knows which kinds there are. */
export function createSink(stream: ResolvedStream, { userAgent, ...context }: SinkContext): Sink {
  const { destination, options, secrets = {}, name, database } = stream;
  if (destination.kind === 'kafka') {
    return new KafkaSink({ ...context, userAgent, destination, stream: name, database, options, secrets });
  }
  assert(destination.kind === 'webhook', 'endpoints are resolved before');
  return new WebhookSink({ ...context, url: destination.url, options, secrets, userAgent });
}
