import { EvaluationError } from './evaluation-error.ts';

/*
  LIKE over whole characters, as `MatchText` of src/backend/utils/adt/like_match.c has it: also when it complains about a
  pattern that ends in its escape character, which it does only where it gets there.
*/

const MATCH = 1;
const NO_MATCH = 0;
/** The text came to its end before the pattern did: longer beginnings need not be tried. */
const ABORT = -1;

const PERCENT = 0x25;
const UNDERSCORE = 0x5f;
const BACKSLASH = 0x5c;

/** The code points of a text. */
export function codePoints(text: string): number[] {
  const points: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const point = text.codePointAt(at)!;
    if (point > 0xffff) at++;
    points.push(point);
  }
  return points;
}

export function like(text: string, pattern: string): boolean {
  return matchText(codePoints(text), 0, codePoints(pattern), 0) === MATCH;
}

function endsInEscape(): EvaluationError {
  return new EvaluationError('invalid_escape_sequence', 'LIKE pattern must not end with escape character');
}

function matchText(text: readonly number[], textAt: number, pattern: readonly number[], patternAt: number): number {
  let t = textAt;
  let p = patternAt;
  while (t < text.length && p < pattern.length) {
    const wanted = pattern[p]!;
    if (wanted === BACKSLASH) {
      p++;
      if (p >= pattern.length) throw endsInEscape();
      if (pattern[p] !== text[t]) return NO_MATCH;
    } else if (wanted === PERCENT) {
      return matchAfterPercent(text, t, pattern, p + 1);
    } else if (wanted !== UNDERSCORE && wanted !== text[t]) {
      return NO_MATCH;
    }
    t++;
    p++;
  }
  if (t < text.length) return NO_MATCH;
  while (p < pattern.length && pattern[p] === PERCENT) p++;
  return p >= pattern.length ? MATCH : ABORT;
}

function matchAfterPercent(text: readonly number[], textAt: number, pattern: readonly number[], patternAt: number) {
  let t = textAt;
  let p = patternAt;
  while (p < pattern.length) {
    if (pattern[p] === PERCENT) p++;
    else if (pattern[p] === UNDERSCORE) {
      if (t >= text.length) return ABORT;
      t++;
      p++;
    } else break;
  }
  if (p >= pattern.length) return MATCH;
  let first = pattern[p]!;
  if (first === BACKSLASH) {
    if (p + 1 >= pattern.length) throw endsInEscape();
    first = pattern[p + 1]!;
  }
  for (; t < text.length; t++) {
    if (text[t] !== first) continue;
    const matched = matchText(text, t, pattern, p);
    if (matched !== NO_MATCH) return matched;
  }
  return ABORT;
}

/** `like_escape`: the pattern with backslash for its escape character. */
export function likeEscape(pattern: string, escape: string): string {
  const escapes = codePoints(escape);
  if (escapes.length > 1) throw new EvaluationError('invalid_escape_sequence', 'invalid escape string');
  if (escapes.length === 0) return pattern.replaceAll('\\', '\\\\');
  if (escape === '\\') return pattern;
  let result = '';
  let escaped = false;
  for (const character of pattern) {
    if (character === escape && !escaped) {
      result += '\\';
      escaped = true;
    } else if (character === '\\') {
      result += escaped ? '\\' : '\\\\';
      escaped = false;
    } else {
      result += character;
      escaped = false;
    }
  }
  return result;
}

/** `lower` and `upper` under the collation C: ASCII alone. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (run) => run.toLowerCase());
}

export function asciiUpper(text: string): string {
  return text.replace(/[a-z]+/g, (run) => run.toUpperCase());
}
