import type { Socket } from 'node:net';
import type { Cancel, Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { errorResponse } from './error-response.ts';
import type { Staging } from './outlet.ts';
import { Relay, SessionEndedError, type Interceptor, type RelayTraffic } from './relay.ts';
import { adopt, describeAddress, dial, type Address } from './sockets.ts';
import { asksForReplication, StartupReader } from './startup-reader.ts';

export interface SessionLimits {
  /** From the connection to the end of authentication. */
  readonly authenticationTimeoutMs: number;
  /** What a client may send up to the end of authentication. */
  readonly bytesBeforeAuthentication: number;
  readonly upstreamConnectTimeoutMs: number;
  /** How long a client that has been sent everything may take to close its side. */
  readonly lingerMs: number;
}

/** What the sessions of a frontend share. */
export interface SessionContext {
  readonly upstream: Address;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly staging: Staging;
  readonly readBuffer: Buffer;
  readonly traffic: RelayTraffic;
  intercept(relay: Relay): Interceptor;
  cancelled(packet: Buffer, key: Buffer): void;
  keyed(session: Session, key: Buffer): void;
  connected(durationMs: number): void;
  ended(session: Session): void;
}

const ERRNO_TEXT: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ENOENT: 'no such file or directory',
  ENOTFOUND: 'host name not found',
  ETIMEDOUT: 'connection timed out',
};

/**
 * One client from its connection to its end: startup packet, one connection to the upstream, then the relay.
 * Whatever ends either side, the other gets what was sent before and is then closed.
 */
export class Session {
  readonly #client: Socket;
  readonly #context: SessionContext;
  readonly #startup = new StartupReader();
  #upstream: Socket | null = null;
  #relay: Relay | null = null;
  #interceptor: Interceptor | null = null;
  #clientEnded = false;
  #isAuthenticated = false;
  #bytesBeforeAuthentication = 0;
  #isDraining = false;
  #isOver = false;
  #timer: Cancel;

  constructor(accepted: Socket, context: SessionContext) {
    this.#context = context;
    this.#client = adopt(accepted, context.readBuffer, (bytes, length) => this.#clientBytes(bytes, length));
    this.#timer = context.clock.after(context.limits.authenticationTimeoutMs, () => this.#tooSlow());
  }

