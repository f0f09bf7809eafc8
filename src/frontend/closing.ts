import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';

/**
 * Ends a socket once what is on its way to it has been written; at the latest when none of that has moved for
 * `lingerMs`. What comes from it meanwhile is read by nobody in particular: closing with data unread would reset the
 * connection and lose what the other side has not read, and a server that is writing to us reads nothing before.
 * `waits` leaves it to the other side to close after that, for `lingerMs` more.
 */
export function closeInTime(socket: Socket, waits: boolean, lingerMs: number, clock: Clock): void {
  if (socket.destroyed) return;
  let left = socket.writableLength;
  const check = (): void => {
    if (socket.writableLength === left) return void socket.destroy();
    left = socket.writableLength;
    stop = clock.after(lingerMs, check);
  };
  let stop = clock.after(lingerMs, check);
  socket.once('close', () => stop());
  if (waits) socket.end();
  else socket.destroySoon();
  socket.resume();
}
