import type { DeduplicationStore } from './deduplicate.ts';

/** A statement's result as `pg` has it. */
export interface PostgresResult {
  readonly rows: readonly object[];
  readonly rowCount: number | null;
  /** The first word of the command tag. */
  readonly command: string;
}

/** A connection as `pg` has it. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<PostgresResult>;
  /** `pg` tells of a connection that broke by this event too, and ends the process where nobody listens. */
  on?(event: 'error', listener: () => void): unknown;
  off?(event: 'error', listener: () => void): unknown;
  /** With an error the connection is closed, and not used again. */
  release(error?: Error | boolean): void;
}

/** A pool as `pg` has it. */
export interface PostgresPool<Client extends PostgresClient> {
  connect(): Promise<Client>;
}

export interface PostgresStoreOptions {
  /** Where ids are remembered, with or without a schema. `walhook_inbox` by default. */
  readonly table?: string;
}

/**
 * Remembers in a table of PostgreSQL. The handler is given the connection, inside the transaction that remembers the ids:
 * what it writes with it is committed with them or not at all, so each event is applied exactly once. It must not end the
 * transaction itself. With `pg`: `new PostgresStore<pg.PoolClient>(pool)`.
 */
export class PostgresStore<Client extends PostgresClient = PostgresClient> implements DeduplicationStore<Client> {
  readonly #pool: PostgresPool<Client>;
  readonly #table: string;

  /** Throws `TypeError` for a table's name with other characters than letters, digits and underscores. */
  constructor(pool: PostgresPool<Client>, { table = 'walhook_inbox' }: PostgresStoreOptions = {}) {
    if (!/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$/.test(table)) throw new TypeError(`"${table}" is no name of a table`);
    this.#pool = pool;
    this.#table = table
      .split('.')
      .map((part) => `"${part}"`)
      .join('.');
  }

  /** Makes the table unless it is there. */
  async createTable(): Promise<void> {
    await this.#with((client) =>
      client.query(
        `CREATE TABLE IF NOT EXISTS ${this.#table} (event_id uuid PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
      ),
    );
  }

  /** Forgets what was applied so long ago, and gives how many. Keep longer than a stream retries (`max_retry_duration`). */
  async prune(olderThanDays: number): Promise<number> {
    const { rowCount } = await this.#with((client) =>
      client.query(`DELETE FROM ${this.#table} WHERE applied_at < now() - $1 * interval '1 day'`, [olderThanDays]),
    );
    return rowCount ?? 0;
  }

  async apply(
    ids: readonly string[],
    work: (fresh: readonly string[], client: Client) => Promise<void>,
  ): Promise<void> {
    await this.#with(async (client) => {
      await client.query('BEGIN');
      // One that another transaction is applying is waited for here. In one order, so that two do not wait for each other.
      const { rows } = await client.query(
        `INSERT INTO ${this.#table} (event_id) SELECT id FROM unnest($1::uuid[]) AS id ORDER BY id
         ON CONFLICT DO NOTHING RETURNING event_id`,
        [ids],
      );
      const inserted = new Set((rows as readonly { readonly event_id: string }[]).map(({ event_id: id }) => id));
      const fresh = ids.filter((id) => inserted.has(id.toLowerCase()));
      if (fresh.length > 0) await work(fresh, client);
      const { command } = await client.query('COMMIT');
      // PostgreSQL takes a COMMIT of a failed transaction, and rolls it back.
      if (command !== 'COMMIT') throw new Error('the handler left its transaction failed: nothing of it is applied');
    });
  }

  /** What fails leaves nothing behind: the connection is closed, and with it its transaction. */
  async #with<Result>(use: (client: Client) => Promise<Result>): Promise<Result> {
    const client = await this.#pool.connect();
    client.on?.('error', ignore);
    let isBroken = false;
    try {
      return await use(client);
    } catch (error) {
      await client.query('ROLLBACK').catch(() => (isBroken = true));
      throw error;
    } finally {
      client.off?.('error', ignore);
      client.release(isBroken);
    }
  }
}

/** The query that was under way has failed with it. */
function ignore(): void {}
