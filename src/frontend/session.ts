import type { Socket } from 'node:net';
import type { Cancel, Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { must } from '../base/assert.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { Opening } from '../upstream/channel.ts';
import type { SessionUpstream, Whereabouts } from '../upstream/session-upstream.ts';
import { errorResponse } from './error-response.ts';
import { AuthenticationGate } from './authentication.ts';
import { closeInTime } from './closing.ts';
import { ALPN_PROTOCOL, type ClientTls } from './client-tls.ts';
import type { Staging } from './outlet.ts';
import { Relay, SessionEndedError, type RelayTraffic } from './relay.ts';
import type { Interceptor } from './steps-in.ts';
import { UpstreamError } from './question.ts';
import { adopt, keepAlive } from './sockets.ts';
import { asksForReplication, StartupReader } from './startup-reader.ts';
import { openLink, type UpstreamLink } from './upstream-link.ts';

export interface SessionLimits {
  /** From the connection to the end of authentication. */
  readonly authenticationTimeoutMs: number;
  /** What a client may send up to the end of authentication. */
  readonly bytesBeforeAuthentication: number;
  /** How long a client that has been sent everything may take to close its side. */
  readonly lingerMs: number;
  /** How long a connection is silent before the kernel asks whether its other side is there; 0: as the system does. */
  readonly tcpKeepaliveMs: number;
}

/** What the sessions of a frontend (and of one kind of listener) share. */
export interface SessionContext {
  readonly upstream: SessionUpstream;
  /** Null where no TLS is offered. */
  readonly tls: ClientTls | null;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly staging: Staging;
  readonly readBuffer: Buffer;
  readonly traffic: RelayTraffic;
  intercept(relay: Relay): Interceptor;
  /** A client has said who it is; throws the FATAL error for one that may not come in. */
  admit(session: Session, client: Socket, parameters: ReadonlyMap<string, string>): void;
  /** A TLS handshake has ended, one way or the other. */
  secured(session: Session, hasSucceeded: boolean): void;
  authenticationFailed(): void;
  /** Resolves when the upstream has done what it will. */
  cancelled(packet: Buffer, key: Buffer): Promise<void>;
  keyed(session: Session, key: Buffer): void;
  /** `link` is null where it was not to be had. */
  connected(durationMs: number, link: UpstreamLink | null): void;
  ended(session: Session): void;
}

/**
 * One client from its connection to its end: startup packet, one connection to the upstream, then the relay.
 * Whatever ends either side, the other gets what was sent before and is then closed.
 */
export class Session {
  readonly #context: SessionContext;
  readonly #startup: StartupReader;
  /** The accepted connection, or the TLS channel over it. */
  #client: Socket;
  #gate: AuthenticationGate | null = null;
  #isHandshaking = false;
  #activity = 0;
  readonly #opening = new Opening();
  #isConnecting = false;
  #upstream: Socket | null = null;
  #whereabouts: Whereabouts | null = null;
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
    this.#startup = new StartupReader(context.tls !== null);
    this.#client = adopt(accepted, context.readBuffer, (bytes, length) => this.#clientBytes(bytes, length));
    this.#timer = context.clock.after(context.limits.authenticationTimeoutMs, () => this.#tooSlow());
  }

  start(): void {
    const client = this.#client;
    client.setNoDelay(true);
    keepAlive(client, this.#context.limits.tcpKeepaliveMs);
    this.#listen(client);
    client.resume();
  }

  /** Changes with whatever the client sends, and each time its turn comes. */
  get activity(): number {
    return this.#activity;
  }

  /** Whether it waits for its client, outside a transaction. Replication has no such state. */
  get isIdle(): boolean {
    const relay = this.#relay;
    if (!relay || !this.#interceptor || this.#isOver) return false;
    return relay.isIdle && !relay.due.isGroupOpen && this.#client.writableLength === 0;
  }

  /** Ends the session with 57P01 as soon as nothing is going on in it. */
  drain(): void {
    this.#isDraining = true;
    if (!this.#relay || this.#relay.isIdle) this.terminate();
  }

  /** Ends the session now. */
  terminate(): void {
    this.end(
      new PgError('admin_shutdown', 'terminating connection due to administrator command', { severity: 'FATAL' }),
    );
  }

  /** Ends the session now, and tells the client why. */
  end(error: PgError): void {
    this.#fatal(error);
  }

  /** The statement of ours that runs, if any, ends with 57014, unless it is too late for that. */
  cancel(): void {
    this.#interceptor?.cancel();
  }

  /** Where its upstream is, once it is connected. */
  get whereabouts(): Whereabouts | null {
    return this.#whereabouts;
  }

  #listen(client: Socket): void {
    client.on('error', () => undefined);
    client.on('end', () => client === this.#client && this.#clientEnd());
    client.on('close', () => client === this.#client && this.#clientClosed());
  }

  #clientBytes(bytes: Buffer, length: number): void {
    if (this.#isOver) return;
    this.#activity++;
    if (!this.#isAuthenticated) {
      this.#bytesBeforeAuthentication += length;
      if (this.#bytesBeforeAuthentication > this.#context.limits.bytesBeforeAuthentication) {
        return this.#fatal(
          new PgError('protocol_violation', 'too much data before authentication', { severity: 'FATAL' }),
        );
      }
    }
    if (this.#gate) this.#pastGate((gate) => gate.clientBytes(bytes, length));
    else if (this.#relay) this.#relay.clientBytes(bytes, length);
    else this.#startupBytes(bytes.subarray(0, length));
  }

  #upstreamBytes(bytes: Buffer, length: number): void {
    if (this.#isOver) return;
    if (this.#gate) this.#pastGate((gate) => gate.upstreamBytes(bytes, length));
    else this.#relay?.upstreamBytes(bytes, length);
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
        case 'start-tls':
          if (step.answer) this.#client.write(step.answer);
          this.#startTls(must(this.#context.tls, 'TLS is begun where it is offered'), step.first);
          break;
        case 'cancel':
          // What may come behind it is for no one.
          this.#client.pause();
          void this.#context.cancelled(Buffer.from(step.packet), step.key).finally(() => this.#finish());
          break;
        case 'start':
          this.#context.admit(this, this.#client, step.parameters);
          this.#connect(Buffer.from(step.packet), Buffer.from(step.rest), asksForReplication(step.parameters));
      }
    } catch (error) {
      this.#fatal(error);
    }
  }

  /** From here on the client is the channel inside. The time for the startup packet goes on. */
  #startTls(tls: ClientTls, first: Buffer | null): void {
    const client = tls.wrap(this.#client, first);
    this.#client = client;
    this.#isHandshaking = true;
    this.#listen(client);
    client.on('error', (err) => {
      if (this.#isHandshaking) this.#context.logger.debug({ err }, 'a TLS handshake with a client has failed');
    });
    client.on('secure', () => {
      this.#isHandshaking = false;
      this.#context.secured(this, true);
      // Whoever begins with TLS says in the handshake what it is for, as Postgres wants it since 17.
      if (first && client.alpnProtocol !== ALPN_PROTOCOL) client.destroy();
    });
    client.on('data', (bytes: Buffer) => this.#clientBytes(bytes, bytes.length));
  }

  #connect(packet: Buffer, rest: Buffer, isReplication: boolean): void {
    const { upstream, clock, readBuffer } = this.#context;
    this.#client.pause();
    const startedMs = clock.monotonicMs();
    this.#isConnecting = true;
    openLink({ upstream, packet, readBuffer, opening: this.#opening }).then(
      (link) => {
        this.#context.connected(clock.monotonicMs() - startedMs, link);
        this.#relayWith(link, rest, isReplication);
      },
      (error: unknown) => {
        if (error instanceof UpstreamError) this.#context.authenticationFailed();
        else if (!this.#isOver) this.#context.connected(clock.monotonicMs() - startedMs, null);
        this.#fatal(error);
      },
    );
  }

  #relayWith({ channel, whereabouts }: UpstreamLink, rest: Buffer, isReplication: boolean): void {
    const { limits, staging, traffic } = this.#context;
    const upstream = channel.socket;
    this.#upstream = upstream;
    if (this.#isOver) return void upstream.destroy();
    this.#whereabouts = whereabouts;
    keepAlive(upstream, limits.tcpKeepaliveMs);
    upstream.on('error', () => this.#context.upstream.lost());
    upstream.on('end', () => this.#finish());
    upstream.once('close', () => this.#finish());
    const relay = new Relay(this.#client, upstream, staging, traffic, {
      key: (key) => this.#context.keyed(this, key),
      hotStandby: (isStandby) => this.#hotStandby(isStandby),
      ready: () => this.#ready(),
    });
    this.#relay = relay;
    this.#gate = this.#newGate(relay, upstream);
    if (isReplication) relay.pipe();
    else {
      this.#interceptor = this.#context.intercept(relay);
      relay.interceptor = this.#interceptor;
    }
    channel.read((bytes, length) => this.#upstreamBytes(bytes, length));
    if (rest.length > 0) this.#clientBytesPast(rest);
    if (this.#clientEnded) relay.clientEnd();
    this.#client.resume();
    // It may have ended before there was anyone to be told.
    if (upstream.destroyed || upstream.readableEnded) this.#finish();
  }

  /** What came with the startup packet. */
  #clientBytesPast(rest: Buffer): void {
    if (this.#gate) this.#pastGate((gate) => gate.clientBytes(rest, rest.length));
    else this.#relay?.clientBytes(rest, rest.length);
  }

  #newGate(relay: Relay, upstream: Socket): AuthenticationGate {
    return new AuthenticationGate(this.#client, upstream, {
      toClient: (bytes, length) => relay.upstreamBytes(bytes, length),
      toUpstream: (bytes, length) => relay.clientBytes(bytes, length),
      authenticated: () => {
        this.#isAuthenticated = true;
        this.#timer();
      },
      failed: () => this.#context.authenticationFailed(),
    });
  }

  #pastGate(pass: (gate: AuthenticationGate) => void): void {
    const gate = must(this.#gate, 'the gate stands until it is over');
    try {
      pass(gate);
      if (gate.isOver) this.#gate = null;
    } catch (error) {
      if (!(error instanceof PgError)) throw error;
      this.#context.authenticationFailed();
      this.#fatal(error);
    }
  }

  /** Told at the start, and when it changes; then the server has its own way with its sessions. */
  #hotStandby(isStandby: boolean): void {
    const { upstream, logger } = this.#context;
    const problem = this.#relay?.due.isStarted ? null : upstream.contradiction(isStandby);
    if (problem === null) return;
    const name = this.#whereabouts?.host.name;
    logger.warn({ upstream: name, problem }, 'the upstream server is no longer what is wanted');
    const error = new PgError(
      'cannot_connect_now',
      `the upstream server at ${name} is not what is wanted: ${problem}`,
      {
        severity: 'FATAL',
        hint: 'walhook looks for the right server before the next connection: connect again.',
      },
    );
    // Behind the messages that are on their way; one of them may be half sent.
    queueMicrotask(() => {
      const relay = this.#relay;
      const bytes = errorResponse(error, relay?.clientEncoding ?? 'UTF8', logger);
      relay?.answer(bytes).then(
        () => this.#finish(),
        () => undefined,
      );
    });
  }

  #ready(): void {
    this.#activity++;
    // Behind the ReadyForQuery itself, which is on its way to the client.
    if (this.#isDraining) queueMicrotask(() => this.#relay?.isIdle && this.terminate());
  }

  #tooSlow(): void {
    this.#context.authenticationFailed();
    if (!this.#isConnecting) {
      // As Postgres does with a startup packet that does not come.
      this.#client.destroy();
      return;
    }
    this.#fatal(new PgError('query_canceled', 'canceling authentication due to timeout', { severity: 'FATAL' }));
  }

  /** Tells the client why, and ends. */
  #fatal(error: unknown): void {
    if (this.#isOver) return;
    // Inside an unfinished handshake nothing can be said.
    if (this.#isHandshaking) this.#client.destroy();
    const encoding = this.#relay?.clientEncoding ?? 'UTF8';
    // In the middle of a message of the upstream's it would be taken for a part of that.
    const isBetween = this.#gate?.isBetween ?? this.#relay?.isBetween ?? true;
    if (isBetween && this.#client.writable) this.#client.write(errorResponse(error, encoding, this.#context.logger));
    this.#finish();
  }

  #clientEnd(): void {
    this.#clientEnded = true;
    if (this.#isOver || this.#isHandshaking) this.#client.destroy();
    else if (this.#relay) this.#relay.clientEnd();
    else if (!this.#isConnecting) this.#finish();
  }

  /** No more comes from the upstream, or is wanted: the client gets what is on its way, and is closed. */
  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer();
    this.#relay?.end(new SessionEndedError('the session has ended'));
    this.cancel();
    const { clock, limits } = this.#context;
    if (this.#upstream) closeInTime(this.#upstream, false, limits.lingerMs, clock);
    else this.#opening.abort(new SessionEndedError('the session has ended'));
    closeInTime(this.#client, !this.#clientEnded, limits.lingerMs, clock);
  }

  #clientClosed(): void {
    if (this.#isHandshaking) this.#context.secured(this, false);
    this.#timer();
    this.#finish();
    this.#context.ended(this);
  }
}
