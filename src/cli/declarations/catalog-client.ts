import pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { parseStatement } from '../../sql/parser.ts';
import type { TableRequest } from '../../sql/command.ts';
import { Declarations, type DeclaredStream } from './declarations.ts';

/** What a walhook said, and could not do: for whoever runs the command. */
export class CatalogClientError extends Error {
  override readonly name = 'CatalogClientError';
}

/** How a catalog's definitions are shown. */
export interface ShownCatalog {
  readonly secrets: ReadonlyArray<{ readonly name: string; readonly source: string; readonly location: string | null }>;
  readonly endpoints: readonly ShownDefinition[];
  readonly streams: readonly ShownStream[];
}

export interface ShownDefinition {
  readonly name: string;
  readonly owner: string;
  /** SHOW CREATE's. */
  readonly statement: string;
}

export interface ShownStream extends ShownDefinition {
  /** Null: the one that the client is connected to. */
  readonly database: string | null;
}

type Row = Readonly<Record<string, string | null>>;

/** A client of a running walhook, as any other. */
export class CatalogClient {
  /** Told what the server says besides its answers. */
  onNotice: (text: string) => void = () => undefined;
  readonly #url: string;
  readonly #client: pg.Client;
  /** In other databases, by their names. */
  readonly #others = new Map<string, CatalogClient>();

  private constructor(url: string, client: pg.Client) {
    this.#url = url;
    this.#client = client;
  }

  /** Connected to a walhook. Throws `CatalogClientError`. */
  static async connect(url: string): Promise<CatalogClient> {
    const client = new pg.Client({ connectionString: url, types: { getTypeParser: () => (value: string) => value } });
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch (error) {
      throw new CatalogClientError(
        `cannot connect: ${error instanceof Error ? error.message || errorCode(error) : ''}`,
      );
    }
    const walhook = new CatalogClient(url, client);
    client.on('notice', ({ severity, message }) => walhook.onNotice(`${severity}:  ${message}`));
    try {
      await walhook.run('SHOW CDC VERSION');
    } catch (error) {
      await walhook.end();
      if (errorCode(error) !== '42601') throw error;
      throw new CatalogClientError('there is no walhook at this URL: what answers is a PostgreSQL by itself');
    }
    return walhook;
  }

  async end(): Promise<void> {
    await Promise.all([...this.#others.values()].map((other) => other.end()));
    await this.#client.end();
  }

  /** The same walhook's client in another database, which ends with this one; null: this one. Throws as `connect` does. */
  async inDatabase(name: string | null): Promise<CatalogClient> {
    if (name === null) return this;
    const known = this.#others.get(name);
    if (known !== undefined) return known;
    const url = new URL(this.#url);
    url.pathname = `/${encodeURIComponent(name)}`;
    const other = await CatalogClient.connect(url.href);
    other.onNotice = (text) => this.onNotice(text);
    this.#others.set(name, other);
    return other;
  }

  /** Runs a statement. Rejects with pg's `DatabaseError`, or a `CatalogClientError` where the connection breaks. */
  async run(text: string, values: readonly string[] = []): Promise<readonly Row[]> {
    try {
      const { rows } = await this.#client.query<Row>(values.length === 0 ? text : { text, values: [...values] });
      return rows;
    } catch (error) {
      if (error instanceof pg.DatabaseError) throw error;
      throw new CatalogClientError(`the connection broke: ${error instanceof Error ? error.message : ''}`, {
        cause: error,
      });
    }
  }

  async role(): Promise<string> {
    const [row] = await this.run('SELECT current_user AS role');
    return row?.['role'] ?? '';
  }

  /** Every definition that this client may see, in whatever database. `told`: how many it has, of how many. */
  async shown(told: (done: number, total: number) => void = () => undefined): Promise<ShownCatalog> {
    const secrets = (await this.run('SHOW CDC SECRETS')).map((row) => ({
      name: row['secret_name'] ?? '',
      source: row['source'] ?? '',
      location: row['location'] ?? null,
    }));
    const [here] = await this.run('SELECT current_database() AS name');
    const endpointRows = await this.run('SHOW CDC ENDPOINTS');
    const rows = await this.run('SHOW CDC STREAMS');
    const total = endpointRows.length + rows.length;
    const endpoints = await this.#definitions('ENDPOINT', endpointRows, (done) => told(done, total));
    const databases = new Map(rows.map((row) => [row['stream_name'], row['database'] ?? null]));
    const created = await this.#definitions('STREAM', rows, (done) => told(endpoints.length + done, total));
    const streams = created.map((stream) => {
      const database = databases.get(stream.name) ?? null;
      return { ...stream, database: database === here?.['name'] ? null : database };
    });
    return { secrets, endpoints, streams };
  }

  async #definitions(
    kind: 'ENDPOINT' | 'STREAM',
    rows: readonly Row[],
    told: (done: number) => void,
  ): Promise<readonly ShownDefinition[]> {
    const definitions: ShownDefinition[] = [];
    for (const row of rows) {
      const name = row[`${kind.toLowerCase()}_name`] ?? '';
      const [created] = await this.run(`SHOW CREATE CDC ${kind} ${quoteIdentifier(name)}`);
      definitions.push({ name, owner: row['owner'] ?? '', statement: created?.['create_statement'] ?? '' });
      told(definitions.length);
    }
    return definitions;
  }

  /** The schema in which this session finds a table of that name; null where it finds none. */
  async #schemaOf(table: string): Promise<string | null> {
    const found = await this.run(
      `SELECT n.nspname AS schema FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = pg_catalog.to_regclass($1)`,
      [quoteIdentifier(table)],
    );
    return found[0]?.['schema'] ?? null;
  }

  /** Gives the tables of each stream their schemas, as a session in its database finds them. What it does not find stays as it is. */
  async qualifyTables(declarations: Declarations): Promise<void> {
    for (const stream of declarations.streams.values()) {
      const { source } = stream.command;
      if (source.kind !== 'tables') continue;
      const there = await this.inDatabase(stream.database);
      const items: TableRequest[] = [];
      for (const item of source.items) {
        const schema = item.table.schema ?? (await there.#schemaOf(item.table.name));
        items.push({ ...item, table: { ...item.table, schema } });
      }
      const command: DeclaredStream['command'] = { ...stream.command, source: { ...source, items } };
      declarations.streams.set(stream.name, { ...stream, command });
    }
  }
}

/** What the catalog has, in the terms of a file. */
export function declarationsOf({ secrets, endpoints, streams }: ShownCatalog): Declarations {
  const declarations = new Declarations();
  for (const { name, source, location } of secrets) {
    const origin =
      source === 'env'
        ? ({ kind: 'env', variable: location ?? '' } as const)
        : source === 'file'
          ? ({ kind: 'file', path: location ?? '' } as const)
          : ({ kind: 'value', value: null } as const);
    declarations.secrets.set(name, { name, origin });
  }
  for (const { statement } of endpoints) declarations.add(parseStatement(statement));
  for (const { statement, database } of streams) declarations.add(parseStatement(statement), database);
  for (const { name, owner } of endpoints) declarations.endpoints.get(name)!.owner = owner;
  for (const { name, owner } of streams) declarations.streams.get(name)!.owner = owner;
  return declarations;
}

function errorCode(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : '';
}
