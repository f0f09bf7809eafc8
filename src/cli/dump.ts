import pg from 'pg';
import { systemClock } from '../base/clock.ts';
import { ConfigError, loadOptions } from '../config/load.ts';
import { CLIENT_COMMAND_OPTIONS } from '../config/options.ts';
import { CatalogClient, CatalogClientError } from './declarations/catalog-client.ts';
import { explain } from './declarations/declaration-file.ts';
import { dumpText } from './declarations/dump-text.ts';
import { terminalProgress } from './progress.ts';

/** `walhook dump`: prints every definition of a running walhook as SQL, for `walhook apply` or psql. Exit code 0. */
export async function dumpCommand(args: readonly string[]): Promise<number> {
  const { values, rest } = loadOptions(CLIENT_COMMAND_OPTIONS, args, process.env, ['--no-owner']);
  const words = rest.filter((word) => word !== '--no-owner');
  if (words.length > 0) throw new ConfigError(words.map((word) => `"${word}" is no option of dump`));
  const client = await CatalogClient.connect(values.url);
  const progress = terminalProgress(systemClock);
  try {
    const shown = await client.shown((done, total) => progress.show('definitions read', done, total));
    progress.clear();
    process.stdout.write(dumpText(shown, !rest.includes('--no-owner')));
    return 0;
  } catch (error) {
    throw error instanceof pg.DatabaseError ? new CatalogClientError(explain(error)) : error;
  } finally {
    progress.clear();
    await client.end();
  }
}
