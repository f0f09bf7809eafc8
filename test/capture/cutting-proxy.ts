import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { after } from 'node:test';

/** A network of the test's own between capture and server, that cuts and falls silent on demand. */
export interface CuttingProxy {
  readonly port: number;
  /** Cuts every connection as a broken line does: with a reset, in the middle of whatever is on the way. */
  cut(): void;
  /** From now on nothing passes on the connections that there are, and nobody is told. */
  silence(): void;
  /** Cuts each connection after this many bytes from the server; null: never. */
  cutAfter(bytes: number | null): void;
  /** Passes only this many bytes from the server on each connection, and then nothing; null: all. */
  silenceAfter(bytes: number | null): void;
}

export async function startProxy(serverPort: number): Promise<CuttingProxy> {
  const pairs = new Set<[Socket, Socket]>();
  let limit: number | null = null;
  let silenceLimit: number | null = null;
  const server = createServer((client) => {
    const upstream = connect(serverPort, '127.0.0.1');
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    let passed = 0;
    const cutPair = (): void => {
      pairs.delete(pair);
      for (const socket of pair) reset(socket);
    };
    upstream.on('data', (bytes: Buffer) => {
      passed += bytes.length;
      if (limit !== null && passed > limit) return cutPair();
      if (silenceLimit !== null && passed > silenceLimit) return;
      if (!client.write(bytes)) upstream.pause();
    });
    client.on('drain', () => upstream.resume());
    client.on('data', (bytes: Buffer) => upstream.write(bytes));
    for (const socket of pair) {
      socket.on('error', cutPair);
      socket.on('close', cutPair);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const pair of pairs) for (const socket of pair) reset(socket);
    pairs.clear();
  };
  after(() => {
    cut();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    silence() {
      for (const [client, upstream] of pairs) {
        client.removeAllListeners('data').pause();
        upstream.removeAllListeners('data').pause();
      }
    },
    cutAfter(bytes) {
      limit = bytes;
    },
    silenceAfter(bytes) {
      silenceLimit = bytes;
    },
  };
}

/** A socket whose end is under way cannot be reset: Node would leave it open, and the process spinning at its exit. */
function reset(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
