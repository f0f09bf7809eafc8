import { unreachable } from '../base/assert.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifier.ts';
import type * as ast from './ast.ts';
import type { QualifiedName } from './command.ts';
import { isDefining } from './defining.ts';
import { findOption } from './options.ts';

/**
 * The statement in its canonical spelling: reading it again gives the same nodes, positions apart. Only the values of
 * secrets are not in it: `'***'` stands for each.
 */
export function printStatement(statement: ast.Statement): string {
  return isDefining(statement) ? printDefining(statement) : printAsking(statement);
}

function printDefining(statement: ast.DefiningStatement): string {
  switch (statement.kind) {
    case 'create-stream':
      return printCreateStream(statement);
    case 'alter-stream':
      return `ALTER CDC STREAM ${printNameOrAll(statement.name)} ${printAction(statement.action)}`;
    case 'drop-streams':
    case 'drop-endpoints':
    case 'drop-secrets':
      return `DROP CDC ${DROPPED[statement.kind]} ${statement.ifExists ? 'IF EXISTS ' : ''}${printNames(statement.names)}`;
    case 'create-endpoint':
      return printCreateEndpoint(statement);
    case 'alter-endpoint':
      return `ALTER CDC ENDPOINT ${printName(statement.name)} ${printAction(statement.action)}`;
    case 'create-secret':
      return `CREATE CDC SECRET ${printIfNotExists(statement)}${printName(statement.name)} ${printOrigin(statement.origin)}`;
    case 'alter-secret': {
      const keep = statement.keepOldFor === null ? '' : ` KEEP OLD FOR ${printLiteral(statement.keepOldFor)}`;
      return `ALTER CDC SECRET ${printName(statement.name)} AS ${printSecret(statement.value)}${keep}`;
    }
    case 'comment-on-stream': {
      const comment = statement.comment === null ? 'NULL' : printLiteral(statement.comment);
      return `COMMENT ON CDC STREAM ${printName(statement.name)} IS ${comment}`;
    }
  }
}

/** The statements that change no definition. */
function printAsking(statement: ast.AskingStatement): string {
  switch (statement.kind) {
    case 'explain-create-stream':
      return `EXPLAIN ${printCreateStream(statement.create)}`;
    case 'show-streams':
      return `SHOW CDC STREAMS${statement.like === null ? '' : ` LIKE ${printLiteral(statement.like)}`}`;
    case 'show-stream-status':
    case 'show-stream-tables':
    case 'show-stream-options':
    case 'show-stream-history':
    case 'show-create-stream':
    case 'show-create-endpoint':
      return `SHOW ${SHOWN[statement.kind]} ${printName(statement.name)}`;
    case 'show-deliveries':
    case 'show-dead-letters': {
      const stream = statement.stream === null ? '' : ` FOR ${printName(statement.stream)}`;
      return `SHOW CDC ${wordsOf(statement.kind, 'show-')}${stream}${printLimit(statement.limit)}`;
    }
    case 'show-endpoints':
    case 'show-secrets':
    case 'show-slots':
    case 'show-settings':
    case 'show-version':
      return `SHOW CDC ${wordsOf(statement.kind, 'show-')}`;
    case 'check':
      return 'CHECK CDC';
    case 'test':
      return `TEST CDC ${printTarget(statement.target)}`;
    case 'peek-stream':
      return `PEEK CDC STREAM ${printName(statement.name)}${printLimit(statement.limit)}`;
    case 'backfill-stream': {
      const table = statement.table === null ? '' : ` TABLE ${printTable(statement.table)}`;
      return `BACKFILL CDC STREAM ${printName(statement.name)}${table}${printWhere(statement.where)}`;
    }
    case 'cancel-backfill':
      return `CANCEL BACKFILL CDC STREAM ${printName(statement.name)}`;
    case 'replay-stream':
      return `REPLAY CDC STREAM ${printName(statement.name)} ${printReplayFrom(statement.from)}`;
    case 'retry-dead-letters':
    case 'discard-dead-letters': {
      const verb = statement.kind === 'retry-dead-letters' ? 'RETRY' : 'DISCARD';
      const which = statement.id === null ? 'ALL' : `ID ${printLiteral(statement.id)}`;
      return `${verb} CDC DEAD LETTERS FOR ${printName(statement.stream)} ${which}`;
    }
    default:
      return unreachable(statement);
  }
}

