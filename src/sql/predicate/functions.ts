import type { PredicateFunction, PredicateNode } from '../../model/predicate.ts';
import { nearest } from '../../base/nearest.ts';
import { DATABASE_COLLATION, type Expression, type Expressions } from './expression.ts';
import type { Operators } from './operators.ts';
import {
  commonType,
  describe,
  INT4,
  isCollatable,
  isInteger,
  isNumber,
  isText,
  type SqlType,
  TEXT,
  valueType,
} from './types.ts';

/** The functions that a predicate may call, beside COALESCE and NULLIF, which are syntax. */
const ALLOWED: ReadonlySet<string> = new Set([
  'abs',
  'char_length',
  'character_length',
  'length',
  'like_escape',
  'lower',
  'upper',
]);

/** Functions that a trigger may have and a filter may not: their outcome hangs on more than the row. */
const NOT_IMMUTABLE: ReadonlySet<string> = new Set(
  (
    'now random clock_timestamp statement_timestamp transaction_timestamp timeofday nextval currval lastval setval ' +
    'gen_random_uuid uuidv4 uuidv7 txid_current pg_sleep pg_backend_pid current_setting set_config version age to_char ' +
    'to_date to_timestamp concat concat_ws format count sum avg min max bool_and bool_or every array_agg string_agg ' +
    'json_agg jsonb_agg row_number rank dense_rank lag lead first_value last_value nth_value ntile generate_series ' +
    'unnest jsonb_array_elements json_array_elements regexp_split_to_table'
  ).split(' '),
);

export class Functions {
  readonly #make: Expressions;
  readonly #operators: Operators;

  constructor(make: Expressions, operators: Operators) {
    this.#make = make;
    this.#operators = operators;
  }

  /** 42P17 for what is not immutable, a user's function among it, and 42883 for what is not known. */
  checkName(names: readonly string[], location: number | undefined): void {
    const name = names.at(-1)!;
    const builtIn = names.length === 1 || names[0] === 'pg_catalog';
    if (builtIn && ALLOWED.has(name)) return;
    const { source } = this.#make;
    if (!builtIn || NOT_IMMUTABLE.has(name)) {
      const message = `a predicate cannot call ${names.join('.')}(): only immutable built-in functions`;
      throw source.error('invalid_object_definition', location, message);
    }
    const near = nearest(name, [...ALLOWED, 'coalesce', 'nullif']);
    throw source.error('undefined_function', location, `a predicate does not know the function ${name}()`, {
      hint: near === null ? `It knows ${[...ALLOWED].join(', ')}, coalesce and nullif.` : `did you mean "${near}"?`,
    });
  }

  call(name: string, parts: readonly Expression[], location: number | undefined): Expression {
    const found = this.#resolve(name, parts, location);
    if (found !== null) return found;
    const signature = `${name}(${parts.map(({ type }) => describe(type)).join(', ')})`;
    throw this.#make.source.error('undefined_function', location, `function ${signature} does not exist`, {
      hint: 'You might need to add explicit type casts.',
    });
  }

  #resolve(name: string, parts: readonly Expression[], location: number | undefined): Expression | null {
    const [first, second] = parts;
    if (name === 'like_escape') return this.#likeEscape(first, second, location);
    if (first === undefined || parts.length > 1) return null;
    const { type } = first;
    if (name === 'abs') {
      return type !== null && isNumber(type) ? this.#operators.call('abs', [first], type, location) : null;
    }
    if (name === 'lower' || name === 'upper') {
      if (type !== null && !isText(type)) return null;
      const text = this.#make.coerce(first, TEXT);
      const collation = first.collation ?? DATABASE_COLLATION;
      this.#operators.checkCollation(collation, location);
      this.#operators.checkCase(`${name}()`, collation, location);
      return this.#operators.call(name, [text], TEXT, location);
    }
    if (type?.name === 'bytea' && !type.array && name === 'length') {
      return this.#operators.call('length', [first], INT4, location);
    }
    if (type !== null && !isText(type)) return null;
    const measured = type?.name === 'bpchar' ? first : this.#make.coerce(first, TEXT);
    return this.#operators.call('length', [measured], INT4, location);
  }

  /** What the parser makes of `LIKE … ESCAPE …`. */
  #likeEscape(
    pattern: Expression | undefined,
    escape: Expression | undefined,
    location: number | undefined,
  ): Expression | null {
    const textual = (part: Expression | undefined): part is Expression =>
      part !== undefined && (part.type === null || isText(part.type));
    if (!textual(pattern) || !textual(escape)) return null;
    const name: PredicateFunction = 'like-escape';
    const parts = [this.#make.coerce(pattern, TEXT), this.#make.coerce(escape, TEXT)];
    return this.#operators.call(name, parts, TEXT, location);
  }

  coalesce(parts: readonly Expression[], location: number | undefined): Expression {
    const { source } = this.#make;
    const type = commonType(parts.map((part) => part.type));
    if (type === null) {
      const types = parts.map((part) => describe(part.type)).join(' and ');
      throw source.error('datatype_mismatch', location, `COALESCE types ${types} cannot be matched`);
    }
    const coerced = parts.map((part) => this.#make.coerce(part, type));
    const collation = isCollatable(type) ? this.#make.mergedCollation(coerced) : null;
    // As Postgres does beforehand: NULLs go, and what follows a constant is never computed.
    const wanted: Expression[] = [];
    for (const part of coerced) {
      if (part.constant === null) continue;
      wanted.push(part);
      if (part.constant !== undefined) break;
    }
    if (wanted.length === 0) return { ...this.#make.constant(null, type, location), collation };
    if (wanted.length === 1) return { ...wanted[0]!, collation, location };
    const node: PredicateNode = { node: 'coalesce', arguments: wanted.map((part) => part.node), type: valueType(type) };
    return this.#make.made(node, type, location, collation, wanted);
  }

  nullif(left: Expression, right: Expression, location: number | undefined): Expression {
    const [a, b] = this.#operators.comparable('=', left, right, location);
    const value = keepsLeft(left.type, right.type) ? left : a;
    const type = value.type!;
    const collation = isCollatable(type) ? (this.#make.mergedCollation([a, b]) ?? DATABASE_COLLATION) : null;
    // With NULL as written there is nothing to compare, nor to compute on the other side.
    if (a.constant === null || b.constant === null) return { ...value, collation, location };
    const node: PredicateNode = {
      node: 'nullif',
      value: value.node,
      left: a.node,
      right: b.node,
      type: valueType(type),
    };
    return this.#make.made(node, type, location, collation, [a, b]);
  }
}

/** Whether Postgres has an `=` that takes the left side as it is, though the right one is of another type. */
function keepsLeft(left: SqlType | null, right: SqlType | null): boolean {
  if (left === null || right === null) return false;
  if (isInteger(left) && isInteger(right)) return true;
  if (left.name === 'float4' && isNumber(left) && isNumber(right)) return true;
  return !left.array && !right.array && left.name === 'date' && right.name === 'timestamp';
}
