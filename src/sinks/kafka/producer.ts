import type { Clock } from '../../base/clock.ts';
import type { FailureOutcome } from '../sink.ts';
import { type BatchResult, BrokerOutbox } from './broker-outbox.ts';
import type { Cluster } from './cluster.ts';
import type { CompressionName } from './compression.ts';
import { codeFault, DUPLICATE_SEQUENCE, faultOf, KafkaFault, type Remedy, SUCCESS } from './kafka-fault.ts';
import { type BatchIdentity, type BatchRecord, encodeBatch } from './record-batch.ts';
import { API, type ProducerIdentity, readInitProducerId, writeInitProducerId } from './requests.ts';

export interface ProducerOptions {
  /** 'all' is idempotent: what is sent twice because an answer was lost is kept once. */
  readonly acks: 'all' | '1' | '0';
  readonly compression: CompressionName;
  readonly clock: Clock;
}

/** Records of one partition that fare alike. */
export interface Piece {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly BatchRecord[];
  /** Of the records. */
  readonly bytes: number;
  /** On the monotonic clock: not tried after it. */
  readonly deadlineMs: number;
  /** Told once; null: they are there. */
  readonly settle: (failure: FailureOutcome | null) => void;
}

/** Records of a batch: what brokers take unless they were told otherwise, 1 MB, with room for the batch's head. */
export const MAX_BATCH_BYTES = 1_000_000;
const RETRY_FROM_MS = 100;
const RETRY_TO_MS = 1_000;
/** What certainly was not taken is left to delivery's own retries after so many tries. */
const MAX_TRIES = 3;
const INIT_TIMEOUT_MS = 10_000;
/** Partitions whose count of messages is kept; above, those that are idle begin again under a new producer id. */
const MAX_LANES = 10_000;

/** A partition's records wait here while others of it are under way. */
interface PartitionLane {
  readonly topic: string;
  readonly partition: number;
  queue: Piece[];
  isRunning: boolean;
  /** Of the next record, under `session`. */
  sequence: number;
  session: ProducerIdentity | null;
}

/** A batch that is tried until it is there or given up. */
interface Attempt {
  pieces: readonly Piece[];
  /** The broker may have it, and no answer has said so. */
  isUncertain: boolean;
  readonly session: ProducerIdentity | null;
  readonly encoded: Buffer;
}

const ACKS = { all: -1, '1': 1, '0': 0 } as const;

/**
 * Produces to the partitions of one cluster. One batch of a partition is under way at a time, and what waits meanwhile goes
 * together as the next: order holds whatever is repeated, and the slower the brokers, the larger the batches.
 */
export class Producer {
  readonly #cluster: Cluster;
  readonly #options: ProducerOptions;
  readonly #lanes = new Map<string, PartitionLane>();
  readonly #outboxes = new Map<number, BrokerOutbox>();
  #session: Promise<ProducerIdentity> | null = null;
  #closed = false;

