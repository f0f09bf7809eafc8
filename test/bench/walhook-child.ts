import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** `walhook serve` as a process of its own, for benchmarks. */
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
    const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
    const args = ['serve', '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--data-dir', this.#dataDir];
    const child = spawn(process.execPath, [main, ...args], {
      env: {
        ...process.env,
        WALHOOK_UPSTREAM: this.#upstreamUrl,
        WALHOOK_EGRESS_ALLOW: '127.0.0.0/8',
        WALHOOK_LOG_FORMAT: 'json',
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`walhook ended with code ${code}`)));
      createInterface({ input: child.stderr! }).on('line', (line) => {
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

  /** `VmHWM`: the largest resident set of the whole process so far. Linux only. */
  peakResidentBytes(): number {
    const status = readFileSync(`/proc/${this.#child?.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await exited;
  }
}
