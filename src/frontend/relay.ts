import type { Socket } from 'node:net';
import { must } from '../base/assert.ts';
import { PgError } from '../postgres/sqlstate.ts';
import {
  decodeAuthentication,
  decodeBackendKey,
  decodeParameterStatus,
  decodeReadyForQuery,
} from '../wire/backend-messages.ts';
import { ACTION, Framer, type Actions, type FrameSink } from '../wire/framer.ts';
import { BACKEND, FRONTEND, STATUS } from '../wire/message-type.ts';
import { AnswersDue } from './answers-due.ts';
import { Backlog } from './backlog.ts';
import { Outlet, type Staging, type Traffic } from './outlet.ts';
import {
  FROM_CLIENT,
  FROM_CLIENT_NAMED,
  FROM_CLIENT_SKIPPING,
  FROM_CLIENT_STAGING,
  FROM_UPSTREAM,
  FROM_UPSTREAM_ASKED,
  FROM_UPSTREAM_NAMED,
  FROM_UPSTREAM_STAGING,
} from './relay-actions.ts';
import type { Interceptor } from './steps-in.ts';

const FLUSH = Buffer.from([FRONTEND.flush, 0, 0, 0, 4]);

/** A talk with the upstream on the client's session while the client's own messages wait. */
export interface Dialogue {
  /** What passes on to the client, and what is taken. */
  readonly actions: Actions;
  /** A message that was taken (or shown); valid during the call alone. True ends the dialogue. */
  took(type: number, message: Buffer): boolean;
}

export interface RelayEvents {
  /** The process id and secret by which this session is cancelled. */
  key(key: Buffer): void;
  hotStandby(isStandby: boolean): void;
  ready(): void;
}

/** The session has ended while something waited for it. */
export class SessionEndedError extends Error {
  override readonly name = 'SessionEndedError';
}

/**
 * Both directions of one session. Bytes pass as they come; messages are found only to know whose turn it is.
 *
 * Invariant: bytes of ours go to the client only while the upstream owes nothing that comes before them and stands
 * between two messages; bytes of ours go upstream only while no message of the client's is half sent.
 */
export class Relay {
  /** The transaction's state as the upstream's last ReadyForQuery had it. */
  status: number = STATUS.idle;
  standardConformingStrings = true;
  clientEncoding = 'UTF8';
  readonly due = new AnswersDue();
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #toClient: Outlet;
  readonly #toUpstream: Outlet;
  readonly #fromClient: Framer;
  readonly #fromUpstream: Framer;
  readonly #events: RelayEvents;
  readonly #backlog = new Backlog();
  #interceptor: Interceptor | null = null;
  #stopped: Buffer | null = null;
  #isHandling = false;
  #hasNames = false;
  #isSkipping = false;
  #asksErrors = false;
  #isStaging = false;
  /** What is sent in place of the ErrorResponse at which the scan has stopped. */
  #instead: Buffer | null = null;
  #dialogue: Dialogue | null = null;
  #waiting: Waiting | null = null;
  #ended: Error | null = null;
  #clientEnded = false;
  #clientPaused = false;
  #upstreamPaused = false;

  constructor(client: Socket, upstream: Socket, staging: Staging, traffic: RelayTraffic, events: RelayEvents) {
    this.#client = client;
    this.#upstream = upstream;
    this.#toClient = new Outlet(client, staging, traffic.toClients, 'ends', () => this.#flow());
    this.#toUpstream = new Outlet(upstream, staging, traffic.toUpstream, 'reads on', () => this.#flow());
    this.#fromClient = new Framer(FROM_CLIENT, this.#clientSink());
    this.#fromUpstream = new Framer(FROM_UPSTREAM, this.#upstreamSink());
    this.#events = events;
  }

  /** Without one everything passes. */
  set interceptor(interceptor: Interceptor) {
    this.#interceptor = interceptor;
  }

  /** Both directions become plain pipes. */
  pipe(): void {
    this.#fromClient.isPipe = true;
    this.#fromUpstream.isPipe = true;
  }

  /** Whether nothing is going on: no answer due, no statement of ours, no transaction. */
  get isIdle(): boolean {
    return this.due.isSettled && !this.#isHandling && this.status === STATUS.idle && this.isBetween;
  }

  /** Whether the client may be told something: it has had whole messages of the upstream's, and it is known that it has. */
  get isBetween(): boolean {
    return this.#fromUpstream.isBetween && !this.#fromUpstream.isPipe;
  }

  // The bytes.

