import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import pg from 'pg';
import { STATEMENTS } from '../../src/sql/statements.ts';
import { connect, startPostgres } from '../support/test-database.ts';
import { OURS } from './arbitraries.ts';
import { corpus } from './corpus.ts';

// The law: PostgreSQL's grammar takes each statement of the corpus, and none of ours.

const server = await startPostgres();
const client = await connect(server.url());
after(async () => {
  await client.end();
});

/** The grammar's complaint, or null. A function's body is parsed as a whole before anything in it is looked up. */
async function complaint(text: string): Promise<string | null> {
  try {
    await client.query(`CREATE OR REPLACE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS $walhook$${text}$walhook$`);
    return null;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    return error.code === '42601' && error.message.startsWith('syntax error') ? error.message : null;
  }
}

test('PostgreSQL takes each statement of the corpus', async () => {
  for (const text of corpus()) assert.equal(await complaint(text), null, text);
});

test('PostgreSQL takes none of ours', async () => {
  for (const text of [...OURS, ...STATEMENTS.flatMap(({ examples }) => examples)]) {
    assert.match((await complaint(text)) ?? 'taken', /^syntax error/, text);
  }
});
