import { createServer, type IncomingMessage, type Server } from 'node:http';

/** One request as the demo's receiver got it. */
export interface ReceivedWebhook {
  readonly method: string;
  readonly path: string;
  /** As sent: name and value in turn. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** The demo's own limit; a body past it is refused with 413. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** A webhook endpoint on loopback that hands every request to `onWebhook` and answers 200. */
export class DemoReceiver {
  readonly #server: Server;

  constructor(onWebhook: (webhook: ReceivedWebhook) => void) {
    this.#server = createServer((request, response) => {
      readBody(request).then(
        (body) => {
          onWebhook({
            method: request.method ?? '',
            path: request.url ?? '',
            headers: pairs(request.rawHeaders),
            body,
          });
          response.writeHead(200).end();
        },
        () => response.writeHead(413).end(),
      );
    });
  }

  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address ? address.port : port);
      });
    });
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** The request as it would look on paper, its body indented. */
export function formatWebhook(webhook: ReceivedWebhook): string {
  const shown = webhook.headers.filter(([name]) => !/^(connection|content-length|host|keep-alive)$/i.test(name));
  return [
    `${webhook.method} ${webhook.path}`,
    ...shown.map(([name, value]) => `${name}: ${value}`),
    '',
    indentJson(webhook.body),
  ].join('\n');
}

function indentJson(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i]!, raw[2 * i + 1]!]);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
