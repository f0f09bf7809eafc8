// npm leaves an optional package out where it runs under another Node than the package is for, and npm itself may run under
// any: what the tests need of that kind, which run under the Node that the lock file brings, is fetched here, as the lock
// file has it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';

/** Of this machine's platform. */
function isOurs({ os, cpu, libc: libraries }) {
  if (!os.includes(process.platform) || !cpu.includes(process.arch)) return false;
  return process.platform !== 'linux' || libraries === undefined || libraries.includes(libc);
}

function fetchPackage(path, { version, integrity }) {
  const name = path.slice('node_modules/'.length);
  const folder = mkdtempSync(join(tmpdir(), 'walhook-package-'));
  try {
    const npm = process.env.npm_execpath;
    const [command, args] = npm ? [process.execPath, [npm]] : ['npm', []];
    run(command, [...args, 'pack', `${name}@${version}`, '--pack-destination', folder, '--silent']);
    const archive = join(folder, readdirSync(folder)[0]);
    const digest = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (digest !== integrity) throw new Error(`${name}@${version} is not what the lock file has`);
    mkdirSync(join(root, path), { recursive: true });
    run('tar', ['-xzf', archive, '-C', join(root, path), '--strip-components=1']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}

for (const [path, entry] of Object.entries(packages)) {
  if (!path.startsWith('node_modules/kafka-crab-js-') || !isOurs(entry) || existsSync(join(root, path))) continue;
  fetchPackage(path, entry);
}
