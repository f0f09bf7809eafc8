import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

export interface JsonRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  // Tests look into it freely.
  readonly body: Record<string, unknown>;
}

/** What the endpoint does with a request: a status, no answer at all, or a reset connection. */
export type Answer = number | 'hang' | 'reset';

export interface TestReceiver {
  readonly url: string;
  readonly port: number;
  readonly requests: readonly JsonRequest[];
  /** The requests to one path so far, in order of arrival. */
  to(path: string): readonly JsonRequest[];
  /** Decides about every request from now on; 204 until it is set. */
  answer: (request: JsonRequest) => Answer;
  /** Stops listening and cuts all connections. */
  close(): Promise<void>;
}

/** An endpoint on loopback that keeps every JSON request; closed when the file's tests are done. */
export async function startReceiver(port = 0): Promise<TestReceiver> {
  const requests: JsonRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
      const received = { path: request.url ?? '', headers: request.headers, body };
      requests.push(received);
      respond(response, receiver.answer(received));
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address() as AddressInfo;
  const receiver: TestReceiver = {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    requests,
    to: (path) => requests.filter((request) => request.path === path),
    answer: () => 204,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  after(() => receiver.close());
  return receiver;
}

function respond(response: ServerResponse, answer: Answer): void {
  if (answer === 'hang') return;
  if (answer === 'reset') response.socket?.resetAndDestroy();
  else response.writeHead(answer).end();
}
