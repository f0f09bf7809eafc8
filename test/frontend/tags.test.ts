import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onlyShows, tagOf } from '../../src/frontend/tags.ts';
import { analyze } from '../../src/sql/analyze.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { STATEMENTS } from '../../src/sql/statements.ts';

test('every command has its tag, and those that only show are told from the others', () => {
  for (const text of STATEMENTS.flatMap(({ examples }) => examples)) {
    const command = analyze(parseStatement(text), []);
    const verb = text.split(' ')[0]!;
    assert.ok(tagOf(command).startsWith(verb), text);
    assert.equal(onlyShows(command), /^(SHOW|EXPLAIN|CHECK|PEEK)$/.test(verb), text);
  }
});
