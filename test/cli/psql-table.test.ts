import assert from 'node:assert/strict';
import { test } from 'node:test';
import { psqlExpanded, psqlTable } from '../../src/cli/psql-table.ts';

test('a result looks as in psql', () => {
  const table = psqlTable(['id', 'name'], [['1', 'Ada'], ['10', null]], [true, false]); // prettier-ignore
  assert.equal(table, [' id | name', '----+------', '  1 | Ada', ' 10 |', '(2 rows)'].join('\n'));
});

test('an expanded result has a line for each column', () => {
  const text = psqlExpanded(['id', 'name'], [['1', 'Ada']]);
  assert.equal(text, ['-[ RECORD 1 ]+----', 'id   | 1', 'name | Ada'].join('\n'));
});
