import type { TypedPredicate } from '../../model/predicate.ts';
import type { LexerSettings } from '../lexer.ts';
import { Checker } from './check.ts';
import { ColumnScope, type PredicateColumn, type PredicateKind, type PredicateOperation } from './column.ts';
import { parseExpression, PredicateSource } from './parse.ts';

const STANDARD: LexerSettings = { standardConformingStrings: true };

const ALL_OPERATIONS: readonly PredicateOperation[] = ['insert', 'update', 'delete'];

export interface PredicateOptions {
  /** Of the session that wrote the predicate. */
  readonly settings?: LexerSettings;
  /** The stream's `OPERATIONS`, TRUNCATE aside. */
  readonly operations?: readonly PredicateOperation[];
}

/**
 * The predicate that `text` spells, typed against a table's columns.
 *
 * `kind`: a WHERE names columns alone and has the meaning of a publication's row filter; a WHEN names them as `OLD.c` and
 * `NEW.c`, as a trigger's does; the image that an operation does not have is null throughout (`absentRow`). TRUNCATE has no
 * rows and passes both. `position` is that of the text's first character in the statement, from 1.
 *
 * Every error is a `PgError` with the position of what is wrong: 42601 syntax; 42703 column, 42883 function or operator,
 * 42804 types, 42P22 and 42P21 collations; 42P17 what is not immutable; class 22 a literal that is no value of its type, or
 * a constant part that cannot be computed; 0A000 what Postgres can and predicates cannot; 54000 and 54001 length and depth.
 */
export function typePredicate(
  text: string,
  position: number,
  columns: readonly PredicateColumn[],
  kind: PredicateKind,
  { settings = STANDARD, operations = ALL_OPERATIONS }: PredicateOptions = {},
): TypedPredicate {
  const source = new PredicateSource(text, position);
  const tree = parseExpression(source, settings);
  const scope = new ColumnScope(source, columns, kind, operations);
  const root = new Checker(source, scope).predicate(tree, kind.toUpperCase());
  return { text, kind, root: root.node, columns: scope.uses };
}
