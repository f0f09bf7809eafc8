import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const README = join(import.meta.dirname, '..', '..', 'README.md');

/** The code of README.md behind `<!-- example: name -->`, as it stands there. Throws where there is none. */
export function readmeExample(name: string): string {
  const text = readFileSync(README, 'utf8');
  const marker = `<!-- example: ${name} -->\n`;
  const at = text.indexOf(marker);
  const match = at === -1 ? null : /^```\w+\n([^]*?\n)```\n/.exec(text.slice(at + marker.length));
  if (match === null) throw new Error(`README.md has no example ${name}`);
  return match[1]!;
}
