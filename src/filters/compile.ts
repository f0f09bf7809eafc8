import { assert } from '../base/assert.ts';
import {
  type CompareOperator,
  partsOf,
  type PredicateNode,
  type TypedPredicate,
  type ValueType,
} from '../model/predicate.ts';
import type { SQLSTATE } from '../postgres/sqlstate.ts';
import { arithmeticOf } from './arithmetic.ts';
import type { ArrayValue } from './array-text.ts';
import { castOf } from './casts.ts';
import { EvaluationError } from './evaluation-error.ts';
import { functionOf, type Strict, textConstant } from './functions.ts';
import { comparisonOf, decoderOf, equalityOf, inputOf, type Scalar, type Value } from './values.ts';

/** Where the columns of one tuple lie in the change's bytes; `formats/tuple.ts` has it so. */
export interface RowView {
  /** Offset of the column's text; -1 for null; less where the value was not sent. */
  readonly starts: ArrayLike<number>;
  /** Offset past the column's text. */
  readonly ends: ArrayLike<number>;
}

/** What stands where a value was not sent: an unchanged large one, or one that is not part of the replica identity. */
export const MISSING = Symbol('missing');

/**
 * What a predicate says of a change: true, false, null for SQL's unknown; `MISSING` where that hangs on a value that was
 * not sent; or the error that Postgres would have raised. Neither of the last two says that the row may be dropped.
 */
export type Verdict = boolean | null | typeof MISSING | PredicateFault;

export interface PredicateFault {
  readonly condition: keyof typeof SQLSTATE;
  /** Without any of the row's values. */
  readonly message: string;
}

/** `row`: the new image, the only one of a WHERE; `old` may be left out where the predicate reads none. */
export type Predicate = (data: Buffer, row: RowView, old?: RowView) => Verdict;

/** A column of the relation as the walsender has announced it. */
export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
}

/** The image that an operation does not have, OLD of an INSERT and NEW of a DELETE: null throughout, as in a trigger. */
export function absentRow(columnCount: number): RowView {
  return { starts: new Int32Array(columnCount).fill(-1), ends: new Int32Array(columnCount) };
}

type Result = Value | null | typeof MISSING;
type Evaluate = (data: Buffer, row: RowView, old: RowView) => Result;

const NO_ROW: RowView = { starts: [], ends: [] };
const NO_DATA = Buffer.alloc(0);

/**
 * The predicate as a closure over rows of a relation that has `columns`. Null where the relation has lost a column that
 * the predicate reads, or changed its type: the predicate must be typed anew then.
 */
export function compilePredicate(predicate: TypedPredicate, columns: readonly RelationColumn[]): Predicate | null {
  const indexes = new Map(columns.map(({ name }, i) => [name, i]));
  for (const { name, typeOid } of predicate.columns) {
    const index = indexes.get(name);
    if (index === undefined || columns[index]!.typeOid !== typeOid) return null;
  }
  const evaluate = compile(predicate.root, { indexes, known: knownValues(predicate.root) });
  return (data, row, old = NO_ROW) => {
    try {
      return evaluate(data, row, old) as Verdict;
    } catch (error) {
      return faultOf(error);
    }
  };
}

function faultOf(error: unknown): PredicateFault {
  if (error instanceof EvaluationError) return { condition: error.condition, message: error.message };
  // A document or pattern of the row's that nests deeper than the stack is deep.
  if (error instanceof RangeError) return { condition: 'statement_too_complex', message: 'stack depth limit exceeded' };
  throw error;
}

/** Values of nodes that read no column. */
export type KnownValues = ReadonlyMap<PredicateNode, Value | null>;

/** The value of an expression without columns, out of those of its parts as far as `known`; throws `EvaluationError`. */
export function evaluateConstant(node: PredicateNode, known: KnownValues): Value | null {
  const result = compileNode(node, { indexes: new Map(), known })(NO_DATA, NO_ROW, NO_ROW);
  assert(result !== MISSING, 'a constant is there');
  return result;
}

/** Where the columns are, and what nodes without any have been computed to. */
interface Context {
  readonly indexes: ReadonlyMap<string, number>;
  readonly known: KnownValues;
}

function knownValues(root: PredicateNode): KnownValues {
  const known = new Map<PredicateNode, Value | null>();
  const visit = (node: PredicateNode): boolean => {
    let isFixed = node.node !== 'column';
    for (const part of partsOf(node)) if (!visit(part)) isFixed = false;
    if (isFixed) known.set(node, evaluateConstant(node, known));
    return isFixed;
  };
  visit(root);
  return known;
}

