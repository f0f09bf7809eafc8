import { assert } from '../base/assert.ts';
import type { ChangePreview } from '../model/catalog-control.ts';
import { redactUrl } from '../model/redact.ts';
import { type OperationName, type StreamDefinition, type StreamTable, takesInsertsOnly } from '../model/stream.ts';
import { qualify, quoteIdentifier } from '../postgres/identifier.ts';
import type { CreateStreamCommand } from '../sql/command.ts';
import { changeOf, type ChangeContext } from './change-of.ts';
import type { Column, Result } from './result.ts';
import { tableColumns } from './table-columns.ts';

/** As EXPLAIN of Postgres's has it. */
export const PLAN_COLUMNS: readonly Column[] = [{ name: 'QUERY PLAN', type: 'text' }];

const ALL_OPERATIONS: readonly OperationName[] = ['insert', 'update', 'delete', 'truncate'];

/** Of a table, the columns whose old values PostgreSQL sends; null: all. */
type Identities = ReadonlyMap<number, ReadonlySet<string> | null>;

/** EXPLAIN CREATE CDC STREAM: everything that CREATE checks is checked, with its errors; nothing is made. */
export async function explainCreate(
  command: CreateStreamCommand,
  role: string,
  context: ChangeContext,
): Promise<Result> {
  const change = await changeOf(command, role, context);
  assert(change.kind === 'create-stream', 'a CREATE creates');
  const preview = await context.control.preview(change, role, context.staged.transaction);
  const identities = new Map<number, ReadonlySet<string> | null>();
  for (const { oid, keyColumns } of preview.stream?.tables ?? []) {
    const known = await tableColumns(oid, context.questioner);
    identities.set(oid, known === null ? new Set(keyColumns) : known.identity);
  }
  const lines =
    preview.stream === null ? ['Nothing to do'] : planOf(preview, preview.stream, identities, command.orReplace);
  return {
    columns: PLAN_COLUMNS,
    rows: lines.map((line) => [line]),
    tag: 'EXPLAIN',
    notices: [...context.notices, ...preview.notices],
  };
}

function planOf(
  preview: ChangePreview,
  stream: StreamDefinition,
  identities: Identities,
  orReplace: boolean,
): readonly string[] {
  const identityOf = ({ oid }: StreamTable) => identities.get(oid) ?? null;
  const risks = risksOf(preview, stream, identityOf);
  return [
    `${orReplace ? 'Create or Replace' : 'Create'} CDC Stream ${quoteIdentifier(stream.name)}`,
    `  Destination: ${destinationOf(stream)}`,
    `  Payload: ${stream.format}, ${stream.envelope}`,
    ...(stream.when === null ? [] : [`  Condition: (${stream.when})`]),
    ...(stream.scope.kind === 'tables' ? [] : [`  Source: ${sourceOf(stream)}, those that are made later included`]),
    ...stream.tables.flatMap((table) => tableLines(table, stream, identityOf(table), preview)),
    `  Capture: ${captureOf(preview)}`,
    ...(risks.length === 0 ? [] : ['  Risks:', ...risks.map((risk) => `    - ${risk}`)]),
  ];
}

function tableLines(
  table: StreamTable,
  stream: StreamDefinition,
  identity: ReadonlySet<string> | null,
  { captured, ...names }: ChangePreview,
): readonly string[] {
  const hasNone = identity !== null && identity.size === 0;
  const publication = hasNone && takesInsertsOnly(stream) ? names.insertsPublication : names.publication;
  const name = qualify(table.schema, table.name);
  const operations = operationsOf(stream);
  const changesRows = operations.includes('update') || operations.includes('delete');
  const before = identity === null ? 'the whole old row' : `the replica identity alone: ${[...identity].join(', ')}`;
  const published = captured.includes(table.oid)
    ? `published already in ${publication}`
    : `ALTER PUBLICATION ${quoteIdentifier(publication)} ADD TABLE ${name}`;
  return [
    `  Table ${name}`,
    `    Operations: ${operations.map((operation) => operationText(operation, stream)).join(', ')}`,
    ...(table.columns === null ? [] : [`    Columns: ${table.columns.join(', ')}`]),
    ...(table.where === null ? [] : [`    Row Filter: (${table.where})`]),
    `    Order: ${orderOf(table, stream, identity)}`,
    ...(changesRows ? [`    Before: ${before}`] : []),
    `    Publication: ${published}`,
  ];
}

