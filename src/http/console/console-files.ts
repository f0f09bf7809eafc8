import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** A built file, as it is served. */
export interface ConsoleFile {
  /** From the root: `/assets/index-3b1.js`; the page itself is `/`. */
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
  /** The name has a hash of what is in it. */
  readonly isImmutable: boolean;
}

/** All files of the built console, or null where it was not built. They are few and small, so they are held in memory. */
export function readConsoleFiles(folder: string): readonly ConsoleFile[] | null {
  let names: readonly string[];
  try {
    names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length).replaceAll('\\', '/'));
  } catch {
    return null;
  }
  if (!names.includes('/index.html')) return null;
  return names.map((name) => ({
    path: name === '/index.html' ? '/' : name,
    type: TYPES[extname(name)] ?? 'application/octet-stream',
    body: readFileSync(join(folder, name)),
    isImmutable: name.startsWith('/assets/'),
  }));
}

/** What stands in for the console in a clone where it was not built. */
export const NOT_BUILT: ConsoleFile = {
  path: '/',
  type: TYPES['.html']!,
  body: Buffer.from(
    '<!doctype html><html lang="en"><title>walhook</title><h1>The console is not built</h1>' +
      '<p>Run <code>npm run console</code> and start walhook again. <a href="/metrics">Metrics</a></p></html>\n',
  ),
  isImmutable: false,
};
