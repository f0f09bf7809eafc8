import type { A_Const, A_Expr, BoolExpr, BooleanTest, FuncCall, TypeCast } from 'libpg-query';
import type { CompareOperator, PredicateNode } from '../../model/predicate.ts';
import { type ColumnScope, explicitCollation } from './column.ts';
import { type Expression, Expressions } from './expression.ts';
import { Functions } from './functions.ts';
import { ARITHMETIC_OPERATORS, COMPARE_OPERATORS, Operators } from './operators.ts';
import type { Node, PredicateSource } from './parse.ts';
import { Sets } from './sets.ts';
import { readTypeName } from './type-names.ts';
import { BOOL, describe, elementOf, isCollatable, scalar, valueType } from './types.ts';

/** Deeper is refused with 54001: so deep nests no filter that a person has written. */
const MAX_DEPTH = 400;

/** From the parser's tree to typed nodes, by Postgres's rules of types; everything that is not allowed is a `PgError`. */
export class Checker {
  readonly #source: PredicateSource;
  readonly #scope: ColumnScope;
  readonly #make: Expressions;
  readonly #operators: Operators;
  readonly #functions: Functions;
  readonly #sets: Sets;
  #depth = 0;

  constructor(source: PredicateSource, scope: ColumnScope) {
    this.#source = source;
    this.#scope = scope;
    this.#make = new Expressions(source);
    this.#operators = new Operators(this.#make);
    this.#functions = new Functions(this.#make, this.#operators);
    this.#sets = new Sets(this.#make, this.#operators);
  }

  /** The predicate itself. */
  predicate(node: Node, clause: string): Expression {
    return this.#make.boolean(this.#expression(node), clause);
  }

