import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { untilAborted, type Service } from '../base/service.ts';
import type { Tracer } from '../base/tracing.ts';
import type { CatalogControl } from '../model/catalog-control.ts';
import type { ServerInfo } from '../model/server-info.ts';
import type { StreamControl } from '../model/stream-control.ts';
import type { SessionUpstream } from '../upstream/session-upstream.ts';
import { Admission, type RefusalReason } from './admission.ts';
import { forwardCancel } from './cancel.ts';
import type { ClientTls } from './client-tls.ts';
import type { RateLimits } from '../base/address-rate.ts';
import { errorResponse } from './error-response.ts';
import { endIdleSessions } from './idle-clients.ts';
import { StatementInterceptor } from './interceptor.ts';
import { listenAll } from './listeners.ts';
import { Staging } from './outlet.ts';
import type { Relay } from './relay.ts';
import { Session, type SessionContext, type SessionLimits } from './session.ts';
import { describeAddress, READ_BYTES, type Address } from './sockets.ts';

export interface FrontendLimits extends SessionLimits {
  /** After a shutdown was asked for, how long sessions may finish what they are doing. */
  readonly drainTimeoutMs: number;
  /** Clients at the same time; those that only cancel a query do not count. */
  readonly maxClients: number;
  /** For each address; null: as many as come. */
  readonly connectionRate: RateLimits | null;
  /** How long a client may leave its session idle outside a transaction; 0: for ever. */
  readonly clientIdleTimeoutMs: number;
}

export const DEFAULT_LIMITS: FrontendLimits = {
  authenticationTimeoutMs: 30_000,
  bytesBeforeAuthentication: 10_000,
  lingerMs: 2_000,
  drainTimeoutMs: 10_000,
  tcpKeepaliveMs: 60_000,
  maxClients: 10_000,
  connectionRate: null,
  clientIdleTimeoutMs: 0,
};

export interface FrontendOptions {
  /** One at least. Port 0: any free one. */
  readonly listen: readonly Address[];
  /** For clients that come by TCP; null: none. */
  readonly tls?: ClientTls | null;
  readonly upstream: SessionUpstream;
  readonly control: StreamControl & CatalogControl;
  readonly info: ServerInfo;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<FrontendLimits>;
  /** Absent or null: nobody collects traces. */
  readonly tracer?: Tracer | null;
}

/** Counts since the start, and what is open now. */
export interface FrontendStats {
  readonly connectionsOpen: number;
  readonly connectionsTotal: number;
  readonly tlsConnectionsOpen: number;
  /** By the upstream, by a timeout, or for asking for what cannot be had. */
  readonly authenticationsFailed: number;
  readonly connectionsRefused: ReadonlyMap<RefusalReason, number>;
  readonly upstreamConnects: number;
  readonly upstreamConnectMsTotal: number;
  readonly upstreamConnectFailures: number;
  readonly statementsIntercepted: number;
  /** Milliseconds that clients' messages were held up by statements of ours, all together. */
  readonly interceptionMsTotal: number;
  readonly cancelRequests: number;
  readonly bytesToClients: number;
  readonly bytesToUpstream: number;
}

