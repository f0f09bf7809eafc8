import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import { type AddressInfo } from 'node:net';
import { after } from 'node:test';
import { avroType, readAvro } from './avro-reader.ts';

export interface RegistryRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | null;
}

export interface ScriptedAnswer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * A schema registry: one that keeps what is registered, and takes a schema only where its readers read what was written with
 * the subject's last (BACKWARD, as avsc judges it). Faults are scripted.
 */
export class FakeRegistry {
  readonly requests: RegistryRequest[] = [];
  readonly schemas: string[] = [];
  readonly subjects = new Map<string, number[]>();
  /** Whom it lets in; null: everybody. */
  authorization: string | null = null;
  /** What it answers instead, while there is something; `hang`: nothing at all. */
  scripted: (ScriptedAnswer | 'hang')[] = [];
  /** Every answer, while it is set. */
  always: ScriptedAnswer | null = null;
  #server: Server;
  #port = 0;
  readonly #tls: ServerOptions | null;

  private constructor(tls: ServerOptions | null) {
    this.#tls = tls;
    this.#server = this.#make();
  }

  static async start(tls: ServerOptions | null = null): Promise<FakeRegistry> {
    const registry = new FakeRegistry(tls);
    await registry.up();
    after(() => registry.down());
    return registry;
  }

  get url(): string {
    return `${this.#tls === null ? 'http' : 'https'}://127.0.0.1:${this.#port}`;
  }

  /** Listens, and on the same port whenever it does so again. */
  async up(): Promise<void> {
    this.#server = this.#make();
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async down(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** A message's key or value: its schema's id, and what another implementation reads. */
  read(message: Buffer): { readonly id: number; readonly subjects: readonly string[]; readonly value: unknown } {
    if (message[0] !== 0) throw new Error('no magic byte');
    const id = message.readInt32BE(1);
    const subjects = [...this.subjects].filter(([, ids]) => ids.includes(id)).map(([subject]) => subject);
    return { id, subjects, value: readAvro(this.schemas[id - 1]!, message.subarray(5)) };
  }

  #make(): Server {
    const listener = (request: IncomingMessage, response: ServerResponse): void => void this.#answer(request, response);
    return this.#tls === null ? createServer(listener) : createTlsServer(this.#tls, listener);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url: path = '' } = request;
    const authorization = request.headers.authorization ?? null;
    this.requests.push({ method, path, authorization });
    const scripted = this.always ?? this.scripted.shift();
    if (scripted === 'hang') return;
    const refusal = this.authorization === null || authorization === this.authorization ? null : failure(401, 40_101);
    const { status, body, headers } =
      scripted ?? refusal ?? this.#serve(method, path, Buffer.concat(chunks).toString());
    response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json', ...headers });
    response.end(body ?? '');
  }

  #serve(method: string, path: string, body: string): ScriptedAnswer {
    if (method === 'GET' && path === '/subjects') return ok([...this.subjects.keys()]);
    const [, subject] = /^\/subjects\/([^/]+)\/versions$/.exec(path) ?? [];
    if (method !== 'POST' || subject === undefined) return failure(404, 404);
    const { schema } = JSON.parse(body) as { schema: string };
    return this.#register(decodeURIComponent(subject), schema);
  }

  #register(subject: string, schema: string): ScriptedAnswer {
    const versions = this.subjects.get(subject) ?? [];
    const known = this.schemas.indexOf(schema) + 1;
    if (versions.includes(known)) return ok({ id: known });
    const last = versions.at(-1);
    try {
      const reader = avroType(schema);
      if (last !== undefined) reader.createResolver(avroType(this.schemas[last - 1]!));
    } catch {
      return failure(409, 409, 'Schema being registered is incompatible with an earlier schema');
    }
    const id = known === 0 ? this.schemas.push(schema) : known;
    this.subjects.set(subject, [...versions, id]);
    return ok({ id });
  }
}

function ok(body: unknown): ScriptedAnswer {
  return { status: 200, body: JSON.stringify(body) };
}

function failure(status: number, code: number, message = 'refused'): ScriptedAnswer {
  return { status, body: JSON.stringify({ error_code: code, message }) };
}
