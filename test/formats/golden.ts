import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

// Golden files: a comment of lines with `#`, then of each case its name, what is expected on the lines after it, and an
// empty line.

const FOLDER = join(import.meta.dirname, 'golden');

/** What `name` of the golden files has, by case. */
export function readGolden(name: string): ReadonlyMap<string, string> {
  const blocks = readFileSync(join(FOLDER, name), 'utf8').trimEnd().split('\n\n');
  return new Map(
    blocks
      .filter((block) => !block.startsWith('#'))
      .map((block) => [block.slice(0, block.indexOf('\n')), block.slice(block.indexOf('\n') + 1)]),
  );
}

/** Writes the file anew, its comment kept; the diff is the reviewer's. */
export function writeGolden(name: string, cases: ReadonlyMap<string, string>): void {
  const file = join(FOLDER, name);
  const [comment] = readFileSync(file, 'utf8').split('\n\n', 1);
  const blocks = [...cases].map(([title, expected]) => `${title}\n${expected}`);
  writeFileSync(file, `${[comment!.trimEnd(), ...blocks].join('\n\n')}\n`);
}