/** The SQL port: clients connect to it as to their Postgres. */
export class Frontend implements Service {
  readonly #options: FrontendOptions;
  /** Sessions have this object itself. */
  readonly #limits: { -readonly [Key in keyof FrontendLimits]: FrontendLimits[Key] };
  readonly #sessions = new Set<Session>();
  readonly #keys = new Map<string, Session>();
  readonly #keyOf = new Map<Session, string>();
  readonly #staging = new Staging();
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #toClients = { bytes: 0 };
  readonly #toUpstream = { bytes: 0 };
  readonly #listening = Promise.withResolvers<readonly Address[]>();
  readonly #counts = {
    connections: 0,
    connects: 0,
    connectMs: 0,
    connectFailures: 0,
    statements: 0,
    heldMs: 0,
    cancels: 0,
    authenticationsFailed: 0,
  };
  readonly #encrypted = new Set<Session>();
  readonly #admission: Admission;
  #onSessionEnd: (() => void) | null = null;
  #signal: AbortSignal | null = null;
  /** Ends the look-out for idle sessions. */
  #endIdle: AbortController | null = null;

  constructor(options: FrontendOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { maxClients, connectionRate } = this.#limits;
    this.#admission = new Admission({ maxClients, connectionRate, tls: options.tls ?? null, clock: options.clock });
    // Whoever does not ask where it listens learns of a failure from `run`.
    this.#listening.promise.catch(() => undefined);
  }

  /** Where it listens, once it does, in the order of `listen`; rejects where it cannot. */
  get addresses(): Promise<readonly Address[]> {
    return this.#listening.promise;
  }

  /** Other limits, for connections from now on; of those that are there, for what has not begun yet. */
  configure(limits: Partial<FrontendLimits>): void {
    const { clientIdleTimeoutMs } = this.#limits;
    Object.assign(this.#limits, limits);
    this.#admission.configure(this.#limits);
    if (this.#limits.clientIdleTimeoutMs !== clientIdleTimeoutMs) this.#watchIdle();
  }

  stats(): FrontendStats {
    return {
      connectionsOpen: this.#sessions.size,
      connectionsTotal: this.#counts.connections,
      tlsConnectionsOpen: this.#encrypted.size,
      authenticationsFailed: this.#counts.authenticationsFailed,
      connectionsRefused: this.#admission.refused,
      upstreamConnects: this.#counts.connects,
      upstreamConnectMsTotal: this.#counts.connectMs,
      upstreamConnectFailures: this.#counts.connectFailures,
      statementsIntercepted: this.#counts.statements,
      interceptionMsTotal: this.#counts.heldMs,
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
    const { listen, logger, tls = null } = this.#options;
    const remote = this.#context(false);
    const local = this.#context(true);
    const listeners = await listenAll(
      listen,
      (socket, isLocal) => this.#accept(socket, isLocal, isLocal ? local : remote),
      (err) => logger.warn({ err }, 'could not accept a connection'),
    ).catch((error: unknown) => {
      this.#listening.reject(error);
      throw error;
    });
    this.#listening.resolve(listeners.addresses);
    logger.info({ addresses: listeners.addresses.map(describeAddress) }, 'listening for SQL');
    this.#signal = signal;
    this.#watchIdle();
    void tls?.watch(signal);
    await untilAborted(signal);
    listeners.close();
    await this.#drain();
  }

  /** Anew: how long sessions have been idle is counted from now. */
  #watchIdle(): void {
    this.#endIdle?.abort();
    this.#endIdle = new AbortController();
    const { clientIdleTimeoutMs } = this.#limits;
    if (this.#signal === null || clientIdleTimeoutMs === 0) return;
    const until = AbortSignal.any([this.#signal, this.#endIdle.signal]);
    void endIdleSessions(this.#sessions, clientIdleTimeoutMs, this.#options.clock, until);
  }

  #accept(socket: Socket, isLocal: boolean, context: SessionContext): void {
    this.#counts.connections++;
    const refusal = this.#admission.connection(socket, isLocal, this.#sessions.size);
    if (refusal) {
      socket.on('error', () => undefined);
      socket.end(errorResponse(refusal, 'UTF8', this.#options.logger), () => socket.destroy());
      return;
    }
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

  /** `isLocal`: for clients of a unix socket, where TLS would protect nothing. */
  #context(isLocal: boolean): SessionContext {
    const { upstream, clock, logger, control, info, tls = null, tracer = null } = this.#options;
    return {
      upstream,
      tls: isLocal ? null : tls,
      clock,
      logger,
      limits: this.#limits,
      staging: this.#staging,
      readBuffer: this.#readBuffer,
      traffic: { toClients: this.#toClients, toUpstream: this.#toUpstream },
      intercept: (relay: Relay) =>
        new StatementInterceptor({
          relay,
          control,
          info,
          logger,
          clock,
          intercepted: ({ kind }) => {
            this.#counts.statements++;
            return tracer?.start('statement', 'server', { 'walhook.statement': kind }) ?? null;
          },
          held: (durationMs) => (this.#counts.heldMs += durationMs),
        }),
      admit: (session, client, parameters) => this.#admission.client(session, client, isLocal, parameters),
      secured: (session, hasSucceeded) => {
        if (hasSucceeded) this.#encrypted.add(session);
        else this.#admission.count('tls_handshake');
      },
      authenticationFailed: () => this.#counts.authenticationsFailed++,
      cancelled: (packet, key) => this.#cancel(packet, key),
      keyed: (session, key) => this.#register(session, key),
      connected: (durationMs, link) => this.#connected(durationMs, link !== null),
      ended: (session) => this.#forget(session),
    };
  }

  #connected(durationMs: number, succeeded: boolean): void {
    if (succeeded) {
      this.#counts.connects++;
      this.#counts.connectMs += durationMs;
    } else this.#counts.connectFailures++;
  }

  async #cancel(packet: Buffer, key: Buffer): Promise<void> {
    this.#counts.cancels++;
    const session = this.#keys.get(key.toString('hex'));
    session?.cancel();
    const { upstream, logger } = this.#options;
    await forwardCancel({ upstream, session: session?.whereabouts ?? null, packet, logger });
  }

  #register(session: Session, key: Buffer): void {
    const name = key.toString('hex');
    const former = this.#keyOf.get(session);
    if (former !== undefined && this.#keys.get(former) === session) this.#keys.delete(former);
    this.#keys.set(name, session);
    this.#keyOf.set(session, name);
  }

  #forget(session: Session): void {
    this.#sessions.delete(session);
    this.#encrypted.delete(session);
    this.#admission.gone(session);
    const key = this.#keyOf.get(session);
    this.#keyOf.delete(session);
    if (key !== undefined && this.#keys.get(key) === session) this.#keys.delete(key);
    this.#onSessionEnd?.();
  }
}
