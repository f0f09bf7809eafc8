import { quoteIdentifier, quoteLiteral } from '../postgres/identifier.ts';
import { unreachable } from '../base/assert.ts';
import type { CreateStream, DestinationNode, Literal, Name, Option, OptionValue, Statement } from './ast.ts';

/** The statement in its canonical spelling: reading it again gives the same nodes, positions apart. */
export function printStatement(statement: Statement): string {
  switch (statement.kind) {
    case 'create-stream':
      return printCreate(statement);
    case 'alter-stream':
      return `ALTER CDC STREAM ${printName(statement.name)} ${statement.action.toUpperCase()}`;
    case 'drop-streams':
      return `DROP CDC STREAM ${statement.ifExists ? 'IF EXISTS ' : ''}${statement.names.map(printName).join(', ')}`;
    case 'show-streams':
      return 'SHOW CDC STREAMS';
    case 'show-stream-status':
      return `SHOW CDC STREAM STATUS ${printName(statement.name)}`;
    default:
      return unreachable(statement);
  }
}

function printCreate(statement: CreateStream): string {
  const { name, table, format, envelope, options } = statement;
  const words = ['CREATE CDC STREAM'];
  if (statement.ifNotExists) words.push('IF NOT EXISTS');
  if (name !== null && 'text' in name) words.push(printName(name));
  const schema = table.schema === null ? '' : `${quoteIdentifier(table.schema)}.`;
  words.push(`ON ${schema}${quoteIdentifier(table.name)}`, printDestination(statement.destination));
  if (format !== null) words.push(`FORMAT ${format.value.toUpperCase()}`);
  if (envelope !== null) words.push(`ENVELOPE ${envelope.value.toUpperCase()}`);
  if (options.length > 0) words.push(`WITH (${options.map(printOption).join(', ')})`);
  // A parameter can be a name only after AS.
  if (name !== null && 'kind' in name) words.push(`AS ${printLiteral(name)}`);
  return words.join(' ');
}

function printDestination(destination: DestinationNode): string {
  if (destination.kind === 'webhook') return `TO WEBHOOK ${printLiteral(destination.url)}`;
  const topic = destination.topic === null ? '' : ` TOPIC ${printLiteral(destination.topic)}`;
  return `TO KAFKA ${printLiteral(destination.brokers)}${topic}`;
}

function printOption({ name, value }: Option): string {
  return value === null ? printName(name) : `${printName(name)} = ${printValue(value)}`;
}

function printValue(value: OptionValue): string {
  return value.kind === 'number' || value.kind === 'word' ? value.text : printLiteral(value);
}

function printLiteral(literal: Literal): string {
  return literal.kind === 'parameter' ? `$${literal.index}` : quoteLiteral(literal.value);
}

function printName(name: Name): string {
  return quoteIdentifier(name.text);
}
