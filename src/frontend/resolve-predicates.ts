import { partsOf, type PredicateNode, type TypedPredicate } from '../model/predicate.ts';
import type { TableCondition } from '../model/staged-change.ts';
import type { StreamDefinition, StreamOperation, StreamTable } from '../model/stream.ts';
import { qualify, quoteIdentifier } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { CreateStreamCommand, PlacedName, PlacedPredicate, TableRequest } from '../sql/command.ts';
import { nearest } from '../base/nearest.ts';
import type { PredicateOperation } from '../sql/predicate/column.ts';
import { typePredicate } from '../sql/predicate/type-predicate.ts';
import type { Questioner } from './question.ts';
import { type TableColumns, tableColumns } from './table-columns.ts';

/** The part of a CREATE that says what of its tables' changes the stream has, and what orders them. */
export type FilterClauses = Pick<CreateStreamCommand, 'operations' | 'when' | 'key'>;

const ROW_OPERATIONS: readonly PredicateOperation[] = ['insert', 'update', 'delete'];

/** OPERATIONS, WHEN and KEY as a definition keeps them. */
export function declaredFilters({ operations, when, key }: FilterClauses): {
  readonly operations: readonly StreamOperation[] | null;
  readonly when: string | null;
  readonly orderingKey: readonly string[] | null;
} {
  return {
    operations: operations?.map(({ name, columns }) => ({ name, columns: columns?.map(namesOf) ?? null })) ?? null,
    when: when?.text ?? null,
    orderingKey: key?.map(namesOf) ?? null,
  };
}

/**
 * The table with its column list and its predicates typed, by one question to the client's session; without any of them
 * nothing is asked. Raises what `typePredicate` raises, with positions in the whole statement; 42703 for columns;
 * 42P17 for a column list without the key; 0A000 for generated columns, and for an order of texts that this database's
 * encoding has and that is not reproduced; 55000 where the replica identity lacks the old value of a column that a filter
 * or the ordering needs for UPDATE or DELETE.
 */
export async function resolvePredicates(
  table: StreamTable,
  item: TableRequest,
  clauses: FilterClauses,
  questioner: Questioner,
): Promise<StreamTable> {
  return resolve(table, item, clauses, questioner, (resolver) => resolver.clauses(clauses));
}

/** The same for a table that comes to a stream that exists: its clauses hold for the table too. */
export async function resolveAddedTable(
  table: StreamTable,
  item: TableRequest,
  definition: StreamDefinition,
  questioner: Questioner,
): Promise<StreamTable> {
  const clauses = storedClauses(definition);
  return resolve(table, item, clauses, questioner, (resolver) => {
    return ofTheStream(() => resolver.clauses(clauses));
  });
}

/** What another WHEN means for each of a stream's tables. Raises what `resolvePredicates` raises. */
export async function resolveCondition(
  definition: StreamDefinition,
  when: PlacedPredicate,
  questioner: Questioner,
): Promise<readonly TableCondition[]> {
  const conditions: TableCondition[] = [];
  for (const table of definition.tables) {
    const known = await tableColumns(table.oid, questioner);
    if (known === null) {
      throw new PgError('undefined_table', `relation "${qualify(table.schema, table.name)}" does not exist`, {
        hint: `ALTER CDC STREAM ${quoteIdentifier(definition.name)} DROP TABLE takes it out of the stream.`,
      });
    }
    const resolver = new Resolver(table, known, rowOperations(definition.operations));
    conditions.push({ oid: table.oid, when: resolver.predicate(when, 'when') });
  }
  return conditions;
}

/** A condition on the rows that there are, not on changes. Raises what `typePredicate` raises, with positions in the whole statement. */
export async function resolveRowCondition(
  table: StreamTable,
  where: PlacedPredicate,
  questioner: Questioner,
): Promise<TypedPredicate> {
  const known = await tableColumns(table.oid, questioner);
  if (known === null) {
    throw new PgError('undefined_table', `relation "${qualify(table.schema, table.name)}" does not exist`);
  }
  // As of an INSERT: there is no old row.
  return new Resolver(table, known, ['insert']).predicate(where, 'where');
}

async function resolve(
  table: StreamTable,
  item: TableRequest,
  clauses: FilterClauses,
  questioner: Questioner,
  conditionOf: (resolver: Resolver) => TypedPredicate | null,
): Promise<StreamTable> {
  const { columns, where } = item;
  if (columns === null && where === null && !needsColumns(clauses)) return table;
  const known = await tableColumns(table.oid, questioner);
  if (known === null) {
    throw new PgError('undefined_table', `relation "${table.name}" does not exist`, { position: item.table.position });
  }
  const resolver = new Resolver(table, known, rowOperations(clauses.operations));
  if (columns !== null) resolver.checkColumnList(columns);
  const filter = {
    where: where === null ? null : resolver.predicate(where, 'where'),
    when: conditionOf(resolver),
  };
  return {
    ...table,
    columns: columns?.map(namesOf) ?? null,
    where: where?.text ?? null,
    ...(filter.where === null && filter.when === null ? {} : { filter }),
  };
}

function needsColumns({ operations, when, key }: FilterClauses): boolean {
  return when !== null || key !== null || updatedColumns(operations) !== null;
}

