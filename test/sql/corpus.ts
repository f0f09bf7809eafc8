import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const NAMES = ['cdc', 'change', 'CDC', 'stream', '"cdc stream"', '"Change"'];

/** PostgreSQL's statements (see corpus/README.md), each with each name. */
export function corpus(): readonly string[] {
  const text = readFileSync(join(import.meta.dirname, 'corpus', 'statements.sql'), 'utf8');
  const statements = text
    .split(/;\n/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
  // @@ is an operator.
  const named = (statement: string, name: string): string => statement.replaceAll(/(?<!@)@(?!@)/g, name);
  return statements.flatMap((statement) => [...new Set(NAMES.map((name) => named(statement, name)))]);
}
