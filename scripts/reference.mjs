// Writes the generated parts of README.md (the option tables) between their markers. `--check` only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LISTEN_OPTIONS } from '../src/cli/listen-options.ts';
import { SERVE_OPTIONS, optionTable } from '../src/config/options.ts';
import { optionReference } from '../src/sql/options.ts';
import { statementReference } from '../src/sql/statements.ts';

const readme = join(dirname(fileURLToPath(import.meta.url)), '..', 'README.md');
const parts = {
  'options of serve': optionTable(SERVE_OPTIONS),
  'options of listen': optionTable(LISTEN_OPTIONS),
  statements: statementReference(),
  'options of a stream': optionReference(),
};

const before = readFileSync(readme, 'utf8');
let text = before;
for (const [name, content] of Object.entries(parts)) {
  const pattern = new RegExp(`(<!-- begin: ${name} -->\n)[^]*?(<!-- end: ${name} -->)`);
  if (!pattern.test(text)) throw new Error(`README.md has no place for the ${name}`);
  text = text.replace(pattern, (_match, begin, end) => `${begin}${content.trimEnd()}\n${end}`);
}
if (text !== before && process.argv.includes('--check')) {
  console.error('README.md is not what `npm run reference` would write');
  process.exit(1);
}
if (text !== before) writeFileSync(readme, text);
