import { isIP, type LookupFunction, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { type Cancel, type Clock, DeadlineError } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import type { AddressGuard } from '../address-guard.ts';
import { isTlsFailure } from '../connection-failure.ts';
import { guardedLookup } from '../guarded-lookup.ts';
import { API, type ApiKey, requestHead, readApiVersions, SPOKEN } from './requests.ts';
import { codeFault, KafkaFault, SUCCESS } from './kafka-fault.ts';
import { logIn, type SaslCredentials } from './log-in.ts';

/** How brokers are reached. */
export interface ConnectionOptions {
  readonly clientId: string;
  readonly guard: AddressGuard;
  readonly lookup?: LookupFunction | undefined;
  /** Until requests may be made: name, TLS and log-in included. */
  readonly connectTimeoutMs: number;
  /** Null: not by TLS. */
  readonly tls: { readonly secureContext: SecureContext | null; readonly skipVerify: boolean } | null;
  readonly sasl: SaslCredentials | null;
  readonly clock: Clock;
  readonly random: Random;
}

/** The answer to a request for a few topics is much shorter. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

interface Pending {
  readonly correlationId: number;
  readonly resolve: (answer: Buffer) => void;
  readonly reject: (error: Error) => void;
  readonly stopTimer: Cancel;
}

/** One connection to one broker, over which requests are made and answered in their order. */
export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #pending: Pending[] = [];
  #versions: ReadonlyMap<number, readonly [min: number, max: number]> = new Map();
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #correlationId = 0;
  #closed: Error | null = null;
  #expiresAtMs = Infinity;
  /** It has had an answer that not everybody has. */
  #isProven = false;

  private constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    // That it takes no certificate of ours a broker says after the handshake (TLS 1.3).
    socket.on('error', (error) => this.close(this.#isProven || isTlsFailure(error) ? error : closedFault(options)));
    socket.on('close', () => this.close(this.#isProven ? new ConnectionClosedError() : closedFault(options)));
  }

  /** Connects to an address that the guard allows, and logs in. Rejects with what was wrong. */
  static async open(host: string, port: number, options: ConnectionOptions): Promise<Connection> {
    const { clock, connectTimeoutMs } = options;
    const deadlineMs = clock.monotonicMs() + connectTimeoutMs;
    const socket = await dial(host, port, options);
    const connection = new Connection(socket, options);
    const stopTimer = clock.after(Math.max(1, deadlineMs - clock.monotonicMs()), () => {
      connection.close(new DeadlineError(connectTimeoutMs));
    });
    try {
      await connection.#greet();
      const { sasl, random } = options;
      if (sasl !== null) {
        const lifetimeMs = await logIn(connection, sasl, random, connectTimeoutMs);
        // Somewhat before the broker would have it.
        if (lifetimeMs > 0) connection.#expiresAtMs = clock.monotonicMs() + lifetimeMs * 0.8;
      }
      return connection;
    } catch (error) {
      connection.close(error as Error);
      throw error;
    } finally {
      stopTimer();
    }
  }

  get isOpen(): boolean {
    return this.#closed === null;
  }

  /** The broker would end it soon: another is to be opened. */
  get isExpired(): boolean {
    return this.#options.clock.monotonicMs() >= this.#expiresAtMs;
  }

  /** The newest version of a request that both sides know. Throws `KafkaFault` where there is none. */
  version(api: ApiKey): number {
    const [min, max] = SPOKEN[api];
    const known = this.#versions.get(api);
    if (known === undefined) return min;
    const version = Math.min(max, known[1]);
    if (version < min || version < known[0]) throw codeFault(UNSUPPORTED_VERSION);
    return version;
  }

  /** Resolves to the answer's body. Without an answer in time the connection is closed. */
  request(api: ApiKey, version: number, body: Buffer | readonly Buffer[], timeoutMs: number): Promise<Buffer> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      const correlationId = this.#write(api, version, body);
      const stopTimer = this.#options.clock.after(timeoutMs, () => this.close(new DeadlineError(timeoutMs)));
      this.#pending.push({ correlationId, resolve, reject, stopTimer });
    });
  }

  /** A request that has no answer. Resolves when it is handed to the system. */
  tell(api: ApiKey, version: number, body: readonly Buffer[]): Promise<void> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      this.#write(api, version, body, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** What is under way fails with the reason. */
  close(reason: Error = new ConnectionClosedError()): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    this.#socket.destroy();
    for (const { reject, stopTimer } of this.#pending.splice(0)) {
      stopTimer();
      reject(reason);
    }
  }

  async #greet(): Promise<void> {
    const answer = await this.request(API.apiVersions, 0, Buffer.alloc(0), this.#options.connectTimeoutMs);
    const { error, versions } = readApiVersions(answer);
    if (error !== SUCCESS) throw codeFault(error);
    this.#versions = versions;
  }

  #write(
    api: ApiKey,
    version: number,
    body: Buffer | readonly Buffer[],
    done?: (error?: Error | null) => void,
  ): number {
    const correlationId = (this.#correlationId = (this.#correlationId + 1) & 0x7fffffff);
    const parts = Buffer.isBuffer(body) ? [body] : body;
    const bodyBytes = parts.reduce((sum, { length }) => sum + length, 0);
    const socket = this.#socket;
    socket.cork();
    socket.write(requestHead(api, version, correlationId, this.#options.clientId, bodyBytes));
    for (const part of parts) socket.write(part, part === parts.at(-1) ? done : undefined);
    socket.uncork();
    return correlationId;
  }

  /* Response => length:INT32 correlation_id:INT32 body */
  #onData(bytes: Buffer): void {
    this.#received.push(bytes);
    this.#receivedBytes += bytes.length;
    while (this.#receivedBytes >= 8) {
      const all = this.#joined();
      const length = all.readInt32BE(0);
      if (length < 4 || length > MAX_ANSWER_BYTES) {
        this.close(notKafka());
        return;
      }
      if (all.length < 4 + length) return;
      this.#answer(all.readInt32BE(4), all.subarray(8, 4 + length));
      this.#received = [all.subarray(4 + length)];
      this.#receivedBytes = all.length - 4 - length;
    }
  }

  #joined(): Buffer {
    if (this.#received.length > 1) this.#received = [Buffer.concat(this.#received)];
    return this.#received[0]!;
  }

  #answer(correlationId: number, body: Buffer): void {
    const pending = this.#pending.shift();
    if (pending === undefined || pending.correlationId !== correlationId) {
      pending?.reject(notKafka());
      pending?.stopTimer();
      this.close(notKafka());
      return;
    }
    pending.stopTimer();
    // The first tells what the broker knows, and it does so to everybody.
    this.#isProven = correlationId > 1;
    pending.resolve(body);
  }
}

