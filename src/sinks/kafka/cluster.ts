import { Connection, ConnectionClosedError, type ConnectionOptions } from './connection.ts';
import { codeFault, faultOf, KafkaFault } from './kafka-fault.ts';
import { API, type BrokerAddress, type Metadata, readMetadata, type TopicMetadata, writeMetadata } from './requests.ts';

/** How long the answer to a small request may take. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Who leads a partition is asked again at least this often; sooner where a broker says that it does not. */
const MAX_AGE_MS = 300_000;
/** Topics that are known at once; a template may make as many as there are tables. */
const MAX_TOPICS = 10_000;

interface KnownTopic {
  readonly topic: TopicMetadata;
  readonly atMs: number;
}

/** The brokers of one cluster: who leads what, and a connection to each that is needed. */
export class Cluster {
  readonly #bootstrap: readonly Pick<BrokerAddress, 'host' | 'port'>[];
  readonly #options: ConnectionOptions;
  readonly #topics = new Map<string, KnownTopic>();
  readonly #connections = new Map<string, Promise<Connection>>();
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map();
  /** Where the search for a broker that answers begins. */
  #first = 0;
  #refreshing: { readonly topics: ReadonlySet<string>; readonly done: Promise<Metadata> } | null = null;
  #closed = false;

  constructor(bootstrap: readonly Pick<BrokerAddress, 'host' | 'port'>[], options: ConnectionOptions) {
    this.#bootstrap = bootstrap;
    this.#options = options;
  }

  /** What is known of a topic; null: it has to be asked for. */
  topic(name: string): TopicMetadata | null {
    const known = this.#topics.get(name);
    if (known === undefined || known.topic.error !== 0) return null;
    return this.#options.clock.monotonicMs() - known.atMs > MAX_AGE_MS ? null : known.topic;
  }

  /** What the brokers said of a topic that is not as it should be; null: they said nothing of the kind. */
  errorOf(name: string): number | null {
    return this.#topics.get(name)?.topic.error || null;
  }

  /** Asks who leads the topics. One that is not there is in the answer with its error. */
  async refresh(names: readonly string[]): Promise<Metadata> {
    const running = this.#refreshing;
    if (running !== null && names.every((name) => running.topics.has(name))) return running.done;
    const done = this.#ask(names, false);
    const mine = { topics: new Set(names), done };
    this.#refreshing = mine;
    try {
      return await done;
    } finally {
      if (this.#refreshing === mine) this.#refreshing = null;
    }
  }

  /** The same, and what one may do with them. */
  inspect(names: readonly string[]): Promise<Metadata> {
    return this.#ask(names, true);
  }

  async #ask(names: readonly string[], withOperations: boolean): Promise<Metadata> {
    const connection = await this.any();
    const version = connection.version(API.metadata);
    const request = writeMetadata(version, names, withOperations);
    const answer = readMetadata(version, await connection.request(API.metadata, version, request, ANSWER_TIMEOUT_MS));
    this.#brokers = new Map(answer.brokers.map((broker) => [broker.id, broker]));
    const atMs = this.#options.clock.monotonicMs();
    if (this.#topics.size + answer.topics.length > MAX_TOPICS) this.#topics.clear();
    for (const topic of answer.topics) this.#topics.set(topic.name, { topic, atMs });
    return answer;
  }

  /** A connection to the broker. Rejects where there is none of the id, or it cannot be reached. */
  broker(id: number): Promise<Connection> {
    const broker = this.#brokers.get(id);
    if (broker === undefined) return Promise.reject(codeFault(NO_LEADER));
    return this.#connect(broker.host, broker.port);
  }

  /** A connection to whichever broker can be reached: those of the last answer first, then those that were named. */
  async any(): Promise<Connection> {
    const addresses = [...this.#brokers.values(), ...this.#bootstrap];
    let fault: KafkaFault | null = null;
    for (let n = 0; n < addresses.length; n++) {
      const at = (this.#first + n) % addresses.length;
      const { host, port } = addresses[at]!;
      try {
        const connection = await this.#connect(host, port);
        this.#first = at;
        return connection;
      } catch (error) {
        const next = faultOf(error);
        // Of several reasons the one that does not pass by itself is worth telling.
        if (fault === null || next.failure.class === 'misconfigured') fault = next;
      }
    }
    throw fault ?? new KafkaFault('misconfigured', 'no_brokers', 'no broker is named');
  }

  close(): void {
    this.#closed = true;
    for (const opening of this.#connections.values()) {
      void opening.then(
        (connection) => connection.close(),
        () => {},
      );
    }
    this.#connections.clear();
  }

  async #connect(host: string, port: number): Promise<Connection> {
    if (this.#closed) throw new ConnectionClosedError();
    const address = `${host}:${port}`;
    const there = this.#connections.get(address);
    if (there !== undefined) {
      const connection = await there;
      if (connection.isOpen && !connection.isExpired) return connection;
      // What is under way over one that expires is answered before it is closed.
      if (connection.isOpen) this.#options.clock.after(ANSWER_TIMEOUT_MS, () => connection.close());
      if (this.#connections.get(address) === there) this.#connections.delete(address);
      return this.#connect(host, port);
    }
    const opening = Connection.open(host, port, this.#options);
    this.#connections.set(address, opening);
    try {
      const connection = await opening;
      if (!this.#closed) return connection;
      connection.close();
      throw new ConnectionClosedError();
    } catch (error) {
      if (this.#connections.get(address) === opening) this.#connections.delete(address);
      throw error;
    }
  }
}

const NO_LEADER = 5;
