import { connectionFailure } from '../connection-failure.ts';
import type { FailureClass, FailureOutcome } from '../sink.ts';
import { KafkaFormatError } from './bytes.ts';
import { ScramError } from './scram.ts';

/*
  What a broker's error code means. One table; nothing else decides by code.
  https://kafka.apache.org/protocol#protocol_error_codes
*/

/**
 * What is done about an error before it is an outcome.
 *
 * - `none`: nothing
 * - `again`: the same once more, in a while
 * - `elsewhere`: once more, where the topic's leaders are now
 * - `anew`: once more, under a new producer id
 */
export type Remedy = 'none' | 'again' | 'elsewhere' | 'anew';

type Row = readonly [class_: FailureClass, code: string, reason: string, remedy?: Remedy];

export const SUCCESS = 0;
/** The batch is there already. */
export const DUPLICATE_SEQUENCE = 46;

const TOO_LARGE = 'message_too_large';

const ERRORS: ReadonlyMap<number, Row> = new Map<number, Row>([
  [-1, ['transient', 'broker_error', 'the broker failed']],
  [2, ['transient', 'corrupt_message', 'the broker received other bytes than were sent', 'again']],
  [3, ['misconfigured', 'unknown_topic', 'the topic does not exist, or may not be seen', 'elsewhere']],
  [5, ['transient', 'no_leader', 'the partition has no leader now', 'elsewhere']],
  [6, ['transient', 'not_leader', 'the partition has another leader now', 'elsewhere']],
  [7, ['transient', 'broker_timeout', 'the replicas did not answer the broker in time', 'again']],
  [8, ['transient', 'broker_not_available', 'the broker is not available', 'elsewhere']],
  [9, ['transient', 'replica_not_available', 'the replica is not available', 'elsewhere']],
  [10, ['rejected', TOO_LARGE, 'the message is larger than the topic allows (max.message.bytes)']],
  [13, ['transient', 'network_exception', 'the broker was cut off', 'elsewhere']],
  [14, ['transient', 'coordinator_loading', 'the broker is starting', 'again']],
  [15, ['transient', 'coordinator_not_available', 'the broker is starting', 'again']],
  [17, ['misconfigured', 'invalid_topic', 'the topic has no valid name']],
  [18, ['rejected', TOO_LARGE, 'the messages are larger than a segment of the topic']],
  [19, ['transient', 'not_enough_replicas', 'fewer replicas are in sync than the topic wants', 'again']],
  [20, ['transient', 'not_enough_replicas', 'fewer replicas took the message than the topic wants', 'again']],
  [21, ['misconfigured', 'invalid_acks', 'the broker does not take these acks']],
  [29, ['misconfigured', 'topic_authorization', 'one may not write to the topic']],
  [31, ['misconfigured', 'cluster_authorization', 'one may not write idempotently here, which acks = all does']],
  [32, ['rejected', 'invalid_timestamp', 'the broker does not take the time of the message']],
  [33, ['misconfigured', 'sasl_mechanism', 'the broker does not know the sasl_mechanism']],
  [34, ['misconfigured', 'sasl_state', 'the broker expects another log-in']],
  [35, ['misconfigured', 'unsupported_version', 'the broker is older than Kafka 1.0']],
  [41, ['transient', 'not_controller', 'the broker is not the controller any more', 'elsewhere']],
  [42, ['rejected', 'invalid_request', 'the broker does not take the request']],
  [43, ['misconfigured', 'message_format', 'the topic has an old message format']],
  [44, ['rejected', 'policy_violation', 'a policy of the broker forbids it']],
  [45, ['transient', 'out_of_order_sequence', 'the broker has lost count of the messages', 'anew']],
  [47, ['transient', 'producer_epoch', 'the producer id is not valid any more', 'anew']],
  [49, ['transient', 'producer_id', 'the producer id is not valid any more', 'anew']],
  [56, ['transient', 'storage_error', `the broker's disk failed`, 'elsewhere']],
  [58, ['misconfigured', 'sasl_failed', 'the broker does not accept the user or the password']],
  [59, ['transient', 'unknown_producer', 'the broker has forgotten the producer id', 'anew']],
  [72, ['transient', 'listener_not_found', 'the leader cannot be reached by this listener', 'elsewhere']],
  [74, ['transient', 'leader_epoch', 'the partition has another leader now', 'elsewhere']],
  [75, ['transient', 'leader_epoch', 'the partition has another leader now', 'elsewhere']],
  [76, ['misconfigured', 'compression', 'the broker does not know the compression']],
  [87, ['rejected', 'invalid_record', 'the broker does not take the message']],
  [89, ['overloaded', 'throttled', 'the quota is used up']],
  [90, ['transient', 'producer_fenced', 'the producer id is not valid any more', 'anew']],
]);

/** Something failed, and what it comes to if nothing helps. */
export class KafkaFault extends Error {
  override readonly name = 'KafkaFault';
  readonly failure: FailureOutcome;
  readonly remedy: Remedy;

  constructor(kind: FailureClass, code: string, reason: string, remedy: Remedy = 'none') {
    super(reason);
    this.failure = { class: kind, status: null, code, reason, retryAfterMs: null };
    this.remedy = remedy;
  }

  /** Together with others it may not be what is wrong: alone it is. */
  get isRejection(): boolean {
    return this.failure.class === 'rejected';
  }
}

/** The fault of an error code. `said`: what the broker says besides, without anything of the message. */
export function codeFault(error: number): KafkaFault {
  const row = ERRORS.get(error);
  if (row !== undefined) return new KafkaFault(...row);
  return new KafkaFault('transient', `kafka_${error}`, `the broker answers with error ${error}`);
}

/** Whatever was thrown, as a fault. What connections throw is tried once more, and elsewhere. */
export function faultOf(error: unknown): KafkaFault {
  if (error instanceof KafkaFault) return error;
  if (error instanceof KafkaFormatError) {
    return new KafkaFault('transient', 'invalid_answer', 'the answer is none of a Kafka broker', 'elsewhere');
  }
  if (error instanceof ScramError) return new KafkaFault('misconfigured', 'sasl_failed', error.message);
  const { class: kind, code, reason } = connectionFailure(error);
  return new KafkaFault(kind, code, reason, kind === 'transient' ? 'elsewhere' : 'none');
}
