import { PgError } from '../postgres/sqlstate.ts';
import { nearest } from '../base/nearest.ts';
import type { PlacedToken, Skeleton } from './skeleton.ts';

/** Where the grammar stopped, and the display names of what it would have taken there. */
export interface Failure {
  readonly offset: number;
  readonly expected: readonly string[];
}

/** More of an offending token than this is not repeated to the client. */
const MAX_SHOWN = 200;

/**
 * `at or near "…"` as Postgres ends its messages; of a constant only its marks, since it may be a secret, and errors end up
 * in logs. So may what takes the place of one: `mayBeValue`.
 */
export function atOrNear(skeleton: Skeleton, token: PlacedToken, mayBeValue = false): string {
  if (token.kind === 'end') return 'at end of input';
  const text = skeleton.source.slice(token.start, token.end);
  const isHidden = HIDDEN.has(token.kind) || (token.kind === 'quoted-word' && (mayBeValue || token.malformed));
  if (isHidden) return `at or near "${marksOf(text, token.malformed)}"`;
  return `at or near "${text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text}"`;
}

const HIDDEN: ReadonlySet<PlacedToken['kind']> = new Set([
  'string',
  'escape-string',
  'unicode-string',
  'national-string',
  'dollar-string',
  'bit-string',
  'comment',
]);

/** `'…'`, `E'…'`, `$tag$…$tag$`; without the end where there is none. */
function marksOf(text: string, isOpen: boolean): string {
  const start = /^(?:[^'"$/]{0,2}['"]|\$[^$]*\$|\/\*)/.exec(text)?.[0] ?? '';
  const end = start.startsWith('$') ? start : start.slice(-1);
  return isOpen ? `${start}…` : `${start}…${end}`;
}

/** The error 42601 as Postgres words it, at the offending token, with a HINT of what would be right. */
export function syntaxError(skeleton: Skeleton, failure: Failure): PgError {
  const token = skeleton.tokenAt(failure.offset);
  const isValue = failure.expected.includes('a string');
  return new PgError('syntax_error', `${complaint(skeleton, token)} ${atOrNear(skeleton, token, isValue)}`, {
    position: token.position,
    hint: hintOf(skeleton, token, failure.expected),
  });
}

const MAX_NAME_SHOWN = 100;

/** A client's word, short enough for a message. */
export function shorten(text: string): string {
  return text.length > MAX_NAME_SHOWN ? `${text.slice(0, MAX_NAME_SHOWN)}…` : text;
}

/** The error 42601 of what the grammar takes and no statement means. */
export function syntaxFault(message: string, position: number | undefined, hint?: string): PgError {
  return new PgError('syntax_error', message, { position, hint });
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
  const keywords = expected.filter((name) => /^[A-Z_]+$/.test(name));
  if (token.kind === 'word') {
    const near = nearest(skeleton.source.slice(token.start, token.end), keywords);
    if (near !== null) return `did you mean "${near}"?`;
  }
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
