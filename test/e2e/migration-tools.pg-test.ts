import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import knex from 'knex';
import { runner } from 'node-pg-migrate';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// Law: a migration of a tool that people use makes a table and its stream together, and takes them away together; one that
// fails leaves neither.

const server = await startPostgres();
const folder = temporaryFolder();
const walhook = await new WalhookProcess({ upstreamUrl: server.url(), dataDir: join(folder, 'data') }).start();
const receiver = await startReceiver();
const client = await connect(walhook.sqlUrl());

/** What migration tools do with a folder of migrations, all of which make `<name>` and a stream on it. */
interface Tool {
  readonly name: string;
  /** Adds a migration; `more` is SQL that runs at its end. */
  write(number: number, table: string, more: string): void;
  up(): Promise<unknown>;
  /** Undoes the last one. */
  down(): Promise<unknown>;
  /** The migrations that have been made. */
  made(): Promise<readonly string[]>;
}

function upSql(table: string): string {
  return `CREATE TABLE ${table} (id int PRIMARY KEY, note text);
    CREATE CDC ENDPOINT ${table}_hook AS '${receiver.url}/${table}';
    CREATE CHANGE DATA CAPTURE ON ${table} TO ENDPOINT ${table}_hook OPERATIONS (INSERT);
    COMMENT ON CDC STREAM ${table}_cdc_stream IS 'made by a migration';`;
}

function downSql(table: string): string {
  return `DROP CDC STREAM ${table}_cdc_stream; DROP CDC ENDPOINT ${table}_hook; DROP TABLE ${table};`;
}

function newFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

async function names(sql: string): Promise<readonly string[]> {
  return (await client.query<{ name: string }>(sql)).rows.map(({ name }) => name);
}

function nodePgMigrate(): Tool {
  const dir = newFolder('node-pg-migrate');
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const migrate = (direction: 'up' | 'down'): Promise<unknown> =>
    runner({
      databaseUrl: walhook.sqlUrl(),
      dir,
      direction,
      migrationsTable: 'pgmigrations',
      logger: silent,
      ...(direction === 'down' ? { count: 1 } : {}),
    });
  return {
    name: 'node-pg-migrate',
    write: (number, table, more) => {
      const text = `-- Up Migration\n${upSql(table)}\n${more}\n-- Down Migration\n${downSql(table)}\n`;
      writeFileSync(join(dir, `170000000000${number}_${table}.sql`), text);
    },
    up: () => migrate('up'),
    down: () => migrate('down'),
    made: () => names('SELECT name FROM pgmigrations ORDER BY id'),
  };
}

function knexMigrate(): Tool {
  const directory = newFolder('knex');
  const migrate = async (run: (migrator: knex.Knex.Migrator) => Promise<unknown>): Promise<unknown> => {
    const instance = knex({
      client: 'pg',
      connection: walhook.sqlUrl(),
      migrations: { directory, loadExtensions: ['.mjs'] },
      log: { debug: () => undefined, warn: () => undefined, error: () => undefined, deprecate: () => undefined },
    });
    try {
      return await run(instance.migrate);
    } finally {
      await instance.destroy();
    }
  };
  return {
    name: 'knex',
    write: (number, table, more) => {
      // A module is loaded once in a process; what it reads may change.
      const base = join(directory, `2026010${number}_${table}`);
      writeFileSync(`${base}.up.sql`, `${upSql(table)}${more}`);
      writeFileSync(`${base}.down.sql`, downSql(table));
      writeFileSync(`${base}.mjs`, KNEX_MIGRATION);
    },
    up: () => migrate((migrator) => migrator.latest()),
    down: () => migrate((migrator) => migrator.rollback()),
    made: () => names('SELECT name FROM knex_migrations ORDER BY id'),
  };
}

/** Each statement by itself. */
const KNEX_MIGRATION = `
import { readFileSync } from 'node:fs';
async function run(knex, direction) {
  const sql = readFileSync(import.meta.filename.replace('.mjs', '.' + direction + '.sql'), 'utf8');
  for (const statement of sql.split(';')) if (statement.trim() !== '') await knex.raw(statement);
}
export const up = (knex) => run(knex, 'up');
export const down = (knex) => run(knex, 'down');
`;

async function leftOf(table: string): Promise<readonly unknown[]> {
  const tables = await names(`SELECT relname AS name FROM pg_class WHERE relname = '${table}'`);
  const streams = (await client.query(`SHOW CDC STREAMS LIKE '${table}%'`)).rows as unknown[];
  const endpoints = (await client.query<{ endpoint_name: string }>('SHOW CDC ENDPOINTS')).rows;
  return [...tables, ...streams, ...endpoints.filter(({ endpoint_name: name }) => name.startsWith(table))];
}

for (const tool of [nodePgMigrate(), knexMigrate()]) {
  suite(tool.name, () => {
    const first = `first_${tool.name.replaceAll('-', '_')}`;
    const second = `second_${tool.name.replaceAll('-', '_')}`;

    test('up: table, endpoint and stream are there, and the first write is delivered', async () => {
      tool.write(1, first, '');
      await tool.up();
      assert.equal((await tool.made()).length, 1);
      await client.query(`INSERT INTO ${first} VALUES (1, 'hello')`);
      const { body } = await waitFor('the event', () => receiver.to(`/${first}`)[0]);
      assert.deepEqual(body.after, { id: 1, note: 'hello' });
    });

    test('a migration that fails at its end leaves nothing, and goes through when it is mended', async () => {
      tool.write(2, second, 'SELECT 1/0;');
      await assert.rejects(tool.up(), /division by zero/);
      assert.deepEqual(await leftOf(second), []);
      assert.equal((await tool.made()).length, 1);
      tool.write(2, second, `ALTER CDC STREAM ${second}_cdc_stream PAUZE;`);
      await assert.rejects(tool.up(), /syntax error at or near "PAUZE"/);
      assert.deepEqual(await leftOf(second), []);
      tool.write(2, second, '');
      await tool.up();
      assert.equal((await leftOf(second)).length, 3);
    });

    test('down: they go together', async () => {
      await tool.down();
      assert.deepEqual(await leftOf(second), []);
      await tool.down();
      assert.deepEqual(await leftOf(first), []);
      assert.deepEqual(await tool.made(), []);
    });
  });
}
