import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { missingObject } from '../catalog/plan.ts';
import type {
  DeadLetterRecord,
  DeliveryAnswer,
  DeliveryControl,
  DeliveryRecord,
  DeliveryRequest,
  PeekedRequest,
  TestResult,
  TestTarget,
} from '../model/delivery-control.ts';
import type { Requirement } from '../model/requirement.ts';
import type { StreamDefinition } from '../model/stream.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { EndpointTest } from './endpoint-test.ts';
import { maxTransformedBytes, type Transformer } from '../delivery/transformer.ts';

export interface DeliveryDeskOptions {
  readonly catalog: Pick<Catalog, 'stream' | 'note'>;
  /** Asks the delivery thread of a database; null while there is none. */
  readonly ask: (database: string, request: DeliveryRequest) => Promise<DeliveryAnswer> | null;
  readonly test: EndpointTest;
  readonly transformer: Transformer;
  readonly clock: Clock;
  readonly logger: Logger;
}

type ActionRequest = Exclude<DeliveryRequest, { kind: 'deliveries' | 'dead-letters' | 'peek' | 'skip-event' }>;
type Action = ActionRequest extends infer Request
  ? Request extends unknown
    ? Omit<Request, 'streamId'>
    : never
  : never;
type AnswerOf<Kind extends DeliveryAnswer['kind']> = Extract<DeliveryAnswer, { kind: Kind }>;

/** What operators see and do of deliveries. Each action is written into the stream's history and the log. */
export class DeliveryDesk implements DeliveryControl {
  readonly #options: DeliveryDeskOptions;

  constructor(options: DeliveryDeskOptions) {
    this.#options = options;
  }

