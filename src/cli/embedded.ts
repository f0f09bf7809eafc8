import { dirname } from 'node:path';
import pg from 'pg';
import { systemClock } from '../base/clock.ts';
import { loadTracing } from '../base/tracing.ts';
import { DataDirectory } from '../catalog/data-directory.ts';
import { ConfigError, loadOptions } from '../config/load.ts';
import { environmentName, SERVE_OPTIONS } from '../config/options.ts';
import type { StreamStatusName } from '../model/status.ts';
import { parseUpstreamUrl } from '../upstream/upstream-config.ts';
import { serveProblems } from './client-options.ts';
import { OwnSocket } from './own-socket.ts';
import { unreloadable } from './reload.ts';
import { Walhook as Composition } from './walhook.ts';

type OptionValue = string | number | boolean | readonly string[];

/**
 * The options of `walhook serve`, in camel case: `upstream`, `dataDir`, `egressAllow`, … Each as its flag has it; a boolean is on or
 * off, an array a list with commas. What is not said is the default; the environment is not asked.
 */
export type WalhookOptions = {
  readonly [Key in keyof typeof SERVE_OPTIONS]?: OptionValue;
} & { readonly upstream: string };

/** What a statement came to. */
export interface StatementResult {
  /** By column; values as `pg` reads them. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Its first word, as in `CREATE`, `SHOW`, `SELECT`. */
  readonly command: string;
}

/** A stream's status is another one from now on. */
export interface StreamEvent {
  readonly stream: string;
  readonly database: string;
  /** Null: the stream was dropped. */
  readonly status: StreamStatusName | null;
  /** What it was; null: the stream is new. */
  readonly before: StreamStatusName | null;
  readonly reason: string | null;
}

const LOOK_EVERY_MS = 250;

/**
 * walhook within this process: what `walhook serve` runs. SQL clients connect to its port as ever; `execute` is one of them, as
 * the user of `upstream`. One at a time uses a data directory, whatever process it is in.
 */
export class Walhook implements AsyncDisposable {
  /** Where SQL clients connect, on the first of `listen`'s TCP addresses; 0: there is none. */
  readonly sqlPort: number;
  /** Of the console, `/metrics`, `/healthz` and `/readyz`. */
  readonly httpPort: number;
  /** Resolves when it has stopped; rejects when a part fails that cannot be started again. */
  readonly finished: Promise<void>;
  readonly #composition: Composition;
  readonly #connection: pg.ClientConfig;
  readonly #stopping: AbortController;
  #client: Promise<pg.Client> | null = null;

  private constructor(parts: {
    readonly composition: Composition;
    readonly connection: pg.ClientConfig;
    readonly stopping: AbortController;
    readonly finished: Promise<void>;
    readonly ports: { readonly sqlPort: number; readonly httpPort: number };
  }) {
    this.#composition = parts.composition;
    this.#connection = parts.connection;
    this.#stopping = parts.stopping;
    this.finished = parts.finished;
    this.sqlPort = parts.ports.sqlPort;
    this.httpPort = parts.ports.httpPort;
  }

  /**
   * Starts it; resolves once its ports are bound. Rejects with an error whose `problems` are all that is wrong with the options,
   * where the data directory is in use, and where a port is.
   */
  static async start(options: WalhookOptions): Promise<Walhook> {
    const { values, settings } = loadOptions(SERVE_OPTIONS, [], environmentOf(options), [], serveProblems);
    const { user, password, database } = parseUpstreamUrl(values.upstream);
    const tracing = await loadTracing();
    const directory = DataDirectory.open(values.dataDir);
    const socket = OwnSocket.in(values.dataDir, 'embedded');
    const close = (): void => {
      socket.close();
      directory.close();
    };
    let composition: Composition;
    try {
      // Behind those that were asked for: ports are told of the first.
      composition = new Composition(
        { ...values, listen: [...values.listen, { path: socket.path }] },
        directory,
        settings.map(unreloadable),
        tracing,
      );
    } catch (error) {
      close();
      throw error;
    }
    const stopping = new AbortController();
    const finished = composition.run(stopping.signal).finally(close);
    finished.catch(() => undefined);
    const ports = await composition.ports.catch(async (error: unknown) => {
      stopping.abort();
      await finished.catch(() => undefined);
      throw error;
    });
    const connection = { host: dirname(socket.path), port: socket.port, user, password, database, ssl: false };
    return new Walhook({ composition, connection, stopping, finished, ports });
  }

  /**
   * Runs one statement, of walhook's or of PostgreSQL's, after those before it; `values`: of its parameters `$1`, …. Rejects with
   * the server's error: `code` (SQLSTATE), `message`, `detail`, `hint`, `position`.
   */
  async execute(sql: string, values: readonly unknown[] = []): Promise<StatementResult> {
    const client = await (this.#client ??= this.#connect());
    const { rows, command } = await client.query<Record<string, unknown>>({ text: sql, values: [...values] });
    return { rows, command };
  }

  /** What becomes of streams, from what they are now on, until it stops or `signal` aborts. */
  async *events(signal?: AbortSignal): AsyncGenerator<StreamEvent, void, undefined> {
    const over = AbortSignal.any([this.#stopping.signal, ...(signal ? [signal] : [])]);
    let before = new Map<string, Omit<StreamEvent, 'before'>>();
    while (!over.aborted) {
      const reports = await this.#composition.reports();
      const now = new Map(
        reports.map(({ definition: { id, name, database }, status, statusReason }) => [
          id,
          { stream: name, database, status, reason: statusReason },
        ]),
      );
      for (const [id, event] of now) {
        const was = before.get(id)?.status ?? null;
        if (was !== event.status) yield { ...event, before: was };
      }
      for (const [id, event] of before) {
        if (!now.has(id)) yield { ...event, status: null, before: event.status, reason: null };
      }
      before = now;
      await systemClock.sleep(LOOK_EVERY_MS, over).catch(() => undefined);
    }
  }

  /** Lets clients that are busy finish, stores what was acknowledged, and frees the data directory. As `finished` else. */
  async stop(): Promise<void> {
    const client = await this.#client?.catch(() => null);
    await client?.end().catch(() => undefined);
    this.#stopping.abort();
    await this.finished;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client(this.#connection);
    const forget = (): void => {
      this.#client = null;
    };
    // The next statement has a connection of its own.
    client.on('error', forget);
    client.on('end', forget);
    try {
      await client.connect();
    } catch (error) {
      forget();
      throw error;
    }
    return client;
  }
}

/** Throws `ConfigError` with each option that there is not. */
function environmentOf(options: WalhookOptions): Record<string, string> {
  const specs = new Map(Object.entries(SERVE_OPTIONS));
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const unknown = given.filter(([key]) => !specs.has(key)).map(([key]) => `${key} is no option`);
  if (unknown.length > 0) throw new ConfigError(unknown);
  return Object.fromEntries(given.map(([key, value]) => [environmentName(specs.get(key)!), textOf(value)]));
}

function textOf(value: OptionValue): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return typeof value === 'object' ? value.join(',') : String(value);
}