  constructor(cluster: Cluster, options: ProducerOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  produce(piece: Piece): void {
    const lane = this.#lane(piece.topic, piece.partition);
    lane.queue.push(piece);
    if (lane.isRunning) return;
    lane.isRunning = true;
    // Everything that is produced in this turn is there first.
    queueMicrotask(() => void this.#drain(lane));
  }

  /** Whether one may produce, as far as that shows beforehand. Rejects with `KafkaFault`. */
  async probe(): Promise<void> {
    if (this.#options.acks === 'all') await this.#currentSession();
  }

  /** What is queued is not sent any more; nobody is told. */
  close(): void {
    this.#closed = true;
    for (const lane of this.#lanes.values()) lane.queue.length = 0;
  }

  #lane(topic: string, partition: number): PartitionLane {
    const name = `${partition}/${topic}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      if (this.#lanes.size >= MAX_LANES) this.#forgetIdle();
      lane = { topic, partition, queue: [], isRunning: false, sequence: 0, session: null };
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  #forgetIdle(): void {
    this.#session = null;
    for (const [name, lane] of this.#lanes) if (!lane.isRunning) this.#lanes.delete(name);
  }

  async #drain(lane: PartitionLane): Promise<void> {
    while (lane.queue.length > 0 && !this.#closed) {
      await this.#deliver(lane, take(lane.queue));
    }
    lane.isRunning = false;
  }

  /** Settles all of the pieces. Never rejects. */
  async #deliver(lane: PartitionLane, pieces: readonly Piece[]): Promise<void> {
    let attempt: Attempt | null = null;
    for (let tries = 1; ; tries++) {
      let fault: KafkaFault;
      try {
        attempt ??= await this.#begin(lane, pieces);
        const result = await this.#send(lane, attempt);
        if (result.kind === 'answer' && (result.error === SUCCESS || result.error === DUPLICATE_SEQUENCE)) {
          this.#succeed(lane, attempt);
          return;
        }
        attempt.isUncertain ||= result.kind === 'fault' && result.wasSent;
        fault = result.kind === 'fault' ? result.fault : codeFault(result.error);
      } catch (error) {
        fault = faultOf(error);
      }
      if (this.#closed) return;
      if (await this.#mayRetry(lane, pieces, fault, tries, attempt?.isUncertain ?? false)) {
        if (fault.remedy === 'anew') attempt = null;
        continue;
      }
      // Nobody knows how many messages the broker has counted.
      if (attempt?.isUncertain === true) this.#session = null;
      await this.#fail(lane, pieces, fault);
      return;
    }
  }

  async #begin(lane: PartitionLane, pieces: readonly Piece[]): Promise<Attempt> {
    const session = this.#options.acks === 'all' ? await this.#currentSession() : null;
    if (lane.session !== session) {
      lane.session = session;
      lane.sequence = 0;
    }
    const identity: BatchIdentity = session === null ? null : { ...session, sequence: lane.sequence };
    const records = pieces.flatMap((piece) => piece.records);
    const encoded = await encodeBatch(records, this.#options.clock.now(), identity, this.#options.compression);
    return { pieces, isUncertain: false, session, encoded };
  }

  #send(lane: PartitionLane, attempt: Attempt): Promise<BatchResult> {
    const { topic, partition } = lane;
    const leader = this.#cluster.topic(topic)?.leaders[partition] ?? -1;
    if (leader === -1) return Promise.resolve({ kind: 'fault', fault: codeFault(NO_LEADER), wasSent: false });
    const deadlineMs = Math.min(...attempt.pieces.map((piece) => piece.deadlineMs));
    const timeoutMs = deadlineMs - this.#options.clock.monotonicMs();
    if (timeoutMs <= 0) return Promise.resolve({ kind: 'fault', fault: timedOut(), wasSent: false });
    return this.#outbox(leader).send({ topic, partition, records: attempt.encoded }, timeoutMs);
  }

  #succeed(lane: PartitionLane, { pieces, session }: Attempt): void {
    if (lane.session === session) {
      const count = pieces.reduce((sum, { records }) => sum + records.length, 0);
      lane.sequence = (lane.sequence + count) % 2 ** 31;
    }
    for (const piece of pieces) piece.settle(null);
  }

  /** Waits for the remedy, and tells whether it is time for another try. */
  async #mayRetry(
    { topic }: PartitionLane,
    pieces: readonly Piece[],
    { remedy }: KafkaFault,
    tries: number,
    isUncertain: boolean,
  ): Promise<boolean> {
    if (remedy === 'none' || (tries >= MAX_TRIES && !isUncertain)) return false;
    const { clock } = this.#options;
    const waitMs = Math.min(RETRY_TO_MS, RETRY_FROM_MS * 2 ** (tries - 1));
    const deadlineMs = Math.min(...pieces.map((piece) => piece.deadlineMs));
    if (clock.monotonicMs() + waitMs >= deadlineMs) return false;
    await clock.sleep(waitMs);
    if (this.#closed) return false;
    await this.#apply(remedy, topic);
    return true;
  }

  async #apply(remedy: Remedy, topic: string): Promise<void> {
    if (remedy === 'anew') this.#session = null;
    // Where it fails, the next try tells why.
    if (remedy === 'elsewhere') await this.#cluster.refresh([topic]).catch(() => {});
  }

  /** What the broker rejects together with others is tried alone: the others may be fine. */
  async #fail(lane: PartitionLane, pieces: readonly Piece[], fault: KafkaFault): Promise<void> {
    if (fault.isRejection && pieces.length > 1) {
      for (const piece of pieces) await this.#deliver(lane, [piece]);
      return;
    }
    for (const piece of pieces) piece.settle(fault.failure);
  }

  #outbox(brokerId: number): BrokerOutbox {
    let outbox = this.#outboxes.get(brokerId);
    if (outbox === undefined) {
      outbox = new BrokerOutbox(this.#cluster, brokerId, ACKS[this.#options.acks]);
      this.#outboxes.set(brokerId, outbox);
    }
    return outbox;
  }

  /** The producer id that batches have from now on; one that could not be had is asked for again. */
  #currentSession(): Promise<ProducerIdentity> {
    if (this.#session !== null) return this.#session;
    const asked = this.#askSession();
    this.#session = asked;
    asked.catch(() => {
      if (this.#session === asked) this.#session = null;
    });
    return asked;
  }

  async #askSession(): Promise<ProducerIdentity> {
    const connection = await this.#cluster.any();
    const version = connection.version(API.initProducerId);
    const answer = await connection.request(API.initProducerId, version, writeInitProducerId(), INIT_TIMEOUT_MS);
    const { error, identity } = readInitProducerId(answer);
    if (error !== SUCCESS) throw codeFault(error);
    return identity;
  }
}

const NO_LEADER = 5;

function timedOut(): KafkaFault {
  return new KafkaFault('transient', 'timeout', 'the time for the request was over before it could be sent');
}

/** The first pieces, as many as one batch may hold. */
function take(queue: Piece[]): readonly Piece[] {
  let bytes = 0;
  let count = 0;
  for (const piece of queue) {
    bytes += piece.bytes;
    if (count > 0 && bytes > MAX_BATCH_BYTES) break;
    count++;
  }
  return queue.splice(0, count);
}
