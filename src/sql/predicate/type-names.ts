import type { TypeName as RawTypeName } from 'libpg-query';
import type { Node, PredicateSource } from './parse.ts';
import { describe, type SqlType, typeOfName } from './types.ts';

/** A type as a cast names it, and its type modifier, -1 for none. */
export interface NamedType {
  readonly type: SqlType;
  readonly modifier: number;
}

/** `VARHDRSZ`: what type modifiers of lengths are counted from. */
const HEADER = 4;
const MAX_LENGTH = 10_485_760;
const MAX_PRECISION = 1000;

/** What the parser's `raw` names: 0A000 for a type that predicates do not know, 22023 for a modifier that cannot be. */
export function readTypeName(raw: RawTypeName, source: PredicateSource): NamedType {
  const names = (raw.names ?? []).map(stringOf);
  const name = names.at(-1) ?? '';
  const builtIn = names.length === 1 || (names.length === 2 && names[0] === 'pg_catalog');
  const type = builtIn && raw.setof !== true && raw.pct_type !== true ? typeOfName(name) : null;
  if (type === null) {
    throw source.error('feature_not_supported', raw.location, `a predicate cannot cast to ${names.join('.')}`);
  }
  const array = (raw.arrayBounds ?? []).length > 0;
  const modifiers = (raw.typmods ?? []).map((node) => integerOf(node, raw, source));
  return { type: { ...type, array }, modifier: modifierOf(type, array, modifiers, raw, source) };
}

function stringOf(node: Node): string {
  return 'String' in node ? (node.String.sval ?? '') : '';
}

function integerOf(node: Node, raw: RawTypeName, source: PredicateSource): number {
  if ('A_Const' in node && node.A_Const.ival !== undefined) return node.A_Const.ival.ival ?? 0;
  throw source.error('invalid_parameter_value', raw.location, 'type modifiers must be simple constants');
}

function modifierOf(
  type: SqlType,
  array: boolean,
  modifiers: readonly number[],
  raw: RawTypeName,
  source: PredicateSource,
): number {
  const fail = (message: string): Error => source.error('invalid_parameter_value', raw.location, message);
  const [first, second = 0] = modifiers;
  if (first === undefined) return -1;
  if (array) throw source.error('feature_not_supported', raw.location, 'a predicate cannot cast to a sized array type');
  if (type.name === 'numeric' && modifiers.length <= 2) {
    if (first < 1 || first > MAX_PRECISION) throw fail(`NUMERIC precision ${first} must be between 1 and 1000`);
    if (second < 0 || second > first) throw fail(`NUMERIC scale ${second} must be between 0 and precision ${first}`);
    return ((first << 16) | second) + HEADER;
  }
  if ((type.name === 'varchar' || type.name === 'bpchar') && modifiers.length === 1) {
    if (first < 1 || first > MAX_LENGTH) throw fail(`length for type ${describe(type)} must be between 1 and 10485760`);
    return first + HEADER;
  }
  const message = `a predicate cannot cast to ${describe(type)} with a modifier`;
  throw source.error('feature_not_supported', raw.location, message);
}