  async deliveries(streams: readonly string[], limit: number): Promise<readonly DeliveryRecord[]> {
    const found = await this.#askAll(streams, async (database, streamIds) => {
      const answer = await this.#ask('deliveries', database, { kind: 'deliveries', streamIds, limit });
      return answer?.deliveries ?? [];
    });
    return merged(found, limit, (a, b) => b.startedAtMs - a.startedAtMs);
  }

  async deadLetters(streams: readonly string[], limit: number): Promise<readonly DeadLetterRecord[]> {
    const found = await this.#askAll(streams, async (database, streamIds) => {
      const answer = await this.#ask('dead-letters', database, { kind: 'dead-letters', streamIds, limit });
      return answer?.deadLetters ?? [];
    });
    return merged(found, limit, (a, b) => a.parkedAtMs - b.parkedAtMs);
  }

  async retryDeadLetters(stream: string, id: string | null, actor: string): Promise<number> {
    const count = await this.#count(stream, { kind: 'retry-dead-letters', id });
    return this.#done(stream, id, count, actor, 'retry dead letters');
  }

  async discardDeadLetters(stream: string, id: string | null, actor: string): Promise<number> {
    const count = await this.#count(stream, { kind: 'discard-dead-letters', id });
    return this.#done(stream, id, count, actor, 'discard dead letters');
  }

  async skipEvent(stream: string, id: string, actor: string, signal: AbortSignal): Promise<void> {
    const { id: streamId, database } = this.#must(stream);
    // One that has aborted already tells nobody.
    signal.throwIfAborted();
    // What the answer is decides: it may have been skipped by the time that this arrives.
    const keep = (): void =>
      void this.#ask('count', database, { kind: 'keep-event', streamId, id }).catch(() => undefined);
    signal.addEventListener('abort', keep, { once: true });
    const answer = await this.#ask('skipped', database, { kind: 'skip-event', streamId, id }).finally(() =>
      signal.removeEventListener('abort', keep),
    );
    if (answer?.result === 'kept') throw new PgError('query_canceled', 'canceling statement due to user request');
    if (answer?.result === 'acknowledged') {
      const message = `event "${id}" of CDC stream "${stream}" was acknowledged before it could be skipped`;
      throw new PgError('object_not_in_prerequisite_state', message);
    }
    if (answer?.result !== 'skipped') {
      throw new PgError('undefined_object', `no event "${id}" of CDC stream "${stream}" waits to be sent`, {
        detail: 'One that waits behind others of its key can be skipped when it is the next.',
        hint: `SHOW CDC DELIVERIES FOR ${stream} and PEEK CDC STREAM ${stream} name those that can be; dead letters are discarded.`,
      });
    }
    this.#note(stream, actor, 'skip event', id);
  }

  async restart(stream: string, actor: string): Promise<void> {
    await this.#count(stream, { kind: 'restart' });
    this.#note(stream, actor, 'restart', null);
  }

  async resetCircuit(stream: string, actor: string): Promise<void> {
    await this.#count(stream, { kind: 'reset-circuit' });
    this.#note(stream, actor, 'reset circuit', null);
  }

  async peek(stream: string, limit: number): Promise<readonly PeekedRequest[]> {
    const { id: streamId, database } = this.#must(stream);
    const answer = await this.#ask('peek', database, { kind: 'peek', streamId, limit });
    return Promise.all((answer?.requests ?? []).map((request) => this.#transformed(stream, request)));
  }

  /** As it would be sent; with what the transform says where it fails, and nothing is sent. */
  async #transformed(stream: string, request: PeekedRequest): Promise<PeekedRequest> {
    const definition = this.#options.catalog.stream(stream)?.definition;
    if (definition === undefined || definition.transform === null) return request;
    const { id, transform, options } = definition;
    const limit = maxTransformedBytes(options);
    const body = Buffer.from(request.body);
    const transformed = await this.#options.transformer.transform(`peek ${id}`, transform, body, limit);
    const shown = 'body' in transformed ? transformed.body.toString('utf8') : `transform failed: ${transformed.fault}`;
    const length = 'body' in transformed ? String(transformed.body.length) : null;
    return { ...request, body: shown, headers: request.headers && withLength(request.headers, length) };
  }

  inspect(stream: string, signal: AbortSignal): Promise<readonly Requirement[]> {
    return this.#options.test.inspect(stream, signal);
  }

  async test(target: TestTarget, signal: AbortSignal): Promise<TestResult> {
    const result = await this.#options.test.run(target, signal);
    const line = { target: target.kind, ok: result.ok, httpStatus: result.httpStatus };
    this.#options.logger.info(target.kind === 'webhook' ? line : { ...line, name: target.name }, 'endpoint tested');
    return result;
  }

  #done(stream: string, id: string | null, count: number, actor: string, action: string): number {
    if (count === 0 && id !== null) {
      throw new PgError('undefined_object', `dead letter "${id}" of CDC stream "${stream}" does not exist`);
    }
    if (count > 0) this.#note(stream, actor, action, id ?? `all (${count})`);
    return count;
  }

  #note(stream: string, actor: string, action: string, detail: string | null): void {
    this.#options.catalog.note(stream, action, detail, actor);
    this.#options.logger.info({ stream, actor, action, detail }, 'operator action');
  }

  /** A stream that is not armed yet has nothing to do it to. */
  async #count(stream: string, action: Action): Promise<number> {
    const { id: streamId, database } = this.#must(stream);
    return (await this.#ask('count', database, { ...action, streamId } as ActionRequest))?.count ?? 0;
  }

  async #ask<Kind extends DeliveryAnswer['kind']>(
    kind: Kind,
    database: string,
    request: DeliveryRequest,
  ): Promise<AnswerOf<Kind> | null> {
    const answer = (await this.#options.ask(database, request)) ?? null;
    if (answer?.kind === 'failed') {
      throw new PgError('io_error', `the state of deliveries cannot be read or written: ${answer.message}`);
    }
    return answer?.kind === kind ? (answer as AnswerOf<Kind>) : null;
  }

  /** Each database about its streams, of those that there are: one that is only staged has delivered nothing. */
  #askAll<T>(
    names: readonly string[],
    ask: (database: string, streamIds: readonly string[]) => Promise<T>,
  ): Promise<T[]> {
    const found = names.flatMap((name) => this.#options.catalog.stream(name)?.definition ?? []);
    const byDatabase = Map.groupBy(found, ({ database }) => database);
    const asked = [...byDatabase].map(([name, streams]) =>
      ask(
        name,
        streams.map(({ id }) => id),
      ),
    );
    return Promise.all(asked);
  }

  /** 42704. */
  #must(name: string): StreamDefinition {
    const record = this.#options.catalog.stream(name);
    if (!record) throw missingObject('stream', name);
    return record.definition;
  }
}

/** `length`: what Content-Length is, where it is among them; null: nothing is sent. */
function withLength(headers: PeekedRequest['headers'] & {}, length: string | null): PeekedRequest['headers'] & {} {
  return headers.flatMap(([name, value]) => {
    if (name !== 'Content-Length') return [[name, value] as const];
    return length === null ? [] : [[name, length] as const];
  });
}

/** The first of all, which are in that order each. */
function merged<T>(found: readonly (readonly T[])[], limit: number, compare: (a: T, b: T) => number): readonly T[] {
  const [first = [], ...others] = found;
  return others.length === 0 ? first : found.flat().toSorted(compare).slice(0, limit);
}
