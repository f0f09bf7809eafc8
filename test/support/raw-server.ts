import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after } from 'node:test';

/** A server that speaks as the test tells it, byte by byte; stopped when the file's tests are done. */
export interface RawServer {
  readonly port: number;
  readonly url: string;
  readonly sockets: readonly Socket[];
}

/** `onSocket` is called with each connection and its number, from 0. */
export async function startRawServer(onSocket: (socket: Socket, number: number) => void): Promise<RawServer> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    sockets.push(socket);
    onSocket(socket, sockets.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, url: `http://127.0.0.1:${port}/hook`, sockets };
}

/** Calls `answer` with each request once it has come whole, and its number on the connection, from 0. */
export function onRequests(socket: Socket, answer: (number: number, body: string) => void): void {
  let unread = '';
  let number = 0;
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    unread += text;
    for (;;) {
      const headEnd = unread.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(unread.slice(0, headEnd))?.[1] ?? 0);
      const end = headEnd + 4 + length;
      if (unread.length < end) return;
      const body = unread.slice(headEnd + 4, end);
      unread = unread.slice(end);
      answer(number++, body);
    }
  });
}

/** Writes `piece` as long as the connection takes it. */
export function writeForEver(socket: Socket, piece: string): void {
  const more = (): void => {
    if (!socket.writable) return;
    if (socket.write(piece)) setImmediate(more);
    else socket.once('drain', more);
  };
  more();
}
