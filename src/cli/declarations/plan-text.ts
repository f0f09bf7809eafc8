import type * as ast from '../../sql/ast.ts';
import { findOption, headerOf } from '../../sql/options.ts';
import { printStatement } from '../../sql/print.ts';
import { shownHeaders } from '../../model/header-rules.ts';
import { shownUrl } from './hidden.ts';

/** A statement of a plan as it may be printed: no secret is in it, nor a query value of a URL. */
export function shownStatement(statement: ast.DefiningStatement): string {
  return printStatement(rewrite(statement, { url: shownLiteral, option: shownOption, secret: (value) => value }));
}

/** The same as it is run: secrets are its bind parameters, since no printed statement has them. */
export function boundStatement(statement: ast.DefiningStatement): { readonly text: string; readonly values: string[] } {
  const values: string[] = [];
  const bind = <T extends ast.OptionValue>(value: T): T | ast.Parameter => {
    if (value.kind !== 'string') return value;
    values.push(value.value);
    return { kind: 'parameter', index: values.length, position: 1 };
  };
  const option = (given: ast.Option): ast.Option =>
    given.value !== null && findOption(given.name.text)?.type === 'secret'
      ? { ...given, value: bind(given.value) }
      : given;
  const text = printStatement(rewrite(statement, { url: (url) => url, option, secret: bind }));
  return { text, values };
}

interface Rewriting {
  readonly url: (url: ast.Literal) => ast.Literal;
  readonly option: (option: ast.Option) => ast.Option;
  readonly secret: (value: ast.Literal) => ast.Literal;
}

/** The statement with its URLs, options and secrets replaced. */
function rewrite(statement: ast.DefiningStatement, { url, option, secret }: Rewriting): ast.DefiningStatement {
  const destination = (node: ast.DestinationNode): ast.DestinationNode =>
    node.kind === 'webhook' ? { ...node, url: url(node.url) } : node;
  switch (statement.kind) {
    case 'create-stream':
      return {
        ...statement,
        destination: destination(statement.destination),
        options: statement.options.map(option),
      };
    case 'create-endpoint':
      return { ...statement, url: url(statement.url), options: statement.options.map(option) };
    case 'create-secret': {
      const { origin } = statement;
      return origin.kind === 'value' ? { ...statement, origin: { ...origin, value: secret(origin.value) } } : statement;
    }
    case 'alter-secret':
      return { ...statement, value: secret(statement.value) };
    case 'alter-stream': {
      const { action } = statement;
      if (action.kind === 'set-options')
        return { ...statement, action: { ...action, options: action.options.map(option) } };
      if (action.kind !== 'set-destination') return statement;
      return { ...statement, action: { ...action, destination: destination(action.destination) } };
    }
    case 'alter-endpoint': {
      const { action } = statement;
      if (action.kind === 'set-options')
        return { ...statement, action: { ...action, options: action.options.map(option) } };
      if (action.kind !== 'set-url') return statement;
      return { ...statement, action: { ...action, url: url(action.url), options: action.options.map(option) } };
    }
    case 'comment-on-stream':
    case 'drop-streams':
    case 'drop-endpoints':
    case 'drop-secrets':
      return statement;
  }
}

function shownLiteral(literal: ast.Literal): ast.Literal {
  return literal.kind === 'string' ? { ...literal, value: shownUrl(literal.value) } : literal;
}

function shownOption(option: ast.Option): ast.Option {
  const { name, value } = option;
  if (value?.kind !== 'string') return option;
  const header = headerOf(name.text);
  if (header !== null)
    return { ...option, value: { ...value, value: shownHeaders({ [header]: value.value })[header]! } };
  if (findOption(name.text)?.type !== 'json') return option;
  const headers = JSON.parse(value.value) as Record<string, string>;
  return { ...option, value: { ...value, value: JSON.stringify(shownHeaders(headers)) } };
}
