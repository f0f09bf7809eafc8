import fastify, { type FastifyInstance } from 'fastify';
import { untilAborted, type Service } from '../base/service.ts';
import type { Metrics } from '../metrics/registry.ts';
import type { Console } from './console/console.ts';
import { SECURITY_HEADERS } from './console/security-headers.ts';

/** One thing that has to be well. */
export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string | null;
}

export interface AdminServerOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** Null: there is none. */
  readonly console: Console | null;
  /** Whether the process works at all: a failure asks for a restart. */
  readonly health: () => Promise<readonly HealthCheck[]>;
  /** Whether it does its work just now: clients may be sent here. */
  readonly readiness: () => Promise<readonly HealthCheck[]>;
}

/** The admin port: `/metrics`, the console, and `/healthz` and `/readyz`: 200 when every check is ok, 503 with the list otherwise. */
export class AdminServer implements Service {
  readonly #options: AdminServerOptions;
  readonly #app: FastifyInstance;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#app = fastify({ bodyLimit: 1024, requestTimeout: 30_000 });
  }

  /** Binds; resolves to the port. */
  async listen(): Promise<number> {
    const { host, port, metrics, health, readiness, console } = this.#options;
    this.#app.addHook('onSend', async (_request, reply) => void reply.headers(SECURITY_HEADERS));
    this.#app.get('/metrics', async (_request, reply) => {
      return reply.type(metrics.contentType).send(await metrics.expose());
    });
    this.#route('/healthz', health);
    this.#route('/readyz', readiness);
    if (console !== null) await this.#app.register(async (scope) => console.register(scope));
    await this.#app.listen({ host, port });
    const address = this.#app.server.address();
    return typeof address === 'object' && address ? address.port : port;
  }

  /** Serves what `listen` has bound until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([untilAborted(signal), this.#options.console?.run(signal)]);
    await this.#app.close();
  }

  #route(path: string, checks: () => Promise<readonly HealthCheck[]>): void {
    this.#app.get(path, async (_request, reply) => {
      const results = await checks();
      const ok = results.every((check) => check.ok);
      return reply.code(ok ? 200 : 503).send({ status: ok ? 'ok' : 'unavailable', checks: results });
    });
  }
}
