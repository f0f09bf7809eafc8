// Builds the console (console/) into dist/console. `--if-needed`: only where that is missing or older than a source. Under a Node
// that is too old for that, hands over to the one that the lock file brings.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const self = fileURLToPath(import.meta.url);
const root = join(dirname(self), '..');
const page = join(root, 'dist', 'console', 'index.html');

if (!process.argv.includes('--if-needed') || isStale()) await build();

async function build() {
  if (Number(process.versions.node.split('.')[0]) < 24) {
    const node = join(root, 'node_modules', '.bin', 'node');
    const { status } = spawnSync(node, [self], { stdio: 'inherit' });
    process.exit(status ?? 1);
  }
  const { build: bundle } = await import('vite');
  await bundle({ configFile: join(root, 'console', 'vite.config.ts'), logLevel: 'warn' });
}

function isStale() {
  if (!existsSync(page)) return true;
  const builtMs = statSync(page).mtimeMs;
  const sources = readdirSync(join(root, 'console'), { recursive: true }).map((name) => join(root, 'console', name));
  return [...sources, join(root, 'package-lock.json')].some((file) => statSync(file).mtimeMs > builtMs);
}
