import type { Clock } from '../base/clock.ts';
import type { Service } from '../base/service.ts';
import {
  isInScope,
  type StreamDefinition,
  type StreamScope,
  type StreamTable,
  takesInsertsOnly,
} from '../model/stream.ts';
import { describeFlaw, isFailing, isFlawFor, streamTable, type TableFacts } from '../upstream/table-facts.ts';
import { qualify, quoteIdentifier } from '../postgres/identifier.ts';
import type { Source, TableName } from './source.ts';

/** What is wrong with a listed table. */
export interface TableProblem {
  readonly reason: string;
  /** None of the stream's tables is there any more: nothing can come of it. */
  readonly isFatal: boolean;
}

/** How long a table that is made goes unnoticed at most, beside what asking takes. */
const LOOK_EVERY_MS = 2_000;
/** Tables that are listed are looked at less often: their changes come anyway. */
const LOOKS_PER_LIST = 3;

export interface ScopeWatchOptions {
  readonly source: Pick<Source, 'tablesInScope' | 'tablesNamed' | 'tablesOf'>;
  /** All streams; asked before each look. */
  readonly streams: () => readonly StreamDefinition[];
  /** A stream's scope has come to have these tables. */
  readonly follow: (name: string, tables: readonly StreamTable[]) => Promise<void>;
  /** Tables whose updates fail because they are published are so no more: what is lost by it is announced as any gap. */
  readonly unpublish: (oids: readonly number[]) => Promise<void>;
  /** Tables that came in are read, as far as that has not been begun. */
  readonly readNew: () => Promise<void>;
  readonly clock: Clock;
}

/**
 * Streams on schemas or on everything follow what tables there are; those on a list follow the names of theirs, and tell
 * what has become of them. While there is no stream, nothing is asked.
 */
export class ScopeWatch implements Service {
  readonly #options: ScopeWatchOptions;
  /** What is wrong with a listed table, by the stream's id. */
  readonly #problems = new Map<string, TableProblem>();
  #looks = 0;

  constructor(options: ScopeWatchOptions) {
    this.#options = options;
  }

  /** Looks now and then until `signal` aborts. Rejects where the upstream cannot be asked. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(LOOK_EVERY_MS, signal);
      await this.#look();
    }
  }

  /** What is wrong with a table of the stream's list, for its status; null: nothing that is known. */
  problemOf(streamId: string): TableProblem | null {
    return this.#problems.get(streamId) ?? null;
  }

  async #look(): Promise<void> {
    const { streams } = this.#options;
    const all = streams();
    const listed = all.filter(({ scope }) => scope.kind === 'tables');
    if (this.#looks++ % LOOKS_PER_LIST === 0) await this.#lookAtLists(listed);
    await this.#lookAtScopes(all.filter(({ scope }) => scope.kind !== 'tables'));
    // Also of a stream that has become a list since.
    await this.#options.readNew();
  }

  async #lookAtLists(listed: readonly StreamDefinition[]): Promise<void> {
    const oids = new Set(listed.flatMap(({ tables }) => tables.map(({ oid }) => oid)));
    const facts = oids.size === 0 ? [] : await this.#options.source.tablesOf([...oids]);
    const known = new Map(facts.map((table) => [table.oid, table]));
    const anew = await this.#madeAnew(listed, known);
    const failing = facts.filter(({ flaw }) => flaw !== null && isFailing(flaw));
    if (failing.length > 0) await this.#options.unpublish(failing.map(({ oid }) => oid));
    this.#problems.clear();
    for (const definition of listed) {
      const problem = problemIn(definition, known, anew);
      if (problem !== null) this.#problems.set(definition.id, problem);
      const now = definition.tables.map((table) => named(table, known.get(table.oid)));
      if (!areSame(definition.tables, now)) await this.#options.follow(definition.name, now);
    }
  }

  /** Names of listed tables that are gone, which other tables have now. */
  async #madeAnew(
    listed: readonly StreamDefinition[],
    known: ReadonlyMap<number, TableFacts>,
  ): Promise<ReadonlySet<string>> {
    const gone = listed.flatMap(({ tables }) => tables.filter(({ oid }) => !known.has(oid)));
    const taken = gone.length === 0 ? [] : await this.#options.source.tablesNamed(gone);
    return new Set(taken.map(nameOf));
  }

  async #lookAtScopes(growing: readonly StreamDefinition[]): Promise<void> {
    const { source, follow } = this.#options;
    if (growing.length === 0) return;
    const facts = await source.tablesInScope();
    for (const { name, scope, tables } of growing) {
      const now = tablesOf(scope, facts);
      if (!areSame(tables, now)) await follow(name, now);
    }
  }
}

/** The tables of a scope, by schema and name. Those that cannot be published without harm are no part of it: see `Flaw`. */
export function tablesOf(scope: StreamScope, facts: readonly TableFacts[]): readonly StreamTable[] {
  return facts.filter((table) => isInScope(scope, table.schema) && table.flaw === null).map(streamTable);
}

/** As it is called now. */
function named(table: StreamTable, facts: TableFacts | undefined): StreamTable {
  if (facts === undefined) return table;
  return { ...table, schema: facts.schema, name: facts.name, keyColumns: facts.key ?? [] };
}

/**
 * The first table that is gone, or that the application cannot work on while it is published, and behind the colon what mends
 * it. `anew`: names of tables that are gone, which others have.
 */
function problemIn(
  definition: StreamDefinition,
  known: ReadonlyMap<number, TableFacts>,
  anew: ReadonlySet<string>,
): TableProblem | null {
  const { tables } = definition;
  const stream = quoteIdentifier(definition.name);
  const isFatal = !tables.some(({ oid }) => known.has(oid));
  for (const table of tables) {
    const facts = known.get(table.oid);
    const name = nameOf(table);
    const alteration = `ALTER CDC STREAM ${stream} DROP TABLE ${name}`;
    if (facts === undefined) {
      const isListed = tables.some((other) => known.has(other.oid) && nameOf(other) === name);
      const remedy =
        anew.has(name) && !isListed
          ? ` and made anew: ALTER CDC STREAM ${stream} ADD TABLE ${name}`
          : `: ${isFatal ? `DROP CDC STREAM ${stream}` : alteration}`;
      return { reason: `table ${name} was dropped${remedy}`, isFatal };
    }
    if (!isFlawFor(facts.flaw, takesInsertsOnly(definition))) continue;
    const { message, detail, fix } = describeFlaw(facts.flaw);
    return { reason: `${message}. ${detail} ${fix} or ${alteration}`, isFatal };
  }
  return null;
}

function nameOf({ schema, name }: TableName): string {
  return qualify(schema, name);
}

/** Whatever their order. */
function areSame(some: readonly StreamTable[], others: readonly StreamTable[]): boolean {
  const said = (tables: readonly StreamTable[]): string =>
    JSON.stringify(tables.map(({ oid, schema, name, keyColumns }) => [oid, schema, name, keyColumns]).sort(byOid));
  return said(some) === said(others);
}

function byOid(a: readonly unknown[], b: readonly unknown[]): number {
  return Number(a[0]) - Number(b[0]);
}
