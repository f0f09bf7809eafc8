import type { Socket } from 'node:net';

/*
  A write through a stream costs the loop as much as the system call does for a small chunk: a request object, the
  stream's bookkeeping and a tick for its callback, although the kernel has taken the bytes when the call returns. The
  socket's handle does the same write without them. It is the runtime's own, and no interface it promises to keep: what
  is needed of it is looked for once, and without it everything goes through the stream.
  https://github.com/nodejs/node/blob/v24.x/lib/internal/stream_base_commons.js
*/

interface Request {
  buffer: Buffer | null;
  oncomplete: ((status: number) => void) | null;
}

interface StreamBinding {
  readonly WriteWrap: new () => Request;
  /** What the last operation on any handle came to. */
  readonly streamBaseState: ArrayLike<number>;
  readonly kLastWriteWasAsync: number;
}

interface Handle {
  writeBuffer(request: Request, bytes: Buffer): number;
}

function findBinding(): StreamBinding | null {
  try {
    const found = (process as unknown as { binding(name: string): StreamBinding }).binding('stream_wrap');
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = found;
    const isUsable = typeof WriteWrap === 'function' && typeof streamBaseState?.[kLastWriteWasAsync] === 'number';
    return isUsable ? found : null;
  } catch {
    return null;
  }
}

const BINDING = findBinding();

/** Whether sockets can be written to directly in this runtime. */
export const HAS_DIRECT_WRITE = BINDING !== null;

/** What became of a direct write. */
export const WRITTEN = {
  /** The kernel has it all. */
  done: 0,
  /** The rest is on its way: the bytes must stay as they are until `onDone`. */
  pending: 1,
  /** It cannot be written directly: nothing has been. */
  refused: 2,
  /** The other side takes nothing any more. */
  failed: 3,
} as const;

/** A request that the kernel has not kept can serve again. */
let spare: Request | null = null;

/**
 * Writes the bytes to a plain TCP or unix socket. In order with what is written through the stream only where nothing
 * of that is waiting (`writableLength` is 0). `onDone` is told whether the rest has been written.
 */
export function writeDirectly(socket: Socket, bytes: Buffer, onDone: (succeeded: boolean) => void): number {
  const handle = (socket as unknown as { _handle: Handle | null })._handle;
  if (BINDING === null || typeof handle?.writeBuffer !== 'function' || socket.connecting) return WRITTEN.refused;
  const request = (spare ??= new BINDING.WriteWrap());
  if (handle.writeBuffer(request, bytes) !== 0) return WRITTEN.failed;
  if (BINDING.streamBaseState[BINDING.kLastWriteWasAsync] === 0) return WRITTEN.done;
  spare = null;
  request.buffer = bytes;
  request.oncomplete = (status) => {
    request.buffer = null;
    onDone(status >= 0);
  };
  return WRITTEN.pending;
}
