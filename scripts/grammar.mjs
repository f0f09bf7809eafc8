// Generates the statement parser from grammar/cdc.peggy. Skipped when it is newer than the grammar and this script.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import peggy from 'peggy';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const source = join(root, 'grammar', 'cdc.peggy');
const target = join(root, 'src', 'sql', 'generated', 'cdc-parser.js');

const mtime = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
if (mtime(target) <= Math.max(mtime(source), mtime(fileURLToPath(import.meta.url)))) {
  mkdirSync(dirname(target), { recursive: true });
  const code = peggy.generate(readFileSync(source, 'utf8'), {
    output: 'source',
    format: 'es',
    grammarSource: 'grammar/cdc.peggy',
    allowedStartRules: ['Start'],
  });
  writeFileSync(target, code);
  writeFileSync(
    target.replace(/\.js$/, '.d.ts'),
    'export function parse(input: string, options: { readonly build: object }): unknown;\nexport { SyntaxError };\n' +
      'declare class SyntaxError extends Error {\n' +
      '  location: { start: { offset: number }; end: { offset: number } };\n' +
      '  expected: ReadonlyArray<{ type: string; text?: string; description?: string }> | null;\n' +
      '  found: string | null;\n}\n',
  );
}
