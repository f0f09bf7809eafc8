import { streamOf } from '../../src/catalog/catalog.ts';
import type { Requirement, SlotInfo } from '../../src/model/requirement.ts';
import type { ReplayRange } from '../../src/model/replay.ts';
import type { BackfillTable } from '../../src/model/backfill.ts';
import type { CatalogControl, ChangePreview, ListedEndpoint, Staged } from '../../src/model/catalog-control.ts';
import type {
  DeadLetterRecord,
  DeliveryControl,
  DeliveryRecord,
  PeekedRequest,
  TestResult,
} from '../../src/model/delivery-control.ts';
import type { EndpointDefinition } from '../../src/model/endpoint.ts';
import type { SecretInfo } from '../../src/model/secret.ts';
import type { HistoryEntry, ObjectKind, StagedChange } from '../../src/model/staged-change.ts';
import type { StreamDefinition } from '../../src/model/stream.ts';
import type { CreateStreamRequest, StreamControl } from '../../src/model/stream-control.ts';
import type { CaptureStatus, DeliveryStatus, StreamReport } from '../../src/model/status.ts';
import type { PgNotice } from '../../src/postgres/sqlstate.ts';
import { openTestCatalog } from '../support/test-catalog.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** A catalog in memory with nothing behind it. `hold` makes CREATE and COMMIT wait until they are released or cancelled. */
export class FakeStreams implements StreamControl, CatalogControl {
  readonly created: CreateStreamRequest[] = [];
  readonly actors: string[] = [];
  readonly delivery = new FakeDeliveries();
  /** How the transactions that have staged something ended. */
  readonly ended: Array<readonly [how: 'commit' | 'rollback' | 'abandon', transaction: string]> = [];
  readonly #catalog = openTestCatalog({ clock: new VirtualClock(Date.UTC(2026, 0, 5, 10, 0, 0, 123)) }, ':memory:')
    .catalog;
  #held: PromiseWithResolvers<void> | null = null;
  #arrived = Promise.withResolvers<void>();

  checkTransform(): Promise<null> {
    return Promise.resolve(null);
  }

  /** From now on CREATE and COMMIT wait. Resolves when one does. */
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
    for (const xid of this.#catalog.stagedTransactions()) this.#catalog.forgetStaged(xid);
    const drop = (kind: 'drop-streams' | 'drop-endpoints' | 'drop-secrets', names: readonly string[]) =>
      this.#apply({ kind, names, ifExists: false }, 'test');
    drop('drop-streams', this.names);
    const endpoints = this.#catalog.endpoints().map(({ definition }) => definition.name);
    drop('drop-endpoints', endpoints);
    drop(
      'drop-secrets',
      this.#catalog.secrets().map(({ name }) => name),
    );
    this.created.length = 0;
    this.actors.length = 0;
    this.ended.length = 0;
  }

  get names(): string[] {
    return this.#catalog.streams().map(({ name }) => name);
  }

  /** What there is, in a line. */
  get state(): string {
    const streams = this.#catalog.streams();
    const others = [
      ...this.#catalog.endpoints().map(({ definition }) => `endpoint ${definition.name}`),
      ...this.#catalog.secrets().map(({ name }) => `secret ${name}`),
    ];
    return [...streams.map(({ name, definition }) => `${name} ${definition.desiredState}`), ...others].join(', ');
  }

  /** The transactions that have something staged. */
  get staged(): readonly string[] {
    return this.#catalog.stagedTransactions();
  }

  async createStream(request: CreateStreamRequest, signal: AbortSignal): Promise<readonly PgNotice[]> {
    return this.execute({ kind: 'create-stream', request, orReplace: false }, request.owner, signal);
  }

  async setDesiredState(name: string, state: 'running' | 'paused', actor: string): Promise<readonly PgNotice[]> {
    this.#get(name);
    this.actors.push(actor);
    return this.#apply({ kind: 'alter-stream', name, alteration: { kind: 'state', state } }, actor);
  }

