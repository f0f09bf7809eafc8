import { Socket, type OnReadOpts } from 'node:net';

/** Where to listen, or where an upstream listens: TCP, or a unix socket's path. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

/** As an error message names it. */
export function describeAddress(address: Address): string {
  if ('path' in address) return address.path;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Above this many bytes waiting to be written to a socket, nothing more is read for it. */
export const HIGH_WATER_BYTES = 262_144;

/**
 * The size of a read. All sockets read into one static buffer: what is read is passed on, or copied, before the
 * callback returns, so that a chunk costs no allocation.
 */
export const READ_BYTES = 65_536;

/** Takes what has been read; the bytes are valid during the call alone. */
export type OnBytes = (bytes: Buffer, length: number) => void;

/**
 * The same connection as `accepted`, but read into `buffer`. A server cannot be told to make such sockets, and what it
 * makes allocates for each chunk; the handle is taken over before anything has been read from it.
 */
export function adopt(accepted: Socket, buffer: Buffer, onBytes: OnBytes): Socket {
  const { _handle: handle } = accepted as unknown as { _handle: unknown };
  (accepted as unknown as { _handle: unknown })._handle = null;
  accepted.destroy();
  return new Socket({ ...options(buffer, onBytes), handle } as ConstructorParameters<typeof Socket>[0]);
}

/** Has the kernel ask whether the other side is still there, once nothing has come for so long; 0 leaves it at its own. */
export function keepAlive(socket: Socket, idleMs: number): void {
  socket.setKeepAlive(idleMs > 0, idleMs);
}

function options(
  buffer: Buffer,
  onBytes: OnBytes,
): { onread: OnReadOpts; allowHalfOpen: true; writableHighWaterMark: number } {
  return {
    allowHalfOpen: true,
    writableHighWaterMark: HIGH_WATER_BYTES,
    onread: {
      buffer,
      callback: (length, bytes) => {
        onBytes(bytes as Buffer, length);
        return true;
      },
    },
  };
}
