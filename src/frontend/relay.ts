import type { Socket } from 'node:net';
import { must } from '../base/assert.ts';
import { PgError } from '../postgres/sqlstate.ts';
import {
  decodeAuthentication,
  decodeBackendKey,
  decodeParameterStatus,
  decodeReadyForQuery,
} from '../wire/backend-messages.ts';
import { ACTION, actions, Framer, type Actions, type FrameSink } from '../wire/framer.ts';
import { BACKEND, FRONTEND, STATUS } from '../wire/message-type.ts';
import { AnswersDue } from './answers-due.ts';
import { Backlog } from './backlog.ts';
import { Outlet, type Staging, type Traffic } from './outlet.ts';

/** The client's messages: those that are looked at whole, and those that the upstream will answer. */
const FROM_CLIENT = actions(ACTION.forward, [
  [ACTION.ask, 'QP'],
  [ACTION.note, 'BDECSFcf'],
]);
/** The same while statements or portals of ours exist, which these may name. */
const FROM_CLIENT_NAMED = actions(ACTION.forward, [
  [ACTION.ask, 'QPBDEC'],
  [ACTION.note, 'SFcf'],
]);
/** The same after an error of ours: as the server does, nothing is done up to the next Sync. */
const FROM_CLIENT_SKIPPING = actions(ACTION.drop, [
  [ACTION.ask, 'S'],
  [ACTION.forward, 'X'],
]);
const FROM_UPSTREAM = actions(ACTION.forward, [
  [ACTION.note, '123TnCIsEGW'],
  [ACTION.tee, 'ZSKR'],
]);
/** The same while statements of ours exist, which some commands (by their tags) end too. */
const FROM_UPSTREAM_NAMED = actions(ACTION.forward, [
  [ACTION.note, '123TnIsEGW'],
  [ACTION.tee, 'ZSKRC'],
]);

const FLUSH = Buffer.from([FRONTEND.flush, 0, 0, 0, 4]);

/** What the relay asks of whoever steps in for messages. Sizes and times are its own matter. */
export interface Interceptor {
  /**
   * Whether the client's message is one to step in for; otherwise it passes. `whole` is false for one that is too long
   * to be held. Called for each message of the types in FROM_CLIENT (or, by `names`, FROM_CLIENT_NAMED).
   */
  concerns(type: number, bytes: Buffer, start: number, end: number, whole: boolean): boolean;
  /** Answers the message. Nothing else of the client's goes upstream meanwhile. Does not reject. */
  handle(message: Buffer): Promise<void>;
  /** ReadyForQuery has come from the upstream. */
  ready(status: number): void;
  /** A command of the client's has completed; told only while names of ours exist. */
  completed(message: Buffer): void;
  /** The statement of ours that runs, if any, is to end with 57014. */
  cancel(): void;
}

/** A talk with the upstream on the client's session while the client's own messages wait. */
export interface Dialogue {
  /** What passes on to the client, and what is taken. */
  readonly actions: Actions;
  /** A message that was taken (or shown); valid during the call alone. True ends the dialogue. */
  took(type: number, message: Buffer): boolean;
}

export interface RelayEvents {
  authenticated(): void;
  /** The process id and secret by which this session is cancelled. */
  key(key: Buffer): void;
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
  #dialogue: Dialogue | null = null;
  #waiting: Waiting | null = null;
  #ended: Error | null = null;
  #clientEnded = false;
  #clientPaused = false;
  #upstreamPaused = false;

  constructor(client: Socket, upstream: Socket, staging: Staging, traffic: RelayTraffic, events: RelayEvents) {
    this.#client = client;
    this.#upstream = upstream;
    this.#toClient = new Outlet(client, staging, traffic.toClients, () => this.#flow());
    this.#toUpstream = new Outlet(upstream, staging, traffic.toUpstream, () => this.#flow());
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
    return this.due.isSettled && !this.#isHandling && this.status === STATUS.idle;
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
    this.#fromUpstream.scan(bytes, 0, length);
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
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#dialogue = null;
    waiting?.reject(error);
  }

  // For the interceptor.

  /** Whether names of ours exist: messages that may name them are to be shown too. */
  set hasNames(exist: boolean) {
    this.#hasNames = exist;
    this.#setActions();
  }

  /** Whether the client's messages are dropped up to the next Sync, which `concerns` is asked about. */
  set isSkipping(skip: boolean) {
    this.#isSkipping = skip;
    this.#setActions();
  }

  /** Resolves once the upstream owes nothing: the turn is ours. */
  async settled(): Promise<void> {
    if (!this.due.isSettled && this.due.isGroupOpen) this.#toUpstream.sendOwned(FLUSH);
    await this.#until(() => this.due.isSettled && this.#fromUpstream.isBetween);
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

  #clientSink(): FrameSink {
    return {
      forward: (bytes, start, end) => this.#toUpstream.send(bytes, start, end),
      noted: (type) => this.due.sent(type),
      message: (type, bytes, start, end, whole) => {
        if (this.#interceptor?.concerns(type, bytes, start, end, whole)) {
          this.#stopped = Buffer.from(bytes.subarray(start, end));
          return false;
        }
        this.due.sent(type);
        return true;
      },
    };
  }

  #upstreamSink(): FrameSink {
    return {
      forward: (bytes, start, end) => this.#toClient.send(bytes, start, end),
      noted: (type) => {
        if (type === BACKEND.copyBothResponse) this.pipe();
        else this.due.answered(type);
      },
      message: (type, bytes, start, end) => {
        try {
          this.#upstreamMessage(type, bytes, start, end);
        } catch (error) {
          // What cannot be read of an upstream is not to be relied on any further.
          if (!(error instanceof PgError)) throw error;
          this.#upstream.destroy();
        }
        return true;
      },
    };
  }

  #upstreamMessage(type: number, bytes: Buffer, start: number, end: number): void {
    if (type === BACKEND.readyForQuery) {
      this.status = decodeReadyForQuery(bytes.subarray(start, end));
      if (!this.#dialogue) this.due.ready();
      this.#interceptor?.ready(this.status);
      this.#events.ready();
    } else if (type === BACKEND.parameterStatus) {
      this.#parameter(bytes.subarray(start, end));
    } else if (type === BACKEND.backendKeyData) {
      this.#events.key(decodeBackendKey(bytes.subarray(start, end)));
    } else if (type === BACKEND.authentication) {
      if (decodeAuthentication(bytes.subarray(start, end)) === 0) this.#events.authenticated();
    } else if (type === BACKEND.commandComplete && !this.#dialogue) {
      this.due.answered(type);
      this.#interceptor?.completed(bytes.subarray(start, end));
    }
    if (this.#dialogue?.took(type, bytes.subarray(start, end))) {
      this.#dialogue = null;
      this.#setActions();
    }
  }

  /** The upstream's messages cannot be told apart any more: nothing of ours can have its turn. */
  #upstreamLost(): void {
    this.pipe();
    if (this.#isHandling) this.#upstream.destroy();
  }

  #setActions(): void {
    const byNames = this.#hasNames ? FROM_CLIENT_NAMED : FROM_CLIENT;
    this.#fromClient.actions = this.#isSkipping ? FROM_CLIENT_SKIPPING : byNames;
    this.#fromUpstream.actions = this.#dialogue?.actions ?? (this.#hasNames ? FROM_UPSTREAM_NAMED : FROM_UPSTREAM);
  }

  #parameter(message: Buffer): void {
    const { name, value } = decodeParameterStatus(message);
    if (name === 'standard_conforming_strings') this.standardConformingStrings = value !== 'off';
    else if (name === 'client_encoding') this.clientEncoding = value;
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
