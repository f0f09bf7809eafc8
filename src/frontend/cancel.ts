import { connect } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { describeAddress, type Address } from './sockets.ts';

/**
 * Gives a client's cancel request to the upstream on a connection of its own. The server closes it without an answer,
 * whether the key was right or not, and so does ours to the client.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function forwardCancel(address: Address, packet: Buffer, timeoutMs: number, clock: Clock, logger: Logger): void {
  const socket = connect({ ...address, noDelay: true });
  const stop = clock.after(timeoutMs, () => socket.destroy());
  socket.on('error', (err) =>
    logger.warn({ err, upstream: describeAddress(address) }, 'could not forward a cancel request'),
  );
  socket.on('close', stop);
  socket.on('end', () => socket.destroy());
  socket.resume();
  socket.end(packet);
}
