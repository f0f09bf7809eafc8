import { quoteLiteral } from '../postgres/identifier.ts';
import type { Complain } from './constant.ts';
import { stringValue } from './constant.ts';
import { isWordPart } from './characters.ts';
import { Lexer } from './lexer.ts';
import type { PlacedToken, Skeleton } from './skeleton.ts';

/*
  src/sql/predicate*.ts read what predicates mean. Here they are only text.
*/

/**
 * The source from the first token to the last. A plain constant with a backslash becomes an escape string, whatever
 * `standard_conforming_strings` is here, so that the text has one meaning everywhere.
 */
export function predicateText(skeleton: Skeleton, tokens: readonly PlacedToken[], complain: Complain): string {
  const { source } = skeleton;
  const parts: string[] = [];
  let at = tokens[0]!.start;
  for (const token of tokens) {
    if (!hasPlainBackslash(source, token)) continue;
    parts.push(source.slice(at, token.start), quoteLiteral(stringValue(source, token, complain)));
    at = token.end;
  }
  parts.push(source.slice(at, tokens.at(-1)!.end));
  return parts.join('');
}

function hasPlainBackslash(source: string, token: PlacedToken): boolean {
  if (token.kind !== 'string' && token.kind !== 'escape-string') return false;
  return source[token.start] === "'" && source.slice(token.start, token.end).includes('\\');
}

/** The text with each `$n` replaced by the literal of its value, or NULL. */
export function bindPredicate(text: string, valueOf: (index: number) => string | null): string {
  const lexer = new Lexer(text, { standardConformingStrings: true });
  const parts: string[] = [];
  let at = 0;
  for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) {
    if (token.kind !== 'parameter') continue;
    const value = valueOf(Number(text.slice(token.start + 1, token.end)));
    parts.push(text.slice(at, token.start));
    // Nothing before it may become a part of the constant.
    if (isWordPart(text.charCodeAt(token.start - 1)) || text[token.start - 1] === "'") parts.push(' ');
    parts.push(value === null ? 'NULL' : quoteLiteral(value));
    if (isWordPart(text.charCodeAt(token.end)) || text[token.end] === "'") parts.push(' ');
    at = token.end;
  }
  parts.push(text.slice(at));
  return parts.join('');
}