  async backfill(name: string, _tables: readonly BackfillTable[], actor: string): Promise<readonly PgNotice[]> {
    this.#get(name);
    this.actors.push(actor);
    return [];
  }

  async replay(name: string, _range: ReplayRange, actor: string): Promise<number> {
    await this.backfill(name, [], actor);
    return 3;
  }

  async check(): Promise<readonly Requirement[]> {
    return [{ requirement: 'wal_level is logical', ok: true, found: 'logical', fix: null }];
  }

  async slots(): Promise<readonly SlotInfo[]> {
    return [];
  }

  async cancelBackfill(name: string, actor: string): Promise<readonly PgNotice[]> {
    return this.backfill(name, [], actor);
  }

  async dropStreams(names: readonly string[], ifExists: boolean, actor: string): Promise<readonly PgNotice[]> {
    return this.execute({ kind: 'drop-streams', names, ifExists }, actor, new AbortController().signal);
  }

  async reports(transaction: string | null): Promise<readonly StreamReport[]> {
    return this.#catalog.streams(transaction).map(({ definition }) => reportOf(definition));
  }

  async report(name: string, transaction: string | null): Promise<StreamReport> {
    return reportOf(this.#get(name, transaction));
  }

  async execute(change: StagedChange, actor: string, signal: AbortSignal): Promise<readonly PgNotice[]> {
    if (change.kind === 'create-stream') await this.#wait(signal);
    else this.actors.push(actor);
    const notices = this.#apply(change, actor);
    if (change.kind === 'create-stream') this.created.push(change.request);
    return notices;
  }

  async stage(transaction: string, change: StagedChange, actor: string): Promise<Staged> {
    return this.#catalog.stage(transaction, change, actor);
  }

  unstage(transaction: string, mark: number): void {
    this.#catalog.unstage(transaction, mark);
  }

  async commit(transaction: string, signal: AbortSignal): Promise<readonly PgNotice[]> {
    this.#catalog.applyStaged(transaction);
    this.ended.push(['commit', transaction]);
    await this.#wait(signal).catch(() => undefined);
    return [];
  }

  rollback(transaction: string): void {
    this.ended.push(['rollback', transaction]);
    this.#catalog.forgetStaged(transaction);
  }

  abandon(transaction: string): void {
    this.ended.push(['abandon', transaction]);
    this.#catalog.forgetStaged(transaction);
  }

  definition(name: string, transaction: string | null): StreamDefinition {
    return this.#get(name, transaction);
  }

  endpoint(name: string, transaction: string | null): EndpointDefinition {
    const endpoint = this.#catalog.endpoint(name, transaction);
    if (endpoint === null) throw this.#catalog.missing('endpoint', name, transaction);
    return endpoint;
  }

  ownerOf(kind: ObjectKind, name: string, transaction: string | null): string | null {
    return this.#catalog.ownerOf(kind, name, transaction);
  }

  endpoints(transaction: string | null): readonly ListedEndpoint[] {
    return this.#catalog.endpoints(transaction);
  }

  secrets(transaction: string | null): readonly SecretInfo[] {
    return this.#catalog.secrets(transaction);
  }

  async preview(change: StagedChange, actor: string, transaction: string | null): Promise<ChangePreview> {
    const plan = this.#catalog.preview(transaction, change, actor);
    const captured = this.#catalog.streams().flatMap(({ definition }) => definition.tables.map(({ oid }) => oid));
    const names = { publication: 'walhook', insertsPublication: 'walhook_inserts' };
    return { notices: plan.notices, stream: streamOf(plan), captured, ...names, problem: null };
  }

  history(kind: ObjectKind, name: string, limit: number): readonly HistoryEntry[] {
    return this.#catalog.history(kind, name, limit);
  }

  async #wait(signal: AbortSignal): Promise<void> {
    if (!this.#held) return;
    this.#arrived.resolve();
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    await Promise.race([this.#held.promise, aborted]);
  }

  #apply(change: StagedChange, actor: string): readonly PgNotice[] {
    const holder = this.#catalog.begin();
    try {
      const plan = this.#catalog.plan(holder, change, actor);
      this.#catalog.apply(plan);
      return plan.notices;
    } finally {
      this.#catalog.end(holder);
    }
  }

  #get(name: string, transaction: string | null = null): StreamDefinition {
    const stream = this.#catalog.stream(name, transaction);
    if (!stream) throw this.#catalog.missing('stream', name, transaction);
    return stream.definition;
  }
}

const CAPTURE: CaptureStatus = {
  state: 'streaming',
  error: null,
  slotWalStatus: 'reserved',
  heartbeatAgeMs: 0,
  backfills: [],
  slotName: 'walhook',
  receivedLsn: '0/2',
  confirmedLsn: '0/1',
  upstreamLsn: '0/3',
  changesCaptured: 9,
  transactionsCaptured: 3,
  logBytes: 1000,
  logChunks: 2,
};

/** Deliveries of nothing, which remembers what was asked. */
class FakeDeliveries implements DeliveryControl {
  readonly asked: string[] = [];

