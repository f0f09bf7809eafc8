import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/**
 * What the receiver does with a request. Scripts are data: the first entry is for the first request, and so on; when they
 * run out, every request is answered 200.
 */
export type Fault =
  /** Answers with a status; `body` may be an object, sent as JSON. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: unknown;
    }
  /** Takes the request and closes the connection without an answer. */
  | { readonly kind: 'reset' }
  /** Takes the request and says nothing until `release`. */
  | { readonly kind: 'hang' }
  /** Answers 200 with a body of so many bytes. */
  | { readonly kind: 'huge-body'; readonly bytes: number }
  /** Answers 200 and one byte of the body every `everyMs`. */
  | { readonly kind: 'slow-body'; readonly everyMs: number }
  /** Writes these bytes to the socket as they are. */
  | { readonly kind: 'raw'; readonly bytes: string; readonly end?: boolean }
  /** Sends `103 Early Hints` without end. */
  | { readonly kind: 'informational-flood' };

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Names and values as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly atMs: number;
  /** A number for each connection, in order of their opening. */
  readonly connection: number;
}

/** A real HTTP receiver on loopback that keeps what it gets and fails as told. */
export class WebhookReceiver {
  readonly requests: ReceivedRequest[] = [];
  /** Consulted before the script: decides by what the request holds. */
  decide: ((request: ReceivedRequest) => Fault | null) | null = null;
  /** Called with each connection, once it is open. */
  onSocket: ((socket: Socket) => void) | null = null;
  readonly #script: Fault[] = [];
  readonly #server: Server;
  readonly #secure: boolean;
  readonly #connections = new Map<Socket, number>();
  readonly #held = new Set<ServerResponse>();
  readonly #waiting = new Set<() => void>();
  #opened = 0;

  private constructor(tls: ServerOptions | null) {
    const listener = (request: IncomingMessage, response: ServerResponse): void => this.#take(request, response);
    this.#secure = tls !== null;
    this.#server = tls === null ? createServer(listener) : createTlsServer(tls, listener);
    this.#server.on(tls === null ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.#connections.set(socket, this.#opened++);
      this.onSocket?.(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#connections.delete(socket));
    });
  }

  static async start(tls: ServerOptions | null = null, host = '127.0.0.1'): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(tls);
    await new Promise<void>((resolve) => receiver.#server.listen(0, host, resolve));
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  url(path = '/hook', host = '127.0.0.1'): string {
    return `${this.#secure ? 'https' : 'http'}://${host}:${this.port}${path}`;
  }

  /** Adds to the script. */
  script(...faults: readonly Fault[]): this {
    this.#script.push(...faults);
    return this;
  }

  /** Answers every request that hangs with 200. */
  release(): void {
    for (const response of this.#held) response.end();
    this.#held.clear();
  }

  /** Resolves once so many requests have come; rejects after `deadlineMs`. */
  received(count: number, deadlineMs = 10_000): Promise<void> {
    return this.until(() => this.requests.length >= count, `${count} requests`, deadlineMs);
  }

  /** Resolves once `condition` holds, which is asked after each request. */
  until(condition: () => boolean, what: string, deadlineMs = 10_000): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`${what} did not come within ${deadlineMs} ms; there were ${this.requests.length} requests`));
      }, deadlineMs);
      const check = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
    });
  }

  /** Closes idle connections under the client, as a receiver's keep-alive timeout does. */
  closeConnections(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  get connectionsOpened(): number {
    return this.#opened;
  }

  async stop(): Promise<void> {
    this.closeConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    const connection = this.#connections.get(request.socket) ?? -1;
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const received: ReceivedRequest = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        body: Buffer.concat(chunks),
        atMs: performance.now(),
        connection,
      };
      this.requests.push(received);
      this.#act(this.decide?.(received) ?? this.#script.shift() ?? OK, request.socket, response);
      this.#waiting.forEach((check) => check());
    });
  }

  #act(fault: Fault, socket: Socket, response: ServerResponse): void {
    switch (fault.kind) {
      case 'answer': {
        const json = typeof fault.body === 'object' && fault.body !== null;
        response.writeHead(fault.status, { ...(json ? { 'content-type': 'application/json' } : {}), ...fault.headers });
        response.end(json ? JSON.stringify(fault.body) : (fault.body as string | undefined));
        return;
      }
      case 'reset':
        socket.resetAndDestroy();
        return;
      case 'hang':
        this.#held.add(response);
        return;
      case 'huge-body':
        response.writeHead(200);
        writeMuch(response, fault.bytes);
        return;
      case 'slow-body': {
        response.writeHead(200);
        const timer = setInterval(() => response.write('.'), fault.everyMs);
        response.on('close', () => clearInterval(timer));
        return;
      }
      case 'raw':
        socket.write(fault.bytes);
        if (fault.end) socket.end();
        return;
      case 'informational-flood': {
        const flood = (): void => {
          if (socket.destroyed) return;
          socket.write('HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n'.repeat(100), () =>
            setImmediate(flood),
          );
        };
        flood();
      }
    }
  }
}

const OK: Fault = { kind: 'answer', status: 200 };
const PIECE = Buffer.alloc(64 * 1024, 'x');

function writeMuch(response: ServerResponse, bytes: number): void {
  let left = bytes;
  const more = (): void => {
    while (left > 0 && !response.destroyed) {
      left -= PIECE.length;
      if (!response.write(PIECE)) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  more();
}
