import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { type RoutedEvent, Routes } from '../delivery/routes.ts';
import { missingObject } from '../catalog/plan.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { formatUuid } from '../formats/event-id.ts';
import type { TestResult, TestTarget } from '../model/delivery-control.ts';
import type { Requirement } from '../model/requirement.ts';
import { type ResolvedStream, secretTexts, withoutSecrets } from '../model/resolved-stream.ts';
import { DEFAULT_STREAM_OPTIONS } from '../model/stream-options.ts';
import type { Destination, StreamDefinition } from '../model/stream.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { Sink, SinkBatch } from '../sinks/sink.ts';
import { AddressGuard, parseEgressAllow } from '../sinks/address-guard.ts';
import { resolveStreams, type ResolvingCatalog } from './resolve-stream.ts';
import { readStreamMessage } from './stream-message.ts';
import type { ThreadSettings } from './thread-messages.ts';

export interface EndpointTestOptions {
  readonly catalog: ResolvingCatalog & Pick<Catalog, 'stream'>;
  readonly settings: () => Pick<ThreadSettings, 'egressAllow'>;
  readonly userAgent: string;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Sends one `cdc.test` event, made and signed as the events of the stream are; where it would be a stranger among them, asks
 * whether they would be taken.
 */
export class EndpointTest {
  readonly #options: EndpointTestOptions;

  constructor(options: EndpointTestOptions) {
    this.#options = options;
  }

  /** 42704 where there is no such stream or endpoint. */
  async run(target: TestTarget, signal: AbortSignal): Promise<TestResult> {
    const { clock } = this.#options;
    const { stream, sink } = await this.#sinkOf(target);
    const { destination, options, secrets = {}, tables } = stream;
    const signatureSent = options.signingSecret !== null && sink.probe === undefined;
    const problem = sink.problem ?? null;
    if (problem !== null) {
      await sink.close();
      return {
        ok: false,
        httpStatus: null,
        totalMs: 0,
        signatureSent: false,
        responseExcerpt: null,
        error: problem,
        isBlocked: false,
      };
    }
    const startedMs = clock.monotonicMs();
    const outcome = sink.probe ? await sink.probe(tables, signal) : await sink.send(this.#batch(stream), signal);
    const totalMs = clock.monotonicMs() - startedMs;
    await sink.close();
    if (outcome.class === 'cancelled') throw new PgError('query_canceled', 'canceling statement due to user request');
    const { status: httpStatus } = outcome;
    const isOk = outcome.class === 'ok';
    const error = isOk ? null : outcome.reason;
    const said = isOk ? null : (outcome.excerpt ?? null);
    const responseExcerpt = said === null ? null : withoutSecrets(said, secretTexts({ secrets, options, destination }));
    // Of a schema registry, too, whose codes begin with its name.
    const isBlocked = !isOk && outcome.code.endsWith('egress_blocked');
    return { ok: isOk, httpStatus, totalMs, signatureSent, responseExcerpt, error, isBlocked };
  }

  /**
   * What the stream's destination has to be like, and is; empty where it cannot be asked without being sent something. 42704,
   * 57014.
   */
  async inspect(name: string, signal: AbortSignal): Promise<readonly Requirement[]> {
    const { stream, sink } = await this.#sinkOf({ kind: 'stream', name });
    const cancelled = new Promise<null>((resolve) => {
      if (signal.aborted) resolve(null);
      signal.addEventListener('abort', () => resolve(null), { once: true });
    });
    const found = await Promise.race([cancelled, sink.inspect?.(stream.tables) ?? []]);
    await sink.close();
    if (found === null) throw new PgError('query_canceled', 'canceling statement due to user request');
    return found;
  }

  async #sinkOf(target: TestTarget): Promise<{ readonly stream: ResolvedStream; readonly sink: Sink }> {
    const { clock, random, settings, userAgent } = this.#options;
    const [message] = resolveStreams([this.#definition(target)], this.#seenBy(target), clock.now());
    const stream = readStreamMessage(message!);
    const guard = new AddressGuard(parseEgressAllow(settings().egressAllow));
    // Its HTTP client is some 10 MB, for what is seldom asked.
    const { createSink } = await import('../sinks/create-sink.ts');
    return { stream, sink: createSink(stream, { userAgent, guard, clock, random }) };
  }

  /** The catalog as the statement that declares the stream sees it. */
  #seenBy(target: TestTarget): ResolvingCatalog {
    const { catalog } = this.#options;
    if (target.kind !== 'declared') return catalog;
    const { transaction } = target;
    return {
      endpoint: (name) => catalog.endpoint(name, transaction),
      currentSecret: (name, nowMs) => catalog.currentSecret(name, nowMs, transaction),
    };
  }

  #definition(target: TestTarget): StreamDefinition {
    const { catalog } = this.#options;
    if (target.kind === 'declared') {
      const { name, declaration } = target;
      return { ...plainStream(declaration.destination), ...declaration, name };
    }
    if (target.kind === 'webhook') return plainStream({ kind: 'webhook', url: target.url });
    if (target.kind === 'endpoint') {
      if (!catalog.endpoint(target.name)) throw missingObject('endpoint', target.name);
      return plainStream({ kind: 'endpoint', name: target.name });
    }
    const record = catalog.stream(target.name);
    if (!record) throw missingObject('stream', target.name);
    return record.definition;
  }

  /** To the URL itself, whatever `path_template` says; headers are those of an event of a table `cdc.test`. */
  #batch(stream: ResolvedStream): SinkBatch {
    const { clock, random } = this.#options;
    const bytes = Buffer.from(random.bytes(16));
    bytes.writeUIntBE(clock.now(), 0, 6);
    bytes[6] = 0x70 | (bytes[6]! & 0x0f);
    bytes[8] = 0x80 | (bytes[8]! & 0x3f);
    const id = formatUuid(bytes, 0);
    const { name } = stream;
    const event = { id, type: 'cdc.test', stream: name, timestamp: new Date(clock.now()).toISOString() };
    const body = Buffer.from(JSON.stringify(stream.options.batchMaxEvents > 1 ? [event] : event));
    const contentType = 'application/json';
    const { headers } = new Routes(stream).route(TESTED);
    const batch = { requestId: id, body, contentType, events: 1, attempt: 1, stream: name, table: null, path: '' };
    return headers === null ? batch : { ...batch, headers };
  }
}

/** It has no key. */
const TESTED: RoutedEvent = {
  operation: 'insert',
  source: { oid: 0, table: { schema: 'cdc', name: 'test' } },
  encodeKey: (out) => out.raw(Buffer.from('null')),
};

/** What a stream to the destination would be that says nothing of its own. */
function plainStream(destination: Destination): StreamDefinition {
  return {
    id: '',
    name: 'cdc_test',
    database: '',
    source: { systemId: '0', databaseOid: 0 },
    scope: { kind: 'tables' },
    tables: [],
    destination,
    format: 'json',
    envelope: 'native',
    operations: null,
    when: null,
    transform: null,
    orderingKey: null,
    comment: null,
    options: DEFAULT_STREAM_OPTIONS,
    givenOptions: [],
    desiredState: 'running',
    startLsn: 0n,
    owner: '',
    createdAtMs: 0,
    pausedAtMs: null,
    heldGap: null,
  };
}
