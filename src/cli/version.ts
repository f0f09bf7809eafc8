import { readFileSync } from 'node:fs';

/** The package's version: `package.json` is one folder above both `src/` and `dist/`. */
export function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
