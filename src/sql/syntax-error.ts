import { PgError } from '../postgres/sqlstate.ts';
import { nearest } from './nearest.ts';
import type { PlacedToken, Skeleton } from './skeleton.ts';
import { beginsStatement, STATEMENTS } from './statements.ts';

/** Where the grammar stopped, and the display names of what it would have taken there. */
export interface Failure {
  readonly offset: number;
  readonly expected: readonly string[];
}

/** More of an offending token than this is not repeated to the client. */
const MAX_SHOWN = 200;

/** `at or near "…"` as Postgres ends its messages. */
export function atOrNear(skeleton: Skeleton, token: PlacedToken): string {
  if (token.kind === 'end') return 'at end of input';
  const shown = skeleton.source.slice(token.start, Math.min(token.end, token.start + MAX_SHOWN));
  return `at or near "${shown}${token.end - token.start > MAX_SHOWN ? '…' : ''}"`;
}

/** The error 42601 as Postgres words it, at the offending token, with a HINT of what would be right. */
export function syntaxError(skeleton: Skeleton, failure: Failure): PgError {
  const token = skeleton.tokenAt(failure.offset);
  return new PgError('syntax_error', `${complaint(skeleton, token)} ${atOrNear(skeleton, token)}`, {
    position: token.position,
    hint: hintOf(skeleton, token, failure.expected),
  });
}

/** What Postgres's scanner says of a token that is none. */
function complaint(skeleton: Skeleton, token: PlacedToken): string {
  if (!token.malformed) return 'syntax error';
  switch (token.kind) {
    case 'quoted-word':
    case 'unicode-word':
      return 'unterminated quoted identifier';
    case 'dollar-string':
      return 'unterminated dollar-quoted string';
    case 'bit-string':
      return (skeleton.source.codePointAt(token.start)! | 0x20) === 0x62
        ? 'unterminated bit string literal'
        : 'unterminated hexadecimal string literal';
    case 'comment':
      return 'unterminated /* comment';
    case 'number':
      return 'trailing junk after numeric literal';
    case 'parameter':
      return 'trailing junk after parameter';
    case 'string':
    case 'escape-string':
    case 'unicode-string':
    case 'national-string':
    case 'word':
    case 'operator':
    case 'punctuation':
    case 'other':
    case 'end':
      return 'unterminated quoted string';
  }
}

function hintOf(skeleton: Skeleton, token: PlacedToken, expected: readonly string[]): string | undefined {
  if (token.malformed) return undefined;
  const keywords = expected.filter((name) => /^[A-Z]+$/.test(name));
  if (token.kind === 'word') {
    const near = nearest(skeleton.source.slice(token.start, token.end), keywords);
    if (near !== null) return `did you mean "${near}"?`;
  }
  if (!beginsStatement(skeleton.text.slice(0, token.start))) return `The statements are ${STATEMENTS.join(', ')}.`;
  if (token.kind === 'quoted-word' && expected.includes('a string')) {
    return 'expected a string, in single quotes: double quotes are for names';
  }
  return expected.length === 0 ? undefined : `expected ${list(expected)}`;
}

/** `A`, `A or B`, `A, B or C`, punctuation in quotes. */
function list(expected: readonly string[]): string {
  const names = expected.map((name) => (/[a-z]/i.test(name) ? name : `"${name}"`));
  return names.length === 1 ? names[0]! : `${names.slice(0, -1).join(', ')} or ${names.at(-1)!}`;
}
