import { fork, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { streamStatus } from '../support/stream-status.ts';
import { WalhookChild } from './walhook-child.ts';

/** Of all requests so far. */
export interface Counted {
  readonly requests: number;
  readonly bytes: number;
  /** The largest of the first bodies. */
  readonly sample: string;
  /** Taken and not answered yet, the most there were at once. */
  readonly mostOpen: number;
}

/** A server, walhook before it and a receiver, each a process of its own, and a client on either side of walhook. */
export class BenchStage {
  readonly server: LocalPostgres;
  readonly walhook: WalhookChild;
  /** Straight to the server. */
  readonly direct: pg.Client;
  /** Through walhook. */
  readonly client: pg.Client;
  /** Of the receiver. */
  readonly url: string;
  readonly #receiver: ChildProcess;
  /** For whatever else there is; it goes with the rest. */
  readonly folder: string;

  private constructor(parts: Pick<BenchStage, 'server' | 'walhook' | 'direct' | 'client' | 'url'>, own: Own) {
    ({ server: this.server, walhook: this.walhook, direct: this.direct, client: this.client, url: this.url } = parts);
    this.#receiver = own.receiver;
    this.folder = own.folder;
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<BenchStage> {
    const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
    chmodSync(folder, 0o711);
    const receiver = fork(join(import.meta.dirname, 'counting-receiver.ts'));
    const port = await new Promise<number>((resolve) => receiver.once('message', (said) => resolve(said as number)));
    const server = await LocalPostgres.start({
      dataDir: join(folder, 'postgres'),
      settings: { max_wal_size: '16GB', ...settings },
    });
    const walhook = new WalhookChild(server.url(), join(folder, 'walhook'));
    await walhook.start();
    const direct = new pg.Client({ connectionString: server.url() });
    const client = new pg.Client({ connectionString: walhook.sqlUrl });
    await Promise.all([direct.connect(), client.connect()]);
    const url = `http://127.0.0.1:${port}/`;
    return new BenchStage({ server, walhook, direct, client, url }, { receiver, folder });
  }

  /** `SHOW CDC STREAM STATUS`, by property. */
  status(stream: string): Promise<ReadonlyMap<string, string | null>> {
    return streamStatus(this.client, stream);
  }

  /** What the receiver has counted. */
  async counted(): Promise<Counted> {
    return (await (await fetch(`${this.url}counted`)).json()) as Counted;
  }

  /** Resolves when the property of the stream's status is at least `least`. */
  async reached(stream: string, property: string, least: number): Promise<void> {
    while (Number((await this.status(stream)).get(property)) < least) await pause(20);
  }

  async stop(): Promise<void> {
    await Promise.allSettled([this.direct.end(), this.client.end()]);
    await this.walhook.stop();
    await this.server.stop('immediate');
    this.#receiver.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

interface Own {
  readonly receiver: ChildProcess;
  readonly folder: string;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Seconds that `work` takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}
