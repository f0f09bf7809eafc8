import type { CompareOperator, PredicateNode } from '../../model/predicate.ts';
import { DATABASE_COLLATION, type Expression, type Expressions } from './expression.ts';
import { COMPARE_OPERATORS, type Operators } from './operators.ts';
import { BOOL, commonType, describe, elementOf, isCollatable, sameType, type SqlType, valueType } from './types.ts';

/** AND and OR, arrays, and what compares a value with several. */
export class Sets {
  readonly #make: Expressions;
  readonly #operators: Operators;

  constructor(make: Expressions, operators: Operators) {
    this.#make = make;
    this.#operators = operators;
  }

  /** As Postgres does beforehand: a part that decides alone leaves nothing of the others, errors of theirs included. */
  junction(kind: 'and' | 'or', parts: readonly Expression[], location: number | undefined): Expression {
    const decides = kind === 'or';
    const checked = parts.map((part) => this.#make.boolean(part, kind.toUpperCase()));
    const decisive = checked.find(({ constant }) => constant === decides);
    if (decisive !== undefined) return this.#make.constant(decides ? 't' : 'f', BOOL, location);
    const open = checked.filter(({ constant }) => constant !== !decides);
    if (open.length === 0) return this.#make.constant(decides ? 'f' : 't', BOOL, location);
    if (open.length === 1) return open[0]!;
    const node: PredicateNode = { node: kind, arguments: open.map((part) => part.node), type: valueType(BOOL) };
    return this.#make.made(node, BOOL, location, null, open);
  }

  /** `ARRAY[…]`; `element` where a cast says of what. */
  array(items: readonly Expression[], element: SqlType | null, location: number | undefined): Expression {
    const { source } = this.#make;
    if (items.length === 0 && element === null) {
      throw source.error('datatype_mismatch', location, 'cannot determine type of empty array', {
        hint: 'Explicitly cast to the desired type, for example ARRAY[]::integer[].',
      });
    }
    const type = element ?? commonType(items.map((item) => item.type));
    if (type === null) {
      const types = items.map((item) => describe(item.type)).join(' and ');
      throw source.error('datatype_mismatch', location, `ARRAY types ${types} cannot be matched`);
    }
    if (type.array || items.some((item) => item.type?.array === true)) {
      throw source.error('feature_not_supported', location, 'a predicate cannot build an array of arrays');
    }
    if (element === null && items.some((item) => item.type?.domain === true)) {
      throw source.error('feature_not_supported', location, 'a predicate cannot build an array of a domain', {
        hint: 'Cast the array, or the column.',
      });
    }
    const coerced = items.map((item) =>
      item.type === null || element === null
        ? this.#make.coerce(item, type)
        : this.#make.cast(item, type, item.location, -1),
    );
    const array: SqlType = { ...type, array: true };
    const node: PredicateNode = { node: 'array', items: coerced.map((item) => item.node), type: valueType(array) };
    const collation = isCollatable(type) ? (this.#make.mergedCollation(coerced) ?? DATABASE_COLLATION) : null;
    return this.#make.made(node, array, location, collation, coerced);
  }

  /** `value operator ANY|ALL (set)`. */
  quantified(
    written: string,
    all: boolean,
    value: Expression,
    set: Expression,
    location: number | undefined,
  ): Expression {
    const operator = written === '!=' ? '<>' : written;
    const { source } = this.#make;
    if (!COMPARE_OPERATORS.has(operator)) {
      const message = `a predicate cannot have ${written} ${all ? 'ALL' : 'ANY'}`;
      throw source.error('feature_not_supported', location, message);
    }
    if (value.type?.array === true) {
      throw source.error('feature_not_supported', location, 'a predicate cannot look for an array in an array');
    }
    if (set.type !== null && !set.type.array) {
      const message = `op ANY/ALL (array) requires array on right side`;
      throw source.error('wrong_object_type', location, message);
    }
    const compare = operator as CompareOperator;
    const element = set.type === null ? null : elementOf(set.type);
    // What compares a value with one item compares it with each: a NULL stands for the item.
    const item: Expression = { ...this.#make.literal(null, location), type: element, collation: set.collation };
    const [left, right] = this.#operators.comparable(compare, value, item, location);
    const array: SqlType = { ...right.type!, array: true };
    const items = this.#asArray(set, array);
    const node: PredicateNode = {
      node: 'quantified',
      operator: compare,
      all,
      left: left.node,
      right: items.node,
      type: valueType(BOOL),
    };
    return this.#make.made(node, BOOL, location, null, [left, items]);
  }

  #asArray(set: Expression, array: SqlType): Expression {
    if (set.type === null) return this.#make.coerce(set, array);
    return sameType(set.type, array) ? set : this.#make.cast(set, array, set.location, -1, true);
  }

  /**
   * `value [NOT] IN (items)`. Postgres makes an array of the items without columns where there are two or more and a type
   * fits all, and compares each other one alone.
   */
  isIn(negated: boolean, value: Expression, items: readonly Expression[], location: number | undefined): Expression {
    const operator = negated ? '<>' : '=';
    const constants = items.filter(({ constant }) => constant !== undefined);
    const type = constants.length > 1 ? commonType([value.type, ...constants.map((item) => item.type)]) : null;
    const tests: Expression[] = [];
    const alone = type === null || type.array ? items : items.filter(({ constant }) => constant === undefined);
    if (alone.length < items.length) {
      const array = this.array(constants, type, location);
      tests.push(this.quantified(operator, negated, value, array, location));
    }
    for (const item of alone) tests.push(this.#operators.compare(operator, value, item, location));
    return tests.length === 1 ? tests[0]! : this.junction(negated ? 'and' : 'or', tests, location);
  }
}
