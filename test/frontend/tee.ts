import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after } from 'node:test';
import type { TcpAddress } from './proxy.ts';

/** Stands before a server and keeps what its clients send, the newest connection last. */
export class Tee {
  readonly address: TcpAddress;
  readonly #connections: Buffer[][];

  private constructor(address: TcpAddress, connections: Buffer[][]) {
    this.address = address;
    this.#connections = connections;
  }

  static async start(target: TcpAddress): Promise<Tee> {
    const connections: Buffer[][] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const chunks: Buffer[] = [];
      connections.push(chunks);
      const other = connect({ ...target, allowHalfOpen: true, noDelay: true });
      socket.setNoDelay(true);
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.pipe(other).pipe(socket);
      socket.on('error', () => other.destroy());
      other.on('error', () => socket.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    after(() => server.close());
    return new Tee({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, connections);
  }

  /** What the newest connection's client has sent behind its startup packet. */
  get sent(): Buffer {
    const bytes = Buffer.concat(this.#connections.at(-1) ?? []);
    return bytes.length < 4 ? bytes : bytes.subarray(bytes.readUInt32BE(0));
  }
}

/** The messages of a client. */
export function messagesOf(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const next = at + 1 + bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at, next));
    at = next;
  }
  return messages;
}
