import type { PredicateFunction, PredicateNode, ValueType } from '../model/predicate.ts';
import { absoluteOf, negationOf } from './arithmetic.ts';
import type { ArrayValue } from './array-text.ts';
import { checkDate } from './date-time.ts';
import { EvaluationError } from './evaluation-error.ts';
import { containsJson, jsonAsText, jsonElement, jsonField, type JsonNode, parseJson } from './json-document.ts';
import { asciiLower, asciiUpper, like, likeEscape } from './like.ts';
import { containsAll, type Scalar, type Value, withoutTrailingBlanks } from './values.ts';

/** A strict function: never called with null; may give null. */
export type Strict = (a: Value, b: Value) => Value | null;

/** The function that a call names, for the type of its first argument. */
export function functionOf(name: PredicateFunction, argument: ValueType): Strict {
  return MAKERS[name](argument);
}

type Maker = (argument: ValueType) => Strict;

const ofTexts =
  (compute: (a: string, b: string) => Scalar): Maker =>
  () =>
    compute as Strict;
const ofDays =
  (compute: (a: number, b: number) => Scalar): Maker =>
  () =>
    compute as Strict;

const MAKERS: Readonly<Record<PredicateFunction, Maker>> = {
  lower: ofTexts(asciiLower),
  upper: ofTexts(asciiUpper),
  concat: ofTexts((a, b) => a + b),
  like: ofTexts(like),
  ilike: ofTexts((text, pattern) => like(asciiLower(text), asciiLower(pattern))),
  'like-escape': ofTexts(likeEscape),
  length: lengthOf,
  abs: ({ kind }) => absoluteOf(kind) as Strict,
  negate: ({ kind }) => negationOf(kind) as Strict,
  contains: containment,
  field: ({ kind }) => jsonAccess(true, false, kind === 'jsonb'),
  'field-text': ({ kind }) => jsonAccess(true, true, kind === 'jsonb'),
  element: ({ kind }) => jsonAccess(false, false, kind === 'jsonb'),
  'element-text': ({ kind }) => jsonAccess(false, true, kind === 'jsonb'),
  'date-plus-days': ofDays((days, more) => shifted(days, more)),
  'date-minus-days': ofDays((days, less) => shifted(days, -less)),
  'date-minus-date': ofDays(daysBetween),
};

function lengthOf({ kind }: ValueType): Strict {
  if (kind === 'bytea') return ((hex: string) => hex.length / 2) as Strict;
  const count = (text: string): number => {
    let pairs = 0;
    for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) pairs++;
    return text.length - pairs;
  };
  return (kind === 'bpchar' ? (text: string) => count(withoutTrailingBlanks(text)) : count) as Strict;
}

function containment(type: ValueType): Strict {
  if (type.array) {
    const contains = containsAll(type);
    return ((a: ArrayValue<Scalar>, b: ArrayValue<Scalar>) => contains(a, b)) as Strict;
  }
  return ((a: string, b: string) => containsJson(parseJson(a), parseJson(b))) as Strict;
}

function shifted(days: number, more: number): number {
  return Number.isFinite(days) ? checkDate(days + more) : days;
}

function daysBetween(a: number, b: number): number {
  if (Number.isFinite(a) && Number.isFinite(b)) return a - b;
  throw new EvaluationError('datetime_field_overflow', 'cannot subtract infinite dates');
}

function jsonAccess(byKey: boolean, asText: boolean, binary: boolean): Strict {
  return (document, selector) => {
    const text = document as string;
    const root = parseJson(text);
    const found: JsonNode | null = byKey
      ? jsonField(root, selector as string)
      : jsonElement(root, selector as number, binary);
    if (found === null) return null;
    return asText ? jsonAsText(text, found) : text.slice(found.start, found.end);
  };
}

/** Whether a text constant stands here: the commonest comparison works on bytes then. */
export function textConstant(node: PredicateNode): string | null {
  return node.node === 'constant' && node.type.kind === 'text' && !node.type.array ? node.value : null;
}