function operationsOf({ operations }: StreamDefinition): readonly OperationName[] {
  return operations === null ? ALL_OPERATIONS : operations.map(({ name }) => name);
}

function operationText(operation: OperationName, { operations }: StreamDefinition): string {
  const columns = operations?.find(({ name }) => name === operation)?.columns ?? null;
  return `${operation.toUpperCase()}${columns === null ? '' : ` OF ${columns.join(', ')}`}`;
}

function orderOf({ keyColumns }: StreamTable, stream: StreamDefinition, identity: ReadonlySet<string> | null): string {
  const { ordering, maxInFlight } = stream.options;
  if (ordering === 'none') return 'none';
  if (ordering !== 'key') return `one request after another, per ${ordering}`;
  const key = stream.orderingKey ?? (keyColumns.length > 0 ? keyColumns : [...(identity ?? [])]);
  if (key.length === 0) return 'one request after another: the table has no key';
  return `per ${key.join(', ')}, up to ${maxInFlight} requests at a time`;
}

function sourceOf({ scope }: StreamDefinition): string {
  return scope.kind === 'schemas' ? `all tables in ${scope.schemas.map(quoteIdentifier).join(', ')}` : 'all tables';
}

function destinationOf({ destination, options }: StreamDefinition): string {
  switch (destination.kind) {
    case 'webhook':
      return `webhook ${redactUrl(destination.url)}`;
    case 'endpoint':
      return `endpoint ${quoteIdentifier(destination.name)}`;
    case 'kafka':
      return `kafka ${destination.brokers}, topic ${destination.topic ?? options.topicTemplate}`;
  }
}

function captureOf({ captured, publication, problem }: ChangePreview): string {
  if (problem !== null) return `impossible now: ${problem}`;
  if (captured.length > 0) return 'running already';
  return `to be started: a replication slot and the publication ${publication}`;
}

function risksOf(
  { captured }: ChangePreview,
  stream: StreamDefinition,
  identityOf: (table: StreamTable) => ReadonlySet<string> | null,
): readonly string[] {
  const risks: string[] = [];
  const operations = operationsOf(stream);
  for (const table of stream.tables) {
    const name = qualify(table.schema, table.name);
    if (identityOf(table) === null) {
      risks.push(`${name} is REPLICA IDENTITY FULL: each UPDATE and DELETE writes its whole old row to the WAL.`);
    } else if (operations.includes('update')) {
      risks.push(
        stream.options.unchangedToast === 'fetch'
          ? `${name}: large values that an UPDATE leaves alone are asked for when an event is sent, and may be newer than it.`
          : `${name}: large values that an UPDATE leaves alone are not sent; events list them in unchanged_toast.`,
      );
    }
    if (table.keyColumns.length === 0 && stream.orderingKey === null && stream.options.ordering === 'key') {
      risks.push(`${name} has no primary key: an event that fails holds up all that come after it.`);
    }
  }
  const { destination, options } = stream;
  if (destination.kind === 'webhook') {
    if (destination.url.startsWith('http:')) risks.push('The URL is plain http: what is sent can be read on the way.');
    if (options.signingSecret === null) risks.push('Without signing_secret a receiver cannot tell who sends to it.');
  }
  if (destination.kind === 'kafka') {
    if (!options.tls) risks.push('tls is false: what is sent can be read on the way.');
    if (options.acks !== 'all')
      risks.push(`acks is ${options.acks}: a broker that fails may lose events, or keep one twice.`);
    if (options.schemaRegistryUrl.startsWith('http:'))
      risks.push('schema_registry_url is plain http: schemas and credentials can be read on the way.');
    if (options.partitioner === 'round_robin')
      risks.push('partitioner is round_robin: readers see events in no order.');
  }
  if (captured.length === 0) risks.push('While walhook is not running, the slot keeps WAL on the server.');
  return risks;
}
