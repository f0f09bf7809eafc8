import type { HeaderPair, Outcome, Sink, SinkBatch } from '../sinks/sink.ts';

interface Use {
  readonly sink: Sink;
  inFlight: number;
}

/** A stream's sink, which a changed definition replaces: what is under way through the old one goes on to its end. */
export class SinkSlot {
  #current: Use;
  readonly #retired = new Set<Use>();

  constructor(sink: Sink) {
    this.#current = { sink, inFlight: 0 };
  }

  /** Why the present sink cannot send, or null. */
  get problem(): string | null {
    return this.#current.sink.problem ?? null;
  }

  get takesRecords(): boolean {
    return this.#current.sink.takesRecords === true;
  }

  /** As `Sink.shownHead`; null: the sink's requests have none. */
  shownHead(batch: SinkBatch): readonly HeaderPair[] | null {
    return this.#current.sink.shownHead?.(batch) ?? null;
  }

  async send(batch: SinkBatch, signal: AbortSignal): Promise<Outcome> {
    const use = this.#current;
    use.inFlight++;
    const outcome = await use.sink.send(batch, signal);
    if (--use.inFlight === 0 && this.#retired.delete(use)) await use.sink.close();
    return outcome;
  }

  async replace(sink: Sink): Promise<void> {
    const old = this.#current;
    this.#current = { sink, inFlight: 0 };
    if (old.inFlight > 0) this.#retired.add(old);
    else await old.sink.close();
  }

  async close(): Promise<void> {
    await Promise.all([this.#current, ...this.#retired].map(({ sink }) => sink.close()));
    this.#retired.clear();
  }
}
