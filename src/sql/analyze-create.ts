import type { Destination } from '../model/stream.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { createdOptions } from './analyze-options.ts';
import type * as ast from './ast.ts';
import type { CreateStreamCommand, PlacedTransform, SourceRequest, TableRequest } from './command.ts';
import { NOT_YET_CLAUSES } from './not-yet.ts';
import { checkedName, checkedTable, checkLength, invalid, placedName, type Values } from './values.ts';

/** See `analyze`. */
export function analyzeCreateStream(statement: ast.CreateStream, values: Values): CreateStreamCommand {
  const { orReplace, ifNotExists, format, envelope, operations, when, transform, key } = statement;
  const destination = analyzeDestination(statement.destination, values);
  return {
    kind: statement.kind,
    orReplace,
    ifNotExists,
    name: streamName(statement.name, values),
    source: sourceRequest(statement.source, values),
    destination,
    format: format?.value ?? 'json',
    envelope: envelope?.value ?? 'native',
    operations: operations?.map(({ name, columns }) => ({ name, columns: columns?.map(placedName) ?? null })) ?? null,
    when: when === null ? null : values.predicate(when),
    transform: transform === null ? null : analyzeTransform(transform, values),
    key: key?.map(placedName) ?? null,
    comment: values.textOrNull(statement.comment),
    ...createdOptions(
      statement.options,
      values,
      { ...destination, position: statement.destination.position },
      {
        format: format?.value ?? 'json',
        position: format?.position,
        envelope: envelope?.value ?? 'native',
        transform,
        scope: statement.source.kind,
        tables: statement.source.kind === 'tables' ? statement.source.items.length : 0,
      },
    ),
  };
}

/** 0A000 for a clause that `not-yet.ts` lists. */
function refuseNotYet(word: string, choice: ast.Choice<string>): void {
  const clause = `${word} ${choice.value.toUpperCase()}`;
  const hint = NOT_YET_CLAUSES.get(clause);
  if (hint === undefined) return;
  throw new PgError('feature_not_supported', `${clause} is not supported yet`, { position: choice.position, hint });
}

function streamName(name: ast.Name | ast.Parameter | null, values: Values): string | null {
  if (name === null) return null;
  if ('text' in name) return checkedName(name);
  const text = values.text(name);
  if (text === '') throw invalid('a stream name cannot be empty', name.position);
  checkLength(text, name.position);
  return text;
}

function sourceRequest(source: ast.SourceNode, values: Values): SourceRequest {
  switch (source.kind) {
    case 'all-tables':
      return { kind: source.kind };
    case 'schemas':
      return { kind: source.kind, schemas: source.schemas.map(placedName) };
    case 'tables':
      return { kind: source.kind, items: source.items.map((item) => tableRequest(item, values)) };
  }
}

export function tableRequest({ table, columns, where }: ast.TableItem, values: Values): TableRequest {
  return {
    table: checkedTable(table),
    columns: columns?.map(placedName) ?? null,
    where: where === null ? null : values.predicate(where),
  };
}

/** 22023 for a bad URL, 0A000 for a kind that is not supported. */
export function analyzeDestination(destination: ast.DestinationNode, values: Values): Destination {
  const { kind, position } = destination;
  refuseNotYet('TO', { value: kind, position });
  switch (destination.kind) {
    case 'webhook':
      return { kind: 'webhook', url: values.url(destination.url) };
    case 'endpoint':
      return { kind: 'endpoint', name: checkedName(destination.name) };
    case 'kafka': {
      const brokers = values.text(destination.brokers);
      return { kind: 'kafka', brokers, topic: destination.topic === null ? null : values.text(destination.topic) };
    }
    case 'kinesis':
      throw new PgError('feature_not_supported', 'TO KINESIS is not supported', { position });
  }
}

export function analyzeTransform({ language, text }: ast.Transform, values: Values): PlacedTransform {
  return { language, text: values.text(text), position: text.position };
}
