import pg from 'pg';
import { ConfigError, loadOptions } from '../config/load.ts';
import { CLIENT_COMMAND_OPTIONS } from '../config/options.ts';
import { CatalogClient, CatalogClientError } from './declarations/catalog-client.ts';
import { explain } from './declarations/declaration-file.ts';
import { dumpText } from './declarations/dump-text.ts';

/** `walhook dump`: prints every definition of a running walhook as SQL, for `walhook apply` or psql. Exit code 0. */
export async function dumpCommand(args: readonly string[]): Promise<number> {
  const { values, rest } = loadOptions(CLIENT_COMMAND_OPTIONS, args, process.env, ['--no-owner']);
  const words = rest.filter((word) => word !== '--no-owner');
  if (words.length > 0) throw new ConfigError(words.map((word) => `"${word}" is no option of dump`));
  const client = await CatalogClient.connect(values.url);
  try {
    process.stdout.write(dumpText(await client.shown(), !rest.includes('--no-owner')));
    return 0;
  } catch (error) {
    throw error instanceof pg.DatabaseError ? new CatalogClientError(explain(error)) : error;
  } finally {
    await client.end();
  }
}
