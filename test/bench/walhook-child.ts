import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { must } from '../../src/base/assert.ts';
import { buildProgram } from '../support/built-program.ts';

/** `walhook serve` as a process of its own, for benchmarks: the built program, as it is installed. */
export class WalhookChild {
  readonly #upstreamUrl: string;
  readonly #dataDir: string;
  #child: ChildProcess | null = null;
  #sqlAddress = '';

  constructor(upstreamUrl: string, dataDir: string) {
    this.#upstreamUrl = upstreamUrl;
    this.#dataDir = dataDir;
  }

  async start(): Promise<void> {
    const main = buildProgram();
    const args = ['serve', '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--data-dir', this.#dataDir];
    const child = spawn(process.execPath, [main, ...args], {
      env: {
        ...process.env,
        WALHOOK_VALIDATE: 'off',
        WALHOOK_UPSTREAM: this.#upstreamUrl,
        WALHOOK_EGRESS_ALLOW: '127.0.0.0/8',
        WALHOOK_LOG_FORMAT: 'json',
      },
      stdio: ['ignore', 'ignore', 'pipe'],
      // In a session of its own, as a service is: the kernel shares the processors out among sessions.
      detached: true,
    });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`walhook ended with code ${code}`)));
      createInterface({ input: child.stderr! }).on('line', (line) => {
        if (!line.startsWith('{')) return console.error(line);
        const entry = JSON.parse(line) as { msg?: string; sql?: string; level?: number };
        if ((entry.level ?? 0) >= 40) console.error(line);
        if (entry.msg !== 'listening' || !entry.sql) return;
        this.#sqlAddress = entry.sql;
        resolve();
      });
    });
  }

  get sqlUrl(): string {
    const url = new URL(this.#upstreamUrl);
    url.host = this.#sqlAddress;
    return url.href;
  }

  get sqlPort(): number {
    return Number(this.#sqlAddress.split(':').at(-1));
  }

  get pid(): number {
    return must(this.#child?.pid, 'a process that runs');
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await exited;
  }
}