function compile(node: PredicateNode, context: Context): Evaluate {
  const value = context.known.get(node);
  return value === undefined ? compileNode(node, context) : () => value;
}

function compileNode(node: PredicateNode, context: Context): Evaluate {
  switch (node.node) {
    case 'column':
      return compileColumn(node, context);
    case 'constant': {
      const value = node.value === null ? null : inputOf(node.type)(node.value);
      return () => value;
    }
    case 'cast':
      return compileCast(node, context);
    case 'compare':
      return compileCompare(node, context);
    case 'quantified':
      return compileQuantified(node, context);
    case 'array':
      return compileArray(node, context);
    case 'arithmetic':
      return binary(node.left, node.right, context, arithmeticOf(node.operator, node.type.kind) as Strict);
    case 'call':
      return compileCall(node, context);
    case 'and':
    case 'or':
      return compileJunction(node.arguments, node.node === 'or', context);
    case 'coalesce':
      return compileCoalesce(node.arguments, context);
    case 'not':
    case 'is-null':
    case 'is':
    case 'distinct':
    case 'nullif':
      return compileTest(node, context);
  }
}

type NodeOf<Kind extends PredicateNode['node']> = Extract<PredicateNode, { readonly node: Kind }>;

function compileColumn(node: NodeOf<'column'>, context: Context): Evaluate {
  const index = context.indexes.get(node.name);
  assert(index !== undefined, 'the column was looked up');
  const decode = decoderOf(node.type);
  const isOld = node.image === 'old';
  return (data, row, old) => {
    const image = isOld ? old : row;
    const start = image.starts[index];
    if (start === undefined || start < -1) return MISSING;
    if (start === -1) return null;
    return decode(data.toString('utf8', start, image.ends[index]));
  };
}

function unary(argument: PredicateNode, context: Context, compute: (value: Value) => Value | null): Evaluate {
  const inner = compile(argument, context);
  return (data, row, old) => {
    const value = inner(data, row, old);
    return value === null || value === MISSING ? value : compute(value);
  };
}

/** Both sides are computed before either is looked at, as Postgres does: so are their errors raised. */
function binary(left: PredicateNode, right: PredicateNode, context: Context, compute: Strict): Evaluate {
  const first = compile(left, context);
  const second = compile(right, context);
  return (data, row, old) => {
    const a = first(data, row, old);
    const b = second(data, row, old);
    if (a === null || b === null) return null;
    return a === MISSING || b === MISSING ? MISSING : compute(a, b);
  };
}

function compileCast(node: NodeOf<'cast'>, context: Context): Evaluate {
  const cast = castOf(node.argument.type.kind, node.type.kind, node.modifier, node.implicit);
  if (!node.type.array) return unary(node.argument, context, cast as (value: Value) => Value);
  return unary(node.argument, context, (value) => {
    const { shape, items } = value as ArrayValue<Scalar>;
    return { shape, items: items.map((item) => (item === null ? null : cast(item))) };
  });
}

