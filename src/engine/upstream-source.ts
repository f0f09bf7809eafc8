import type pg from 'pg';
import { must } from '../base/assert.ts';
import { armTable, disarmTable, dropAll } from '../capture/arm.ts';
import { PUBLICATION, listedTables } from '../capture/publication.ts';
import type { SourceIdentity } from '../model/change.ts';
import type { StreamTable } from '../model/stream.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { withAdmin } from '../upstream/connect.ts';
import type { UpstreamConfig } from '../upstream/upstream-config.ts';
import type { Source } from './source.ts';

/** The upstream database, asked on a connection for each occasion: definitions change rarely. */
export class UpstreamSource implements Source {
  readonly #upstream: UpstreamConfig;
  readonly #slotName: string;

  constructor(upstream: UpstreamConfig, slotName: string) {
    this.#upstream = upstream;
    this.#slotName = slotName;
  }

  requireDatabase(database: string): void {
    if (database === this.#upstream.database) return;
    throw new PgError('feature_not_supported', `changes of the database "${database}" are not captured`, {
      detail: `This walhook captures from the database "${this.#upstream.database}".`,
      hint: 'Run another walhook with its own data directory for another database.',
    });
  }

  async arm(tables: readonly StreamTable[], isFirst: boolean): Promise<{ startLsn: Lsn; identity: SourceIdentity }> {
    return this.#ask(async (admin) => {
      const names = { slotName: this.#slotName, publicationName: PUBLICATION };
      const identity = await askIdentity(admin);
      let startLsn: Lsn = 0n;
      for (const table of tables) {
        // The slot is there after the first table, whoever made it.
        startLsn = await armTable(admin, { ...names, tableOid: table.oid, isFirst });
      }
      return { startLsn, identity };
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
    await this.#ask((admin) => dropAll(admin, { slotName: this.#slotName, publicationName: PUBLICATION }));
  }

  /** A failure to connect reaches the client as 55000: class 08 would cost it its own connection. */
  async #ask<T>(question: (admin: pg.Client) => Promise<T>): Promise<T> {
    try {
      return await withAdmin(this.#upstream, question);
    } catch (error) {
      if (error instanceof PgError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new PgError('object_not_in_prerequisite_state', `changes cannot be captured: ${message}`, {
        hint: 'walhook itself connects as the user of --upstream.',
        cause: error,
      });
    }
  }
}

async function askIdentity(admin: pg.Client): Promise<SourceIdentity> {
  const { rows } = await admin.query<{ system_id: string; database_oid: string }>(`
    SELECT system_identifier::text AS system_id,
           (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()) AS database_oid
      FROM pg_catalog.pg_control_system()`);
  const row = must(rows[0], 'one row');
  return { systemId: row.system_id, databaseOid: Number(row.database_oid) };
}
