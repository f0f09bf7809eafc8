import { systemClock } from '../base/clock.ts';
import { createLogger, type Logger } from '../base/logger.ts';
import { systemRandom } from '../base/random.ts';
import { Catalog } from '../catalog/catalog.ts';
import type { DataDirectory } from '../catalog/data-directory.ts';
import { ConfigError } from '../config/load.ts';
import type { ServeConfig } from '../config/options.ts';
import { Engine } from '../engine/engine.ts';
import { UpstreamSource } from '../engine/upstream-source.ts';
import { Frontend } from '../frontend/frontend.ts';
import { AdminServer, type HealthCheck } from '../http/admin-server.ts';
import { ChangeLog } from '../log/change-log.ts';
import { LOG_FILE } from '../log/schema.ts';
import { Metrics } from '../metrics/registry.ts';
import { slotNameOf } from '../capture/slot.ts';
import { EgressRuleError, parseEgressAllow } from '../sinks/webhook/address-guard.ts';
import { parseUpstreamUrl, type UpstreamConfig } from '../upstream/upstream-config.ts';
import { collectMetrics } from './collect-metrics.ts';
import { version } from './version.ts';

export interface Ports {
  readonly sqlPort: number;
  readonly httpPort: number;
}

/** The whole product, composed bottom-up and running in this process until the signal aborts. */
export class Walhook {
  readonly logger: Logger;
  readonly #config: ServeConfig;
  readonly #catalog: Catalog;
  readonly #engine: Engine;
  readonly #frontend: Frontend;
  readonly #admin: AdminServer;
  readonly #httpPort = Promise.withResolvers<number>();
  readonly #ports = Promise.withResolvers<Ports>();

  /** `directory` is locked already and stays the caller's to close. */
  constructor(config: ServeConfig, directory: DataDirectory) {
    const logFormat = resolveFormat(config.logFormat);
    this.#httpPort.promise.catch(() => undefined);
    this.#ports.promise.catch(() => undefined);
    this.#config = config;
    this.logger = createLogger(config.logLevel, logFormat);
    this.#catalog = Catalog.open(directory.file('catalog.db'), systemClock);
    const upstream = parseUpstreamUrl(config.upstream);
    checkEgressAllow(config.egressAllow);
    const slotName = slotNameOf(this.#catalog.instanceId());
    this.#engine = new Engine({
      catalog: this.#catalog,
      source: new UpstreamSource(upstream, slotName),
      pipeline: {
        dataDir: config.dataDir,
        upstreamUrl: config.upstream,
        slotName,
        egressAllow: config.egressAllow,
        userAgent: `walhook/${version()}`,
        logLevel: config.logLevel,
        logFormat,
      },
      resetLog: () => resetLog(directory.file(LOG_FILE)),
      clock: systemClock,
      random: systemRandom,
      logger: this.logger.child({ part: 'engine' }),
    });
    this.#frontend = new Frontend({
      listen: config.listen,
      upstream: relayAddress(upstream),
      control: this.#engine,
      clock: systemClock,
      logger: this.logger.child({ part: 'frontend' }),
    });
    this.#admin = new AdminServer({
      ...config.http,
      metrics: new Metrics((set) => collectMetrics(set, this.#engine, this.#frontend)),
      health: () => this.#health(),
      readiness: () => this.#readiness(),
    });
  }

  /** The ports, once both are bound by `run`; rejects where one cannot be. */
  get ports(): Promise<Ports> {
    return this.#ports.promise;
  }

  /** Serves until the signal aborts, then stops top-down. Rejects when a part fails that cannot be restarted. */
  async run(signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const parts = [this.#frontend.run(either), this.#serveAdmin(either), this.#engine.run(either)];
    this.#announce().then(this.#ports.resolve, this.#ports.reject);
    const results = await Promise.allSettled(
      parts.map((part) =>
        part.catch((error: unknown) => {
          failed.abort(error);
          throw error;
        }),
      ),
    );
    this.#catalog.close();
    const rejected = results.find((result) => result.status === 'rejected');
    if (rejected) throw rejected.reason;
  }

  async #serveAdmin(signal: AbortSignal): Promise<void> {
    try {
      this.#httpPort.resolve(await this.#admin.listen());
    } catch (error) {
      this.#httpPort.reject(error);
      throw error;
    }
    await this.#admin.run(signal);
  }

  async #announce(): Promise<Ports> {
    const address = await this.#frontend.address;
    const ports = { sqlPort: 'port' in address ? address.port : 0, httpPort: await this.#httpPort.promise };
    const { listen, http } = this.#config;
    this.logger.info({ sql: `${listen.host}:${ports.sqlPort}`, http: `${http.host}:${ports.httpPort}` }, 'listening');
    return ports;
  }

  async #health(): Promise<readonly HealthCheck[]> {
    await this.#engine.captureStatus();
    return [{ name: 'engine', ok: true, detail: null }];
  }

  async #readiness(): Promise<readonly HealthCheck[]> {
    const capture = await this.#engine.captureStatus();
    const ok = capture.state === 'streaming' || capture.state === 'idle';
    return [{ name: 'capture', ok, detail: ok ? capture.state : (capture.error ?? capture.state) }];
  }
}

function resolveFormat(format: ServeConfig['logFormat']): 'json' | 'pretty' {
  if (format !== 'auto') return format;
  return process.stderr.isTTY ? 'pretty' : 'json';
}

function resetLog(path: string): void {
  const log = ChangeLog.open(path);
  try {
    log.reset();
  } finally {
    log.close();
  }
}

/** The delivery thread reads the entries; that they can be read is found out before anything starts. */
function checkEgressAllow(entries: readonly string[]): void {
  try {
    parseEgressAllow(entries);
  } catch (error) {
    if (!(error instanceof EgressRuleError)) throw error;
    throw new ConfigError([`--egress-allow: ${error.message}`]);
  }
}

/** Where clients' sessions go: the same server that changes are captured from. */
function relayAddress({ host, port, ssl }: UpstreamConfig): { host: string; port: number } | { path: string } {
  if (ssl !== false) {
    // Clients' sessions would go unencrypted where the operator asked for encryption.
    throw new ConfigError(['--upstream: sslmode other than disable is not supported yet']);
  }
  return host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
}