function updatedColumns(operations: FilterClauses['operations']): readonly PlacedName[] | null {
  return operations?.find(({ name }) => name === 'update')?.columns ?? null;
}

function rowOperations(operations: readonly { readonly name: string }[] | null): readonly PredicateOperation[] {
  if (operations === null) return ROW_OPERATIONS;
  return ROW_OPERATIONS.filter((row) => operations.some(({ name }) => name === row));
}

/** As if they stood in a statement. */
function storedClauses({ operations, when, orderingKey }: StreamDefinition): FilterClauses {
  const placed = (name: string): PlacedName => ({ name, position: 1 });
  return {
    operations: operations?.map(({ name, columns }) => ({ name, columns: columns?.map(placed) ?? null })) ?? null,
    when: when === null ? null : { text: when, position: 1 },
    key: orderingKey?.map(placed) ?? null,
  };
}

function ofTheStream<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof PgError)) throw error;
    throw error.unplaced('The clauses of the stream hold for each of its tables.');
  }
}

function namesOf({ name }: PlacedName): string {
  return name;
}

class Resolver {
  readonly #table: StreamTable;
  readonly #known: TableColumns;
  readonly #operations: readonly PredicateOperation[];

  constructor(table: StreamTable, known: TableColumns, operations: readonly PredicateOperation[]) {
    this.#table = table;
    this.#known = known;
    this.#operations = operations;
  }

  predicate({ text, position }: PlacedPredicate, kind: 'where' | 'when'): TypedPredicate {
    const typed = typePredicate(text, position, this.#known.columns, kind, { operations: this.#operations });
    if (!this.#known.hasOrderedText && ordersText(typed.root)) {
      throw new PgError(
        'feature_not_supported',
        `${kind.toUpperCase()} cannot order texts in this database's encoding`,
        {
          detail: 'Only in UTF8 and LATIN1 is the order of its bytes that of the characters.',
          position,
        },
      );
    }
    for (const { image, name } of typed.columns) {
      this.#preventGenerated(name, position);
      // A WHERE is asked of the old row too; a WHEN says which row it means.
      if (kind === 'where' || image === 'old') this.#needOld(name, kind.toUpperCase(), position);
    }
    return typed;
  }

  checkColumnList(columns: readonly PlacedName[]): void {
    this.#checkNames(columns);
    const listed = new Set(columns.map(namesOf));
    const key = this.#known.identity ?? this.#table.keyColumns;
    const missing = [...key].filter((name) => !listed.has(name));
    if (missing.length === 0) return;
    throw new PgError(
      'invalid_object_definition',
      `the column list of table "${this.#table.name}" must contain its key`,
      {
        detail: `Missing: ${missing.join(', ')}.`,
        position: columns[0]?.position,
      },
    );
  }

  /** WHEN as it is typed, UPDATE OF and KEY checked. */
  clauses({ operations, when, key }: FilterClauses): TypedPredicate | null {
    this.#checkOld(updatedColumns(operations) ?? [], 'UPDATE OF');
    this.#checkOld(key ?? [], 'KEY');
    return when === null ? null : this.predicate(when, 'when');
  }

  #checkOld(columns: readonly PlacedName[], clause: string): void {
    this.#checkNames(columns);
    for (const { name, position } of columns) this.#needOld(name, clause, position);
  }

  #checkNames(columns: readonly PlacedName[]): void {
    for (const { name, position } of columns) {
      this.#preventGenerated(name, position);
      const names = this.#known.columns.map((column) => column.name);
      if (!names.includes(name)) {
        const near = nearest(name, names);
        const hint = near === null ? undefined : `did you mean "${near}"?`;
        const message = `column "${name}" of relation "${this.#table.name}" does not exist`;
        throw new PgError('undefined_column', message, { hint, position });
      }
    }
  }

  #preventGenerated(name: string, position: number): void {
    if (!this.#known.generated.has(name)) return;
    const message = `cannot use generated column "${name}"`;
    throw new PgError('feature_not_supported', message, {
      detail: 'Before PostgreSQL 18 it is not sent; a virtual one never is.',
      position,
    });
  }

  /** https://www.postgresql.org/docs/current/logical-replication-row-filter.html#LOGICAL-REPLICATION-ROW-FILTER-RESTRICTIONS */
  #needOld(name: string, clause: string, position: number): void {
    const { identity } = this.#known;
    const changesRows = this.#operations.some((operation) => operation !== 'insert');
    if (identity === null || identity.has(name) || !changesRows) return;
    const { schema, name: table } = this.#table;
    throw new PgError('object_not_in_prerequisite_state', `${clause} needs the old value of column "${name}"`, {
      detail: `It is not part of the replica identity of table "${table}", so Postgres does not send it.`,
      hint: `ALTER TABLE ${qualify(schema, table)} REPLICA IDENTITY FULL; or, for inserts alone, OPERATIONS (INSERT).`,
      position,
    });
  }
}

const ORDER = new Set(['<', '<=', '>', '>=']);

/** Whether somewhere two texts are asked which comes first. */
function ordersText(node: PredicateNode): boolean {
  if ((node.node === 'compare' || node.node === 'quantified') && ORDER.has(node.operator)) {
    const { kind } = node.left.type;
    if (kind === 'text' || kind === 'bpchar') return true;
  }
  return partsOf(node).some(ordersText);
}
