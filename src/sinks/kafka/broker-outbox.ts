import type { Cluster } from './cluster.ts';
import type { Connection } from './connection.ts';
import { faultOf, KafkaFault } from './kafka-fault.ts';
import { API, type ProduceAnswer, type ProducedBatch, readProduce, writeProduce } from './requests.ts';

/** As many requests are on their way to a broker at once: it remembers as many batches of a partition. */
const MAX_IN_FLIGHT = 5;
/** A request has no more, unless one batch alone is larger. Brokers take 100 MB. */
const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

/** What became of a batch. `wasSent` of a fault: the broker may have taken it all the same. */
export type BatchResult =
  | { readonly kind: 'answer'; readonly error: number }
  | { readonly kind: 'fault'; readonly fault: KafkaFault; readonly wasSent: boolean };

interface Waiting {
  readonly batch: ProducedBatch;
  readonly timeoutMs: number;
  readonly resolve: (result: BatchResult) => void;
}

/** Batches for the partitions that one broker leads. Those that come together, or while others are under way, share a request. */
export class BrokerOutbox {
  readonly #cluster: Cluster;
  readonly #brokerId: number;
  readonly #acks: number;
  #waiting: Waiting[] = [];
  #inFlight = 0;
  #isScheduled = false;

  constructor(cluster: Cluster, brokerId: number, acks: number) {
    this.#cluster = cluster;
    this.#brokerId = brokerId;
    this.#acks = acks;
  }

  /** Never rejects. No two batches of a partition are given at once. */
  send(batch: ProducedBatch, timeoutMs: number): Promise<BatchResult> {
    return new Promise((resolve) => {
      this.#waiting.push({ batch, timeoutMs, resolve });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#inFlight >= MAX_IN_FLIGHT || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    // What the same turn of events brings goes together.
    setImmediate(() => {
      this.#isScheduled = false;
      if (this.#waiting.length === 0) return;
      this.#inFlight++;
      void this.#request(this.#take()).finally(() => {
        this.#inFlight--;
        this.#schedule();
      });
      this.#schedule();
    });
  }

  #take(): readonly Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { batch } of this.#waiting) {
      bytes += batch.records.length;
      if (count > 0 && bytes > MAX_REQUEST_BYTES) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #request(taken: readonly Waiting[]): Promise<void> {
    let connection: Connection;
    let version: number;
    try {
      connection = await this.#cluster.broker(this.#brokerId);
      version = connection.version(API.produce);
    } catch (error) {
      const fault = faultOf(error);
      for (const { resolve } of taken) resolve({ kind: 'fault', fault, wasSent: false });
      return;
    }
    const timeoutMs = Math.max(1, Math.ceil(Math.min(...taken.map((waiting) => waiting.timeoutMs))));
    const body = writeProduce(
      this.#acks,
      timeoutMs,
      taken.map(({ batch }) => batch),
    );
    try {
      if (this.#acks === 0) {
        await connection.tell(API.produce, version, body);
        for (const { resolve } of taken) resolve({ kind: 'answer', error: 0 });
        return;
      }
      const answers = readProduce(version, await connection.request(API.produce, version, body, timeoutMs));
      for (const { batch, resolve } of taken) resolve(resultOf(batch, answers));
    } catch (error) {
      const fault = faultOf(error);
      for (const { resolve } of taken) resolve({ kind: 'fault', fault, wasSent: true });
    }
  }
}

function resultOf({ topic, partition }: ProducedBatch, answers: readonly ProduceAnswer[]): BatchResult {
  const answer = answers.find((one) => one.partition === partition && one.topic === topic);
  if (answer !== undefined) return { kind: 'answer', error: answer.error };
  const fault = new KafkaFault('transient', 'invalid_answer', 'the broker says nothing of the message', 'elsewhere');
  return { kind: 'fault', fault, wasSent: true };
}
