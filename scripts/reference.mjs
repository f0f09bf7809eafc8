// Writes the generated parts of docs/ (statements, commands, metrics, and the tables of options) between their markers. `--check` only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandTable } from '../src/cli/help.ts';
import { LISTEN_OPTIONS } from '../src/cli/listen-options.ts';
import { SERVE_OPTIONS, optionTable } from '../src/config/options.ts';
import { metricTable } from '../src/metrics/names.ts';
import { optionReference } from '../src/sql/options.ts';
import { statementReference } from '../src/sql/statements.ts';

const docs = join(dirname(fileURLToPath(import.meta.url)), '..', 'docs');
const pages = {
  'metrics.md': { metrics: metricTable() },
  'operating.md': { 'options of serve': optionTable(SERVE_OPTIONS), commands: commandTable() },
  'receivers.md': { 'options of listen': optionTable(LISTEN_OPTIONS) },
  'sql.md': { statements: statementReference(), 'options of a stream': optionReference() },
};

for (const [page, parts] of Object.entries(pages)) {
  const file = join(docs, page);
  const before = readFileSync(file, 'utf8');
  let text = before;
  for (const [name, content] of Object.entries(parts)) {
    const pattern = new RegExp(`(<!-- begin: ${name} -->\n)[^]*?(<!-- end: ${name} -->)`);
    if (!pattern.test(text)) throw new Error(`docs/${page} has no place for the ${name}`);
    text = text.replace(pattern, (_match, begin, end) => `${begin}${content.trimEnd()}\n${end}`);
  }
  if (text === before) continue;
  if (process.argv.includes('--check')) {
    console.error(`docs/${page} is not what \`npm run reference\` would write`);
    process.exitCode = 1;
  } else writeFileSync(file, text);
}
