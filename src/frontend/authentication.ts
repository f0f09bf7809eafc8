import type { Socket } from 'node:net';
import { decodeAuthentication } from '../wire/backend-messages.ts';
import { ACTION, actions, Framer, type FrameSink } from '../wire/framer.ts';
import { BACKEND } from '../wire/message-type.ts';
import {
  AUTHENTICATION,
  decodeSaslInitialResponse,
  decodeSaslMechanisms,
  encodeSaslMechanisms,
  SCRAM_PLUS,
} from '../wire/sasl.ts';
import { bindingObstacle, checkChoice, offerable } from './channel-binding.ts';
import type { OnBytes } from './sockets.ts';

const FROM_UPSTREAM = actions(ACTION.forward, [
  [ACTION.ask, 'R'],
  [ACTION.note, 'E'],
]);
const FROM_CLIENT = actions(ACTION.forward, [[ACTION.ask, 'p']]);

export interface AuthenticationEvents {
  /** What passes, in order. The bytes are valid during the call alone. */
  readonly toClient: OnBytes;
  readonly toUpstream: OnBytes;
  /** AuthenticationOk has come; told before it passes. */
  authenticated(): void;
  /** The upstream has refused the client. */
  failed(): void;
}

/**
 * Stands between the two sockets and the relay up to AuthenticationOk. All passes as it comes, but for the mechanisms
 * with channel binding where that cannot work, which the client is not offered. Throws the FATAL error of a client (or
 * an upstream) that cannot do without.
 */
export class AuthenticationGate {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #events: AuthenticationEvents;
  readonly #fromClient: Framer;
  readonly #fromUpstream: Framer;
  #isAuthenticated = false;
  #obstacle: string | null = null;
  #isWithheld = false;
  #expectsChoice = false;
  /** Goes to the client in the place of the message that stopped the scan. */
  #replacement: Buffer | null = null;

  constructor(client: Socket, upstream: Socket, events: AuthenticationEvents) {
    this.#client = client;
    this.#upstream = upstream;
    this.#events = events;
    this.#fromClient = new Framer(FROM_CLIENT, this.#clientSink());
    this.#fromUpstream = new Framer(FROM_UPSTREAM, this.#upstreamSink());
  }

  /** Nothing is held, and nothing will be: the bytes may take the direct way. */
  get isOver(): boolean {
    return this.#isAuthenticated && this.#fromClient.isBetween;
  }

  /** Whether the client has had whole messages only. */
  get isBetween(): boolean {
    return this.#fromUpstream.isBetween;
  }

  clientBytes(bytes: Buffer, length: number): void {
    this.#fromClient.scan(bytes, 0, length);
  }

  upstreamBytes(bytes: Buffer, length: number): void {
    let at = 0;
    while (at < length) {
      at = this.#fromUpstream.scan(bytes, at, length);
      const replacement = this.#replacement;
      this.#replacement = null;
      if (replacement) this.#events.toClient(replacement, replacement.length);
    }
  }

  #clientSink(): FrameSink {
    return {
      forward: (bytes, start, end) => this.#events.toUpstream(bytes.subarray(start, end), end - start),
      noted: () => undefined,
      message: (_type, bytes, start, end, whole) => {
        if (!this.#expectsChoice) return true;
        this.#expectsChoice = false;
        if (whole) {
          checkChoice(decodeSaslInitialResponse(bytes.subarray(start, end)), this.#obstacle, this.#isWithheld);
        }
        return true;
      },
      passing: () => undefined,
    };
  }

  #upstreamSink(): FrameSink {
    return {
      forward: (bytes, start, end) => this.#events.toClient(bytes.subarray(start, end), end - start),
      noted: (type) => {
        if (type === BACKEND.errorResponse) this.#events.failed();
      },
      message: (_type, bytes, start, end) => this.#authentication(bytes.subarray(start, end)),
      passing: () => undefined,
    };
  }

  /** Whether the message passes as it is. */
  #authentication(message: Buffer): boolean {
    const method = decodeAuthentication(message);
    if (method === AUTHENTICATION.ok) {
      this.#isAuthenticated = true;
      this.#fromUpstream.isPipe = true;
      this.#events.authenticated();
      return true;
    }
    if (method !== AUTHENTICATION.sasl) return true;
    this.#expectsChoice = true;
    this.#obstacle = bindingObstacle(this.#client, this.#upstream);
    const offered = decodeSaslMechanisms(message);
    const left = offerable(offered, this.#obstacle);
    if (left.length === offered.length) return true;
    this.#isWithheld = offered.includes(SCRAM_PLUS);
    this.#replacement = encodeSaslMechanisms(left);
    return false;
  }
}
