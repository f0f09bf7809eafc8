import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const START_DEADLINE_MS = 30_000;

export interface WalhookProcessOptions {
  readonly upstreamUrl: string;
  readonly dataDir: string;
  /** 0: any free port, which stays the same for this object's later starts. */
  readonly listenPort?: number;
  /** Where it binds the admin port; default: a loopback address. */
  readonly httpHost?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Its entry, where it is not the sources'. */
  readonly program?: string;
}

/** `walhook serve` as a user runs it: a process of its own, killed with the test file at the latest. */
export class WalhookProcess {
  readonly #options: WalhookProcessOptions;
  #child: ChildProcess | null = null;
  #sqlPort: number;
  #httpPort = 0;
  /** Every log line so far, of all starts. */
  readonly logLines: string[] = [];

  constructor(options: WalhookProcessOptions) {
    this.#options = options;
    this.#sqlPort = options.listenPort ?? 0;
    after(() => this.kill());
  }

  /** Starts it and resolves once both ports are bound; rejects with its last words when it ends before. */
  async start(): Promise<this> {
    const { upstreamUrl, dataDir, environment, httpHost = '127.0.0.1', program = MAIN } = this.#options;
    const args = [
      'serve',
      '--listen',
      `127.0.0.1:${this.#sqlPort}`,
      '--http',
      `${httpHost}:${this.#httpPort}`,
      '--data-dir',
      dataDir,
    ];
    const child = spawn(process.execPath, [program, ...args], {
      env: {
        PATH: process.env.PATH,
        WALHOOK_UPSTREAM: upstreamUrl,
        WALHOOK_EGRESS_ALLOW: '127.0.0.0/8',
        WALHOOK_LOG_FORMAT: 'json',
        // Most tests tell of every request, and some send to nobody.
        WALHOOK_VALIDATE: 'off',
        ...environment,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    const said: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`walhook did not start:\n${said.join('\n')}`)),
        START_DEADLINE_MS,
      );
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        reject(new Error(`walhook ended (${code ?? signal}):\n${said.join('\n')}`));
      });
      createInterface({ input: child.stderr! }).on('line', (line) => {
        said.push(line);
        this.logLines.push(line);
        const ports = listeningPorts(line);
        if (!ports) return;
        [this.#sqlPort, this.#httpPort] = ports;
        clearTimeout(timer);
        resolve();
      });
    });
    return this;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** SIGKILL, at once; resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM; resolves to the exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** A connection URL of `database` through walhook, with the upstream's credentials. */
  sqlUrl(database?: string): string {
    const url = new URL(this.#options.upstreamUrl);
    url.host = `127.0.0.1:${this.#sqlPort}`;
    if (database !== undefined) url.pathname = `/${database}`;
    return url.href;
  }

  get sqlPort(): number {
    return this.#sqlPort;
  }

  httpUrl(path: string): string {
    return `http://127.0.0.1:${this.#httpPort}${path}`;
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (!child) return null;
    this.#child = null;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill(signal);
    return exited;
  }
}

function listeningPorts(line: string): [number, number] | null {
  let entry: { msg?: string; sql?: string; http?: string };
  try {
    entry = JSON.parse(line) as typeof entry;
  } catch {
    return null;
  }
  if (entry.msg !== 'listening' || !entry.sql || !entry.http) return null;
  return [portOf(entry.sql), portOf(entry.http)];
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));
