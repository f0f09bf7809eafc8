import { spawn } from 'node:child_process';
import { join } from 'node:path';

// `walhook` in the sandbox of a page's shell blocks: the sources', on ports that are free. What would run until it is told to
// stop is told so as soon as it serves; its exit code is the block's.

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** What each command that serves gets in the place of the page's addresses. */
const FREE_PORTS: Readonly<Record<string, readonly string[]>> = {
  serve: ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'],
  start: ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--receiver', '127.0.0.1:0'],
  listen: ['127.0.0.1:0'],
};
const ENDS_BY_ITSELF = ['--print-config', '--help', '--once', '--count'];
const SERVES = /"msg":"listening"|Everything stays up|Listening on /;

const [command = 'help', ...given] = process.argv.slice(2);
const ports = FREE_PORTS[command];
const runsOn = ports !== undefined && !given.some((word) => ENDS_BY_ITSELF.includes(word));
const words = ports === undefined ? given : [...withoutAddresses(given), ...ports];
const child = spawn(process.execPath, [MAIN, command, ...words], { stdio: ['inherit', 'pipe', 'pipe'] });
let said = '';
let isTold = false;
for (const [stream, out] of [
  [child.stdout, process.stdout],
  [child.stderr, process.stderr],
] as const) {
  stream.on('data', (text: Buffer) => {
    out.write(text);
    said += text.toString('utf8');
    if (!runsOn || isTold || !SERVES.test(said)) return;
    isTold = true;
    child.kill('SIGTERM');
  });
}
child.once('close', (code) => process.exit(code ?? 1));

/** Without the flags that say where to listen, and their values; `listen` has its address first, without a flag. */
function withoutAddresses(all: readonly string[]): readonly string[] {
  const flags = ['--listen', '--http', '--receiver'];
  const rest = all.filter((word, at) => !flags.includes(word) && !flags.includes(all[at - 1] ?? ''));
  return command === 'listen' && rest[0]?.startsWith('--') === false ? rest.slice(1) : rest;
}