const DROPPED = { 'drop-streams': 'STREAM', 'drop-endpoints': 'ENDPOINT', 'drop-secrets': 'SECRET' } as const;

const SHOWN = {
  'show-stream-status': 'CDC STREAM STATUS',
  'show-stream-tables': 'CDC STREAM TABLES',
  'show-stream-options': 'CDC STREAM OPTIONS',
  'show-stream-history': 'CDC STREAM HISTORY',
  'show-create-stream': 'CREATE CDC STREAM',
  'show-create-endpoint': 'CREATE CDC ENDPOINT',
} as const;

function wordsOf(kind: string, prefix: string): string {
  return kind.slice(prefix.length).replaceAll('-', ' ').toUpperCase();
}

function printCreateStream(statement: ast.CreateStream): string {
  const { name, format, envelope, operations, when, transform, key, options, comment } = statement;
  const words = [`CREATE ${statement.orReplace ? 'OR REPLACE ' : ''}CDC STREAM`];
  if (statement.ifNotExists) words.push('IF NOT EXISTS');
  if (name !== null && 'text' in name) words.push(printName(name));
  words.push(`ON ${printSource(statement.source)}`, `TO ${printDestination(statement.destination)}`);
  if (format !== null) words.push(`FORMAT ${format.value.toUpperCase()}`);
  if (envelope !== null) words.push(`ENVELOPE ${envelope.value.toUpperCase()}`);
  if (operations !== null) words.push(`OPERATIONS (${operations.map(printOperation).join(', ')})`);
  if (when !== null) words.push(`WHEN (${when.text})`);
  if (transform !== null) words.push(`TRANSFORM ${printTransform(transform)}`);
  if (key !== null) words.push(`KEY (${printNames(key)})`);
  if (options.length > 0) words.push(`WITH ${printOptions(options)}`);
  if (comment !== null) words.push(`COMMENT ${printLiteral(comment)}`);
  // A parameter can be a name only after AS.
  if (name !== null && 'kind' in name) words.push(`AS ${printLiteral(name)}`);
  return words.join(' ');
}

function printSource(source: ast.SourceNode): string {
  switch (source.kind) {
    case 'all-tables':
      return 'ALL TABLES';
    case 'schemas':
      return `TABLES IN SCHEMA ${printNames(source.schemas)}`;
    case 'tables':
      return source.items.map(printItem).join(', ');
  }
}

function printItem({ table, columns, where }: ast.TableItem): string {
  return `${printTable(table)}${columns === null ? '' : ` (${printNames(columns)})`}${printWhere(where)}`;
}

function printDestination(destination: ast.DestinationNode): string {
  switch (destination.kind) {
    case 'webhook':
      return `WEBHOOK ${printLiteral(destination.url)}`;
    case 'endpoint':
      return `ENDPOINT ${printName(destination.name)}`;
    case 'kafka': {
      const topic = destination.topic === null ? '' : ` TOPIC ${printLiteral(destination.topic)}`;
      return `KAFKA ${printLiteral(destination.brokers)}${topic}`;
    }
    case 'kinesis': {
      const region = destination.region === null ? '' : ` REGION ${printLiteral(destination.region)}`;
      return `KINESIS ${printLiteral(destination.stream)}${region}`;
    }
  }
}

function printOperation({ name, columns }: ast.Operation): string {
  if (columns === null) return name.toUpperCase();
  return `UPDATE OF ${columns.map((column) => printUpdatedColumn(column.text)).join(', ')}`;
}

/** Bare, it would be the next operation. */
function printUpdatedColumn(name: string): string {
  return /^(insert|update|delete|truncate)$/.test(name) ? `"${name}"` : quoteIdentifier(name);
}

function printTransform({ language, text }: ast.Transform): string {
  return `${language.toUpperCase()} ${printLiteral(text)}`;
}

function printCreateEndpoint(statement: ast.CreateEndpoint): string {
  const { orReplace, name, url, options } = statement;
  const head = `CREATE ${orReplace ? 'OR REPLACE ' : ''}CDC ENDPOINT ${printIfNotExists(statement)}${printName(name)}`;
  return `${head} AS ${printLiteral(url)}${options.length === 0 ? '' : ` WITH ${printOptions(options)}`}`;
}

