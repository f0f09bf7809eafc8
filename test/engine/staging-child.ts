// A process that stages a stream for a table it makes in the same transaction, and goes on to the point that it is told:
// `node staging-child.ts <url> <data directory> <table> <webhook> <point>`. It says so and waits there to be killed.
import { writeSync } from 'node:fs';
import pg from 'pg';
import { createStream, startEngine, tableOf, transactionOf } from './engine-harness.ts';

const [url, dataDir, table, webhook, point] = process.argv.slice(2) as [string, string, string, string, string];
const stay = async (at: string): Promise<void> => {
  if (at !== point) return;
  writeSync(1, `${at}\n`);
  await new Promise(() => setInterval(() => undefined, 1_000));
};

const { engine } = startEngine(url, dataDir);
const client = new pg.Client({ connectionString: url });
await client.connect();
await client.query('BEGIN');
await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY)`);
const transaction = await transactionOf(client);
await engine.stage(transaction, createStream(`${table}_stream`, [await tableOf(client, table)], webhook), 'postgres');
await stay('staged');
if (point === 'rolled back') await client.query('ROLLBACK');
await stay('rolled back');
await client.query('COMMIT');
await stay('committed');
const committing = engine.commit(transaction, new AbortController().signal);
await stay('applied');
await committing;
await stay('armed');
