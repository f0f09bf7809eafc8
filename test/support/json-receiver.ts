import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

export interface JsonRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  // Tests look into it freely.
  readonly body: Record<string, unknown>;
}

export interface TestReceiver {
  readonly url: string;
  readonly requests: readonly JsonRequest[];
  /** The requests to one path so far, in order of arrival. */
  to(path: string): readonly JsonRequest[];
}

/** An endpoint on loopback that keeps every JSON request and answers 204; closed when the file's tests are done. */
export async function startReceiver(): Promise<TestReceiver> {
  const requests: JsonRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
      requests.push({ path: request.url ?? '', headers: request.headers, body });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    to: (path) => requests.filter((request) => request.path === path),
  };
}
