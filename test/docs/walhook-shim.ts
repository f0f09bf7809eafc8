import { spawn } from 'node:child_process';
import { join } from 'node:path';

// `walhook` in the sandbox of a page's shell blocks: the sources', with ports that are free. What would run until it is told to
// stop is told so as soon as it serves; its exit code is the block's.

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const PORTS: Readonly<Record<string, readonly string[]>> = {
  serve: ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'],
  start: ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--receiver', '127.0.0.1:0'],
  listen: [],
};
const SERVES = /"msg":"listening"|Everything stays up|Listening on |listening on /;

const [command = 'help', ...given] = process.argv.slice(2);
const ports = PORTS[command];
const args =
  ports === undefined
    ? given
    : withoutPorts(command === 'listen' ? given.filter((word) => !/^[\w.:]*\d{4}$/.test(word)) : given);
const endsByItself = ports === undefined || given.some((word) => ['--print-config', '--help', '--once'].includes(word));
const words = [
  MAIN,
  command,
  ...(command === 'listen' ? ['0'] : []),
  ...args,
  ...(endsByItself && command === 'serve' ? [] : (ports ?? [])),
];
const child = spawn(process.execPath, words, { stdio: ['inherit', 'pipe', 'pipe'] });
let said = '';
let isTold = false;
for (const [stream, out] of [
  [child.stdout, process.stdout],
  [child.stderr, process.stderr],
] as const) {
  stream.on('data', (text: Buffer) => {
    out.write(text);
    said += text.toString('utf8');
    if (endsByItself || isTold || !SERVES.test(said)) return;
    isTold = true;
    child.kill('SIGTERM');
  });
}
child.once('close', (code) => process.exit(code ?? 1));

/** Without the flags whose values `PORTS` sets. */
function withoutPorts(all: readonly string[]): readonly string[] {
  const set = new Set((ports ?? []).filter((word) => word.startsWith('--')));
  return all.filter((word, at) => !set.has(word) && !set.has(all[at - 1] ?? ''));
}
