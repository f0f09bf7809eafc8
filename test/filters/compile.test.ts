import assert from 'node:assert/strict';
import { test } from 'node:test';
import { absentRow, compilePredicate, MISSING, type RowView, type Verdict } from '../../src/filters/compile.ts';
import { TupleView } from '../../src/formats/tuple.ts';
import { type PredicateColumn, type PredicateKind } from '../../src/sql/predicate/column.ts';
import { typePredicate } from '../../src/sql/predicate/type-predicate.ts';
import { insertMessage, type TestValue, UNCHANGED } from '../support/pgoutput-frames.ts';

const plain = { name: 'default', isDeterministic: true, provider: 'c', locale: 'C' } as const;
const COLUMNS: readonly PredicateColumn[] = [
  { name: 'id', typeOid: 23, typeName: 'integer', collation: null },
  { name: 'status', typeOid: 25, typeName: 'text', collation: plain },
  { name: 'doc', typeOid: 3802, typeName: 'jsonb', collation: null },
  { name: 'mood', typeOid: 99_999, typeName: 'mood', collation: null, enumLabels: ['sad', 'ok'] },
];

interface Image {
  readonly data: Buffer;
  readonly view: RowView;
}

/** A row as it lies in a change's bytes. */
function image(...values: readonly TestValue[]): Image {
  const data = insertMessage(1, values);
  const view = new TupleView();
  view.read(data, 6);
  return { data, view };
}

function verdict(text: string, row: Image, kind: PredicateKind = 'where'): Verdict {
  const predicate = compilePredicate(typePredicate(text, 1, COLUMNS, kind), COLUMNS);
  assert.ok(predicate !== null);
  return predicate(row.data, row.view);
}

test('a value that was not sent makes the verdict missing, unless the rest decides', () => {
  const row = image('7', UNCHANGED, UNCHANGED, null);
  assert.equal(verdict("status = 'x'", row), MISSING);
  assert.equal(verdict('status IS NULL', row), MISSING);
  assert.equal(verdict("status = 'x' OR id = 7", row), true);
  assert.equal(verdict("id = 7 OR status = 'x'", row), true);
  assert.equal(verdict("status = 'x' AND id = 8", row), false);
  assert.equal(verdict("status = 'x' AND id = 7", row), MISSING);
  assert.equal(verdict("NOT (status = 'x')", row), MISSING);
  assert.equal(verdict("coalesce(status, 'x') = 'x'", row), MISSING);
  assert.equal(verdict(`doc -> 'a' @> '1' IS NOT TRUE`, row), MISSING);
  assert.equal(verdict(`mood = 'ok' OR status = 'x'`, row), MISSING);
  assert.equal(verdict(`status = nullif('x', 'x')`, row), null);
  assert.equal(verdict(`id IN (1, 7)`, row), true);
});

test('a WHEN sees both images, and null where the operation has none', () => {
  const typed = typePredicate('OLD.status IS DISTINCT FROM NEW.status', 1, COLUMNS, 'when');
  const predicate = compilePredicate(typed, COLUMNS)!;
  const message = Buffer.concat([insertMessage(1, ['1', 'a', null, null]), insertMessage(1, ['1', 'b', null, null])]);
  const before = new TupleView();
  const after = new TupleView();
  const end = before.read(message, 6);
  after.read(message, end + 6);
  assert.equal(predicate(message, after, before), true);
  assert.equal(predicate(message, after, after), false);
  assert.equal(predicate(message, after, absentRow(COLUMNS.length)), true);
  assert.equal(predicate(message, after), MISSING);
});

test('what Postgres would raise is a verdict, without a value of the row in it', () => {
  const row = image('0', 'secret', '{}', 'glad');
  assert.deepEqual(verdict('1 / id = 1', row), { condition: 'division_by_zero', message: 'division by zero' });
  const bad = verdict('status::int = 1', row);
  assert.deepEqual(bad, { condition: 'invalid_text_representation', message: 'invalid input syntax for type integer' });
  assert.equal(verdict("mood = 'ok'", row), false);
  const unknown = verdict("mood > 'sad'", row);
  assert.ok(unknown !== null && typeof unknown === 'object');
  assert.equal(unknown.condition, 'object_not_in_prerequisite_state');
});

test('a document or pattern as deep as a row can make it is a verdict too', () => {
  const nested = `${'['.repeat(300_000)}${']'.repeat(300_000)}`;
  const deep = verdict("doc @> '[]'", image('1', '', nested, null));
  assert.deepEqual(deep, { condition: 'statement_too_complex', message: 'a json value is nested too deep' });
  const pattern = verdict("'a' LIKE status", image('1', '%a'.repeat(300_000), null, null));
  assert.equal(pattern, false);
  const long = 'a'.repeat(100_000);
  const recursion = verdict(`status LIKE status`, image('1', `${'%a'.repeat(50_000)}${long}`, null, null));
  assert.ok(recursion === true || (typeof recursion === 'object' && recursion !== null));
});

test('long values cost no more than their length', () => {
  for (const text of [`${' '.repeat(2_000_000)}x`, `${'1'.repeat(2_000_000)}x`, `1${'_1'.repeat(1_000_000)}x`]) {
    const row = image('1', text, null, null);
    for (const type of ['int', 'numeric', 'float8', 'bool', 'uuid', 'jsonb']) {
      const found = verdict(`(status)::${type} IS NULL`, row);
      assert.ok(found !== null && typeof found === 'object' && found.condition === 'invalid_text_representation', type);
    }
  }
});

test('a predicate is for the relation that it was typed for', () => {
  const typed = typePredicate("id = 7 AND status = 'x'", 1, COLUMNS, 'where');
  const moved = compilePredicate(typed, [COLUMNS[1]!, COLUMNS[0]!]);
  const row = image('x', '7');
  assert.equal(moved?.(row.data, row.view), true);
  assert.equal(compilePredicate(typed, [COLUMNS[0]!]), null);
  assert.equal(compilePredicate(typed, [{ name: 'id', typeOid: 20 }, COLUMNS[1]!]), null);
});
