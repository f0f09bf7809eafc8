import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** PostgreSQL 15's programs, the server among them, as Debian has them (scripts/install-debian.sh). */
export const DEBIAN_BIN = '/usr/lib/postgresql/15/bin';

/** One of those programs. */
export const debian = (program: string): string => join(DEBIAN_BIN, program);

export interface ProgramRun {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** What it reads, at once or in pieces that come in their own time; nothing by default. */
  readonly input?: string | AsyncIterable<string>;
  /** Told what it has written to its standard output so far, whenever there is more. */
  readonly onOutput?: (soFar: string) => void;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs a program to its end, in the C locale, with nothing of our environment but PATH and HOME. */
export function run(program: string, args: readonly string[], options: ProgramOptions = {}): Promise<ProgramRun> {
  return new Promise((resolve, reject) => {
    const { PATH = '', HOME = '' } = process.env;
    const env = { PATH, HOME, LC_ALL: 'C', PGTZ: 'UTC', ...options.env };
    const child = spawn(program, args, { env, cwd: options.cwd });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout.push(chunk);
      options.onOutput?.(Buffer.concat(stdout).toString('utf8'));
    });
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.once('error', reject);
    child.once('close', (status) =>
      resolve({ status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8') }),
    );
    child.stdin.on('error', () => undefined);
    pipeline(Readable.from(options.input ?? ''), child.stdin).catch((error: NodeJS.ErrnoException) => {
      // A program that ends before it has read everything is not at fault; whoever makes the pieces may be.
      if (child.exitCode !== null || error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE') return;
      child.kill('SIGKILL');
      reject(error);
    });
  });
}

/** The same; rejects with what it said where its status is not 0, and resolves to its standard output. */
export async function succeed(program: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await run(program, args, options);
  if (status !== 0)
    throw new Error(
      `${program} ${args[0] ?? ''} … ended with ${status}:\n${stderr.slice(-2000)}\n${stdout.toString('utf8').slice(-2000)}`,
    );
  return stdout.toString('utf8');
}
