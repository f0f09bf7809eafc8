import { fileURLToPath } from 'node:url';
import { systemClock } from '../base/clock.ts';
import { createLogger, silentLogger, type RootLogger } from '../base/logger.ts';
import { systemRandom } from '../base/random.ts';
import { NO_TRACING, type Tracer } from '../base/tracing.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { DataDirectory } from '../catalog/data-directory.ts';
import { ConfigError, type LoadedSetting } from '../config/load.ts';
import type { ServeConfig } from '../config/options.ts';
import { Engine } from '../engine/engine.ts';
import type { ThreadSettings } from '../engine/thread-messages.ts';
import { UpstreamServer, UpstreamSource } from '../engine/upstream-source.ts';
import type { ClientTls } from '../frontend/client-tls.ts';
import { Frontend } from '../frontend/frontend.ts';
import { describeAddress } from '../frontend/sockets.ts';
import { AdminServer, type HealthCheck } from '../http/admin-server.ts';
import { Console } from '../http/console/console.ts';
import { isLoopback } from '../http/console/request-rules.ts';
import type { ServerInfo } from '../model/server-info.ts';
import type { StreamReport } from '../model/status.ts';
import { Metrics } from '../metrics/registry.ts';
import { SessionUpstream } from '../upstream/session-upstream.ts';
import { parseUpstreamUrl, type UpstreamConfig } from '../upstream/upstream-config.ts';
import { Upstream } from '../upstream/upstream.ts';
import { bound } from './address-in-use.ts';
import { clientLimits, openClientTls } from './client-options.ts';
import { collectMetrics } from './collect-metrics.ts';
import { ConsoleGateway } from './console/console-gateway.ts';
import { openCatalog } from './open-catalog.ts';
import { OwnSocket } from './own-socket.ts';
import { inForce, reloaded, type NextConfig } from './reload.ts';
import { version } from './version.ts';
import { warnOfWalLevel } from './wal-level.ts';

/** The built console: the same place from `src/cli` and from `dist/cli`. */
const CONSOLE_FOLDER = fileURLToPath(new URL('../../dist/console', import.meta.url));
const OPEN_TO = { open: 'client', view: 'viewer', 'sign-in': 'nobody' } as const;

export interface Ports {
  readonly sqlPort: number;
  readonly httpPort: number;
}

/** The whole product, composed bottom-up and running in this process until the signal aborts. */
export class Walhook {
  readonly logger: RootLogger;
  #config: ServeConfig;
  /** What sessions have, too. */
  readonly #info: { -readonly [Key in keyof ServerInfo]: ServerInfo[Key] };
  readonly #catalog: Catalog;
  readonly #engine: Engine;
  readonly #frontend: Frontend;
  readonly #clientTls: ClientTls | null;
  readonly #tracer: Tracer | null;
  readonly #admin: AdminServer;
  readonly #console: Console | null;
  readonly #consoleSocket: OwnSocket | null;
  readonly #upstreamConfig: UpstreamConfig;
  readonly #httpPort = Promise.withResolvers<number>();
  readonly #ports = Promise.withResolvers<Ports>();

