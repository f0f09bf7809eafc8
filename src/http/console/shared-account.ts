import type { Access, SqlAccount, SqlAnswer, SqlConnection } from './sql-account.ts';

const CONNECTIONS = 4;

/**
 * One account for all who come without signing in: however many sessions they begin, the upstream has these connections
 * of theirs and no more.
 */
export class SharedAccount implements SqlAccount {
  readonly user: string;
  readonly database: string;
  readonly access: Access;
  readonly #account: SqlAccount;
  readonly #connections: SqlConnection[] = [];
  #opened = 0;

  constructor(account: SqlAccount) {
    this.user = account.user;
    this.database = account.database;
    this.access = account.access;
    this.#account = account;
  }

  /** Those in turn; what is idle is closed by itself. */
  open(): SqlConnection {
    const at = this.#opened++ % CONNECTIONS;
    const connection = (this.#connections[at] ??= this.#account.open());
    return { execute: (sql): Promise<SqlAnswer> => connection.execute(sql), close: () => undefined };
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}
