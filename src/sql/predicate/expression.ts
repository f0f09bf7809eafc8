import { assert } from '../../base/assert.ts';
import { hasCast } from '../../filters/casts.ts';
import { evaluateConstant } from '../../filters/compile.ts';
import { EvaluationError } from '../../filters/evaluation-error.ts';
import type { Value } from '../../filters/values.ts';
import type { PredicateNode } from '../../model/predicate.ts';
import type { PredicateSource } from './parse.ts';
import { BOOL, describe, elementOf, isCollatable, isImplicit, sameType, type SqlType, valueType } from './types.ts';

/** What is known of a text's collation. https://www.postgresql.org/docs/current/collation.html#COLLATION-CONCEPTS */
export interface Collation {
  readonly name: string;
  readonly strength: 'implicit' | 'explicit' | 'conflict';
  /** Texts are equal where their bytes are. */
  readonly deterministic: boolean;
  /** Texts are in the order of their bytes. */
  readonly bytewise: boolean;
  /** Case is that of ASCII and of nothing else. */
  readonly asciiCase: boolean;
}

/** A checked part of a predicate. */
export interface Expression {
  readonly node: PredicateNode;
  /** Null for a literal that has no type yet; its node is then a text constant. */
  readonly type: SqlType | null;
  readonly location: number | undefined;
  readonly collation: Collation | null;
  /** Undefined where the value hangs on the row. */
  readonly constant: Value | null | undefined;
}

/** The collation of a literal: the database's, which yields to any column's. */
export const DATABASE_COLLATION: Collation = {
  name: 'default',
  strength: 'implicit',
  deterministic: true,
  bytewise: false,
  asciiCase: false,
};

export class Expressions {
  readonly source: PredicateSource;
  readonly #known = new Map<PredicateNode, Value | null>();

  constructor(source: PredicateSource) {
    this.source = source;
  }

  /** A literal in quotes, or NULL: its type comes from where it stands. */
  literal(value: string | null, location: number | undefined): Expression {
    const node: PredicateNode = { node: 'constant', value, type: { kind: 'text', array: false } };
    return { node, type: null, location, collation: DATABASE_COLLATION, constant: value };
  }

  constant(value: string | null, type: SqlType, location: number | undefined): Expression {
    const node: PredicateNode = { node: 'constant', value, type: valueType(type) };
    return this.made(node, type, location, DATABASE_COLLATION, []);
  }

  /** An expression of `parts`: computed at once where they are constant, so that its errors are those of CREATE. */
  made(
    node: PredicateNode,
    type: SqlType,
    location: number | undefined,
    collation: Collation | null,
    parts: readonly Expression[],
  ): Expression {
    const isConstant = node.node !== 'column' && parts.every((part) => part.constant !== undefined);
    const constant = isConstant ? this.#evaluate(node, location) : undefined;
    return { node, type, location, collation, constant };
  }

  /** As `made`, of what is null where a part is: Postgres computes nothing of the rest where one is NULL as written. */
  strict(
    node: PredicateNode,
    type: SqlType,
    location: number | undefined,
    collation: Collation | null,
    parts: readonly Expression[],
  ): Expression {
    const known = parts.some((part) => part.constant === null);
    if (!known) return this.made(node, type, location, collation, parts);
    const nothing: PredicateNode = { node: 'constant', value: null, type: valueType(type) };
    return { node: nothing, type, location, collation, constant: null };
  }

  #evaluate(node: PredicateNode, location: number | undefined): Value | null {
    try {
      const value = evaluateConstant(node, this.#known);
      this.#known.set(node, value);
      return value;
    } catch (error) {
      if (error instanceof EvaluationError) throw this.source.error(error.condition, location, error.message);
      throw error;
    }
  }