  clientBytes(bytes: Buffer, length: number): void {
    if (this.#ended) return;
    if (this.#isHandling || !this.#backlog.isEmpty) {
      this.#backlog.add(bytes, 0, length);
    } else {
      const at = this.#fromClient.scan(bytes, 0, length);
      if (at < length) this.#backlog.add(bytes, at, length);
      if (this.#stopped) this.#handle();
    }
    this.#flow();
  }

  upstreamBytes(bytes: Buffer, length: number): void {
    let at = this.#fromUpstream.scan(bytes, 0, length);
    while (this.#instead) {
      this.#toClient.sendOwned(this.#instead);
      this.#instead = null;
      at = this.#fromUpstream.scan(bytes, at, length);
    }
    if (this.#fromUpstream.isPipe && !this.#fromClient.isPipe) this.#upstreamLost();
    if (this.#waiting) this.#wake();
    if (this.#upstreamPaused || this.#clientPaused || this.#toClient.isCongested) this.#flow();
  }

  /** The client sends no more; what it sent still counts. */
  clientEnd(): void {
    this.#clientEnded = true;
    const isOver = !this.#isHandling && this.#backlog.isEmpty;
    // Of a client that was not let in, nothing counts.
    if (isOver || !this.due.isStarted) this.#upstream.end();
  }

  /** No more can come or go: whatever waits for the session is told. */
  end(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#interceptor?.ended();
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#dialogue = null;
    waiting?.reject(error);
  }

  // For the interceptor.

  /** Whether names of ours exist: messages that may name them are to be shown too. */
  set hasNames(exist: boolean) {
    if (exist === this.#hasNames) return;
    this.#hasNames = exist;
    this.#setActions();
  }

  /** Whether the client's messages are dropped up to the next Sync, which `concerns` is asked about. */
  set isSkipping(skip: boolean) {
    this.#isSkipping = skip;
    this.#setActions();
  }

  /** Whether `failed` is asked about the upstream's errors. */
  set asksErrors(ask: boolean) {
    this.#asksErrors = ask;
    this.#setActions();
  }

  /** Whether changes are staged: the client's messages are all shown, one by one, and `holds` is asked. */
  set isStaging(isStaging: boolean) {
    this.#isStaging = isStaging;
    this.#setActions();
  }

  /** Resolves once the upstream owes nothing, or reads COPY data. */
  async answered(): Promise<void> {
    if (!this.due.isSettled && this.due.isGroupOpen) this.#toUpstream.sendOwned(FLUSH);
    await this.#until(() => this.#isSettled || this.due.isCopyIn);
  }

  /** Resolves once the upstream owes nothing: the turn is ours. With false where it waits for a password first. */
  async settled(): Promise<boolean> {
    if (!this.due.isSettled && this.due.isGroupOpen) this.#toUpstream.sendOwned(FLUSH);
    await this.#until(() => this.#isSettled || this.due.isAwaitingPassword);
    return this.due.isSettled;
  }

  /** Sends the client bytes of ours, and resolves when it may be sent more. The turn must be ours. */
  async answer(bytes: Buffer): Promise<void> {
    await this.#until(() => this.#fromUpstream.isBetween);
    this.#toClient.sendOwned(bytes);
    this.#flow();
    await this.#until(() => !this.#toClient.isCongested);
  }

  /** Sends the upstream a request of ours and resolves when the dialogue is over. The turn must be ours. */
  async converse(request: Buffer, dialogue: Dialogue): Promise<void> {
    if (this.#ended) throw this.#ended;
    this.#dialogue = dialogue;
    this.#setActions();
    this.#toUpstream.sendOwned(request);
    await this.#until(() => this.#dialogue === null);
  }

  /** Sends the upstream bytes that belong to the dialogue. */
  add(bytes: Buffer): void {
    this.#toUpstream.sendOwned(bytes);
  }

  /** Sends the upstream a message in the client's stead; its answer goes to the client. */
  send(message: Buffer): void {
    this.due.sent(must(message[0], 'a message has a type'));
    this.#toUpstream.sendOwned(message);
  }

  // Inside.

  get #isSettled(): boolean {
    return this.due.isSettled && this.#fromUpstream.isBetween;
  }

  #clientSink(): FrameSink {
    return {
      forward: (bytes, start, end) => this.#toUpstream.send(bytes, start, end),
      noted: (type) => this.due.sent(type),
      message: (type, bytes, start, end, whole) => {
        if (this.#interceptor?.concerns(type, bytes, start, end, whole)) {
          // Of one that is not whole, the rest is to come.
          if (whole) this.#stopped = Buffer.from(bytes.subarray(start, end));
          return false;
        }
        this.due.sent(type);
        return true;
      },
      passing: (type, bytes, start, end) => this.#interceptor?.passing(type, bytes, start, end),
    };
  }

  #upstreamSink(): FrameSink {
    return {
      forward: (bytes, start, end) => this.#toClient.send(bytes, start, end),
      noted: (type) => {
        if (type === BACKEND.copyBothResponse) this.pipe();
        else this.due.answered(type);
      },
      message: (type, bytes, start, end, whole) => {
        try {
          this.#upstreamMessage(type, bytes, start, end, whole);
        } catch (error) {
          // What cannot be read of an upstream is not to be relied on any further.
          if (!(error instanceof PgError)) throw error;
          this.#upstream.destroy();
        }
        return this.#instead === null;
      },
      passing: () => undefined,
    };
  }

  #upstreamMessage(type: number, bytes: Buffer, start: number, end: number, whole: boolean): void {
    const isTaken = this.#fromUpstream.actions[type] === ACTION.take;
    if (type === BACKEND.readyForQuery) {
      this.status = decodeReadyForQuery(bytes, start, end);
      if (!this.#dialogue) this.due.ready();
      this.#interceptor?.ready(this.status);
      this.#events.ready();
    } else if (type === BACKEND.parameterStatus) {
      this.#parameter(bytes.subarray(start, end));
    } else if (type === BACKEND.backendKeyData) {
      this.#events.key(decodeBackendKey(bytes.subarray(start, end)));
    } else if (type === BACKEND.authentication) {
      this.due.authentication(decodeAuthentication(bytes.subarray(start, end)));
    } else if (type === BACKEND.commandComplete && !this.#dialogue) {
      this.due.answered(type);
      this.#interceptor?.completed(bytes.subarray(start, end));
    } else if (type === BACKEND.errorResponse && !this.#dialogue) {
      this.due.answered(type);
      if (whole) this.#instead = this.#interceptor?.failed(bytes.subarray(start, end)) ?? null;
    }
    if (this.#dialogue) {
      if (!this.#dialogue.took(type, bytes.subarray(start, end))) return;
      this.#dialogue = null;
      this.#setActions();
    } else if (isTaken && !this.#interceptor?.holds(type, bytes.subarray(start, end))) {
      this.#toClient.send(bytes, start, end);
    }
  }

  /** The upstream's messages cannot be told apart any more: nothing of ours can have its turn. */
  #upstreamLost(): void {
    this.pipe();
    if (this.#isHandling) this.#upstream.destroy();
  }

  #setActions(): void {
    const byNames = this.#hasNames ? FROM_CLIENT_NAMED : FROM_CLIENT;
    const unskipped = this.#isStaging ? FROM_CLIENT_STAGING : byNames;
    this.#fromClient.actions = this.#isSkipping ? FROM_CLIENT_SKIPPING : unskipped;
    const unasked = this.#hasNames ? FROM_UPSTREAM_NAMED : FROM_UPSTREAM;
    const unstaged = this.#asksErrors ? FROM_UPSTREAM_ASKED : unasked;
    this.#fromUpstream.actions = this.#dialogue?.actions ?? (this.#isStaging ? FROM_UPSTREAM_STAGING : unstaged);
  }

  #parameter(message: Buffer): void {
    const { name, value } = decodeParameterStatus(message);
    if (name === 'standard_conforming_strings') this.standardConformingStrings = value !== 'off';
    else if (name === 'client_encoding') this.clientEncoding = value;
    else if (name === 'in_hot_standby') this.#events.hotStandby(value === 'on');
  }

  #handle(): void {
    const message = must(this.#stopped, 'a message to handle');
    this.#stopped = null;
    this.#isHandling = true;
    void must(this.#interceptor, 'who stopped it')
      .handle(message)
      .finally(() => {
        this.#isHandling = false;
        this.#readBacklog();
      });
  }

  #readBacklog(): void {
    while (!this.#isHandling && !this.#ended && !this.#backlog.isEmpty) {
      this.#backlog.consume((bytes, start, end) => this.#fromClient.scan(bytes, start, end));
      if (this.#stopped) this.#handle();
    }
    if (this.#clientEnded && !this.#isHandling && this.#backlog.isEmpty) this.#upstream.end();
    this.#flow();
  }

  /** Reads from each side only as long as the other takes it. */
  #flow(): void {
    if (this.#ended) return;
    const pauseClient = this.#toUpstream.isCongested || this.#backlog.isFull || this.due.isFull;
    if (pauseClient !== this.#clientPaused) {
      this.#clientPaused = pauseClient;
      if (pauseClient) this.#client.pause();
      else this.#client.resume();
    }
    const pauseUpstream = this.#toClient.isCongested;
    if (pauseUpstream !== this.#upstreamPaused) {
      this.#upstreamPaused = pauseUpstream;
      if (pauseUpstream) this.#upstream.pause();
      else this.#upstream.resume();
    }
    if (this.#waiting) this.#wake();
  }

  /** One wait at a time: the interceptor does one thing after the other. */
  #until(condition: () => boolean): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended);
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting = { condition, resolve, reject };
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    if (!waiting?.condition()) return;
    this.#waiting = null;
    waiting.resolve();
  }
}

export interface RelayTraffic {
  readonly toClients: Traffic;
  readonly toUpstream: Traffic;
}

interface Waiting {
  readonly condition: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}
