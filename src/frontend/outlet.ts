import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { WRITTEN, writeDirectly } from './direct-write.ts';
import { READ_BYTES } from './sockets.ts';

/** Views of up to this length are kept for the next chunk of the same length. */
const CACHED_VIEW_BYTES = 2_048;

/**
 * Where chunks are copied to be written, shared by all connections. A write that the kernel takes at once is done with
 * it when it returns; one that it does not take keeps the buffer, and a fresh one takes its place.
 */
export class Staging {
  #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #views: Buffer[] = [];

  /** A copy of the bytes, at most READ_BYTES of them, valid until the next call. */
  copy(bytes: Buffer, start: number, end: number): Buffer {
    const length = end - start;
    bytes.copy(this.#buffer, 0, start, end);
    if (length >= CACHED_VIEW_BYTES) return this.#buffer.subarray(0, length);
    return (this.#views[length] ??= this.#buffer.subarray(0, length));
  }

  /** The last copy goes on being used. */
  surrender(): void {
    this.#buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    this.#views = [];
  }
}

/** A count that many outlets add to. */
export interface Traffic {
  bytes: number;
}

/**
 * What becomes of a socket that takes nothing any more. One that reads on gives what it has said before it closed, such
 * as a server's last words; its end then comes as it would have.
 */
type AtFailure = 'ends' | 'reads on';

/** The way out to one socket. */
export class Outlet {
  /** More waits to be written than should: nothing more is to be read for this socket until it has drained. */
  isCongested = false;
  readonly #socket: Socket;
  readonly #staging: Staging;
  readonly #traffic: Traffic;
  /** TLS keeps what it is given until it has been encrypted and sent: a shared buffer would never come back. */
  readonly #isEncrypted: boolean;
  /** Direct writes that the kernel has not taken whole: at most one, since the stream takes what comes behind it. */
  #pending = 0;
  readonly #onWritten = (succeeded: boolean): void => {
    this.#pending--;
    if (!succeeded) this.#failed();
  };
  readonly #atFailure: AtFailure;
  #hasFailed = false;

  constructor(socket: Socket, staging: Staging, traffic: Traffic, atFailure: AtFailure, onDrain: () => void) {
    this.#atFailure = atFailure;
    this.#socket = socket;
    this.#staging = staging;
    this.#traffic = traffic;
    this.#isEncrypted = socket instanceof TLSSocket;
    socket.on('drain', () => {
      this.isCongested = false;
      onDrain();
    });
  }

  /** Writes a copy: the bytes remain the caller's. */
  send(bytes: Buffer, start: number, end: number): void {
    const socket = this.#socket;
    if (this.#isEncrypted || this.#pending > 0 || socket.writableLength > 0 || end - start > READ_BYTES) {
      this.sendOwned(Buffer.from(bytes.subarray(start, end)));
      return;
    }
    if (!socket.writable || this.#hasFailed) return;
    const copy = this.#staging.copy(bytes, start, end);
    const outcome = writeDirectly(socket, copy, this.#onWritten);
    if (outcome === WRITTEN.refused) {
      this.sendOwned(copy);
      if (socket.writableLength > 0) this.#staging.surrender();
      return;
    }
    if (outcome === WRITTEN.failed) return this.#failed();
    this.#traffic.bytes += end - start;
    if (outcome === WRITTEN.done) return;
    this.#pending++;
    this.#staging.surrender();
  }

  /** Writes the bytes themselves: they must not change any more. */
  sendOwned(bytes: Buffer): void {
    const socket = this.#socket;
    if (!socket.writable || this.#hasFailed) return;
    this.#traffic.bytes += bytes.length;
    if (!socket.write(bytes)) this.isCongested = true;
  }

  #failed(): void {
    this.#hasFailed = true;
    if (this.#atFailure === 'ends') this.#socket.destroy();
  }
}