  /** `part` as a value of `type`, by the casts that Postgres makes on its own. `inComparison`: see `PredicateNode`. */
  coerce(part: Expression, type: SqlType, inComparison = false): Expression {
    if (part.type === null) {
      assert(part.node.node === 'constant', 'what has no type is a literal');
      const constant = this.constant(part.node.value, type, part.location);
      if (part.collation?.strength !== 'explicit') return constant;
      if (isCollatable(type)) return { ...constant, collation: part.collation };
      const message = `collations are not supported by type ${describe(type)}`;
      throw this.source.error('datatype_mismatch', part.location, message);
    }
    if (sameType(part.type, type)) return part;
    if (!isImplicit(part.type, type)) {
      throw this.source.error(
        'datatype_mismatch',
        part.location,
        `${describe(part.type)} where ${describe(type)} is needed`,
      );
    }
    return this.cast(part, type, part.location, -1, inComparison);
  }

  /** `part::type`, of a part that has a type. */
  cast(part: Expression, type: SqlType, location: number | undefined, modifier: number, implicit = false): Expression {
    assert(part.type !== null, 'the part has a type');
    const from = valueType(part.type);
    const to = valueType(type);
    const sameShape = part.type.array === type.array;
    if (sameShape && part.type.oid === type.oid && from.kind === to.kind && modifier < 0) {
      return { ...part, type, location };
    }
    if (!sameShape || !hasCast(from.kind, to.kind) || from.kind === 'enum') {
      throw this.castError(part.type, type, location);
    }
    const node: PredicateNode = { node: 'cast', argument: part.node, modifier, implicit, type: to };
    return this.strict(node, type, location, part.collation ?? DATABASE_COLLATION, [part]);
  }

  /** The two reasons why there is no cast: Postgres has none, or its outcome hangs on the session. */
  castError(from: SqlType, to: SqlType, location: number | undefined): Error {
    const what = `cast from ${describe(from)} to ${describe(to)}`;
    if (hangsOnSession(elementOf(from), elementOf(to))) {
      return this.source.error('invalid_object_definition', location, `the ${what} is not immutable`, {
        detail: 'Its result depends on settings of the session.',
      });
    }
    return this.source.error('feature_not_supported', location, `a predicate cannot ${what}`);
  }

  boolean(part: Expression, where: string): Expression {
    if (part.type === null) return this.coerce(part, BOOL);
    if (sameType(part.type, BOOL)) return part;
    const message = `argument of ${where} must be type boolean, not type ${describe(part.type)}`;
    throw this.source.error('datatype_mismatch', part.location, message);
  }

  /** The collation of what is made of `parts`. */
  mergedCollation(parts: readonly Expression[]): Collation | null {
    let merged: Collation | null = null;
    for (const { collation, location } of parts) {
      if (collation === null) continue;
      if (merged === null || isStronger(collation, merged)) merged = collation;
      else if (isStronger(merged, collation) || merged.name === collation.name) {
        continue;
      } else if (collation.strength === 'explicit') {
        throw this.source.error(
          'collation_mismatch',
          location,
          `collation mismatch between explicit collations "${merged.name}" and "${collation.name}"`,
        );
      } else merged = { ...collation, strength: 'conflict' };
    }
    return merged;
  }
}

const STRENGTH = { implicit: 0, conflict: 1, explicit: 2 } as const;

function isStronger(a: Collation, b: Collation): boolean {
  if (a.strength !== b.strength) return STRENGTH[a.strength] > STRENGTH[b.strength];
  return a.strength === 'implicit' && weight(a) > weight(b);
}

/** A column's own collation beats the database's, and of the latter what a column tells beats what a literal assumes. */
function weight(collation: Collation): number {
  if (collation === DATABASE_COLLATION) return 0;
  return collation.name === 'default' ? 1 : 2;
}

function hangsOnSession(from: SqlType, to: SqlType): boolean {
  const dated = (type: SqlType): boolean =>
    type.name === 'date' || type.name === 'timestamp' || type.name === 'timestamptz' || type.name === 'time';
  return dated(from) || dated(to);
}