  readonly #expression = (node: Node): Expression => {
    if (++this.#depth > MAX_DEPTH) {
      throw this.#source.error('statement_too_complex', undefined, `predicate nests deeper than ${MAX_DEPTH} levels`);
    }
    const expression = this.#read(node);
    this.#depth--;
    return expression;
  };

  #required(node: Node | undefined, location: number | undefined): Expression {
    if (node === undefined) throw this.#source.error('syntax_error', location, 'an operand is missing');
    return this.#expression(node);
  }

  #read(node: Node): Expression {
    if ('ColumnRef' in node) return this.#column(node.ColumnRef.fields ?? [], node.ColumnRef.location);
    if ('A_Const' in node) return this.#constant(node.A_Const);
    if ('A_Expr' in node) return this.#operation(node.A_Expr);
    if ('BoolExpr' in node) return this.#junction(node.BoolExpr);
    if ('BooleanTest' in node) return this.#booleanTest(node.BooleanTest);
    if ('NullTest' in node) {
      const { arg, nulltesttype, location } = node.NullTest;
      return this.#isNull(this.#required(arg, location), nulltesttype === 'IS_NOT_NULL', location);
    }
    if ('TypeCast' in node) return this.#cast(node.TypeCast);
    if ('CollateClause' in node) {
      const { arg, collname, location } = node.CollateClause;
      return this.#collate(this.#required(arg, location), (collname ?? []).map(nameOf), location);
    }
    if ('FuncCall' in node) return this.#call(node.FuncCall);
    if ('CoalesceExpr' in node) {
      const { args, location } = node.CoalesceExpr;
      return this.#functions.coalesce((args ?? []).map(this.#expression), location);
    }
    if ('A_ArrayExpr' in node) {
      const { elements, location } = node.A_ArrayExpr;
      return this.#sets.array((elements ?? []).map(this.#expression), null, location);
    }
    throw this.#refused(node);
  }

  #refused(node: Node): Error {
    const [kind, fields] = Object.entries(node)[0] as [string, { location?: number }];
    const { location } = fields;
    if (kind === 'SubLink') {
      return this.#source.error('invalid_object_definition', location, 'a predicate cannot have a sub-query');
    }
    if (kind === 'SQLValueFunction') {
      return this.#source.error('invalid_object_definition', location, 'a predicate has immutable functions only');
    }
    if (kind === 'ParamRef') {
      return this.#source.error('undefined_parameter', location, 'a predicate cannot have parameters');
    }
    return this.#source.error('feature_not_supported', location, `a predicate cannot have this: ${kind}`);
  }

  #column(fields: readonly Node[], location: number | undefined): Expression {
    if (fields.some((field) => !('String' in field))) {
      throw this.#source.error('feature_not_supported', location, 'a predicate cannot use whole rows');
    }
    return this.#scope.find(fields.map(nameOf), location);
  }

  #constant(constant: A_Const): Expression {
    const { location } = constant;
    if (constant.isnull === true) return this.#make.literal(null, location);
    if (constant.ival !== undefined)
      return this.#make.constant(String(constant.ival.ival ?? 0), scalar('int4'), location);
    if (constant.fval !== undefined) return this.#number(constant.fval.fval ?? '0', location);
    if (constant.boolval !== undefined) {
      return this.#make.constant(constant.boolval.boolval === true ? 't' : 'f', BOOL, location);
    }
    if (constant.sval !== undefined) return this.#make.literal(constant.sval.sval ?? '', location);
    throw this.#source.error('feature_not_supported', location, 'a predicate cannot have bit strings');
  }

  /** A whole number is of the smallest of int4, int8 and numeric that holds it. */
  #number(text: string, location: number | undefined): Expression {
    if (!/^-?(?:\d[\d_]*|0[xXoObB][\da-fA-F_]+)$/.test(text))
      return this.#make.constant(text, scalar('numeric'), location);
    const digits = text.replaceAll('_', '').replace('-', '');
    const magnitude = digits.length > 70 ? 2n ** 65n : BigInt(digits);
    const value = text.startsWith('-') ? -magnitude : magnitude;
    for (const [name, bits] of [
      ['int4', 31n],
      ['int8', 63n],
    ] as const) {
      if (value < 1n << bits && value >= -(1n << bits))
        return this.#make.constant(String(value), scalar(name), location);
    }
    return this.#make.constant(text, scalar('numeric'), location);
  }

  #operation(raw: A_Expr): Expression {
    const { location, lexpr, rexpr } = raw;
    const names = (raw.name ?? []).map(nameOf);
    const operator = names.at(-1) ?? '';
    const left = (): Expression => this.#required(lexpr, location);
    const right = (): Expression => this.#required(rexpr, location);
    const items = (): Expression[] => {
      if (rexpr === undefined || !('List' in rexpr)) return [];
      return (rexpr.List.items ?? []).map(this.#expression);
    };
    switch (raw.kind) {
      case 'AEXPR_OP':
        if (names.length > 1 && names[0] !== 'pg_catalog') break;
        if (lexpr === undefined) return this.#prefix(operator, right(), location);
        return this.#infix(operator, left(), right(), location);
      case 'AEXPR_LIKE':
      case 'AEXPR_ILIKE':
        return this.#operators.like(operator, left(), right(), location);
      case 'AEXPR_IN':
        return this.#sets.isIn(operator === '<>', left(), items(), location);
      case 'AEXPR_OP_ANY':
      case 'AEXPR_OP_ALL':
        return this.#sets.quantified(operator, raw.kind === 'AEXPR_OP_ALL', left(), right(), location);
      case 'AEXPR_DISTINCT':
      case 'AEXPR_NOT_DISTINCT':
        return this.#distinct(raw.kind === 'AEXPR_NOT_DISTINCT', left(), right(), location);
      case 'AEXPR_NULLIF':
        return this.#functions.nullif(left(), right(), location);
      case 'AEXPR_BETWEEN':
      case 'AEXPR_NOT_BETWEEN':
      case 'AEXPR_BETWEEN_SYM':
      case 'AEXPR_NOT_BETWEEN_SYM':
        return this.#between(raw.kind, left(), items(), location);
      case 'AEXPR_SIMILAR':
      case undefined:
    }
    throw this.#source.error(
      'feature_not_supported',
      location,
      `a predicate cannot have the operator ${operator} here`,
    );
  }

  #prefix(operator: string, operand: Expression, location: number | undefined): Expression {
    if (operator === '-' || operator === '+') return this.#operators.sign(operator, operand, location);
    throw this.#unknownOperator(operator, location);
  }

  #unknownOperator(operator: string, location: number | undefined): Error {
    return this.#source.error('undefined_function', location, `a predicate does not know the operator ${operator}`);
  }

  #infix(operator: string, left: Expression, right: Expression, location: number | undefined): Expression {
    const name = operator === '!=' ? '<>' : operator;
    if (COMPARE_OPERATORS.has(name)) return this.#operators.compare(name as CompareOperator, left, right, location);
    if (ARITHMETIC_OPERATORS.has(name)) return this.#operators.arithmetic(name as '+', left, right, location);
    switch (name) {
      case '||':
        return this.#operators.concat(left, right, location);
      case '->':
      case '->>':
        return this.#operators.access(name, left, right, location);
      case '@>':
        return this.#operators.contains(left, right, location);
      case '<@':
        return this.#operators.contains(right, left, location);
      case '~~':
      case '!~~':
      case '~~*':
      case '!~~*':
        return this.#operators.like(name, left, right, location);
      default:
        throw this.#unknownOperator(operator, location);
    }
  }

  #junction(raw: BoolExpr): Expression {
    const { location } = raw;
    const parts = (raw.args ?? []).map(this.#expression);
    if (raw.boolop === 'NOT_EXPR') return this.#operators.not(parts[0]!, location);
    return this.#sets.junction(raw.boolop === 'AND_EXPR' ? 'and' : 'or', parts, location);
  }

  #booleanTest(raw: BooleanTest): Expression {
    const { location } = raw;
    const clause = (raw.booltesttype ?? '').replaceAll('_', ' ');
    const argument = this.#make.boolean(this.#required(raw.arg, location), clause);
    const negated = clause.startsWith('IS NOT');
    if (clause.endsWith('UNKNOWN')) return this.#isNull(argument, negated, location);
    const node: PredicateNode = {
      node: 'is',
      value: clause.endsWith('TRUE'),
      argument: argument.node,
      type: valueType(BOOL),
    };
    const test = this.#make.made(node, BOOL, location, null, [argument]);
    return negated ? this.#operators.not(test, location) : test;
  }

  #isNull(argument: Expression, negated: boolean, location: number | undefined): Expression {
    const node: PredicateNode = { node: 'is-null', argument: argument.node, type: valueType(BOOL) };
    const test = this.#make.made(node, BOOL, location, null, [argument]);
    return negated ? this.#operators.not(test, location) : test;
  }

  #distinct(negated: boolean, left: Expression, right: Expression, location: number | undefined): Expression {
    // Against NULL as written it is a test of null, which every type has.
    const isNull = ({ type, constant }: Expression): boolean => type === null && constant === null;
    if (isNull(right)) return this.#isNull(left, !negated, location);
    if (isNull(left)) return this.#isNull(right, !negated, location);
    const [a, b] = this.#operators.comparable('=', left, right, location);
    const node: PredicateNode = { node: 'distinct', left: a.node, right: b.node, type: valueType(BOOL) };
    const test = this.#make.made(node, BOOL, location, null, [a, b]);
    return negated ? this.#operators.not(test, location) : test;
  }

  #between(kind: string, value: Expression, bounds: readonly Expression[], location: number | undefined): Expression {
    const [low, high] = bounds;
    if (low === undefined || high === undefined) {
      throw this.#source.error('syntax_error', location, 'BETWEEN has two bounds');
    }
    const within = (from: Expression, to: Expression): Expression =>
      this.#sets.junction(
        'and',
        [this.#operators.compare('>=', value, from, location), this.#operators.compare('<=', value, to, location)],
        location,
      );
    const forward = within(low, high);
    const test = kind.endsWith('SYM') ? this.#sets.junction('or', [forward, within(high, low)], location) : forward;
    return kind.includes('NOT') ? this.#operators.not(test, location) : test;
  }

  #cast(raw: TypeCast): Expression {
    const { location } = raw;
    if (raw.typeName === undefined || raw.arg === undefined) {
      throw this.#source.error('syntax_error', location, 'a cast has a value and a type');
    }
    const { type, modifier } = readTypeName(raw.typeName, this.#source);
    // An array in brackets takes the type for its items.
    if (type.array && 'A_ArrayExpr' in raw.arg) {
      const { elements, location: at } = raw.arg.A_ArrayExpr;
      return this.#sets.array((elements ?? []).map(this.#expression), elementOf(type), at);
    }
    const argument = this.#expression(raw.arg);
    if (argument.type !== null) return this.#make.cast(argument, type, location, modifier);
    const constant = this.#make.coerce(argument, type);
    return modifier < 0 ? constant : this.#make.cast(constant, type, location, modifier);
  }

  #collate(argument: Expression, names: readonly string[], location: number | undefined): Expression {
    if (argument.type !== null && !isCollatable(argument.type)) {
      const message = `collations are not supported by type ${describe(argument.type)}`;
      throw this.#source.error('datatype_mismatch', location, message);
    }
    const collation = names.length === 1 || names[0] === 'pg_catalog' ? explicitCollation(names.at(-1) ?? '') : null;
    if (collation === null) {
      throw this.#source.error(
        'feature_not_supported',
        location,
        `a predicate cannot have COLLATE "${names.join('.')}"`,
        {
          hint: 'Write COLLATE "C".',
        },
      );
    }
    return { ...argument, collation };
  }

  #call(raw: FuncCall): Expression {
    const names = (raw.funcname ?? []).map(nameOf);
    const special =
      raw.agg_star === true || raw.agg_distinct === true || raw.over !== undefined || raw.agg_filter !== undefined;
    if (special || (raw.agg_order ?? []).length > 0 || raw.func_variadic === true) {
      throw this.#source.error('invalid_object_definition', raw.location, 'a predicate cannot have aggregates');
    }
    this.#functions.checkName(names, raw.location);
    return this.#functions.call(names.at(-1)!, (raw.args ?? []).map(this.#expression), raw.location);
  }
}

function nameOf(node: Node): string {
  return 'String' in node ? (node.String.sval ?? '') : '';
}
