import type { Requirement } from '../../model/requirement.ts';
import type { FailureOutcome } from '../sink.ts';
import { codeFault, type KafkaFault } from './kafka-fault.ts';
import type { TopicMetadata } from './requests.ts';

/*
  What operators are told of brokers, topics and a schema registry: rows of CHECK CDC.
*/

/** `AclOperation.WRITE`, as a bit. https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/acl/AclOperation.java */
const MAY_WRITE = 1 << 4;
const TOPIC_AUTHORIZATION = 29;
const NO_LEADER = 5;

/** What is wrong with a topic; null: nothing. */
export function topicFault({ error, operations, leaders }: TopicMetadata): KafkaFault | null {
  if (error !== 0) return codeFault(error);
  // Brokers that are older than the question do not say.
  if (operations !== null && (operations & MAY_WRITE) === 0) return codeFault(TOPIC_AUTHORIZATION);
  return leaders.includes(-1) ? codeFault(NO_LEADER) : null;
}

export function brokersRow(found: { readonly brokers: number } | FailureOutcome): Requirement {
  const requirement = 'brokers are reachable, and let one in';
  if ('brokers' in found) return fine(requirement, `${found.brokers} ${found.brokers === 1 ? 'broker' : 'brokers'}`);
  return faulty(requirement, found, 'brokers are named in TO KAFKA; tls and sasl_… say how they are reached');
}

export function topicRow(topic: TopicMetadata): Requirement {
  const { name, leaders } = topic;
  const requirement = `topic ${name} is there, and may be written to`;
  const fault = topicFault(topic);
  if (fault === null)
    return fine(requirement, `${leaders.length} ${leaders.length === 1 ? 'partition' : 'partitions'}`);
  const fix =
    fault.failure.code === 'topic_authorization'
      ? `kafka-acls.sh --add --producer --topic ${name} …`
      : fault.failure.code === 'unknown_topic'
        ? `kafka-topics.sh --create --topic ${name} …`
        : 'its brokers have to be up';
  return faulty(requirement, fault.failure, fix);
}

/** Of `acks = all`. */
export function producerRow(failure: FailureOutcome | null): Requirement {
  const requirement = 'one may write idempotently, as acks = all does';
  if (failure === null) return fine(requirement, 'a producer id');
  return faulty(requirement, failure, 'kafka-acls.sh --add --operation IdempotentWrite --cluster …, or acks = 1');
}

export function registryRow(failure: FailureOutcome | null): Requirement {
  const requirement = 'the schema registry answers, and lets one in';
  if (failure === null) return fine(requirement, 'its subjects');
  return faulty(
    requirement,
    failure,
    'schema_registry_url and the other options of schema_registry_… say how it is reached',
  );
}

/** A secret that cannot be had, say. */
export function problemRow(problem: string): Requirement {
  return {
    requirement: 'its options can be used',
    ok: false,
    found: problem,
    fix: '-- ALTER CDC SECRET, or ALTER CDC STREAM … SET (…)',
  };
}

function fine(requirement: string, found: string): Requirement {
  return { requirement, ok: true, found, fix: null };
}

function faulty(requirement: string, { reason }: FailureOutcome, fix: string): Requirement {
  return { requirement, ok: false, found: reason, fix: `-- ${fix}` };
}
