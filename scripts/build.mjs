// Builds dist/: tsc for the sources; the generated parser, which tsc does not copy, by hand; the console. `--program`: without
// the console, which stays as it is.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
for (const name of existsSync(dist) ? readdirSync(dist) : []) {
  if (name !== 'console') rmSync(join(dist, name), { recursive: true });
}
const tsc = spawnSync(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'src'], {
  cwd: root,
  stdio: 'inherit',
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
cpSync(join(root, 'src', 'sql', 'generated'), join(dist, 'sql', 'generated'), { recursive: true });
if (!process.argv.includes('--program')) await import('./console.mjs');
