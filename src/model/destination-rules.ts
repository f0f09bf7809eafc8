import { BrokersError, parseBrokers } from './brokers.ts';
import { keyPlaceholders } from './placeholders.ts';
import type { OptionConflict, OptionSet } from './option-changes.ts';
import { ENDPOINT_OPTION_KEYS, KAFKA_OPTION_KEYS, type OptionKey, type StreamOptions } from './stream-options.ts';
import type { Destination, KafkaDestination, StreamDefinition } from './stream.ts';

/*
  What a destination and the options of its stream have to do with each other.
*/

/** What an endpoint's options have that Kafka has, too. */
const SHARED: ReadonlySet<OptionKey> = new Set([
  'requestTimeoutMs',
  'connectTimeoutMs',
  'compression',
  'tlsCa',
  'tlsClientCert',
  'tlsClientKey',
  'tlsInsecureSkipVerify',
]);

const WEBHOOK_ONLY: readonly OptionKey[] = ENDPOINT_OPTION_KEYS.filter((key) => !SHARED.has(key));
const TLS: readonly OptionKey[] = ['tlsCa', 'tlsClientCert', 'tlsClientKey', 'tlsInsecureSkipVerify'];

/** A topic's name. https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/internals/Topic.java */
const TOPIC = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/;

export interface DestinationConflict extends OptionConflict {
  readonly hint: string | null;
}

/** Why the destination and the options that were written cannot stand together, or null. `nameOf`: how an option is written. */
export function destinationConflict(
  destination: Destination,
  { options, givenOptions }: OptionSet,
  nameOf: (key: OptionKey) => string,
): DestinationConflict | null {
  const isKafka = destination.kind === 'kafka';
  const foreign: readonly OptionKey[] = isKafka ? WEBHOOK_ONLY : KAFKA_OPTION_KEYS;
  const stranger = givenOptions.find((key) => foreign.includes(key));
  if (stranger !== undefined) {
    const owner = isKafka ? 'webhooks' : 'Kafka';
    return conflict(`option "${nameOf(stranger)}" belongs to ${owner}`, 'Such an option would do nothing.', [stranger]);
  }
  const codecs = isKafka ? ['none', 'gzip', 'zstd', 'snappy', 'lz4'] : ['none', 'gzip', 'br', 'zstd'];
  if (!codecs.includes(options.compression)) {
    const to = isKafka ? 'Kafka' : 'webhooks';
    const message = `invalid value for option "compression": "${options.compression}"`;
    return conflict(message, `To ${to}: ${codecs.join(', ')}.`, ['compression']);
  }
  return isKafka ? (topicConflict(destination, options) ?? saslConflict(options) ?? tlsConflict(options)) : null;
}

/** Why the paths and headers of a stream cannot be made of its tables' events, or null. */
export function routeConflict({
  scope,
  tables,
  options,
}: Pick<StreamDefinition, 'scope' | 'tables' | 'options'>): DestinationConflict | null {
  // Which tables there will be is not known of others; what one does not have is empty.
  if (scope.kind !== 'tables') return null;
  const named = [options.pathTemplate, ...Object.values(options.headers)].flatMap(keyPlaceholders);
  for (const { schema, name, keyColumns } of tables) {
    const missing = named.find((column) => !keyColumns.includes(column));
    if (missing === undefined) continue;
    const key = keyColumns.length === 0 ? 'It has no key.' : `Its key is (${keyColumns.join(', ')}).`;
    const message = `the key of table "${schema}.${name}" has no column "${missing}"`;
    const hint = `{key.column} stands for a column of the event's key, in path_template and headers.`;
    return conflict(message, key, ['pathTemplate', 'headers'], hint);
  }
  return null;
}

function topicConflict(
  { brokers, topic }: KafkaDestination,
  { topicTemplate }: StreamOptions,
): DestinationConflict | null {
  try {
    parseBrokers(brokers);
  } catch (error) {
    if (!(error instanceof BrokersError)) throw error;
    return conflict(`invalid brokers: ${error.message}`, 'Brokers are written as host:port[, …].', []);
  }
  if (topic !== null && topicTemplate !== '') {
    return conflict('TOPIC and topic_template exclude each other', 'An event goes to one topic.', ['topicTemplate']);
  }
  if (topic === null && topicTemplate === '') {
    const hint = `TOPIC 'name', or WITH (topic_template = '{schema}.{table}').`;
    return conflict('a stream to Kafka needs a topic', 'There is neither TOPIC nor topic_template.', [], hint);
  }
  if (topic === null || TOPIC.test(topic)) return null;
  const detail = 'A topic has at most 249 of the characters A to Z, a to z, 0 to 9, ".", "_" and "-".';
  return conflict(`invalid topic "${topic.slice(0, 100)}"`, detail, []);
}

function saslConflict({ saslMechanism, saslUsername, saslPassword }: StreamOptions): DestinationConflict | null {
  if (saslMechanism === 'none') {
    if (saslUsername === '' && saslPassword === null) return null;
    const detail = 'Without one nobody logs in.';
    return conflict('sasl_username and sasl_password need a sasl_mechanism', detail, ['saslUsername', 'saslPassword']);
  }
  if (saslUsername !== '' && saslPassword !== null) return null;
  const message = `sasl_mechanism ${saslMechanism} needs sasl_username and sasl_password`;
  return conflict(message, 'A log-in has both.', ['saslMechanism']);
}

function tlsConflict(options: StreamOptions): DestinationConflict | null {
  if (options.tls) return null;
  const idle = TLS.filter((key) => options[key] !== null && options[key] !== false);
  if (idle.length === 0) return null;
  return conflict('options of TLS need tls = true', 'Without it brokers are not reached by TLS.', idle);
}

function conflict(
  message: string,
  detail: string,
  keys: readonly OptionKey[],
  hint: string | null = null,
): DestinationConflict {
  return { message, detail, keys, hint };
}
