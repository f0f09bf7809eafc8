import type { ArithmeticOperator, CompareOperator, PredicateFunction, PredicateNode } from '../../model/predicate.ts';
import { type Collation, DATABASE_COLLATION, type Expression, type Expressions } from './expression.ts';
import { BOOL, commonNumber, describe, elementOf, INT4, isCollatable, isFloat, isInteger } from './types.ts';
import { isNumber, isText, sameType, scalar, type SqlType, TEXT, valueType } from './types.ts';

/*
  Which operator Postgres takes for which types, for the types that predicates know.
  https://www.postgresql.org/docs/current/typeconv-oper.html
*/

export const COMPARE_OPERATORS: ReadonlySet<string> = new Set(['=', '<>', '<', '<=', '>', '>=']);
export const ARITHMETIC_OPERATORS: ReadonlySet<string> = new Set(['+', '-', '*', '/', '%']);

export class Operators {
  readonly #make: Expressions;

  constructor(make: Expressions) {
    this.#make = make;
  }

  #noOperator(name: string, left: SqlType | null, right: SqlType | null, location: number | undefined): Error {
    const what = `operator does not exist: ${describe(left)} ${name} ${describe(right)}`;
    return this.#make.source.error('undefined_function', location, what, {
      hint: 'You might need to add explicit type casts.',
    });
  }

  /** `left operator right`, a comparison. */
  compare(operator: CompareOperator, left: Expression, right: Expression, location: number | undefined): Expression {
    const [a, b] = this.comparable(operator, left, right, location);
    const node: PredicateNode = { node: 'compare', operator, left: a.node, right: b.node, type: valueType(BOOL) };
    return this.#make.strict(node, BOOL, location, null, [a, b]);
  }

  /** Both sides in the type that they are compared in. */
  comparable(
    operator: CompareOperator,
    left: Expression,
    right: Expression,
    location: number | undefined,
  ): readonly [Expression, Expression] {
    const type = this.#comparedType(operator, left.type, right.type, location);
    const a = this.#make.coerce(left, type, true);
    const b = this.#make.coerce(right, type, true);
    this.checkComparison(operator, type, this.#make.mergedCollation([a, b]), location);
    return [a, b];
  }

  #comparedType(
    operator: CompareOperator,
    left: SqlType | null,
    right: SqlType | null,
    location: number | undefined,
  ): SqlType {
    if (left === null || right === null) {
      const type = left ?? right ?? TEXT;
      return type.name === 'varchar' && !type.array ? TEXT : type;
    }
    if (isNumber(left) && isNumber(right)) return commonNumber(left, right);
    if (isText(left) && isText(right)) {
      const blank = left.name === 'bpchar' || right.name === 'bpchar';
      return blank && left.name !== 'text' && right.name !== 'text' ? scalar('bpchar') : TEXT;
    }
    if (sameType(left, right)) return left;
    const dated = [left, right].map(({ name, array }) => (array ? '' : name));
    if (dated.every((name) => name === 'date' || name === 'timestamp')) return scalar('timestamp');
    if (dated.every((name) => name === 'date' || name === 'timestamp' || name === 'timestamptz')) {
      throw this.#make.source.error(
        'invalid_object_definition',
        location,
        `the operator ${describe(left)} ${operator} ${describe(right)} is not immutable`,
        { detail: "Its result depends on the session's time zone." },
      );
    }
    throw this.#noOperator(operator, left, right, location);
  }

  /** Refuses what Postgres cannot compare, and what only Postgres can. */
  checkComparison(
    operator: CompareOperator,
    type: SqlType,
    known: Collation | null,
    location: number | undefined,
  ): void {
    const { source } = this.#make;
    const collation = known ?? DATABASE_COLLATION;
    const ordering = operator !== '=' && operator !== '<>';
    if (type.name === 'json') throw this.#noOperator(operator, type, type, location);
    if (ordering && (type.array || type.name === 'jsonb')) {
      throw source.error('feature_not_supported', location, `a predicate cannot order ${describe(type)}`);
    }
    if (!isCollatable(type)) return;
    this.checkCollation(collation, location);
    if (ordering && !collation.bytewise) {
      throw source.error('feature_not_supported', location, 'a predicate cannot order text by a language’s rules', {
        detail: `The collation is "${collation.name}".`,
        hint: `Compare bytewise: write COLLATE "C" behind the column.`,
      });
    }
  }

  checkCollation(collation: Collation, location: number | undefined): void {
    if (collation.strength === 'conflict') {
      throw this.#make.source.error(
        'indeterminate_collation',
        location,
        'could not determine which collation to use for string comparison',
        { hint: 'Use the COLLATE clause to set the collation explicitly.' },
      );
    }
    if (!collation.deterministic) {
      throw this.#make.source.error(
        'feature_not_supported',
        location,
        'a predicate cannot compare text under a nondeterministic collation',
        { detail: `The collation is "${collation.name}".`, hint: 'Write COLLATE "C" behind the column.' },
      );
    }
  }

  arithmetic(
    operator: ArithmeticOperator,
    left: Expression,
    right: Expression,
    location: number | undefined,
  ): Expression {
    const dates = this.#dateArithmetic(operator, left, right, location);
    if (dates !== null) return dates;
    const a = left.type ?? right.type;
    const b = right.type ?? left.type;
    if (a === null || b === null || !isNumber(a) || !isNumber(b)) {
      throw this.#noOperator(operator, left.type, right.type, location);
    }
    const type = commonNumber(a, b);
    if (operator === '%' && isFloat(type)) throw this.#noOperator(operator, left.type, right.type, location);
    const parts = [this.#make.coerce(left, type), this.#make.coerce(right, type)] as const;
    const node: PredicateNode = {
      node: 'arithmetic',
      operator,
      left: parts[0].node,
      right: parts[1].node,
      type: valueType(type),
    };
    return this.#make.strict(node, type, location, null, parts);
  }

  /** date + integer, integer + date, date - integer, date - date; null for anything else. */
  #dateArithmetic(
    operator: ArithmeticOperator,
    left: Expression,
    right: Expression,
    location: number | undefined,
  ): Expression | null {
    const isDate = ({ type }: Expression): boolean => type?.name === 'date' && !type.array;
    const isDays = ({ type }: Expression): boolean => type !== null && isInteger(type) && type.name !== 'int8';
    const date = scalar('date');
    if (operator === '+' && isDate(left) && isDays(right)) {
      return this.call('date-plus-days', [left, this.#make.coerce(right, INT4)], date, location);
    }
    if (operator === '+' && isDays(left) && isDate(right)) {
      return this.call('date-plus-days', [right, this.#make.coerce(left, INT4)], date, location);
    }
    if (operator !== '-') return null;
    if (isDate(left) && isDays(right)) {
      return this.call('date-minus-days', [left, this.#make.coerce(right, INT4)], date, location);
    }
    const both = (isDate(left) || left.type === null) && (isDate(right) || right.type === null);
    if (!both || (left.type === null && right.type === null)) return null;
    const parts = [this.#make.coerce(left, date), this.#make.coerce(right, date)];
    return this.call('date-minus-date', parts, INT4, location);
  }

  /** A strict function of `parts`, whose types are right. */
  call(name: PredicateFunction, parts: readonly Expression[], type: SqlType, location: number | undefined): Expression {
    const node: PredicateNode = {
      node: 'call',
      function: name,
      arguments: parts.map((part) => part.node),
      type: valueType(type),
    };
    const collation = isCollatable(type) ? (this.#make.mergedCollation(parts) ?? DATABASE_COLLATION) : null;
    return this.#make.strict(node, type, location, collation, parts);
  }

  /** `-x` and `+x`. */
  sign(operator: '+' | '-', part: Expression, location: number | undefined): Expression {
    if (part.type === null || !isNumber(part.type)) {
      const what = `operator does not exist: ${operator} ${describe(part.type)}`;
      throw this.#make.source.error('undefined_function', location, what);
    }
    return operator === '+' ? part : this.call('negate', [part], part.type, location);
  }

  concat(left: Expression, right: Expression, location: number | undefined): Expression {
    const textual = ({ type }: Expression): boolean => type === null || isText(type);
    if (textual(left) && textual(right)) {
      return this.call('concat', [this.#make.coerce(left, TEXT), this.#make.coerce(right, TEXT)], TEXT, location);
    }
    if ((textual(left) && left.type !== null) || (textual(right) && right.type !== null)) {
      throw this.#make.source.error(
        'invalid_object_definition',
        location,
        `the operator ${describe(left.type)} || ${describe(right.type)} is not immutable`,
        { hint: 'Cast both sides to text.' },
      );
    }
    const what = `a predicate cannot compute ${describe(left.type)} || ${describe(right.type)}`;
    throw this.#make.source.error('feature_not_supported', location, what);
  }

  /** `[NOT] [I]LIKE`; `operator` as the parser has it. */
  like(operator: string, left: Expression, right: Expression, location: number | undefined): Expression {
    const textual = ({ type }: Expression): boolean => type === null || isText(type);
    if (!textual(left) || !textual(right)) throw this.#noOperator(operator, left.type, right.type, location);
    // Of a character(n) the blanks at the end count here.
    const text = left.type?.name === 'bpchar' ? left : this.#make.coerce(left, TEXT);
    const parts = [text, this.#make.coerce(right, TEXT)];
    const collation = this.#make.mergedCollation(parts) ?? DATABASE_COLLATION;
    this.checkCollation(collation, location);
    const ignoresCase = operator.endsWith('*');
    if (ignoresCase) this.checkCase('ILIKE', collation, location);
    const matched = this.call(ignoresCase ? 'ilike' : 'like', parts, BOOL, location);
    return operator.startsWith('!') ? this.not(matched, location) : matched;
  }

  checkCase(what: string, collation: Collation, location: number | undefined): void {
    if (collation.asciiCase) return;
    throw this.#make.source.error(
      'feature_not_supported',
      location,
      `a predicate cannot compute ${what} by a language’s rules`,
      {
        detail: `The collation is "${collation.name}".`,
        hint: 'Write COLLATE "C" behind the column: then case is that of ASCII.',
      },
    );
  }

  not(part: Expression, location: number | undefined): Expression {
    const inner = this.#make.boolean(part, 'NOT');
    const node: PredicateNode = { node: 'not', argument: inner.node, type: valueType(BOOL) };
    return this.#make.strict(node, BOOL, location, null, [inner]);
  }

  /** `->` and `->>`. */
  access(operator: '->' | '->>', left: Expression, right: Expression, location: number | undefined): Expression {
    const document = left.type;
    const selector = right.type;
    if (document === null || document.array || (document.name !== 'json' && document.name !== 'jsonb')) {
      throw this.#noOperator(operator, document, selector, location);
    }
    const result = operator === '->' ? document : TEXT;
    const suffix = operator === '->' ? '' : '-text';
    if (selector === null || isText(selector)) {
      return this.call(`field${suffix}`, [left, this.#make.coerce(right, TEXT)], result, location);
    }
    if (isInteger(selector) && selector.name !== 'int8') {
      return this.call(`element${suffix}`, [left, this.#make.coerce(right, INT4)], result, location);
    }
    throw this.#noOperator(operator, document, selector, location);
  }

  /** `left @> right`. */
  contains(left: Expression, right: Expression, location: number | undefined): Expression {
    const type = left.type ?? right.type;
    const other = right.type ?? left.type;
    const fits = type !== null && other !== null && sameType(type, other);
    if (!fits || !(type.array || type.name === 'jsonb')) {
      throw this.#noOperator('@>', left.type, right.type, location);
    }
    const parts = [this.#make.coerce(left, type), this.#make.coerce(right, type)];
    if (type.array) this.checkComparison('=', elementOf(type), this.#make.mergedCollation(parts), location);
    return this.call('contains', parts, BOOL, location);
  }
}
