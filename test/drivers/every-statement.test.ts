import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Statement } from '../../src/sql/ast.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { STATEMENTS } from '../../src/sql/statements.ts';
import { everyStatement } from './every-statement.ts';

/** Its kind, with what it does, shows or comes from. */
function kindOf(statement: Statement): string {
  if ('action' in statement) return `${statement.kind} ${statement.action.kind}`;
  if ('origin' in statement) return `${statement.kind} ${statement.origin.kind}`;
  if ('target' in statement) return `${statement.kind} ${statement.target.kind}`;
  return statement.kind === 'replay-stream' ? `${statement.kind} ${statement.from.kind}` : statement.kind;
}

const kinds = (texts: readonly string[]): Set<string> => new Set(texts.map((text) => kindOf(parseStatement(text))));

test('drivers run every kind of statement that there is', () => {
  const run = kinds(
    everyStatement('https://example.com/')
      .map(({ sql }) => sql)
      .filter((sql) => !sql.endsWith('PAUZE')),
  );
  const documented = kinds(STATEMENTS.flatMap(({ examples }) => examples));
  assert.deepEqual(
    [...documented].filter((kind) => !run.has(kind)),
    [],
  );
  assert.ok(documented.size > 40, `${documented.size} kinds`);
});
