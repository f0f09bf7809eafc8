import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** Builds the program as it is published, and gives the path of its entry. Not for two at a time: they build in one folder. */
export function buildProgram(): string {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs')]);
  return join(ROOT, 'dist', 'main.js');
}
