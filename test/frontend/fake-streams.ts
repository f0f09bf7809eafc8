import type { StreamDefinition } from '../../src/model/stream.ts';
import type { CreateStreamRequest, StreamControl } from '../../src/model/stream-control.ts';
import type { CaptureStatus, DeliveryStatus, StreamReport } from '../../src/model/status.ts';
import { PgError, type PgNotice } from '../../src/postgres/sqlstate.ts';

/** Streams in memory, as the engine would keep them. `hold` makes CREATE wait until it is released or cancelled. */
export class FakeStreams implements StreamControl {
  readonly created: CreateStreamRequest[] = [];
  readonly actors: string[] = [];
  readonly #streams = new Map<string, StreamDefinition>();
  #held: PromiseWithResolvers<void> | null = null;
  #arrived = Promise.withResolvers<void>();

  /** From now on CREATE waits. Resolves when one does. */
  hold(): Promise<void> {
    this.#held = Promise.withResolvers();
    this.#arrived = Promise.withResolvers();
    return this.#arrived.promise;
  }

  release(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  clear(): void {
    this.#streams.clear();
    this.created.length = 0;
    this.actors.length = 0;
  }

  get names(): string[] {
    return [...this.#streams.keys()].sort();
  }

  async createStream(request: CreateStreamRequest, signal: AbortSignal): Promise<readonly PgNotice[]> {
    if (this.#held) {
      this.#arrived.resolve();
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
      await Promise.race([this.#held.promise, aborted]);
    }
    const name = request.name ?? `${request.tables[0]!.name}_cdc_stream`;
    if (this.#streams.has(name)) {
      const message = `CDC stream "${name}" already exists`;
      if (!request.ifNotExists) throw new PgError('duplicate_object', message);
      return [{ severity: 'NOTICE', code: '42710', message: `${message}, skipping` }];
    }
    this.created.push(request);
    const { database, tables, destination, options, owner } = request;
    this.#streams.set(name, {
      id: '00000000-0000-4000-8000-000000000001',
      name,
      database,
      source: { systemId: '1', databaseOid: 5 },
      tables,
      destination,
      format: 'json',
      envelope: 'native',
      options,
      desiredState: 'running',
      startLsn: 1n,
      owner,
      createdAtMs: Date.UTC(2026, 0, 5, 10, 0, 0, 123),
      pausedAtMs: null,
    });
    if (request.name !== null) return [];
    return [{ severity: 'NOTICE', code: '00000', message: `the stream is named "${name}"` }];
  }

  async setDesiredState(name: string, state: 'running' | 'paused', actor: string): Promise<readonly PgNotice[]> {
    const stream = this.#get(name);
    this.actors.push(actor);
    this.#streams.set(name, { ...stream, desiredState: state });
    return [];
  }

  async dropStreams(names: readonly string[], ifExists: boolean, actor: string): Promise<readonly PgNotice[]> {
    this.actors.push(actor);
    const missing = names.filter((name) => !this.#streams.has(name));
    if (missing.length > 0 && !ifExists) this.#get(missing[0]!);
    for (const name of names) this.#streams.delete(name);
    return missing.map((name) => ({
      severity: 'NOTICE',
      code: '00000',
      message: `CDC stream "${name}" does not exist, skipping`,
    }));
  }

  async reports(): Promise<readonly StreamReport[]> {
    return this.names.map((name) => reportOf(this.#get(name)));
  }

  async report(name: string): Promise<StreamReport> {
    return reportOf(this.#get(name));
  }

  #get(name: string): StreamDefinition {
    const stream = this.#streams.get(name);
    if (!stream) throw new PgError('undefined_object', `CDC stream "${name}" does not exist`);
    return stream;
  }
}

const CAPTURE: CaptureStatus = {
  state: 'streaming',
  error: null,
  slotName: 'walhook',
  receivedLsn: '0/2',
  confirmedLsn: '0/1',
  upstreamLsn: '0/3',
  changesCaptured: 9,
  transactionsCaptured: 3,
  logBytes: 1000,
  logChunks: 2,
};

const DELIVERY: DeliveryStatus = {
  streamId: '00000000-0000-4000-8000-000000000001',
  eventsCaptured: 9,
  eventsDelivered: 5,
  eventsFailed: 1,
  eventsRetried: 1,
  deadLetters: 0,
  pendingEvents: 4,
  pendingBytes: 400,
  inFlight: 2,
  oldestPendingCommitMs: null,
  lastEventAtMs: Date.UTC(2026, 0, 5, 10, 1, 0, 0),
  lastDeliveryAtMs: null,
  lastHttpStatus: 200,
  lastError: 'HTTP 500',
  lastErrorAtMs: Date.UTC(2026, 0, 5, 10, 0, 59, 500),
  nextRetryAtMs: null,
  haltedReason: null,
  deliveryP50Ms: 1.5,
  deliveryP99Ms: null,
  acknowledgedLsn: '0/1',
};

function reportOf(definition: StreamDefinition): StreamReport {
  return {
    definition,
    status: definition.desiredState,
    statusReason: null,
    delivery: DELIVERY,
    capture: CAPTURE,
    lagSeconds: 0.25,
    lagBytes: 400,
  };
}