  /** `directory` is locked already and stays the caller's to close. `settings`: what SHOW CDC SETTINGS has. `tracing`: of this thread. */
  constructor(config: ServeConfig, directory: DataDirectory, settings: readonly LoadedSetting[], tracing = NO_TRACING) {
    const logFormat = resolveFormat(config.logFormat);
    this.#httpPort.promise.catch(() => undefined);
    this.#ports.promise.catch(() => undefined);
    this.#config = config;
    this.logger = createLogger(config.logLevel, logFormat);
    this.#tracer = tracing.tracer;
    if (tracing.problem !== null) this.logger.warn({ problem: tracing.problem }, 'there are no traces');
    const parts = { clock: systemClock, random: systemRandom };
    const upstreamConfig = parseUpstreamUrl(config.upstream);
    this.#upstreamConfig = upstreamConfig;
    const upstreamLogger = this.logger.child({ part: 'upstream' });
    const upstream = new Upstream(upstreamConfig, { ...parts, logger: upstreamLogger });
    this.#catalog = openCatalog(config, directory, this.logger);
    this.#catalog.claimUnnamed(upstreamConfig.database);
    this.#engine = new Engine({
      catalog: this.#catalog,
      server: new UpstreamServer(upstream),
      sourceOf: (database, slotName) => {
        const logger = upstreamLogger.child({ database });
        return new UpstreamSource(new Upstream({ ...upstreamConfig, database }, { ...parts, logger }), slotName);
      },
      pipeline: {
        dataDir: config.dataDir,
        upstreamUrl: config.upstream,
        userAgent: `walhook/${version()}`,
        settings: () => threadSettings(this.#config),
        logFormat,
      },
      ...parts,
      logger: this.logger.child({ part: 'engine' }),
    });
    const { requireEndpoint, validate } = config;
    this.#info = { version: version(), requireEndpoint, validate, settings: settings.map(inForce) };
    const frontendLogger = this.logger.child({ part: 'frontend' });
    this.#clientTls = openClientTls(config, systemClock, frontendLogger);
    this.#consoleSocket = config.console === 'off' ? null : OwnSocket.in(config.dataDir, 'console');
    this.#frontend = new Frontend({
      listen: [...config.listen, ...(this.#consoleSocket === null ? [] : [{ path: this.#consoleSocket.path }])],
      tls: this.#clientTls,
      limits: clientLimits(config),
      upstream: new SessionUpstream(upstream, systemClock),
      control: this.#engine,
      info: this.#info,
      tracer: this.#tracer,
      clock: systemClock,
      logger: frontendLogger,
    });
    this.#console = this.#makeConsole(upstreamConfig);
    this.#admin = new AdminServer({
      ...config.http,
      metrics: new Metrics((set) => collectMetrics(set, this.#engine, this.#frontend)),
      console: this.#console,
      health: () => this.#health(),
      readiness: () => this.#readiness(),
    });
  }

  /** The ports, once all are bound by `run`; 0 for SQL that comes by unix sockets alone. Rejects where one cannot be. */
  get ports(): Promise<Ports> {
    return this.#ports.promise;
  }

  /** Serves until the signal aborts, then stops top-down. Rejects when a part fails that cannot be restarted. */
  async run(signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const parts = [bound(this.#frontend.run(either), '--listen'), this.#serveAdmin(either), this.#engine.run(either)];
    this.#announce().then(this.#ports.resolve, this.#ports.reject);
    // Of a stream that there is, capture says it.
    if (this.#catalog.databases().length === 0) void this.#askWalLevel(either);
    const results = await Promise.allSettled(
      parts.map((part) =>
        part.catch((error: unknown) => {
          failed.abort(error);
          throw error;
        }),
      ),
    );
    this.#catalog.close();
    await this.#tracer?.flush();
    this.#consoleSocket?.close();
    const rejected = results.find((result) => result.status === 'rejected');
    if (rejected) throw rejected.reason;
  }

  /** How streams are. */
  reports(): Promise<readonly StreamReport[]> {
    return this.#engine.reports();
  }

  /**
   * Brings into force what may change while it runs, and names what waits for a restart. `load` reads the configuration anew; where
   * it throws, nothing changes. Resolves when all of it is in force; never rejects.
   */
  async reload(load: () => NextConfig): Promise<void> {
    let next: NextConfig;
    try {
      next = load();
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems : [String(error)];
      this.logger.error({ problems }, 'nothing is reloaded: the configuration is wrong');
      return;
    }
    const { values, settings, changed, pendingRestart } = reloaded(this.#config, this.#info.settings, next);
    this.#config = values;
    Object.assign(this.#info, { requireEndpoint: values.requireEndpoint, validate: values.validate, settings });
    this.logger.setLevel(values.logLevel);
    this.#frontend.configure(clientLimits(values));
    this.#console?.setToken(values.consoleToken);
    this.#clientTls?.reload();
    await this.#engine.applySettings();
    this.logger.info({ changed }, 'configuration reloaded');
    if (pendingRestart.length > 0)
      this.logger.warn({ options: pendingRestart }, 'options have changed that need a restart');
  }

  #makeConsole(own: UpstreamConfig): Console | null {
    const { console: mode, http, consoleToken, tlsMode } = this.#config;
    if (mode === 'off' || this.#consoleSocket === null) return null;
    return new Console({
      version: version(),
      folder: CONSOLE_FOLDER,
      openTo: isLoopback(http.host) ? OPEN_TO[mode] : 'nobody',
      token: consoleToken,
      sql: new ConsoleGateway({
        socket: this.#consoleSocket,
        own,
        needsCertificates: tlsMode === 'verify-ca' || tlsMode === 'verify-full',
        clock: systemClock,
      }),
      reports: () => this.#engine.reports(),
      clock: systemClock,
      random: systemRandom,
      logger: this.logger.child({ part: 'console' }),
    });
  }

  async #askWalLevel(signal: AbortSignal): Promise<void> {
    // Not that of sessions: what is found out of hosts here says nothing to clients, nor in the log.
    const parts = { clock: systemClock, random: systemRandom, logger: silentLogger };
    await warnOfWalLevel(new Upstream(this.#upstreamConfig, parts), this.logger, signal);
  }

  async #serveAdmin(signal: AbortSignal): Promise<void> {
    try {
      this.#httpPort.resolve(await bound(this.#admin.listen(), '--http'));
    } catch (error) {
      this.#httpPort.reject(error);
      throw error;
    }
    await this.#admin.run(signal);
  }

  async #announce(): Promise<Ports> {
    // The console's own comes last, and is for nobody else.
    const addresses = (await bound(this.#frontend.addresses, '--listen')).slice(0, this.#config.listen.length);
    const tcp = addresses.find((address) => 'port' in address);
    const ports = { sqlPort: tcp?.port ?? 0, httpPort: await this.#httpPort.promise };
    const sql = addresses.map(describeAddress).join(',');
    this.logger.info({ sql, http: `${this.#config.http.host}:${ports.httpPort}` }, 'listening');
    return ports;
  }

  async #health(): Promise<readonly HealthCheck[]> {
    await this.#engine.captureStatus();
    return [{ name: 'engine', ok: true, detail: null }];
  }

  async #readiness(): Promise<readonly HealthCheck[]> {
    const captures = [...(await this.#engine.captureStatus())];
    return captures.map(([database, { state, error }]) => {
      const ok = state === 'idle' || (state === 'streaming' && error === null);
      return { name: `capture of ${database}`, ok, detail: ok ? state : (error ?? state) };
    });
  }
}

function resolveFormat(format: ServeConfig['logFormat']): 'json' | 'pretty' {
  if (format !== 'auto') return format;
  return process.stderr.isTTY ? 'pretty' : 'json';
}

function threadSettings(config: ServeConfig): ThreadSettings {
  const { logLevel, logMaxBytes: maxLogBytes, backfillMaxRowsPerSecond, egressAllow } = config;
  return { logLevel, maxLogBytes, backfillMaxRowsPerSecond, egressAllow };
}
