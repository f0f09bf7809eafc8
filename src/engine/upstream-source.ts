import type { Requirement, SlotInfo } from '../model/requirement.ts';
import type pg from 'pg';
import { must } from '../base/assert.ts';
import { armTable, disarmTable, dropAll, rearm, republish, type RepublishRequest, unpublish } from '../capture/arm.ts';
import { checkUpstream, describeSlots } from '../capture/check.ts';
import { walLevelFault } from '../capture/fault.ts';
import { PUBLICATION, listedTables } from '../capture/publication.ts';
import type { TransactionId } from '../model/catalog-control.ts';
import type { SourceIdentity } from '../model/change.ts';
import type { StreamTable } from '../model/stream.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { PgError, SQLSTATE } from '../postgres/sqlstate.ts';
import { askServer } from '../upstream/questions.ts';
import { scopeTablesExpression, TABLES_BY_NAME, TABLES_BY_OID, type TableFacts } from '../upstream/table-facts.ts';
import { withAdmin } from '../upstream/connect.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { ownerAdvice, publishing } from './publishing-rights.ts';
import type { PublishedTable, Source, SourceServer, TableName, TransactionStatus } from './source.ts';

/** One upstream database, asked on a connection for each occasion: definitions change rarely. */
export class UpstreamSource implements Source {
  readonly #upstream: Upstream;
  readonly #slotName: string;

  constructor(upstream: Upstream, slotName: string) {
    this.#upstream = upstream;
    this.#slotName = slotName;
  }

  async requireCapturable(): Promise<void> {
    const { walLevel } = await this.#ask((admin) => askServer(admin));
    if (walLevel === 'logical') return;
    const { message, remedy } = walLevelFault(walLevel);
    throw new PgError('object_not_in_prerequisite_state', message, { hint: remedy ?? undefined });
  }

  async arm(tables: readonly PublishedTable[], isFirst: boolean): Promise<{ startLsn: Lsn; source: SourceIdentity }> {
    return this.#ask(async (admin) => {
      const names = { slotName: this.#slotName, publicationName: PUBLICATION };
      const source = await askIdentity(admin);
      let startLsn: Lsn = 0n;
      const none = { oid: null, insertsOnly: false };
      return publishing(admin, PUBLICATION, oidsOf(tables), async () => {
        for (const { oid: tableOid, insertsOnly } of tables.length === 0 ? [none] : tables) {
          // The slot is there after the first table, whoever made it.
          startLsn = await armTable(admin, { ...names, tableOid, insertsOnly, isFirst });
        }
        return { startLsn, source };
      });
    });
  }

  async tablesInScope(): Promise<readonly TableFacts[]> {
    return withAdmin(this.#upstream, async (admin) => {
      const { rows } = await admin.query<{ tables: readonly TableFacts[] }>(
        `SELECT ${scopeTablesExpression(null)} AS tables`,
      );
      return must(rows[0], 'one row').tables;
    });
  }

  async tablesOf(oids: readonly number[]): Promise<readonly TableFacts[]> {
    return withAdmin(this.#upstream, async (admin) => {
      const { rows } = await admin.query<{ tables: readonly TableFacts[] }>(TABLES_BY_OID, [oids]);
      return must(rows[0], 'one row').tables;
    });
  }

  async tablesNamed(names: readonly TableName[]): Promise<readonly TableName[]> {
    return withAdmin(this.#upstream, async (admin) => {
      const wanted = [names.map(({ schema }) => schema), names.map(({ name }) => name)];
      return (await admin.query<TableName>(TABLES_BY_NAME, wanted)).rows;
    });
  }

  async rearm(
    tables: readonly PublishedTable[],
    logLsn: Lsn | null,
    isForced: boolean,
  ): Promise<{ startLsn: Lsn; source: SourceIdentity } | null> {
    return this.#ask(async (admin) => {
      const names = { slotName: this.#slotName, publicationName: PUBLICATION };
      const source = await askIdentity(admin);
      const tableOids = oidsOf(tables);
      const insertsOnly = insertsOnlyOf(tables);
      const startLsn = await publishing(admin, PUBLICATION, tableOids, () =>
        rearm(admin, { ...names, tableOids, insertsOnly, logLsn, isForced }),
      );
      return startLsn === null ? null : { startLsn, source };
    });
  }

  async republish(request: RepublishRequest): Promise<void> {
    await this.#ask((admin) =>
      publishing(admin, PUBLICATION, request.oids, () => republish(admin, PUBLICATION, request)),
    );
  }

  async check(tables: readonly PublishedTable[]): Promise<readonly Requirement[]> {
    const tableOids = oidsOf(tables);
    const request = {
      slotName: this.#slotName,
      publicationName: PUBLICATION,
      tableOids,
      insertsOnly: insertsOnlyOf(tables),
    };
    return this.#ask(async (admin) => [
      ...(await checkUpstream(admin, request)),
      ...(await ownerAdvice(admin, tableOids)),
    ]);
  }

  async unpublish(oids: readonly number[]): Promise<void> {
    await this.#ask(async (admin) => {
      for (const oid of oids) await unpublish(admin, PUBLICATION, oid);
    });
  }

  async publishOnly(tables: readonly StreamTable[]): Promise<void> {
    const wanted = new Set(tables.map((table) => table.oid));
    await this.#ask(async (admin) => {
      for (const oid of await listedTables(admin, PUBLICATION)) {
        if (!wanted.has(oid)) await disarmTable(admin, PUBLICATION, oid);
      }
    });
  }

  async disarm(): Promise<void> {
    try {
      await this.#ask((admin) => dropAll(admin, { slotName: this.#slotName, publicationName: PUBLICATION }));
    } catch (error) {
      // With a database its slots and publications go.
      if (!(error instanceof PgError) || codeOf(error.cause) !== SQLSTATE.invalid_catalog_name) throw error;
    }
  }

  async #ask<T>(question: (admin: pg.Client) => Promise<T>): Promise<T> {
    return ask(this.#upstream, question);
  }
}

