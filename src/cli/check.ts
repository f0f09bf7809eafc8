import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { silentLogger } from '../base/logger.ts';
import { systemRandom } from '../base/random.ts';
import { DataDirectory } from '../catalog/data-directory.ts';
import { checkUpstream } from '../capture/check.ts';
import { PUBLICATION } from '../capture/publication.ts';
import { slotNameOf } from '../catalog/slot-name.ts';
import { ConfigError, loadOptions } from '../config/load.ts';
import { CHECK_OPTIONS, DOCTOR_OPTIONS } from '../config/options.ts';
import { ownerAdvice } from '../engine/publishing-rights.ts';
import { DELIVERY_FILE } from '../log/database-folder.ts';
import { checkFile, LOG_FILE } from '../log/schema.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { SQLSTATE } from '../postgres/sqlstate.ts';
import type { Requirement } from '../model/requirement.ts';
import { withAdmin } from '../upstream/connect.ts';
import { parseUpstreamUrl, type UpstreamConfig } from '../upstream/upstream-config.ts';
import { Upstream } from '../upstream/upstream.ts';
import { CATALOG_FILE, openCatalog } from './open-catalog.ts';
import { terminalProgress } from './progress.ts';

/** `walhook check`: what `CHECK CDC` says, of an upstream that is not fronted yet. Exit code 1 where something is missing. */
export async function checkCommand(args: readonly string[]): Promise<number> {
  const { values, rest } = loadOptions(CHECK_OPTIONS, args, process.env);
  if (rest.length > 0) throw new ConfigError(rest.map((word) => `"${word}" is no option of check`));
  const config = parseUpstreamUrl(values.upstream);
  return report(await requirementsOf(config, slotNameOf('', config.database), []));
}

/**
 * `walhook doctor`: the same for the streams of a data directory, database by database, whose files it checks too, while
 * walhook does not run (while it does: `CHECK CDC`). Exit code 1 where something is wrong.
 */
export async function doctorCommand(args: readonly string[]): Promise<number> {
  const { values, rest } = loadOptions(DOCTOR_OPTIONS, args, process.env);
  if (rest.length > 0) throw new ConfigError(rest.map((word) => `"${word}" is no option of doctor`));
  const config = parseUpstreamUrl(values.upstream);
  const directory = DataDirectory.open(values.dataDir);
  // A file is read as a whole, which takes its time where the log is large.
  const progress = terminalProgress(systemClock);
  const check = (file: string, path: string): Requirement[] => {
    progress.show(`reading ${path}`);
    return fileRequirement(file, path);
  };
  try {
    const databases = captured(values, directory, config.database);
    const found = check(CATALOG_FILE, directory.file(CATALOG_FILE));
    for (const { name, slotName, tableOids, insertsOnly } of databases) {
      const folder = directory.file(slotName);
      const rows = [LOG_FILE, DELIVERY_FILE].flatMap((file) => check(file, join(folder, file)));
      progress.show(`asking the server about ${name}`);
      rows.push(...(await requirementsOf({ ...config, database: name }, slotName, tableOids, insertsOnly)));
      const prefix = databases.length === 1 ? '' : `${name}: `;
      found.push(...rows.map((row) => ({ ...row, requirement: `${prefix}${row.requirement}` })));
    }
    progress.clear();
    return report(found);
  } finally {
    progress.clear();
    directory.close();
  }
}

interface Captured {
  readonly name: string;
  readonly slotName: string;
  readonly tableOids: readonly number[];
  /** Of these all streams take inserts only. */
  readonly insertsOnly: ReadonlySet<number>;
}

/** The databases that the catalog has streams of; where there are none, the upstream's. */
function captured(config: Parameters<typeof openCatalog>[0], directory: DataDirectory, home: string): Captured[] {
  const catalog = openCatalog(config, directory, silentLogger);
  try {
    catalog.claimUnnamed(home);
    const names = catalog.databases();
    return (names.length === 0 ? [home] : names).map((name) => {
      const database = catalog.inDatabase(name);
      const oids = database.armedStreams().flatMap(({ tables }) => tables.map(({ oid }) => oid));
      const tableOids = [...new Set(oids)];
      return { name, slotName: database.slotName, tableOids, insertsOnly: database.insertsOnly() };
    });
  } finally {
    catalog.close();
  }
}

function fileRequirement(name: string, path: string): Requirement[] {
  const problem = checkFile(path);
  if (problem === undefined) return [];
  const fix = problem === null ? null : '-- restore the data directory from a copy';
  return [{ requirement: `${name} is whole`, ok: problem === null, found: problem ?? 'whole', fix }];
}

async function requirementsOf(
  config: UpstreamConfig,
  slotName: string,
  tableOids: readonly number[],
  insertsOnly: ReadonlySet<number> = new Set(),
): Promise<Requirement[]> {
  const upstream = new Upstream(config, { clock: systemClock, random: systemRandom, logger: silentLogger });
  try {
    return await withAdmin(upstream, async (admin) => [
      ...(await checkUpstream(admin, { slotName, publicationName: PUBLICATION, tableOids, insertsOnly })),
      ...(await ownerAdvice(admin, tableOids)),
    ]);
  } catch (error) {
    return [refusal(error, config)];
  }
}

/** Why nothing could be asked, and what to do, by SQLSTATE: `invalid_password` is a missing role as well, which the server hides. */
function refusal(error: unknown, { user, database, password }: UpstreamConfig): Requirement {
  const found = error instanceof Error ? error.message : String(error);
  const code = (error as { code?: unknown } | null)?.code;
  const missing = (requirement: string, fix: string): Requirement => ({
    requirement,
    ok: false,
    found,
    fix: `-- ${fix}`,
  });
  const role = quoteIdentifier(user);
  const create = `or, where there is no such role: CREATE ROLE ${role} LOGIN REPLICATION PASSWORD '…';`;
  switch (code) {
    case SQLSTATE.invalid_password:
      return missing('role may log in', `mend user or password in --upstream; ${create}`);
    case SQLSTATE.invalid_authorization_specification:
      return missing('role may log in', `ALTER ROLE ${role} LOGIN; ${create} or a line for it in pg_hba.conf`);
    case SQLSTATE.invalid_catalog_name:
      return missing(
        'database exists',
        `name another database in --upstream; or: CREATE DATABASE ${quoteIdentifier(database)};`,
      );
    default: {
      const noPassword = (password ?? '') === '' ? '; no password is there, and the server may ask for one' : '';
      return missing('server can be reached', `mend host or port in --upstream${noPassword}`);
    }
  }
}

function report(requirements: readonly Requirement[]): number {
  for (const { requirement, ok, found, fix } of requirements) {
    const word = ok ? (fix === null ? 'ok' : 'advice') : 'MISSING';
    process.stdout.write(`${word.padEnd(7)}  ${requirement}: ${found}\n`);
    if (fix !== null) process.stdout.write(`         ${fix}\n`);
  }
  const missing = requirements.filter(({ ok }) => !ok).length;
  const isAdvised = requirements.some(({ ok, fix }) => ok && fix !== null);
  const well = isAdvised ? 'All is well, but for streams that the advice is about.' : 'All is well.';
  const lacking = `${missing} of ${requirements.length} ${missing === 1 ? 'is' : 'are'} missing.`;
  process.stdout.write(`${missing === 0 ? well : lacking}\n`);
  return missing === 0 ? 0 : 1;
}