  start(): void {
    const client = this.#client;
    client.setNoDelay(true);
    client.on('error', () => undefined);
    client.on('end', () => this.#clientEnd());
    client.on('close', () => this.#clientClosed());
    client.resume();
  }

  /** Ends the session with 57P01 as soon as nothing is going on in it. */
  drain(): void {
    this.#isDraining = true;
    if (!this.#relay || this.#relay.isIdle) this.terminate();
  }

  /** Ends the session now. */
  terminate(): void {
    if (this.#isOver) return;
    const error = new PgError('admin_shutdown', 'terminating connection due to administrator command', {
      severity: 'FATAL',
    });
    this.#fatal(error);
  }

  /** The statement of ours that runs, if any, ends with 57014, unless it is too late for that. */
  cancel(): void {
    this.#interceptor?.cancel();
  }

  #clientBytes(bytes: Buffer, length: number): void {
    if (this.#isOver) return;
    if (!this.#isAuthenticated) {
      this.#bytesBeforeAuthentication += length;
      if (this.#bytesBeforeAuthentication > this.#context.limits.bytesBeforeAuthentication) {
        return this.#fatal(
          new PgError('protocol_violation', 'too much data before authentication', { severity: 'FATAL' }),
        );
      }
    }
    if (this.#relay) this.#relay.clientBytes(bytes, length);
    else this.#startupBytes(bytes.subarray(0, length));
  }

  #startupBytes(chunk: Buffer): void {
    try {
      const step = this.#startup.read(chunk);
      switch (step.kind) {
        case 'wait':
          break;
        case 'refuse-encryption':
          this.#client.write(step.answer);
          break;
        case 'cancel':
          this.#context.cancelled(Buffer.from(step.packet), step.key);
          this.#finish();
          break;
        case 'start':
          this.#connect(Buffer.from(step.packet), Buffer.from(step.rest), asksForReplication(step.parameters));
      }
    } catch (error) {
      this.#fatal(error);
    }
  }

  #connect(packet: Buffer, rest: Buffer, isReplication: boolean): void {
    const { upstream: address, clock, limits, readBuffer, staging, traffic } = this.#context;
    this.#client.pause();
    const startedMs = clock.monotonicMs();
    const upstream = dial(address, readBuffer, (bytes, length) => this.#relay?.upstreamBytes(bytes, length));
    this.#upstream = upstream;
    const stop = clock.after(limits.upstreamConnectTimeoutMs, () => {
      upstream.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' }));
    });
    let failure: NodeJS.ErrnoException | null = null;
    upstream.on('error', (error) => (failure = error));
    upstream.once('connect', () => {
      stop();
      this.#context.connected(clock.monotonicMs() - startedMs);
      const relay = new Relay(this.#client, upstream, staging, traffic, {
        authenticated: () => this.#authenticated(),
        key: (key) => this.#context.keyed(this, key),
        ready: () => this.#ready(),
      });
      this.#relay = relay;
      upstream.write(packet);
      if (isReplication) relay.pipe();
      else {
        this.#interceptor = this.#context.intercept(relay);
        relay.interceptor = this.#interceptor;
      }
      if (rest.length > 0) relay.clientBytes(rest, rest.length);
      if (this.#clientEnded) relay.clientEnd();
      this.#client.resume();
    });
    upstream.on('end', () => this.#finish());
    upstream.once('close', () => {
      stop();
      if (!this.#relay && !this.#isOver) this.#fatal(unreachable(address, failure));
      this.#finish();
    });
  }

  #authenticated(): void {
    this.#isAuthenticated = true;
    this.#timer();
  }

  #ready(): void {
    // Behind the ReadyForQuery itself, which is on its way to the client.
    if (this.#isDraining) queueMicrotask(() => this.#relay?.isIdle && this.terminate());
  }

  #tooSlow(): void {
    if (!this.#relay) {
      // As Postgres does with a startup packet that does not come.
      this.#client.destroy();
      return;
    }
    this.#fatal(new PgError('query_canceled', 'canceling authentication due to timeout', { severity: 'FATAL' }));
  }

  /** Tells the client why, and ends. */
  #fatal(error: unknown): void {
    if (this.#isOver) return;
    const encoding = this.#relay?.clientEncoding ?? 'UTF8';
    if (this.#client.writable) this.#client.write(errorResponse(error, encoding, this.#context.logger));
    this.#finish();
  }

  #clientEnd(): void {
    this.#clientEnded = true;
    if (this.#isOver) this.#client.destroy();
    else if (this.#relay) this.#relay.clientEnd();
    else if (!this.#upstream) this.#finish();
  }

  /** No more comes from the upstream, or is wanted: the client gets what is on its way, and is closed. */
  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer();
    this.#relay?.end(new SessionEndedError('the session has ended'));
    this.cancel();
    this.#upstream?.destroySoon();
    if (this.#clientEnded) this.#client.destroySoon();
    else this.#closeClient();
  }

  /** Closing with data unread would reset the connection and lose what the client has not read: it goes first. */
  #closeClient(): void {
    const client = this.#client;
    // Counted from here and not from when all is written: a client that does not read would never let that happen.
    const stop = this.#context.clock.after(this.#context.limits.lingerMs, () => client.destroy());
    client.once('close', stop);
    client.end();
    client.resume();
  }

  #clientClosed(): void {
    this.#timer();
    this.#finish();
    this.#context.ended(this);
  }
}

function unreachable(address: Address, failure: NodeJS.ErrnoException | null): PgError {
  const code = failure?.code ?? '';
  const cause = ERRNO_TEXT[code] ?? failure?.message ?? 'the connection was closed';
  return new PgError(
    'connection_failure',
    `could not connect to the upstream server at ${describeAddress(address)}: ${cause}`,
    { severity: 'FATAL', cause: failure },
  );
}
