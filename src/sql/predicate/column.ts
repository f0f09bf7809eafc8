import type { PredicateColumnUse } from '../../model/predicate.ts';
import { nearest } from '../../base/nearest.ts';
import { type Collation, DATABASE_COLLATION, type Expression } from './expression.ts';
import type { PredicateSource } from './parse.ts';
import { isCollatable, type SqlType, typeOfOid, valueType } from './types.ts';

/** A column's collation, from `pg_collation`; of the collation `default` the rest from `pg_database`. */
export interface PredicateCollation {
  readonly name: string;
  readonly isDeterministic: boolean;
  /** libc, ICU or built in: `collprovider`, or for `default` `datlocprovider`. */
  readonly provider: 'c' | 'i' | 'b';
  /** `collcollate` or `datcollate` of libc; otherwise `colllocale` or `datlocale`. */
  readonly locale: string | null;
}

/** A column of the table that a predicate is about. */
export interface PredicateColumn {
  readonly name: string;
  /** As the walsender announces it: of a domain its own. */
  readonly typeOid: number;
  /** Of a domain: the type that it stands on. */
  readonly baseTypeOid?: number;
  /** `format_type`, for messages. */
  readonly typeName: string;
  /** Null where the type has none. */
  readonly collation: PredicateCollation | null;
  /** The labels of an enum in their order (`enumsortorder`); absent for every other type. */
  readonly enumLabels?: readonly string[];
}

export type PredicateKind = 'where' | 'when';

/** The operations of rows that a stream has. */
export type PredicateOperation = 'insert' | 'update' | 'delete';

function collationOf({ name, isDeterministic, provider, locale }: PredicateCollation): Collation {
  const plain = locale === 'C' || locale === 'POSIX';
  return {
    name,
    strength: 'implicit',
    deterministic: isDeterministic,
    bytewise: provider === 'b' || (provider === 'c' && plain),
    asciiCase: provider !== 'i' && plain,
  };
}

/** What `COLLATE "…"` names; null for a collation whose rules are not reproduced here. */
export function explicitCollation(name: string): Collation | null {
  const known = name === 'C' || name === 'POSIX' || name === 'ucs_basic';
  if (!known) return null;
  return { name, strength: 'explicit', deterministic: true, bytewise: true, asciiCase: name !== 'ucs_basic' };
}

/** Finds the columns that a predicate names, and remembers which. */
export class ColumnScope {
  readonly #source: PredicateSource;
  readonly #columns: ReadonlyMap<string, PredicateColumn>;
  readonly #kind: PredicateKind;
  readonly #operations: ReadonlySet<PredicateOperation>;
  readonly #uses = new Map<string, PredicateColumnUse>();

  constructor(
    source: PredicateSource,
    columns: readonly PredicateColumn[],
    kind: PredicateKind,
    operations: readonly PredicateOperation[],
  ) {
    this.#operations = new Set(operations);
    this.#source = source;
    this.#columns = new Map(columns.map((column) => [column.name, column]));
    this.#kind = kind;
  }

  get uses(): readonly PredicateColumnUse[] {
    return [...this.#uses.values()];
  }

  /** The column that `names` name: `name` in a WHERE, `old.name` or `new.name` in a WHEN. */
  find(names: readonly string[], location: number | undefined): Expression {
    const image = this.#imageOf(names, location);
    const name = names.at(-1)!;
    const column = this.#columns.get(name);
    if (column === undefined) throw this.#unknown(name, location);
    const base = typeOfOid(column.baseTypeOid ?? column.typeOid, column.enumLabels);
    if (base === null) {
      const message = `a predicate cannot use column "${name}" of type ${column.typeName}`;
      throw this.#source.error('feature_not_supported', location, message);
    }
    const type: SqlType = column.baseTypeOid === undefined ? base : { ...base, domain: true };
    this.#uses.set(`${image}.${name}`, { image, name, typeOid: column.typeOid });
    const given = column.collation === null ? DATABASE_COLLATION : collationOf(column.collation);
    return {
      node: { node: 'column', image, name, type: valueType(type) },
      type,
      location,
      collation: isCollatable(type) ? given : null,
      constant: undefined,
    };
  }

  #imageOf(names: readonly string[], location: number | undefined): 'new' | 'old' {
    if (this.#kind === 'where') {
      if (names.length === 1) return 'new';
      throw this.#source.error('undefined_table', location, `missing FROM-clause entry for table "${names[0]}"`, {
        hint: 'A WHERE names its columns alone; OLD and NEW are for WHEN.',
      });
    }
    const [image, ...rest] = names;
    if (rest.length === 1 && (image === 'new' || image === 'old')) {
      this.#checkImage(image, location);
      return image;
    }
    const hint = `A WHEN names its columns as NEW.${names.at(-1)} or OLD.${names.at(-1)}.`;
    throw this.#source.error('undefined_column', location, `column "${names.join('.')}" does not exist`, { hint });
  }

  /** As of a trigger: OLD of inserts and NEW of deletes alone are nothing to ask for. */
  #checkImage(image: 'new' | 'old', location: number | undefined): void {
    const without = image === 'old' ? 'insert' : 'delete';
    const has = this.#operations;
    if (has.size !== 1 || !has.has(without)) return;
    const message = `WHEN of a stream of ${without.toUpperCase()} alone cannot reference ${image.toUpperCase()} values`;
    throw this.#source.error('invalid_object_definition', location, message);
  }

  #unknown(name: string, location: number | undefined): Error {
    const near = nearest(name, this.#columns.keys());
    return this.#source.error('undefined_column', location, `column "${name}" does not exist`, {
      hint: near === null ? undefined : `did you mean "${near}"?`,
    });
  }
}
