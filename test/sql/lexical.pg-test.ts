import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PgError } from '../../src/postgres/sqlstate.ts';
import { stringValue } from '../../src/sql/constant.ts';
import { isOurs } from '../../src/sql/classify.ts';
import { Lexer } from '../../src/sql/lexer.ts';
import { splitStatements } from '../../src/sql/split.ts';
import { connect, startPostgres } from '../support/test-database.ts';
import { OURS, sqlText } from './arbitraries.ts';

// The law: what Postgres makes of a text we make of it, and what we take for ours Postgres has no use for.

const server = await startPostgres();
const client = await connect(server.url());

const piece = fc.constantFrom(
  ..."'' a \\\\ \\' \\n \\v \\x \\x4 \\x41 \\101 \\777 \\0 \\xc3 \\xa9 \\u00e9 \\ud83d \\ude00 \\U0001f600 \\u12 \\q é".split(
    ' ',
  ),
  "'\n'",
  "' -- it's\n '",
  "' '",
  '\u{1f600}',
);
const constant = fc
  .tuple(fc.constantFrom("'", "E'", "e'"), fc.array(piece, { maxLength: 8 }))
  .map(([open, pieces]) => `${open}${pieces.join('')}'`);

/** The value, or null where the text is no single constant or an erroneous one. */
function ours(text: string, standardConformingStrings: boolean): string | null {
  const lexer = new Lexer(text, { standardConformingStrings });
  const token = lexer.next();
  if (token.malformed || lexer.next().kind !== 'end') return null;
  try {
    return stringValue(text, token, (_, message) => new PgError('syntax_error', message));
  } catch (error) {
    if (error instanceof PgError) return null;
    throw error;
  }
}

async function theirs(text: string): Promise<string | null> {
  try {
    const { rows } = await client.query<{ value: string }>(`SELECT (${text}) AS value`);
    return rows[0]!.value;
  } catch {
    return null;
  }
}

for (const setting of ['on', 'off']) {
  test(`string constants have Postgres's values (standard_conforming_strings ${setting})`, async () => {
    await client.query(`SET standard_conforming_strings = ${setting}; SET escape_string_warning = off`);
    let valid = 0;
    await fc.assert(
      fc.asyncProperty(constant, async (text) => {
        const expected = await theirs(text);
        if (expected !== null) valid++;
        assert.equal(ours(text, setting === 'on'), expected, text);
      }),
      { numRuns: 1500 },
    );
    assert.ok(valid > 100, `${valid} constants were valid`);
  });
}

test('a query string has as many statements as Postgres answers', async () => {
  await client.query('SET standard_conforming_strings = on; CREATE TABLE t (a int)');
  const statement = fc.constantFrom(
    'SELECT 1',
    "SELECT ';'",
    'SELECT $a$;$$;$a$ -- ;',
    'SELECT /* ; /* ; */ */ 2',
    `SELECT 1 AS ";"`,
    `SELECT E'\\';' /* tag */`,
    `SELECT U&'\\003b;'`,
    'SELECT begin atomic FROM (SELECT 1 AS begin) x',
    'SELECT CASE WHEN true THEN 1 END end',
    'CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END',
    'create or replace procedure p() begin atomic select 1 end; select 2 as end; select x.end from (select 3 as end) x; end',
    'CREATE OR REPLACE FUNCTION g() RETURNS int BEGIN ATOMIC ; SELECT 4; END',
    'CREATE OR REPLACE FUNCTION begin() RETURNS int LANGUAGE sql AS $$SELECT 1;$$',
    'CREATE OR REPLACE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)',
    '',
    '/* only ; a comment */',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(statement, { maxLength: 6 }), async (statements) => {
      const text = statements.join('\n; ');
      const answer: unknown = await client.query(text);
      const results = (Array.isArray(answer) ? answer : [answer]) as { command: string | null }[];
      const answered = results.filter(({ command }) => command !== null).length;
      assert.equal(splitStatements(text, { standardConformingStrings: true }).length, answered, text);
    }),
    { numRuns: 300 },
  );
});

test('Postgres takes no statement that is ours', async () => {
  await client.query('SET standard_conforming_strings = on; SET cdc.streams = 1; SET client_min_messages = error');
  const refusedBySyntax = async (text: string): Promise<void> => {
    await assert.rejects(client.query(text), { code: '42601' }, text);
  };
  for (const text of OURS) await refusedBySyntax(text);
  let seen = 0;
  const settings = { standardConformingStrings: true };
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...OURS), sqlText, async (head, tail) => {
      const text = `${head.split(' ').slice(0, 3).join(' ')} ${tail}`.replaceAll('\0', '');
      const first = splitStatements(text, settings)[0];
      if (first === undefined || !isOurs(text, first, settings)) return;
      seen++;
      await refusedBySyntax(text.slice(first.start, first.end));
    }),
    { numRuns: 1000 },
  );
  assert.ok(seen > 500, `${seen} statements were ours`);
});