function printIfNotExists({ ifNotExists }: { readonly ifNotExists: boolean }): string {
  return ifNotExists ? 'IF NOT EXISTS ' : '';
}

function printOrigin(origin: ast.SecretOrigin): string {
  switch (origin.kind) {
    case 'value':
      return `AS ${printSecret(origin.value)}`;
    case 'env':
      return `FROM ENV ${printLiteral(origin.variable)}`;
    case 'file':
      return `FROM FILE ${printLiteral(origin.path)}`;
  }
}

function printAction(action: ast.StreamAction | ast.EndpointAction): string {
  switch (action.kind) {
    case 'pause':
    case 'resume':
    case 'restart':
      return action.kind.toUpperCase();
    case 'reset-circuit':
      return 'RESET CIRCUIT';
    case 'skip-event':
      return `SKIP EVENT ${printLiteral(action.id)}`;
    case 'set-options':
      return `SET ${printOptions(action.options)}`;
    case 'reset-options':
      return `RESET (${printNames(action.names)})`;
    case 'rename':
      return `RENAME TO ${printName(action.to)}`;
    case 'owner':
      return `OWNER TO ${'kind' in action.role ? action.role.text.toUpperCase() : printName(action.role)}`;
    case 'add-tables':
      return `ADD TABLE ${action.items.map(printItem).join(', ')}`;
    case 'drop-tables':
      return `DROP TABLE ${action.tables.map(printTable).join(', ')}`;
    case 'set-destination':
      return `SET TO ${printDestination(action.destination)}`;
    case 'set-format':
      return `SET FORMAT ${action.format.value.toUpperCase()}`;
    case 'set-envelope':
      return `SET ENVELOPE ${action.envelope.value.toUpperCase()}`;
    case 'set-when':
      return `SET WHEN (${action.when.text})`;
    case 'set-transform':
      return `SET TRANSFORM ${printTransform(action.transform)}`;
    case 'set-url':
      return `AS ${printLiteral(action.url)}${action.options.length === 0 ? '' : ` WITH ${printOptions(action.options)}`}`;
  }
}

function printTarget(target: ast.TestTarget): string {
  if (target.kind === 'webhook') return `WEBHOOK ${printLiteral(target.url)}`;
  return `${target.kind.toUpperCase()} ${printName(target.name)}`;
}

function printReplayFrom(from: ast.ReplayStream['from']): string {
  if (from.kind === 'since') return `SINCE ${printLiteral(from.time)}`;
  return `FROM LSN ${printLiteral(from.from)}${from.to === null ? '' : ` TO LSN ${printLiteral(from.to)}`}`;
}

function printOptions(options: readonly ast.Option[]): string {
  return `(${options.map(printOption).join(', ')})`;
}

/** `name = value`; a secret that is a literal is `'***'`. */
export function printOption({ name, value }: ast.Option): string {
  if (value === null) return printName(name);
  const isSecret = findOption(name.text)?.type === 'secret';
  return `${printName(name)} = ${isSecret && value.kind !== 'secret' ? printSecret(value) : printValue(value)}`;
}

/** As it is written in a statement. */
export function printValue(value: ast.OptionValue): string {
  switch (value.kind) {
    case 'number':
    case 'word':
      return value.text;
    case 'secret':
      return `SECRET ${printName(value.name)}`;
    case 'string':
    case 'parameter':
      return printLiteral(value);
  }
}

function printSecret(value: ast.OptionValue): string {
  return value.kind === 'parameter' ? printLiteral(value) : `'***'`;
}

function printLimit(limit: ast.Count | null): string {
  return limit === null ? '' : ` LIMIT ${printValue(limit)}`;
}

function printWhere(where: ast.Predicate | null): string {
  return where === null ? '' : ` WHERE (${where.text})`;
}

function printLiteral(literal: ast.Literal): string {
  return literal.kind === 'parameter' ? `$${literal.index}` : quoteLiteral(literal.value);
}

function printTable({ schema, name }: QualifiedName): string {
  return `${schema === null ? '' : `${quoteIdentifier(schema)}.`}${quoteIdentifier(name)}`;
}

function printNameOrAll(name: ast.Name | null): string {
  return name === null ? 'ALL' : printName(name);
}

function printNames(names: readonly ast.Name[]): string {
  return names.map(printName).join(', ');
}

function printName(name: ast.Name): string {
  return quoteIdentifier(name.text);
}
