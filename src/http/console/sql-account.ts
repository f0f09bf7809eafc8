/** One statement's answer as text, as the server sends it; null is SQL's null. */
export interface SqlAnswer {
  readonly columns: readonly string[];
  readonly rows: ReadonlyArray<ReadonlyArray<string | null>>;
  /** The command tag: `SHOW`, `RETRY CDC DEAD LETTERS 3`. */
  readonly tag: string;
  readonly notices: readonly SqlMessage[];
  /** Columns whose values this account may not see, which are null in each row. */
  readonly hidden: readonly string[];
  /** Whether the statement has done something, and not only shown. */
  readonly isAction: boolean;
}

/** An error or a notice, with the fields that Postgres gives them. */
export interface SqlMessage {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
}

/** What a statement or a sign-in failed with; the SQLSTATE is one of the server's, or 08006 where none was reached. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  readonly fields: SqlMessage;

  constructor(fields: SqlMessage, options?: ErrorOptions) {
    super(fields.message, options);
    this.fields = fields;
  }
}

/**
 * What an account may do. `viewer`: see definitions, states and counts; nothing that events have in them, and no action.
 * `client`: what SQL lets its user do.
 */
export type Access = 'viewer' | 'client';

/** Somebody who may run statements of the console. */
export interface SqlAccount {
  /** The role that the upstream knows. */
  readonly user: string;
  readonly database: string;
  readonly access: Access;
  /** A connection that is made when it is first used. */
  open(): SqlConnection;
}

export interface SqlConnection {
  /** Runs one statement, after those before it. Rejects with `SqlError` alone. */
  execute(sql: string): Promise<SqlAnswer>;
  close(): void;
}

/** The way from the console to SQL: what a client of the SQL port may do, and no more. */
export interface SqlGateway {
  /** As walhook's own user of the upstream. */
  own(access: Access): SqlAccount;
  /** As whoever the upstream says it is; null: the database of the upstream's URL. Rejects with `SqlError`. */
  signIn(user: string, password: string, database: string | null): Promise<SqlAccount>;
  /** Why nobody signs in so, although the upstream may know them; null: they do. */
  readonly signInProblem: string | null;
}