/** The upstream server, asked in the database of `--upstream`. */
export class UpstreamServer implements SourceServer {
  readonly #upstream: Upstream;

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  async slots(names: readonly string[]): Promise<readonly SlotInfo[]> {
    return ask(this.#upstream, (admin) => describeSlots(admin, names));
  }

  /*
    pg_xact_status gives NULL for a transaction so old that its status was discarded, and 22023 for one that is still to
    come: then this server is not the one, or no more the one, that gave the id. Ids are the server's, not a database's.
    https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
  */
  async transactionStatus(transaction: TransactionId): Promise<TransactionStatus> {
    return withAdmin(this.#upstream, async (admin) => {
      try {
        const sql = 'SELECT pg_catalog.pg_xact_status($1::text::xid8) AS status';
        const { rows } = await admin.query<{ status: TransactionStatus | null }>(sql, [transaction]);
        return rows[0]?.status ?? 'unknown';
      } catch (error) {
        if (codeOf(error) === SQLSTATE.invalid_parameter_value) return 'unknown';
        throw error;
      }
    });
  }
}

/** A failure to connect reaches the client as 55000: class 08 would cost it its own connection. */
async function ask<T>(upstream: Upstream, question: (admin: pg.Client) => Promise<T>): Promise<T> {
  try {
    return await withAdmin(upstream, question);
  } catch (error) {
    if (error instanceof PgError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new PgError('object_not_in_prerequisite_state', `changes cannot be captured: ${message}`, {
      hint: 'walhook itself connects as the user of --upstream.',
      cause: error,
    });
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null | undefined)?.code;
}

function oidsOf(tables: readonly PublishedTable[]): number[] {
  return tables.map(({ oid }) => oid);
}

function insertsOnlyOf(tables: readonly PublishedTable[]): ReadonlySet<number> {
  return new Set(tables.filter(({ insertsOnly }) => insertsOnly).map(({ oid }) => oid));
}

async function askIdentity(admin: pg.Client): Promise<SourceIdentity> {
  const { rows } = await admin.query<{ system_id: string; database_oid: string }>(`
    SELECT system_identifier::text AS system_id,
           (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()) AS database_oid
      FROM pg_catalog.pg_control_system()`);
  const row = must(rows[0], 'one row');
  return { systemId: row.system_id, databaseOid: Number(row.database_oid) };
}
