import { connect, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { HandshakeError } from './failure.ts';

/** Where to connect: an address (names are resolved before), or a Unix socket's path. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

/** Takes what has been read; the bytes are valid during the call alone. */
export type OnBytes = (bytes: Buffer, length: number) => void;

export interface ChannelOptions {
  /** What is read from the socket is read into this, again and again; may be shared by channels of one thread. */
  readonly readBuffer: Buffer;
  readonly allowHalfOpen?: boolean;
  readonly writableHighWaterMark?: number;
}

/** After this long without traffic, the system asks whether the other side is still there. */
const KEEP_ALIVE_AFTER_MS = 60_000;
/** As libpq: no answer to a startup packet is longer. */
const MAX_KEPT_BYTES = 30_000;

/**
 * A connection to a server, until it is handed over: what comes is kept and can be looked at; TLS can be put on top.
 * After `read` or `lend` it is only a way of reading the socket.
 */
export class Channel {
  /** Where to write: the TLS socket once there is one. */
  socket: Socket;
  isEncrypted = false;
  #onBytes: OnBytes;
  #kept: Buffer = Buffer.alloc(0);
  #error: Error | null = null;
  #isOver = false;
  #changed: () => void = () => undefined;

  private constructor(endpoint: Endpoint, options: ChannelOptions) {
    this.#onBytes = (bytes, length) => this.#keep(bytes, length);
    const onread: OnReadOpts = {
      buffer: options.readBuffer,
      callback: (length, bytes) => {
        this.#onBytes(bytes as Buffer, length);
        return true;
      },
    };
    this.socket = connect({ ...endpoint, ...options, onread, noDelay: true });
    this.#watch(this.socket);
  }

  /** Connects. Rejects with the system's error, or with what ended the opening. */
  static async open(endpoint: Endpoint, options: ChannelOptions, opening: Opening): Promise<Channel> {
    const channel = new Channel(endpoint, options);
    opening.use(channel);
    await new Promise<void>((resolve, reject) => {
      channel.socket.once('connect', resolve);
      channel.socket.once('close', () => reject(channel.#lost()));
    });
    if ('port' in endpoint) channel.socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
    return channel;
  }

  /**
   * Resolves with what has come (a view) as soon as `isEnough` says so; it stays to be read. Rejects when the connection
   * ends before.
   */
  async peek(isEnough: (bytes: Buffer) => boolean): Promise<Buffer> {
    while (!isEnough(this.#kept)) {
      if (this.#isOver) throw this.#lost();
      if (this.#kept.length > MAX_KEPT_BYTES) throw new HandshakeError('the server sends too much');
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
    return this.#kept;
  }

  /** Puts other bytes in the place of those that have come. */
  replaceKept(bytes: Buffer): void {
    this.#kept = bytes;
  }

  /** Puts TLS on top. Rejects with what is wrong with the server's certificate, or the connection's error. */
  async encrypt(options: ConnectionOptions): Promise<TLSSocket> {
    const plain = this.socket;
    const secure = connectTls({ ...options, socket: plain });
    this.socket = secure;
    this.isEncrypted = true;
    // The end of the plain socket is seen before what was sent last has been decrypted.
    plain.off('end', this.#over).off('close', this.#over);
    this.#watch(secure);
    await new Promise<void>((resolve, reject) => {
      secure.once('secureConnect', resolve);
      secure.once('close', () => reject(this.#lost()));
    });
    this.#listen();
    return secure;
  }

  /** From here on all that comes, and what has come, goes to `onBytes` alone. May be called again with another. */
  read(onBytes: OnBytes): void {
    const kept = this.#kept;
    this.#kept = Buffer.alloc(0);
    this.#onBytes = onBytes;
    if (this.isEncrypted) {
      this.socket.removeAllListeners('data');
      this.#listen();
    }
    if (kept.length > 0) onBytes(kept, kept.length);
  }

  /** The socket for one that listens to 'data' (and gets copies), as if it were not connected yet: for `pg`. */
  lend(): Socket {
    const { socket } = this;
    const whenAsked = (): Socket => {
      process.nextTick(() => socket.emit('connect'));
      return socket;
    };
    // Over TLS there is 'data' already; what comes is not kept as well.
    this.read(this.isEncrypted ? () => undefined : (bytes, length) => this.#emit(bytes, length));
    return Object.assign(socket, { connect: whenAsked });
  }

  destroy(error?: Error): void {
    this.#error ??= error ?? null;
    this.socket.destroy(error);
  }

  #emit(bytes: Buffer, length: number): void {
    this.socket.emit('data', Buffer.from(bytes.subarray(0, length)));
  }

  #keep(bytes: Buffer, length: number): void {
    this.#kept = Buffer.concat([this.#kept, bytes.subarray(0, length)]);
    this.#changed();
  }

  #listen(): void {
    this.socket.on('data', (bytes: Buffer) => this.#onBytes(bytes, bytes.length));
  }

  readonly #over = (): void => {
    this.#isOver = true;
    this.#changed();
  };

  #watch(socket: Socket): void {
    socket.on('error', (error: Error) => {
      this.#error ??= error;
      this.#over();
    });
    socket.on('end', this.#over);
    socket.on('close', this.#over);
  }

  #lost(): Error {
    return this.#error ?? new HandshakeError('the server closed the connection');
  }
}

/** The making of a connection, which may take several attempts and can be given up from outside at any time. */
export class Opening {
  #channel: Channel | null = null;
  #error: Error | null = null;

  /** What the present attempt has come to. */
  use(channel: Channel): void {
    this.#channel = channel;
    if (this.#error) channel.destroy(this.#error);
  }

  /** Ends the present attempt. */
  fail(error: Error): void {
    this.#channel?.destroy(error);
  }

  /** Ends the present attempt, and there is to be no other. */
  abort(error: Error): void {
    this.#error ??= error;
    this.fail(error);
  }

  /** Throws what it was given up with, if it was. */
  check(): void {
    if (this.#error) throw this.#error;
  }
}
