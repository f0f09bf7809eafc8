import { execFile } from 'node:child_process';
import { globSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LOCAL_PASSWORD, LOCAL_USER } from '../../src/cli/local-postgres.ts';

const BINARY = [...globSync('/usr/lib/postgresql/*/bin/pgbench').sort(), 'pgbench'].at(0)!;

export interface PgbenchResult {
  readonly transactionsPerSecond: number;
}

/** Runs pgbench against a port of loopback. Rejects with its own words where a transaction fails. */
export async function pgbench(port: number, args: readonly string[]): Promise<PgbenchResult> {
  const common = ['-h', '127.0.0.1', '-p', String(port), '-U', LOCAL_USER];
  const { stdout } = await promisify(execFile)(BINARY, [...common, ...args, 'postgres'], {
    env: { ...process.env, PGPASSWORD: LOCAL_PASSWORD, PGSSLMODE: 'disable' },
    maxBuffer: 64 * 1024 * 1024,
  });
  const failed = /number of failed transactions: (\d+)/.exec(stdout)?.[1];
  if (failed !== undefined && failed !== '0') throw new Error(`pgbench: ${failed} transactions failed`);
  return { transactionsPerSecond: Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]) };
}

export interface Latency {
  readonly medianMs: number;
  readonly p99Ms: number;
}

/** The time of each transaction of one client. `folder` is for pgbench's log. */
export async function pgbenchLatency(port: number, seconds: number, folder: string): Promise<Latency> {
  const prefix = join(folder, 'latency');
  await pgbench(port, ['-n', '-S', '-c', '1', '-T', String(seconds), '-l', '--log-prefix', prefix]);
  const times: number[] = [];
  for (const file of globSync(`${prefix}.*`)) {
    // client, transaction, microseconds, …: https://www.postgresql.org/docs/current/pgbench.html
    for (const line of readFileSync(file, 'utf8').split('\n')) if (line !== '') times.push(Number(line.split(' ')[2]));
    rmSync(file);
  }
  times.sort((a, b) => a - b);
  const at = (quantile: number): number => times[Math.floor(quantile * (times.length - 1))]! / 1000;
  return { medianMs: at(0.5), p99Ms: at(0.99) };
}
