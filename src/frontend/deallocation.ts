import { foldIdentifier } from '../postgres/identifier.ts';
import { Lexer, type LexerSettings, type Token } from '../sql/lexer.ts';
import type { SourceSpan } from '../sql/split.ts';

/** DEALLOCATE of a prepared statement of ours: the upstream does not know its name. */
export interface Deallocate {
  readonly kind: 'deallocate';
  readonly name: string;
}

/** Whether the word DEALLOCATE may be among the bytes. */
export function mayDeallocate(bytes: Buffer, start: number, end: number): boolean {
  return /deallocate/i.test(bytes.toString('latin1', start, end));
}

/**
 * The name in `DEALLOCATE [PREPARE] name`; null for any other statement, DEALLOCATE ALL among them.
 * https://www.postgresql.org/docs/current/sql-deallocate.html
 */
export function deallocatedName(text: string, span: SourceSpan, settings: LexerSettings): string | null {
  const lexer = new Lexer(text, settings, span.start, span.end);
  if (wordOf(text, lexer.next()) !== 'deallocate') return null;
  let token = lexer.next();
  let next = lexer.next();
  // PREPARE is a name itself where nothing follows it.
  if (wordOf(text, token) === 'prepare' && next.kind !== 'end') {
    token = next;
    next = lexer.next();
  }
  if (next.kind !== 'end' || token.malformed) return null;
  if (token.kind === 'quoted-word') return text.slice(token.start + 1, token.end - 1).replaceAll('""', '"');
  const word = wordOf(text, token);
  return word === '' || word === 'all' ? null : word;
}

function wordOf(text: string, { kind, start, end }: Token): string {
  return kind === 'word' ? foldIdentifier(text.slice(start, end)) : '';
}
