/** The console's API: see src/http/console/console.ts. */

export interface SqlMessage {
  readonly severity: string;
  /** Null: the API refused, and not SQL. */
  readonly code: string | null;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

export interface SqlAnswer {
  readonly columns: readonly string[];
  readonly rows: ReadonlyArray<ReadonlyArray<string | null>>;
  readonly tag: string;
  readonly notices: readonly SqlMessage[];
  readonly hidden: readonly string[];
}

export interface Session {
  readonly user: string;
  readonly database: string;
  readonly access: 'viewer' | 'client';
  readonly kind: 'anybody' | 'token' | 'password';
  readonly csrf: string;
}

export interface Entrance {
  readonly version: string;
  /** One may come in without signing in. */
  readonly isOpen: boolean;
  readonly hasToken: boolean;
  /** One may sign in as a role of the upstream. */
  readonly hasPasswords: boolean;
  readonly session: Session | null;
}

/** What a request was refused with. */
export class ApiError extends Error {
  readonly status: number;
  readonly fields: SqlMessage;

  constructor(status: number, fields: SqlMessage) {
    super(fields.message);
    this.status = status;
    this.fields = fields;
  }
}

/** A row by its columns' names. */
export type Row = Readonly<Record<string, string | null>>;

export function rowsOf({ columns, rows }: SqlAnswer): readonly Row[] {
  return rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at] ?? null])));
}

/** SHOW CDC STREAM STATUS as one row. */
export function propertiesOf({ rows }: SqlAnswer): Row {
  return Object.fromEntries(rows.map(([name, value]) => [name ?? '', value ?? null]));
}

let csrf = '';

async function call(method: string, path: string, body?: object): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: { 'x-csrf-token': csrf, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, { severity: 'ERROR', code: null, message: 'walhook does not answer' });
  }
  if (response.status === 204) return null;
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  const content = (isJson ? await response.json() : {}) as { readonly error?: SqlMessage };
  if (response.ok) return content;
  const message = `walhook answered ${response.status}`;
  throw new ApiError(response.status, content.error ?? { severity: 'ERROR', code: null, message });
}

function entered(entrance: Entrance): Entrance {
  csrf = entrance.session?.csrf ?? '';
  return entrance;
}

/** Who is in; comes in as anybody where that is possible. */
export async function enter(): Promise<Entrance> {
  const entrance = entered((await call('GET', 'api/session')) as Entrance);
  return entrance.session === null && entrance.isOpen ? signIn({}) : entrance;
}

/** `{}`, `{ token }` or `{ user, password, database }`. */
export async function signIn(body: object): Promise<Entrance> {
  return entered((await call('POST', 'api/session', body)) as Entrance);
}

export async function signOut(): Promise<void> {
  await call('DELETE', 'api/session');
}

/** Runs one statement, exactly as it is. */
export async function execute(sql: string): Promise<SqlAnswer> {
  return (await call('POST', 'api/sql', { sql })) as SqlAnswer;
}
