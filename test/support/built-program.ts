import { execFileSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'dist', 'main.js');

/**
 * Builds the program as it is published, where it is missing or older than a source, and gives the path of its entry. Not for
 * two at a time: they build in one folder.
 */
export function buildProgram(): string {
  if (isStale()) execFileSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs'), '--program']);
  return MAIN;
}

function isStale(): boolean {
  if (!existsSync(MAIN)) return true;
  const builtMs = statSync(MAIN).mtimeMs;
  return globSync('src/**/*', { cwd: ROOT }).some((name) => statSync(join(ROOT, name)).mtimeMs > builtMs);
}
