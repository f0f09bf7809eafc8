import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Service } from '../base/service.ts';
import type { StreamControl } from '../model/stream-control.ts';
import { forwardCancel } from './cancel.ts';
import { StatementInterceptor } from './interceptor.ts';
import { Staging } from './outlet.ts';
import type { Relay } from './relay.ts';
import { Session, type SessionContext, type SessionLimits } from './session.ts';
import { describeAddress, READ_BYTES, type Address } from './sockets.ts';

export interface FrontendLimits extends SessionLimits {
  /** After a shutdown was asked for, how long sessions may finish what they are doing. */
  readonly drainTimeoutMs: number;
}

export const DEFAULT_LIMITS: FrontendLimits = {
  authenticationTimeoutMs: 30_000,
  bytesBeforeAuthentication: 10_000,
  upstreamConnectTimeoutMs: 10_000,
  lingerMs: 2_000,
  drainTimeoutMs: 10_000,
};

export interface FrontendOptions {
  /** Port 0: any free one. */
  readonly listen: Address;
  readonly upstream: Address;
  readonly control: StreamControl;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<FrontendLimits>;
}

/** Counts since the start, and what is open now. */
export interface FrontendStats {
  readonly connectionsOpen: number;
  readonly connectionsTotal: number;
  readonly upstreamConnectMsTotal: number;
  readonly statementsIntercepted: number;
  readonly cancelRequests: number;
  readonly bytesToClients: number;
  readonly bytesToUpstream: number;
}

/** The SQL port: clients connect to it as to their Postgres. */
export class Frontend implements Service {
  readonly #options: FrontendOptions;
  readonly #limits: FrontendLimits;
  readonly #sessions = new Set<Session>();
  readonly #keys = new Map<string, Session>();
  readonly #keyOf = new Map<Session, string>();
  readonly #staging = new Staging();
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #toClients = { bytes: 0 };
  readonly #toUpstream = { bytes: 0 };
  readonly #listening = Promise.withResolvers<Address>();
  readonly #counts = { connections: 0, connectMs: 0, statements: 0, cancels: 0 };
  #onSessionEnd: (() => void) | null = null;

  constructor(options: FrontendOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    // Whoever does not ask where it listens learns of a failure from `run`.
    this.#listening.promise.catch(() => undefined);
  }

  /** Where it listens, once it does; rejects where it cannot. */
  get address(): Promise<Address> {
    return this.#listening.promise;
  }

  stats(): FrontendStats {
    return {
      connectionsOpen: this.#sessions.size,
      connectionsTotal: this.#counts.connections,
      upstreamConnectMsTotal: this.#counts.connectMs,
      statementsIntercepted: this.#counts.statements,
      cancelRequests: this.#counts.cancels,
      bytesToClients: this.#toClients.bytes,
      bytesToUpstream: this.#toUpstream.bytes,
    };
  }

  /**
   * Listens until the signal aborts; then takes no more connections, ends the idle ones (57P01), and the others once
   * they are idle or the drain timeout is over. Rejects where it cannot listen.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { listen, logger } = this.#options;
    const context = this.#context();
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) =>
      this.#accept(socket, context),
    );
    try {
      await listening(server, listen);
    } catch (error) {
      this.#listening.reject(error);
      throw error;
    }
    const address = boundAddress(server, listen);
    this.#listening.resolve(address);
    logger.info({ address: describeAddress(address) }, 'listening for SQL');
    server.on('error', (err) => logger.warn({ err }, 'could not accept a connection'));
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    server.close();
    await this.#drain();
  }

  #accept(socket: Socket, context: SessionContext): void {
    this.#counts.connections++;
    const session = new Session(socket, context);
    this.#sessions.add(session);
    session.start();
  }

  async #drain(): Promise<void> {
    for (const session of this.#sessions) session.drain();
    const { clock } = this.#options;
    const stop = clock.after(this.#limits.drainTimeoutMs, () => {
      for (const session of this.#sessions) session.terminate();
    });
    while (this.#sessions.size > 0) {
      await new Promise<void>((resolve) => (this.#onSessionEnd = resolve));
    }
    stop();
  }

  #context(): SessionContext {
    const { upstream, clock, logger, control } = this.#options;
    return {
      upstream,
      clock,
      logger,
      limits: this.#limits,
      staging: this.#staging,
      readBuffer: this.#readBuffer,
      traffic: { toClients: this.#toClients, toUpstream: this.#toUpstream },
      intercept: (relay: Relay) =>
        new StatementInterceptor({ relay, control, logger, intercepted: () => this.#counts.statements++ }),
      cancelled: (packet, key) => this.#cancel(packet, key),
      keyed: (session, key) => this.#register(session, key),
      connected: (durationMs) => (this.#counts.connectMs += durationMs),
      ended: (session) => this.#forget(session),
    };
  }

  #cancel(packet: Buffer, key: Buffer): void {
    this.#counts.cancels++;
    this.#keys.get(key.toString('hex'))?.cancel();
    const { upstream, clock, logger } = this.#options;
    forwardCancel(upstream, packet, this.#limits.upstreamConnectTimeoutMs, clock, logger);
  }

  #register(session: Session, key: Buffer): void {
    const name = key.toString('hex');
    this.#keys.set(name, session);
    this.#keyOf.set(session, name);
  }

  #forget(session: Session): void {
    this.#sessions.delete(session);
    const key = this.#keyOf.get(session);
    this.#keyOf.delete(session);
    if (key !== undefined && this.#keys.get(key) === session) this.#keys.delete(key);
    this.#onSessionEnd?.();
  }
}

function listening(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(
      'path' in address ? { path: address.path } : { host: address.host, port: address.port, backlog: 1024 },
      () => {
        server.off('error', reject);
        resolve();
      },
    );
  });
}

function boundAddress(server: Server, asked: Address): Address {
  if ('path' in asked) return asked;
  const { address, port } = server.address() as AddressInfo;
  return { host: address, port };
}
