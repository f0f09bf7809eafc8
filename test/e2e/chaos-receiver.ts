import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';
import type { SeededRandom } from '../support/seeded-random.ts';

const REFUSED = 0.02;
const RESET = 0.01;
/** The work is done and the answer is lost. */
const ANSWER_LOST = 0.01;

export interface Row {
  readonly key: number;
  readonly version: number;
  readonly tx: number;
  readonly body: string;
}

/** An event as it arrived, bodies shortened to digests. */
export interface Arrival {
  readonly id: string;
  readonly op: string;
  readonly schema: string;
  readonly key: { readonly key: number } | null;
  readonly before: Row | null;
  readonly after: Row | null;
  readonly lsn: string;
  readonly xid: string;
  /** Of the event as a whole. */
  readonly digest: string;
}

/** What `cdc.gap` tells. */
export interface GapRow {
  readonly reason: string;
  readonly from_lsn: string;
  readonly to_lsn: string;
}

/** An endpoint that fails now and then, and can be cut and taken down. What it answered with 2xx or not, it keeps. */
export class ChaosReceiver {
  readonly arrivals: Arrival[] = [];
  readonly gaps = new Map<string, GapRow>();
  readonly #random: SeededRandom;
  readonly #port: number;
  #server: Server;

  private constructor(random: SeededRandom, server: Server, port: number) {
    this.#random = random;
    this.#server = server;
    this.#port = port;
    after(() => this.down());
  }

  static async start(random: SeededRandom): Promise<ChaosReceiver> {
    const server = createServer();
    const port = await listen(server, 0);
    const receiver = new ChaosReceiver(random, server, port);
    server.on('request', (request, response) => receiver.#take(request, response));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  /** Cuts all connections. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  /** Takes no connections until `up`. */
  async down(): Promise<void> {
    const server = this.#server;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  async up(): Promise<void> {
    this.#server = createServer((request, response) => this.#take(request, response));
    await listen(this.#server, this.#port);
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (this.#random.chance(RESET)) return response.socket?.resetAndDestroy();
      if (this.#random.chance(REFUSED)) return response.writeHead(503).end();
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Arrival | Arrival[];
      for (const event of Array.isArray(body) ? body : [body]) this.#keep(event);
      if (this.#random.chance(ANSWER_LOST)) response.socket?.resetAndDestroy();
      else response.writeHead(204).end();
    });
  }

  #keep(event: Arrival): void {
    if (event.schema === 'cdc') this.gaps.set(event.id, event.after as unknown as GapRow);
    const { id, op, schema, key, before, after: row, lsn, xid } = event;
    const digest = digestOf(JSON.stringify(event));
    this.arrivals.push({ id, op, schema, key, before: shortened(before), after: shortened(row), lsn, xid, digest });
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

export function digestOf(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

function shortened(row: Row | null): Row | null {
  return row?.body === undefined ? row : { ...row, body: digestOf(row.body) };
}
