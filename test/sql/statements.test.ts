import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Statement } from '../../src/sql/ast.ts';
import { isOurs, mayBeOurs } from '../../src/sql/classify.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { printStatement } from '../../src/sql/print.ts';
import { STATEMENTS, statementReference } from '../../src/sql/statements.ts';
import { statement } from './statement-arbitraries.ts';

// The reference is true: each example is a statement, and each kind of statement has its example.

const examples = STATEMENTS.flatMap((row) => row.examples);

for (const text of examples) {
  test(`an example of the reference: ${text}`, () => {
    const parsed = parseStatement(text);
    assert.deepEqual(parseStatement(printStatement(parsed)).kind, parsed.kind);
    assert.ok(isOurs(text, { start: 0, end: text.length }, { standardConformingStrings: true }));
    assert.ok(mayBeOurs(Buffer.from(text), 0, Buffer.byteLength(text)));
  });
}

/** The statement's kind, with that of its action. */
function kindOf(parsed: Statement): string {
  return 'action' in parsed ? `${parsed.kind} ${parsed.action.kind}` : parsed.kind;
}

test('every kind of statement stands in the reference', () => {
  const referred = new Set(examples.map((text) => kindOf(parseStatement(text))));
  fc.assert(
    fc.property(statement, (one) => assert.ok(referred.has(kindOf(one)), kindOf(one))),
    { numRuns: 2000 },
  );
});

test('every key word of the grammar stands in the reference, or is a synonym or an alternative of clauses', () => {
  const grammar = readFileSync(join(import.meta.dirname, '..', '..', 'grammar', 'cdc.peggy'), 'utf8');
  const words = [...grammar.matchAll(/^([A-Z_]+) "\1" = @/gm)].map(([, word]) => word!);
  assert.ok(words.length > 80);
  const reference = statementReference();
  const elsewhere = new Set(['INTO', 'KINESIS', 'REGION', 'CURRENT_ROLE', 'CURRENT_USER', 'SESSION_USER']);
  const missing = words.filter((word) => !new RegExp(`\\b${word}\\b`).test(reference) && !elsewhere.has(word));
  assert.deepEqual(missing, []);
});