const UNSUPPORTED_VERSION = 35;

/** The other side has ended the connection, or we have. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError';
  readonly code = 'ECONNRESET';
}

function notKafka(): KafkaFault {
  return new KafkaFault('transient', 'invalid_answer', 'the answer is none of a Kafka broker', 'elsewhere');
}

/** A broker hangs up on what it does not understand: TLS where it has none, and the other way round. */
function closedFault({ tls }: ConnectionOptions): KafkaFault {
  const hint = tls === null ? 'it may want TLS (tls = true) or a log-in' : 'it may not speak TLS';
  return new KafkaFault('transient', 'connection_reset', `the broker closed the connection: ${hint}`, 'elsewhere');
}

function dial(host: string, port: number, options: ConnectionOptions): Promise<Socket> {
  const { guard, lookup, tls, clock, connectTimeoutMs } = options;
  if (isIP(host) !== 0) guard.check(host, host);
  const target = { host, port, lookup: guardedLookup(guard, lookup) };
  return new Promise((resolve, reject) => {
    const socket =
      tls === null
        ? connectTcp({ ...target, noDelay: true })
        : connectTls({
            ...target,
            rejectUnauthorized: !tls.skipVerify,
            ...(tls.secureContext === null ? {} : { secureContext: tls.secureContext }),
            ...(isIP(host) === 0 ? { servername: host } : {}),
          });
    const stopTimer = clock.after(connectTimeoutMs, () => socket.destroy(new DeadlineError(connectTimeoutMs)));
    const fail = (error: Error): void => {
      stopTimer();
      socket.destroy();
      reject(error);
    };
    const onClose = (): void => fail(closedFault(options));
    socket.once('error', fail);
    socket.once('close', onClose);
    socket.once(tls === null ? 'connect' : 'secureConnect', () => {
      stopTimer();
      // Until somebody else listens an error would end the process.
      socket.on('error', () => {});
      socket.removeListener('error', fail);
      socket.removeListener('close', onClose);
      try {
        guard.check(host, socket.remoteAddress ?? 'unknown');
      } catch (blocked) {
        fail(blocked as Error);
        return;
      }
      resolve(socket);
    });
  });
}
