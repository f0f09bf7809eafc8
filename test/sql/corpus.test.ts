import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOurs } from '../../src/sql/classify.ts';
import { splitStatements } from '../../src/sql/split.ts';
import { STATEMENTS } from '../../src/sql/statements.ts';
import { corpus } from './corpus.ts';

// The law: no statement of PostgreSQL's is taken for ours.

const statements = corpus();

for (const standardConformingStrings of [true, false]) {
  test(`none of PostgreSQL's statements is ours (standard_conforming_strings ${standardConformingStrings})`, () => {
    const settings = { standardConformingStrings };
    assert.ok(statements.length > 1000, String(statements.length));
    for (const text of statements) {
      const spans = splitStatements(text, settings);
      assert.equal(spans.length, 1, text);
      assert.ok(!isOurs(text, spans[0]!, settings), text);
    }
  });
}

test('between two of PostgreSQL’s statements, ours are found and theirs are not', () => {
  const settings = { standardConformingStrings: true };
  const ours = STATEMENTS.flatMap(({ examples }) => examples);
  for (const [index, text] of statements.entries()) {
    const query = `${text};\n${ours[index % ours.length]!}; ${statements[(index * 7) % statements.length]!}`;
    const found = splitStatements(query, settings).map((span) => isOurs(query, span, settings));
    assert.deepEqual(found, [false, true, false], query);
  }
});
