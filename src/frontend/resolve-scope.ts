import { nearest } from '../base/nearest.ts';
import type { StreamScope, StreamTable } from '../model/stream.ts';
import { asciiLiteral } from '../postgres/identifier.ts';
import { PgError, SQLSTATE, type PgNotice } from '../postgres/sqlstate.ts';
import type { CreateStreamCommand, PlacedName, SourceRequest } from '../sql/command.ts';
import {
  describeFlaw,
  scopeTablesExpression,
  streamTable,
  type Flaw,
  type ScopeTable,
} from '../upstream/table-facts.ts';
import { requireAdmin } from './privileges.ts';
import { senseless, type Questioner } from './question.ts';

/** A source that grows with the database, and what belongs to it now. */
export interface ResolvedScope {
  readonly scope: StreamScope;
  readonly database: string;
  readonly tables: readonly StreamTable[];
  /** What of it is left out. */
  readonly notices: readonly PgNotice[];
}

type ScopeRequest = Exclude<SourceRequest, { kind: 'tables' }>;

/**
 * `TABLES IN SCHEMA` and `ALL TABLES`, as the session sees them. As of Postgres's publications they are not for everybody:
 * 42501 for who is no administrator, and for a table that the client may not read. 3F000 for a schema that does not exist;
 * 0A000 for clauses that need to know the columns. Tables with a `Flaw` are left out, with a WARNING.
 */
export async function resolveScope(command: CreateStreamCommand, questioner: Questioner): Promise<ResolvedScope> {
  const source = command.source as ScopeRequest;
  preventColumns(command);
  await requireAdmin(
    `create a CDC stream on ${source.kind === 'schemas' ? 'the tables of a schema' : 'all tables'}`,
    'Tables of anybody come into it as they are made.',
    questioner,
  );
  const schemas = source.kind === 'schemas' ? source.schemas.map(({ name }) => name) : null;
  if (source.kind === 'schemas') await requireSchemas(source.schemas, questioner);
  const answer = (await questioner.ask(`pg_catalog.json_build_object('database', pg_catalog.current_database(),
    'tables', ${scopeTablesExpression(schemas)})`)) as { database?: unknown; tables?: unknown } | null;
  if (typeof answer?.database !== 'string' || !Array.isArray(answer.tables)) throw senseless();
  const found = answer.tables as readonly ScopeTable[];
  for (const { may_select: mayRead, name } of found) {
    if (!mayRead) throw new PgError('insufficient_privilege', `permission denied for table ${name}`);
  }
  return {
    scope: schemas === null ? { kind: 'all-tables' } : { kind: 'schemas', schemas },
    database: answer.database,
    tables: found.filter(({ flaw }) => flaw === null).map(streamTable),
    notices: found.flatMap(({ flaw }) => (flaw === null ? [] : [leftOut(flaw)])),
  };
}

function leftOut(flaw: Flaw): PgNotice {
  const { message, hint } = describeFlaw(flaw);
  return {
    severity: 'WARNING',
    code: SQLSTATE.warning,
    message: `${message} and is left out`,
    hint: `It comes in once that is mended: ${hint}`,
  };
}

/** What is said of columns would have to be said of tables that are not there yet. */
function preventColumns({ when, key, operations }: CreateStreamCommand): void {
  const updateOf = operations?.find(({ columns }) => columns !== null)?.columns?.[0];
  const clause = when !== null ? 'WHEN' : key !== null ? 'KEY' : updateOf !== undefined ? 'UPDATE OF' : null;
  if (clause === null) return;
  throw new PgError('feature_not_supported', `${clause} needs a list of tables`, {
    detail: 'Tables that come into the stream later may not have the columns.',
    hint: 'Name the tables: ON a, b, c.',
    position: when?.position ?? key?.[0]?.position ?? updateOf?.position,
  });
}

async function requireSchemas(schemas: readonly PlacedName[], questioner: Questioner): Promise<void> {
  const wanted = schemas.map(({ name }) => asciiLiteral(name)).join(', ');
  const found = (await questioner.ask(`(SELECT pg_catalog.json_build_object(
    'named', pg_catalog.json_agg(n.nspname) FILTER (
      WHERE n.nspname OPERATOR(pg_catalog.=) ANY (CAST(ARRAY[${wanted}] AS pg_catalog.name[]))),
    'all', pg_catalog.json_agg(n.nspname))
    FROM pg_catalog.pg_namespace n)`)) as { named?: unknown; all?: unknown } | null;
  const named = Array.isArray(found?.named) ? (found.named as unknown[]) : [];
  const all = Array.isArray(found?.all) ? found.all.filter((each) => typeof each === 'string') : [];
  for (const { name, position } of schemas) {
    if (name.startsWith('pg_') || name === 'information_schema') {
      throw new PgError('wrong_object_type', `schema "${name}" is the system's`, { position });
    }
    if (named.includes(name)) continue;
    const near = nearest(name, all);
    const hint = near === null ? undefined : `did you mean "${near}"?`;
    throw new PgError('invalid_schema_name', `schema "${name}" does not exist`, { hint, position });
  }
}
