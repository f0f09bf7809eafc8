import { createServer, type Server, type ServerResponse } from 'node:http';
import { readBody } from '../receiver/read-body.ts';
import { WebhookError } from '../receiver/webhook-error.ts';

/** One request as a local receiver got it. */
export interface ReceivedWebhook {
  readonly method: string;
  readonly path: string;
  /** As sent: name and value in turn. */
  readonly headers: readonly (readonly [string, string])[];
  /** Unpacked, where it was compressed. */
  readonly body: string;
}

/** What a request is answered with; `reset`: the connection is closed without an answer. */
export type LocalAnswer =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  | { readonly kind: 'reset' };

const OK: LocalAnswer = { kind: 'answer', status: 200 };

/** A webhook endpoint on this machine. A body that cannot be read (413, 400, 415) is answered here; `answer` decides the rest. */
export class LocalReceiver {
  readonly #server: Server;

  constructor(answer: (webhook: ReceivedWebhook) => LocalAnswer | void | Promise<LocalAnswer | void>) {
    this.#server = createServer((request, response) => {
      const take = async (): Promise<LocalAnswer> => {
        const body = await readBody(request);
        const webhook = {
          method: request.method ?? '',
          path: request.url ?? '',
          headers: pairs(request.rawHeaders),
          body: body.toString('utf8'),
        };
        return (await answer(webhook)) ?? OK;
      };
      take().then(
        (given) => respond(response, given),
        (error: unknown) =>
          respond(response, { kind: 'answer', status: error instanceof WebhookError ? error.status : 500 }),
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

function respond(response: ServerResponse, answer: LocalAnswer): void {
  if (answer.kind === 'reset') response.socket?.resetAndDestroy();
  else response.writeHead(answer.status, answer.headers).end(answer.body);
}

/** The value of a header, of several the first; null where there is none. */
export function headerOf(webhook: ReceivedWebhook, name: string): string | null {
  return webhook.headers.find(([given]) => given.toLowerCase() === name)?.[1] ?? null;
}

/** The request as it would look on paper, its body indented. */
export function formatWebhook(webhook: ReceivedWebhook): string {
  const shown = webhook.headers.filter(([name]) => !/^(connection|content-length|host|keep-alive)$/i.test(name));
  return printable(
    [
      `${webhook.method} ${webhook.path}`,
      ...shown.map(([name, value]) => `${name}: ${value}`),
      '',
      indentJson(webhook.body),
    ].join('\n'),
  );
}

/** Without what a terminal would take for commands: the text comes from whoever can reach the port. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, (char) => (char === '\n' || char === '\t' ? char : '\ufffd'));
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
