import pg from 'pg';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { parseLsn, type Lsn } from '../../src/postgres/lsn.ts';
import { SeededRandom } from '../support/seeded-random.ts';

export const KEYS = 200;
const LARGE_TRANSACTION = 0.01;
const ROLLED_BACK = 0.1;
const DELETED = 0.15;
const TRUNCATED = 0.002;
/** Of the values that are stored out of line, and which an UPDATE then leaves alone more often than not. */
const LARGE_VALUE = 0.03;

/*
  Each change of a key raises the key's version, which goes on through deletes and truncations, and is written down in a
  ledger that is not streamed: the ledger is what was committed, also where the answer to COMMIT was lost. A row lock on
  the key makes one order of its changes; locks are taken in the order table, keys ascending, so that no two writers
  wait for each other.
*/
export const SCHEMA = `
  CREATE TABLE item (key int PRIMARY KEY, version int NOT NULL, tx int NOT NULL, body text NOT NULL);
  ALTER TABLE item REPLICA IDENTITY FULL;
  CREATE TABLE keys (key int PRIMARY KEY, version int NOT NULL);
  INSERT INTO keys SELECT key, 0 FROM generate_series(0, ${KEYS}) AS key;
  CREATE TABLE ledger (key int NOT NULL, version int NOT NULL, op text NOT NULL, tx int NOT NULL,
    xid text NOT NULL DEFAULT pg_current_xact_id()::xid::text, lsn pg_lsn NOT NULL DEFAULT pg_current_wal_insert_lsn());
  CREATE FUNCTION change(k int, t int, remove boolean, large boolean) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE v int; did text; new_body text;
  BEGIN
    UPDATE keys SET version = version + 1 WHERE key = k RETURNING version INTO v;
    SELECT string_agg(md5(random()::text), '') INTO new_body FROM generate_series(1, CASE WHEN large THEN 300 ELSE 2 END);
    IF NOT EXISTS (SELECT FROM item WHERE key = k) THEN
      INSERT INTO item VALUES (k, v, t, new_body);
      did := 'insert';
    ELSIF remove THEN
      DELETE FROM item WHERE key = k;
      did := 'delete';
    ELSE
      UPDATE item SET version = v, tx = t, body = CASE WHEN length(body) > 100 AND v % 3 > 0 THEN body ELSE new_body END
       WHERE key = k;
      did := 'update';
    END IF;
    INSERT INTO ledger (key, version, op, tx) VALUES (k, v, did, t);
  END $$;
  CREATE FUNCTION truncate_all(t int) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    TRUNCATE item;
    WITH raised AS (UPDATE keys SET version = version + 1 RETURNING key, version)
    INSERT INTO ledger (key, version, op, tx) SELECT key, version, 'truncate', t FROM raised;
  END $$`;

/** A change as the ledger has it. */
export interface Committed {
  readonly key: number;
  readonly version: number;
  readonly op: 'insert' | 'update' | 'delete' | 'truncate';
  readonly tx: number;
  /** The transaction's id as events show it. */
  readonly xid: string;
  /** Where the server's WAL was before the change was committed. */
  readonly lsn: string;
}

/** Clients that change the table until they are told to stop, through every crash of the server. */
export class Writers {
  /** Where the server's WAL was at some time after the transaction's end, by the transaction's number. */
  readonly after = new Map<number, Lsn>();
  readonly #server: LocalPostgres;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[];
  #lastTx = 0;

  constructor(server: LocalPostgres, seed: number, count: number) {
    this.#server = server;
    this.#running = Array.from({ length: count }, (_, i) => this.#run(new SeededRandom(seed + i)));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  /** Changes the key that no writer changes, and resolves to its version. */
  async mark(): Promise<number> {
    const client = new pg.Client({ connectionString: this.#server.url() });
    await client.connect();
    const tx = ++this.#lastTx;
    await client.query('SELECT change($1, $2, false, false)', [KEYS, tx]);
    this.after.set(tx, await endOfWal(client));
    const { rows } = await client.query<{ version: number }>('SELECT version FROM keys WHERE key = $1', [KEYS]);
    await client.end();
    return rows[0]!.version;
  }

  async #run(random: SeededRandom): Promise<void> {
    let inDoubt: number | null = null;
    while (!this.#stop.signal.aborted) {
      const client = new pg.Client({ connectionString: this.#server.url() });
      client.on('error', () => undefined);
      try {
        await client.connect();
        if (inDoubt !== null) this.after.set(inDoubt, await endOfWal(client));
        inDoubt = null;
        while (!this.#stop.signal.aborted) {
          inDoubt = ++this.#lastTx;
          await transact(client, inDoubt, random);
          this.after.set(inDoubt, await endOfWal(client));
          inDoubt = null;
          await new Promise((resolve) => setTimeout(resolve, random.float() * 60));
        }
      } catch {
        // The server is down or going down: what was in doubt is in the ledger or it is not.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await client.end().catch(() => undefined);
    }
  }
}

async function transact(client: pg.Client, tx: number, random: SeededRandom): Promise<void> {
  await client.query('BEGIN');
  if (random.chance(TRUNCATED)) {
    await client.query('SELECT truncate_all($1)', [tx]);
  } else {
    await client.query('LOCK TABLE item IN ROW EXCLUSIVE MODE');
    const change = (keys: readonly number[]): Promise<unknown> =>
      client.query(`SELECT change(k, $2, d, $4) FROM unnest($1::int[], $3::boolean[]) AS c (k, d)`, [
        keys,
        tx,
        keys.map(() => random.chance(DELETED)),
        random.chance(LARGE_VALUE),
      ]);
    const keys = keysOf(random);
    await change(keys);
    if (random.chance(ROLLED_BACK)) {
      await client.query('SAVEPOINT s');
      // Keys that are locked already.
      await change(keys);
      await client.query('ROLLBACK TO s');
    }
    if (random.chance(0.3)) await change(keys);
  }
  await client.query(random.chance(ROLLED_BACK) ? 'ROLLBACK' : 'COMMIT');
}

/** One key most of the time, some, or all; ascending. */
function keysOf(random: SeededRandom): number[] {
  if (random.chance(LARGE_TRANSACTION)) return Array.from({ length: KEYS }, (_, key) => key);
  const count = random.chance(0.7) ? 1 : 2 + random.below(12);
  return [...new Set(Array.from({ length: count }, () => random.below(KEYS)))].toSorted((a, b) => a - b);
}

async function endOfWal(client: pg.Client): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  return parseLsn(rows[0]!.lsn)!;
}
