import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type * as ast from '../../src/sql/ast.ts';
import { isOurs } from '../../src/sql/classify.ts';
import { findOption } from '../../src/sql/options.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { printStatement } from '../../src/sql/print.ts';
import { statement } from './statement-arbitraries.ts';

// The law: what is printed reads back as the same statement, whatever its names and strings hold; only the values of
// secrets are gone.

/** The same with every position 0, plain prototypes, and secrets as they are printed. */
function comparable(node: unknown): unknown {
  return JSON.parse(
    JSON.stringify(node, (key, part: unknown) => {
      if (key === 'position') return 0;
      if (isOption(part) && findOption(part.name.text)?.type === 'secret' && part.value?.kind !== 'secret') {
        return { ...part, value: masked(part.value) };
      }
      if (isSecret(part)) return { ...part, value: masked(part.value) };
      return part;
    }),
  );
}

function masked(value: ast.OptionValue | null): unknown {
  return value === null || value.kind === 'parameter' ? value : { kind: 'string', value: '***', position: 0 };
}

function isOption(part: unknown): part is ast.Option {
  return typeof part === 'object' && part !== null && 'name' in part && 'value' in part;
}

function isSecret(part: unknown): part is { readonly kind: string; readonly value: ast.Literal } {
  if (typeof part !== 'object' || part === null || !('kind' in part)) return false;
  return part.kind === 'alter-secret' || (part.kind === 'value' && 'value' in part);
}

for (const standardConformingStrings of [true, false]) {
  test(`a printed statement reads back as itself (standard_conforming_strings ${standardConformingStrings})`, () => {
    fc.assert(
      fc.property(statement, (original) => {
        const text = printStatement(original);
        const parsed = parseStatement(text, { standardConformingStrings });
        assert.deepEqual(comparable(parsed), comparable(original));
        assert.equal(printStatement(parsed), text);
      }),
      { numRuns: 3000 },
    );
  });
}

test('a printed statement is recognised as ours', () => {
  fc.assert(
    fc.property(statement, (original) => {
      const text = printStatement(original);
      assert.ok(isOurs(text, { start: 0, end: text.length }, { standardConformingStrings: true }), text);
    }),
    { numRuns: 1000 },
  );
});

test('no printed statement has the value of a secret', () => {
  for (const text of [
    `CREATE CDC SECRET s AS 'hunter2'`,
    `ALTER CDC SECRET s AS E'hunter2' KEEP OLD FOR '1h'`,
    `CREATE CDC STREAM ON t TO WEBHOOK 'u' WITH (bearer_token = 'hunter2')`,
    `CREATE CDC STREAM ON t TO WEBHOOK 'u' WITH (signing_secret = hunter2)`,
    `ALTER CDC STREAM s SET (tls_client_key = $$hunter2$$)`,
    `ALTER CDC STREAM s SET (schema_registry_tls_client_key = 'hunter2')`,
    `CREATE CDC ENDPOINT e AS 'u' WITH (basic_auth = 'hunter2')`,
    `ALTER CDC ENDPOINT e AS 'u' WITH (auth_header = ('hunter2'::text))`,
  ]) {
    const printed = printStatement(parseStatement(text));
    assert.doesNotMatch(printed, /hunter2/);
    assert.match(printed, /'\*\*\*'/);
  }
});