  deliveries(): Promise<readonly DeliveryRecord[]> {
    return Promise.resolve([]);
  }

  deadLetters(): Promise<readonly DeadLetterRecord[]> {
    return Promise.resolve([]);
  }

  retryDeadLetters(stream: string, id: string | null, actor: string): Promise<number> {
    return this.#note(3, 'retry', stream, id, actor);
  }

  discardDeadLetters(stream: string, id: string | null, actor: string): Promise<number> {
    return this.#note(2, 'discard', stream, id, actor);
  }

  skipEvent(stream: string, id: string, actor: string): Promise<void> {
    return this.#note(undefined, 'skip', stream, id, actor);
  }

  restart(stream: string, actor: string): Promise<void> {
    return this.#note(undefined, 'restart', stream, null, actor);
  }

  resetCircuit(stream: string, actor: string): Promise<void> {
    return this.#note(undefined, 'reset', stream, null, actor);
  }

  peek(): Promise<readonly PeekedRequest[]> {
    return Promise.resolve([]);
  }

  inspect(): Promise<readonly Requirement[]> {
    return Promise.resolve([]);
  }

  test(): Promise<TestResult> {
    const none = { responseExcerpt: null, error: null, isBlocked: false };
    return Promise.resolve({ ok: true, httpStatus: 204, totalMs: 1, signatureSent: false, ...none });
  }

  #note<T>(answer: T, ...asked: readonly (string | null)[]): Promise<T> {
    this.asked.push(asked.join(' '));
    return Promise.resolve(answer);
  }
}

const DELIVERY: DeliveryStatus = {
  streamId: '00000000-0000-4000-8000-000000000001',
  startedAtMs: null,
  eventsCaptured: 9,
  eventsDelivered: 5,
  eventsFiltered: 0,
  filterDoubts: 0,
  lastFilterDoubt: null,
  eventsFailed: 1,
  eventsRetried: 1,
  deadLetters: 0,
  eventsDiscarded: 0,
  pendingEvents: 4,
  pendingBytes: 400,
  parkedEvents: 0,
  inFlight: 2,
  oldestPendingCommitMs: null,
  lastEventAtMs: Date.UTC(2026, 0, 5, 10, 1, 0, 0),
  lastDeliveryAtMs: null,
  lastHttpStatus: 200,
  lastError: 'HTTP 500',
  lastErrorAtMs: Date.UTC(2026, 0, 5, 10, 0, 59, 500),
  nextRetryAtMs: null,
  circuitState: 'closed',
  circuitOpenedAtMs: null,
  circuitNextProbeAtMs: null,
  blockedKeys: 0,
  haltedReason: null,
  blockedReason: null,
  deliveryP50Ms: 1.5,
  deliveryP99Ms: null,
  acknowledgedLsn: '0/1',
  measures: null,
};

function reportOf(definition: StreamDefinition): StreamReport {
  return {
    definition,
    status: definition.desiredState,
    statusReason: null,
    delivery: DELIVERY,
    capture: CAPTURE,
    backfill: null,
    lagSeconds: 0.25,
    lagBytes: 400,
  };
}