const COMPARE: Readonly<Record<CompareOperator, (order: number) => boolean>> = {
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

function comparisonFor(operator: CompareOperator, type: ValueType): (a: Value, b: Value) => number {
  return operator === '=' || operator === '<>' ? equalityOf(type) : comparisonOf(type);
}

function compileCompare(node: NodeOf<'compare'>, context: Context): Evaluate {
  const bytes = compileTextEquality(node, context);
  if (bytes !== null) return bytes;
  const compare = comparisonFor(node.operator, node.left.type);
  const holds = COMPARE[node.operator];
  return binary(node.left, node.right, context, (a, b) => holds(compare(a, b)));
}

/** A text column against a constant, by far the commonest filter: the column's bytes are compared where they lie. */
function compileTextEquality(node: NodeOf<'compare'>, context: Context): Evaluate | null {
  const column = node.left;
  const constant = textConstant(node.right);
  if (constant === null || column.node !== 'column' || column.type.kind !== 'text' || column.type.array) return null;
  if (node.operator !== '=' && node.operator !== '<>') return null;
  const index = context.indexes.get(column.name);
  assert(index !== undefined, 'the column was looked up');
  const isOld = column.image === 'old';
  const whenSame = node.operator === '=';
  const wanted = Buffer.from(constant, 'utf8');
  return (data, row, old) => {
    const image = isOld ? old : row;
    const start = image.starts[index];
    if (start === undefined || start < -1) return MISSING;
    if (start === -1) return null;
    if (image.ends[index]! - start !== wanted.length) return !whenSame;
    for (let i = 0; i < wanted.length; i++) if (data[start + i] !== wanted[i]) return !whenSame;
    return whenSame;
  };
}

function compileQuantified(node: NodeOf<'quantified'>, context: Context): Evaluate {
  const compare = comparisonFor(node.operator, node.left.type);
  const holds = COMPARE[node.operator];
  const left = compile(node.left, context);
  const right = compile(node.right, context);
  const { all } = node;
  return (data, row, old) => {
    const value = left(data, row, old);
    const array = right(data, row, old);
    if (array === null) return null;
    if (array === MISSING) return MISSING;
    const { items } = array as ArrayValue<Scalar>;
    // Of no items even an unknown value is different, and equal to all.
    if (items.length === 0) return all;
    if (value === null || value === MISSING) return value;
    let unknown = false;
    for (const item of items) {
      if (item === null) unknown = true;
      else if (holds(compare(value, item)) !== all) return !all;
    }
    return unknown ? null : all;
  };
}

function compileArray(node: NodeOf<'array'>, context: Context): Evaluate {
  const items = node.items.map((item) => compile(item, context));
  const shape = items.length === 0 ? '' : `1:${items.length}`;
  return (data, row, old) => {
    const values: (Scalar | null)[] = [];
    let missing = false;
    for (const item of items) {
      const value = item(data, row, old);
      if (value === MISSING) missing = true;
      else values.push(value as Scalar | null);
    }
    return missing ? MISSING : { shape, items: values };
  };
}

function compileCall(node: NodeOf<'call'>, context: Context): Evaluate {
  const [first, second] = node.arguments;
  assert(first !== undefined, 'a function has an argument');
  const compute = functionOf(node.function, first.type);
  if (second === undefined) return unary(first, context, compute as (value: Value) => Value | null);
  return binary(first, second, context, compute);
}

/** AND, or OR: left to right, ended by the value that decides. */
function compileJunction(nodes: readonly PredicateNode[], decides: boolean, context: Context): Evaluate {
  const parts = nodes.map((node) => compile(node, context));
  return (data, row, old) => {
    let result: boolean | null | typeof MISSING = !decides;
    for (const part of parts) {
      const value = part(data, row, old) as boolean | null | typeof MISSING;
      if (value === decides) return decides;
      if (value === MISSING) result = MISSING;
      else if (value === null && result !== MISSING) result = null;
    }
    return result;
  };
}

function compileCoalesce(nodes: readonly PredicateNode[], context: Context): Evaluate {
  const parts = nodes.map((node) => compile(node, context));
  return (data, row, old) => {
    for (const part of parts) {
      const value = part(data, row, old);
      if (value !== null) return value;
    }
    return null;
  };
}

function compileTest(
  node: NodeOf<'not'> | NodeOf<'is-null'> | NodeOf<'is'> | NodeOf<'distinct'> | NodeOf<'nullif'>,
  context: Context,
): Evaluate {
  switch (node.node) {
    case 'not':
      return unary(node.argument, context, (value) => value === false);
    case 'is-null':
      return compileIs(node.argument, null, context);
    case 'is':
      return compileIs(node.argument, node.value, context);
    case 'distinct':
      return compileDistinct(node, context);
    case 'nullif':
      return compileNullif(node, context);
  }
}

/** A missing value may be any, null among them: Postgres leaves no nulls out as unchanged, but a key has none to tell. */
function compileIs(argument: PredicateNode, wanted: boolean | null, context: Context): Evaluate {
  const inner = compile(argument, context);
  return (data, row, old) => {
    const value = inner(data, row, old);
    return value === MISSING ? MISSING : value === wanted;
  };
}

function compileDistinct(node: NodeOf<'distinct'>, context: Context): Evaluate {
  const compare = equalityOf(node.left.type);
  const left = compile(node.left, context);
  const right = compile(node.right, context);
  return (data, row, old) => {
    const a = left(data, row, old);
    const b = right(data, row, old);
    if (a === MISSING || b === MISSING) return MISSING;
    if (a === null || b === null) return a !== b;
    return compare(a, b) !== 0;
  };
}

function compileNullif(node: NodeOf<'nullif'>, context: Context): Evaluate {
  const compare = equalityOf(node.left.type);
  const value = compile(node.value, context);
  const left = compile(node.left, context);
  const right = compile(node.right, context);
  return (data, row, old) => {
    const a = left(data, row, old);
    const b = right(data, row, old);
    if (a === MISSING || a === null) return a;
    if (b === MISSING) return MISSING;
    return b !== null && compare(a, b) === 0 ? null : value(data, row, old);
  };
}
