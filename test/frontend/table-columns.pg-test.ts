import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import { tableColumns } from '../../src/frontend/table-columns.ts';
import { binDirOf, POSTGRES_VERSIONS } from '../support/postgres-versions.ts';
import { connect, startPostgres } from '../support/test-database.ts';

// The question is of one text for all versions, whose catalogs differ in where they have a collation's locale.

// All of them before the first test: servers stop when the tests that there are have ended.
const clients: [number, pg.Client][] = [];
for (const version of POSTGRES_VERSIONS) {
  const server = await startPostgres({ binDir: await binDirOf(version) });
  clients.push([version, await connect(server.url())]);
}

for (const [version, client] of clients) {
  const ask = async (expression: string): Promise<unknown> => {
    const { rows } = await client.query<{ text: string | null }>(`SELECT CAST(${expression} AS text) AS text`);
    const text = rows[0]?.text ?? null;
    return text === null ? null : JSON.parse(text);
  };

  test(`PostgreSQL ${version}: columns, domains, enums, collations, identity`, async () => {
    await client.query(`
      CREATE TYPE mood AS ENUM ('sad', 'ok');
      ALTER TYPE mood ADD VALUE 'bad' BEFORE 'ok';
      CREATE DOMAIN base_text AS varchar(9) COLLATE "C";
      CREATE DOMAIN short_text AS base_text;
      CREATE TABLE t (gone int, a int, m mood, d short_text, c text COLLATE "C", s text,
        g int GENERATED ALWAYS AS (a + 1) STORED, PRIMARY KEY (a) INCLUDE (s));
      ALTER TABLE t DROP COLUMN gone;`);
    const { rows } = await client.query<{ oid: string; mood: string; domain: string }>(
      `SELECT 't'::regclass::oid, 'mood'::regtype::oid AS mood, 'short_text'::regtype::oid AS domain`,
    );
    const [{ oid, mood, domain }] = rows as [{ oid: string; mood: string; domain: string }];
    const found = await tableColumns(Number(oid), { ask });
    assert.ok(found !== null, 'the table is there');
    const [a, m, d, c, s] = found.columns;
    assert.deepEqual(
      found.columns.map(({ name }) => name),
      ['a', 'm', 'd', 'c', 's', 'g'],
    );
    assert.deepEqual(a, { name: 'a', typeOid: 23, typeName: 'integer', collation: null });
    assert.deepEqual([m?.typeOid, m?.enumLabels], [Number(mood), ['sad', 'bad', 'ok']]);
    assert.deepEqual([d?.typeOid, d?.baseTypeOid, d?.typeName], [Number(domain), 1043, 'short_text']);
    assert.deepEqual(c?.collation, { name: 'C', isDeterministic: true, provider: 'c', locale: 'C' });
    assert.equal(d?.collation?.name, 'C');
    const { rows: locale } = await client.query<{ datcollate: string }>(
      'SELECT datcollate FROM pg_database WHERE datname = current_database()',
    );
    assert.equal(s?.collation?.name, 'default');
    if (s?.collation?.provider === 'c') assert.equal(s.collation.locale, locale[0]!.datcollate);
    assert.deepEqual([...found.generated], ['g']);
    assert.deepEqual([...(found.identity ?? [])], ['a']);
    assert.equal(found.hasOrderedText, true);
    await client.query('ALTER TABLE t REPLICA IDENTITY FULL');
    assert.equal((await tableColumns(Number(oid), { ask }))?.identity, null);
    assert.equal(await tableColumns(1, { ask }), null);
  });
}
