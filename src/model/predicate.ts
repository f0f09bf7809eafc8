/**
 * A predicate of a stream, parsed and type-checked: what `WHERE (…)` and `WHEN (…)` mean, as plain data that JSON can hold
 * whole. `sql/predicate/` makes it, `filters/` evaluates it. Every implicit cast of Postgres's is a node of its own, so
 * that evaluation never decides about types.
 */

/** The types whose values predicates compute with. `varchar` is `text`: Postgres computes with it as such. */
export type ValueKind =
  | 'bool'
  | 'int2'
  | 'int4'
  | 'int8'
  | 'numeric'
  | 'float4'
  | 'float8'
  | 'text'
  | 'bpchar'
  | 'uuid'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | 'bytea'
  | 'enum'
  | 'json'
  | 'jsonb';

export interface ValueType {
  readonly kind: ValueKind;
  /** An array of `kind`, of any number of dimensions. */
  readonly array: boolean;
  /** Of an enum: its labels in its order. */
  readonly labels?: readonly string[];
}

export type CompareOperator = '=' | '<>' | '<' | '<=' | '>' | '>=';
export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%';

/** A strict function of values: null where an argument is null. */
export type PredicateFunction =
  | 'lower'
  | 'upper'
  | 'length'
  | 'abs'
  | 'negate'
  | 'concat'
  | 'like'
  | 'ilike'
  | 'like-escape'
  | 'contains'
  | 'field'
  | 'field-text'
  | 'element'
  | 'element-text'
  | 'date-plus-days'
  | 'date-minus-days'
  | 'date-minus-date';

export type PredicateNode =
  /** `image`: of which row; a WHERE has one row, called `new`. */
  | { readonly node: 'column'; readonly image: 'new' | 'old'; readonly name: string; readonly type: ValueType }
  /** The value as the type's input function takes it. */
  | { readonly node: 'constant'; readonly value: string | null; readonly type: ValueType }
  /** `modifier` as Postgres counts it for the target; -1: none. `implicit`: of a comparison, out of range is no error. */
  | {
      readonly node: 'cast';
      readonly argument: PredicateNode;
      readonly modifier: number;
      readonly implicit: boolean;
      readonly type: ValueType;
    }
  /** Both sides are of the same type. */
  | {
      readonly node: 'compare';
      readonly operator: CompareOperator;
      readonly left: PredicateNode;
      readonly right: PredicateNode;
      readonly type: ValueType;
    }
  /** `left operator ANY|ALL (right)`: `right` is an array whose elements are of the type of `left`. */
  | {
      readonly node: 'quantified';
      readonly operator: CompareOperator;
      readonly all: boolean;
      readonly left: PredicateNode;
      readonly right: PredicateNode;
      readonly type: ValueType;
    }
  | { readonly node: 'array'; readonly items: readonly PredicateNode[]; readonly type: ValueType }
  | {
      readonly node: 'arithmetic';
      readonly operator: ArithmeticOperator;
      readonly left: PredicateNode;
      readonly right: PredicateNode;
      readonly type: ValueType;
    }
  | {
      readonly node: 'call';
      readonly function: PredicateFunction;
      readonly arguments: readonly PredicateNode[];
      readonly type: ValueType;
    }
  | { readonly node: 'and' | 'or'; readonly arguments: readonly PredicateNode[]; readonly type: ValueType }
  | { readonly node: 'not'; readonly argument: PredicateNode; readonly type: ValueType }
  | { readonly node: 'is-null'; readonly argument: PredicateNode; readonly type: ValueType }
  | {
      readonly node: 'is';
      readonly value: boolean;
      readonly argument: PredicateNode;
      readonly type: ValueType;
    }
  | { readonly node: 'distinct'; readonly left: PredicateNode; readonly right: PredicateNode; readonly type: ValueType }
  | { readonly node: 'coalesce'; readonly arguments: readonly PredicateNode[]; readonly type: ValueType }
  /** `value`, or null where `left = right`: `left` is `value` in the type that both are compared in. */
  | {
      readonly node: 'nullif';
      readonly value: PredicateNode;
      readonly left: PredicateNode;
      readonly right: PredicateNode;
      readonly type: ValueType;
    };

/** A column that a predicate reads. */
export interface PredicateColumnUse {
  readonly image: 'new' | 'old';
  readonly name: string;
  readonly typeOid: number;
}

export interface TypedPredicate {
  /** As it was written, for `SHOW CREATE`. */
  readonly text: string;
  readonly kind: 'where' | 'when';
  /** Boolean. */
  readonly root: PredicateNode;
  /** Each column once per image, in order of first use. */
  readonly columns: readonly PredicateColumnUse[];
}

/** The nodes that a node is computed from. */
export function partsOf(node: PredicateNode): readonly PredicateNode[] {
  if ('arguments' in node) return node.arguments;
  if ('argument' in node) return [node.argument];
  if ('items' in node) return node.items;
  if (!('left' in node)) return [];
  return 'value' in node ? [node.value, node.left, node.right] : [node.left, node.right];
}
