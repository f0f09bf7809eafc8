import type { ListedEndpoint } from '../model/catalog-control.ts';
import type { EndpointDefinition } from '../model/endpoint.ts';
import { redactUrl } from '../model/redact.ts';
import type { SecretInfo } from '../model/secret.ts';
import type { ServerInfo } from '../model/server-info.ts';
import type { HistoryEntry } from '../model/staged-change.ts';
import type { StreamReport } from '../model/status.ts';
import { optionsOf, printShownEndpoint, printShownOptions, type ShownOption } from '../sql/print-definition.ts';
import type { Column, ColumnType, Result, Value } from './result.ts';
import { redactionNotice } from './show.ts';

/** The columns of one statement's result, each with what it shows of a row's subject. The order is a contract. */
type Table<T> = ReadonlyArray<readonly [name: string, type: ColumnType, value: (subject: T) => Value]>;

const ENDPOINTS: Table<ListedEndpoint> = [
  ['endpoint_name', 'text', ({ definition }) => definition.name],
  ['url', 'text', ({ definition }) => redactUrl(definition.url)],
  ['options', 'text', ({ definition }) => printShownOptions(definition)],
  ['used_by', 'text', ({ usedBy }) => listed(usedBy)],
  ['created_at', 'timestamptz', ({ definition }) => definition.createdAtMs],
  ['owner', 'text', ({ definition }) => definition.owner],
];

const SECRETS: Table<SecretInfo> = [
  ['secret_name', 'text', ({ name }) => name],
  ['source', 'text', ({ source }) => source],
  ['location', 'text', ({ location }) => location],
  ['versions', 'int4', ({ versions }) => versions],
  ['used_by', 'text', ({ usedBy }) => listed(usedBy)],
  ['problem', 'text', ({ problem }) => problem],
  ['created_at', 'timestamptz', ({ createdAtMs }) => createdAtMs],
  ['owner', 'text', ({ owner }) => owner],
];

type ListedTable = StreamReport['definition']['tables'][number];

const TABLES: Table<ListedTable> = [
  ['schema_name', 'text', ({ schema }) => schema],
  ['table_name', 'text', ({ name }) => name],
  ['key_columns', 'text', ({ keyColumns }) => listed(keyColumns)],
  ['columns', 'text', ({ columns }) => (columns === null ? null : columns.join(', '))],
  ['row_filter', 'text', ({ where }) => where],
];

const OPTIONS: Table<ShownOption> = [
  ['option', 'text', ({ name }) => name],
  ['value', 'text', ({ value }) => value],
  ['source', 'text', ({ source }) => source],
  ['description', 'text', ({ text }) => text],
];

const HISTORY: Table<HistoryEntry> = [
  ['at', 'timestamptz', ({ atMs }) => atMs],
  ['actor', 'text', ({ actor }) => actor],
  ['action', 'text', ({ action }) => action],
  ['detail', 'text', ({ detail }) => detail],
];

const SETTINGS: Table<ServerInfo['settings'][number]> = [
  ['name', 'text', ({ name }) => name],
  ['value', 'text', ({ value }) => value],
  ['source', 'text', ({ source }) => source],
  ['description', 'text', ({ text }) => text],
  ['reloadable', 'bool', ({ isReloadable }) => isReloadable],
  ['pending_restart', 'bool', ({ isPendingRestart }) => isPendingRestart],
];

const VERSION: Table<ServerInfo> = [['version', 'text', ({ version }) => `walhook ${version}`]];

const CREATE_ENDPOINT: Table<EndpointDefinition> = [
  ['endpoint_name', 'text', ({ name }) => name],
  ['create_statement', 'text', (endpoint) => printShownEndpoint(endpoint).text],
];

/** By the kind of statement. */
export const OBJECT_COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  'show-endpoints': columns(ENDPOINTS),
  'show-secrets': columns(SECRETS),
  'show-stream-tables': columns(TABLES),
  'show-stream-options': columns(OPTIONS),
  'show-stream-history': columns(HISTORY),
  'show-settings': columns(SETTINGS),
  'show-version': columns(VERSION),
  'show-create-endpoint': columns(CREATE_ENDPOINT),
};

/** SHOW CDC ENDPOINTS */
export function showEndpoints(endpoints: readonly ListedEndpoint[]): Result {
  return result(ENDPOINTS, endpoints);
}

/** SHOW CDC SECRETS: never a value. */
export function showSecrets(secrets: readonly SecretInfo[]): Result {
  return result(SECRETS, secrets);
}

/** SHOW CDC STREAM TABLES; no columns and no filter are NULL. */
export function showTables({ definition }: StreamReport): Result {
  return result(TABLES, definition.tables);
}

/** SHOW CDC STREAM OPTIONS: each option with the value that is in force, and who has said it. */
export function showOptions({ definition }: StreamReport, endpoint: EndpointDefinition | null): Result {
  return result(OPTIONS, optionsOf(definition, endpoint));
}

/** SHOW CDC STREAM HISTORY, newest first. */
export function showHistory(entries: readonly HistoryEntry[]): Result {
  return result(HISTORY, entries);
}

/** SHOW CDC SETTINGS */
export function showSettings({ settings }: ServerInfo): Result {
  return result(SETTINGS, settings);
}

/** SHOW CDC VERSION */
export function showVersion(info: ServerInfo): Result {
  return result(VERSION, [info]);
}

/** SHOW CREATE CDC ENDPOINT: what credentials it has, in URL or headers, is not shown. */
export function showCreateEndpoint(endpoint: EndpointDefinition): Result {
  return { ...result(CREATE_ENDPOINT, [endpoint]), notices: redactionNotice(printShownEndpoint(endpoint).isRedacted) };
}

function columns<T>(table: Table<T>): readonly Column[] {
  return table.map(([name, type]) => ({ name, type }));
}

function result<T>(table: Table<T>, subjects: readonly T[]): Result {
  const rows = subjects.map((subject) => table.map(([, , value]) => value(subject)));
  return { columns: columns(table), rows, tag: 'SHOW', notices: [] };
}

function listed(names: readonly string[]): string | null {
  return names.length === 0 ? null : names.join(', ');
}
