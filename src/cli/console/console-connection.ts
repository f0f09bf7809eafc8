import type { EventEmitter } from 'node:events';
import pg from 'pg';
import { assert, AssertionError } from '../../base/assert.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import {
  SqlError,
  type Access,
  type SqlAnswer,
  type SqlConnection,
  type SqlMessage,
} from '../../http/console/sql-account.ts';
import { readConsoleStatement } from './console-statement.ts';

export interface ConsoleLogin {
  /** The socket's folder. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** A connection that nobody needs for so long is closed; the next statement makes another. */
const IDLE_MS = 60_000;
const CONNECT_TIMEOUT_MS = 15_000;
/** TEST waits for an endpoint, and RETRY for what runs before it. */
const STATEMENT_TIMEOUT_MS = 90_000;
/** Statements that wait for one before them. */
const MAX_WAITING = 16;
const MAX_NOTICES = 100;
/** Of an answer's values. They are held in memory several times: as they come, as JSON, and on their way out. */
const MAX_ANSWER_BYTES = 8_000_000;

/** One client of the SQL port, made when it is needed. */
export class ConsoleConnection implements SqlConnection {
  readonly #login: ConsoleLogin;
  readonly #access: Access;
  readonly #clock: Clock;
  #client: pg.Client | null = null;
  #notices: SqlMessage[] = [];
  #tag = '';
  #answerBytes = 0;
  #wasAsked = false;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isClosed = false;
  #stopIdling: Cancel = () => undefined;

  constructor(login: ConsoleLogin, access: Access, clock: Clock) {
    this.#login = login;
    this.#access = access;
    this.#clock = clock;
  }

  execute(sql: string): Promise<SqlAnswer> {
    return this.#inTurn(async () => {
      const { text, hidden, isAction } = readConsoleStatement(sql, this.#access);
      const client = await this.#connected();
      this.#notices = [];
      this.#answerBytes = 0;
      const result = await client.query<(string | null)[]>({ text, rowMode: 'array' }).catch((error: unknown) => {
        // After an error of its own, which no SQLSTATE tells, the connection's state is unknown.
        if (messageOf(error) === null) this.#drop(client);
        throw error;
      });
      if (this.#answerBytes > MAX_ANSWER_BYTES) throw tooLarge();
      const columns = result.fields.map(({ name }) => name);
      const hiddenAt = new Set(hidden.map((name) => columns.indexOf(name)));
      assert(!hiddenAt.has(-1), 'what is to be hidden is there under its name');
      return {
        columns,
        rows: result.rows.map((row) => row.map((value, at) => (hiddenAt.has(at) ? null : value))),
        tag: this.#tag,
        notices: this.#notices,
        hidden,
        isAction,
      };
    });
  }

  /** Connects, and tells whether the upstream wanted a password for it. Rejects with `SqlError`. */
  wasAskedForPassword(): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#connected();
      return this.#wasAsked;
    });
  }

  close(): void {
    this.#isClosed = true;
    if (this.#client !== null) this.#drop(this.#client);
  }

  async #inTurn<T>(run: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) {
      throw new SqlError({ severity: 'ERROR', code: '53400', message: 'too many statements wait for their turn' });
    }
    this.#waiting++;
    this.#stopIdling();
    const before = this.#last;
    const result = before.then(run, run);
    this.#last = result.catch(() => undefined);
    try {
      return await result;
    } catch (error) {
      throw sqlError(error);
    } finally {
      this.#waiting--;
      if (this.#waiting === 0) this.#stopIdling = this.#clock.after(IDLE_MS, () => this.#dropIdle());
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client !== null) return this.#client;
    this.#refuseWhenClosed();
    const { password, ...login } = this.#login;
    const client = new pg.Client({
      ...login,
      ssl: false,
      password: () => {
        this.#wasAsked = true;
        return password;
      },
      application_name: 'walhook console',
      // The statements are read here before they are sent, as under these settings.
      options: '-c standard_conforming_strings=on -c timezone=UTC -c datestyle=ISO',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: STATEMENT_TIMEOUT_MS,
      // Values as they come; those that are too many are not kept.
      types: { getTypeParser: () => (value: string | Buffer) => this.#kept(value) },
    } as pg.ClientConfig);
    client.on('error', () => this.#drop(client));
    client.on('end', () => this.#drop(client));
    client.on('notice', (notice) => {
      const message = messageOf(notice);
      if (message !== null && this.#notices.length < MAX_NOTICES) this.#notices.push(message);
    });
    // The tag as it came: pg's result has its first word alone.
    const { connection } = client as unknown as { connection: EventEmitter };
    connection.on('commandComplete', (complete: { readonly text: string }) => (this.#tag = complete.text));
    await client.connect().catch((error: unknown) => {
      this.#drop(client);
      throw error;
    });
    this.#client = client;
    if (this.#isClosed) this.#drop(client);
    this.#refuseWhenClosed();
    return client;
  }

  #kept(value: string | Buffer): string {
    this.#answerBytes += value.length;
    return this.#answerBytes > MAX_ANSWER_BYTES ? '' : value.toString();
  }

  #refuseWhenClosed(): void {
    if (this.#isClosed) throw new SqlError({ severity: 'ERROR', code: '57014', message: 'the session has ended' });
  }

  #dropIdle(): void {
    if (this.#waiting === 0 && this.#client !== null) this.#drop(this.#client);
  }

  #drop(client: pg.Client): void {
    if (this.#client === client) this.#client = null;
    void client.end().catch(() => undefined);
  }
}

/** What the server's error or notice says; null for an error that no server sent. */
function messageOf(error: unknown): SqlMessage | null {
  const { severity, code, message, detail, hint } = error as Partial<Record<keyof SqlMessage, unknown>>;
  if (typeof severity !== 'string' || typeof code !== 'string' || typeof message !== 'string') return null;
  return {
    severity,
    code,
    message,
    ...(typeof detail === 'string' && { detail }),
    ...(typeof hint === 'string' && { hint }),
  };
}

function tooLarge(): SqlError {
  return new SqlError({
    severity: 'ERROR',
    code: '54000',
    message: `the answer has more than ${MAX_ANSWER_BYTES} bytes`,
    hint: 'Ask for fewer rows (LIMIT), or with a client of the SQL port.',
  });
}

function sqlError(error: unknown): SqlError {
  if (error instanceof AssertionError) throw error;
  if (error instanceof SqlError) return error;
  const message = messageOf(error);
  if (message !== null) return new SqlError(message, { cause: error });
  return new SqlError(
    { severity: 'ERROR', code: '08006', message: 'the SQL port did not answer', hint: 'The log of walhook has more.' },
    { cause: error },
  );
}
