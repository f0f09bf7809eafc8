// Builds the console (console/) into dist/console. `--if-needed`: only where that is missing or older than a source.
import { existsSync, globSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const page = join(root, 'dist', 'console', 'index.html');

if (!process.argv.includes('--if-needed') || isStale()) {
  const { build } = await import('vite');
  await build({ configFile: join(root, 'console', 'vite.config.ts'), logLevel: 'warn' });
}

function isStale() {
  if (!existsSync(page)) return true;
  const builtMs = statSync(page).mtimeMs;
  const sources = globSync('console/**/*', { cwd: root }).map((name) => join(root, name));
  return [...sources, join(root, 'package-lock.json')].some((file) => statSync(file).mtimeMs > builtMs);
}
