import type pg from 'pg';
import { insertsOf } from '../capture/publication.ts';
import type { Requirement } from '../model/requirement.ts';
import { qualify, quoteIdentifier } from '../postgres/identifier.ts';
import { PgError, SQLSTATE } from '../postgres/sqlstate.ts';
import { askPublishing, foreignOwners } from '../upstream/owners.ts';

/**
 * Advice: owners of tables that walhook's role could not publish as it is. Nothing is missing before a stream is to be on one of
 * them; `oids`, of tables that streams are on, have requirements of their own. Rejects with pg's errors.
 */
export async function ownerAdvice(admin: pg.ClientBase, oids: readonly number[]): Promise<Requirement[]> {
  const owners = await foreignOwners(admin, oids);
  return owners.map(({ owner, role, tables }) => ({
    requirement: `streams on tables of ${owner}`,
    ok: true,
    found: `${role} is no member of ${owner}, which owns ${tables === 1 ? 'a table' : `${tables} tables`}`,
    fix: `${grant(owner, role)} -- before there is a stream on one of them`,
  }));
}

/**
 * Does what publishes tables. A refusal for lack of a privilege is told as what walhook's role lacks, where that is a role or a
 * table's owner: the server's own words say neither whose privilege nor how to give it.
 */
export async function publishing<T>(
  admin: pg.ClientBase,
  publication: string,
  oids: readonly number[],
  publish: () => Promise<T>,
): Promise<T> {
  try {
    return await publish();
  } catch (error) {
    if (!(error instanceof PgError) || error.code !== SQLSTATE.insufficient_privilege) throw error;
    throw (await refusalOf(admin, publication, oids, error)) ?? error;
  }
}

async function refusalOf(
  admin: pg.ClientBase,
  publication: string,
  oids: readonly number[],
  cause: PgError,
): Promise<PgError | null> {
  const publications = [publication, insertsOf(publication)];
  const { role, database, lacks_create: lacksCreate, foreign } = await askPublishing(admin, publications, oids);
  const owners = [...new Set(foreign.map(({ owner }) => owner))];
  const grants = owners.map((owner) => grant(owner, role));
  if (lacksCreate) grants.unshift(`GRANT CREATE ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(role)};`);
  const [first] = foreign;
  if (!lacksCreate && first === undefined) return null;
  const message =
    lacksCreate || first === undefined
      ? `walhook's role ${quoteIdentifier(role)} may not create publications in database ${quoteIdentifier(database)}`
      : `walhook's role ${quoteIdentifier(role)} is no member of ${quoteIdentifier(first.owner)}, which owns table ${qualify(first.schema, first.name)}`;
  return new PgError('insufficient_privilege', message, {
    detail:
      'The user of --upstream publishes the tables of streams, for which PostgreSQL asks for their owner’s privileges.',
    hint: grants.join(' '),
    cause,
  });
}

function grant(owner: string, role: string): string {
  return `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(role)};`;
}
