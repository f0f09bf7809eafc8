import { spawn } from 'node:child_process';

export interface PsqlRun {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs psql (from PATH) without anybody's psqlrc; `input` is its script. A psql that is not there is an error. */
export function psql(url: string, input: string, args: readonly string[] = []): Promise<PsqlRun> {
  return new Promise((resolve, reject) => {
    const child = spawn('psql', ['-X', '-q', ...args, url], { env: { PATH: process.env.PATH, PGTZ: 'UTC' } });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.once('error', reject);
    child.once('close', (status) =>
      resolve({ status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8') }),
    );
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
