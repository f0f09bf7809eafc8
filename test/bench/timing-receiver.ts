import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An endpoint in the bench's own process, which keeps when each event of a batch of one came, by the row's `id`. */
export class TimingReceiver {
  readonly #server: Server;
  /** On the clock of `performance.now()`: the first time. */
  readonly arrivedMs = new Map<number, number>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<TimingReceiver> {
    const server = createServer();
    const receiver = new TimingReceiver(server);
    server.on('request', (request, response) => {
      const nowMs = performance.now();
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { after } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { after: { id: unknown } };
        // A bigint is a string where a double cannot hold it.
        const id = Number(after.id);
        if (!receiver.arrivedMs.has(id)) receiver.arrivedMs.set(id, nowMs);
        response.writeHead(204).end();
      });
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
